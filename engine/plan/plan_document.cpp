#include "engine/plan/plan_document.hpp"

#include "base/canonical_json.hpp"
#include "base/or_null.hpp"
#include "engine/plan/binding.hpp"
#include "engine/plan/durations.hpp"
#include "engine/plan/saved_plan.hpp"

#include <algorithm>
#include <map>

namespace lockstep {

namespace {

using Json = nlohmann::json;

/// Where each spec stands in its runbook: the position in each list on the way to it. Made once for
/// all steps: to look for each of 20,000 took longer than everything else of a plan.
using Paths = std::map<const StepSpec*, Json>;

void add_paths(const std::vector<StepSpec>& specs, const Json& before, Paths& paths) {
    for (std::size_t i = 0; i < specs.size(); ++i) {
        Json path = before;
        path.push_back(i);
        add_paths(specs[i].steps, path, paths);
        paths.emplace(&specs[i], std::move(path));
    }
}

Paths paths_of(const Runbook& runbook) {
    Paths paths;
    add_paths(runbook.steps, Json::array(), paths);
    add_paths(runbook.always, Json::array(), paths);
    return paths;
}

Json constants(const Arguments& arguments) {
    Json with = Json::object();
    for (const auto& [name, argument] : arguments) {
        if (const auto* value = std::get_if<Value>(&argument.content)) {
            with[name] = value->to_json();
        }
    }
    return with;
}

Json document_of(const PlannedStep& step, const Paths& paths) {
    Json call_items = Json::array();
    for (const auto& frame : step.frames) {
        call_items.push_back(frame->item ? frame->item->to_json() : Json(nullptr));
    }
    const auto path = paths.find(step.spec);
    Json document = {
        {"id", step.id},
        {"uses", step.uses},
        {"member", or_null(step.member)},
        {"verdict", to_text(step.verdict)},
        {"because", step.because},
        {"changes", step.changes},
        {"actions", to_json(step.operations)},
        {"undo", to_json(step.undo)},
        {"undo_besides", to_json(step.undo_besides)},
        {"no_way_back", or_null(step.no_way_back)},
        {"notes", step.notes},
        {"point_of_no_return", !step.spec->point_of_no_return.empty()},
        {"felt", step.felt},
        {"expected_ms", step.expected.length.count()},
        {"expected_from", step.expected.samples},
        // What a later engine needs to go on; see restore_plan.
        {"after", step.after},
        {"group", step.group},
        {"item", step.item ? step.item->to_json() : Json(nullptr)},
        {"idle", step.idle},
        {"always", step.always},
        {"within", step.within_ids},
        {"call_items", call_items},
        {"path", path == paths.end() ? Json::array() : path->second},
        {"fan_out", nullptr},
        {"probed", step.probed},
        {"made_with", step.made ? constants(step.spec->with) : Json(nullptr)},
    };
    if (!step.by_role.empty()) {
        document["by_role"] = step.by_role;
    }
    for (std::size_t depth = 0; depth < step.within.size(); ++depth) {
        if (step.within[depth] == step.fan_out) {
            document["fan_out"] = depth;
        }
    }
    if (step.fan_out == step.spec && step.spec != nullptr) {
        document["fan_out"] = step.within.size();
    }
    return document;
}

/// What a rollback of the whole would do, in its order.
Json way_back(const Plan& plan) {
    Json list = Json::array();
    for (auto step = plan.steps.rbegin(); step != plan.steps.rend(); ++step) {
        const std::vector<Undo> undo = step->whole_undo();
        if (step->verdict == Verdict::wont || step->always || undo.empty()) {
            continue;
        }
        list.push_back({{"step", step->id},
                        {"member", or_null(step->member)},
                        {"undo", lockstep::to_json(undo)}});
    }
    return list;
}

[[noreturn]] void throw_unfit(const std::string& what) {
    throw JournalError("the plan on record cannot be read again: " + what,
                       "It was written by another version of lockstep, or it is damaged.");
}

std::vector<Undo> undo_from(const Json& list) {
    std::vector<Undo> undo;
    for (const Json& each : list) {
        undo.push_back(Undo::from_json(each));
    }
    return undo;
}

/// The spec of a step that prepares an undo: a value of the plan, not of the runbook.
std::shared_ptr<const StepSpec> made_spec(const Json& document) {
    StepSpec spec;
    spec.id = document.at("id");
    spec.uses = document.at("uses");
    for (const auto& [name, value] : document.at("made_with").items()) {
        spec.with.emplace(name, Argument{Value::from_json(value), {}});
    }
    return std::make_shared<const StepSpec>(std::move(spec));
}

void find_spec(const Json& document, Plan& plan, PlannedStep& step) {
    step.made = !document.at("made_with").is_null();
    if (step.made) {
        plan.made.push_back(made_spec(document));
        step.spec = plan.made.back().get();
        return;
    }
    step.always = document.value("always", false);
    const std::vector<StepSpec>* specs = step.always ? &plan.runbook->always : &plan.runbook->steps;
    for (const Json& position : document.at("path")) {
        const std::size_t index = position;
        if (index >= specs->size()) {
            throw_unfit("its runbook has no such step as " + step.id);
        }
        if (step.spec != nullptr) {
            step.within.push_back(step.spec);
        }
        step.spec = &(*specs)[index];
        specs = &step.spec->steps;
    }
    if (step.spec == nullptr || step.spec->uses != step.uses) {
        throw_unfit("step " + step.id + " is another one in its runbook");
    }
    step.within_ids = document.value("within", std::vector<std::string>());
    if (!document.contains("within")) {  // of a version that asked for no approvals
        std::string id;
        for (const StepSpec* block : step.within) {
            id += (id.empty() ? "" : ".") + block->id;
            step.within_ids.push_back(id);
        }
    }
    if (step.within_ids.size() != step.within.size()) {
        throw_unfit("step " + step.id + " stands somewhere else in its runbook");
    }
    if (!document.at("fan_out").is_null()) {
        const std::size_t depth = document.at("fan_out");
        step.fan_out = depth < step.within.size() ? step.within[depth] : step.spec;
    }
}

/// The runbooks around a step are worked out again: what they are called with may be a secret,
/// which no document has.
void restore_frames(const Json& document,
                    const Plan& plan,
                    const Cluster& cluster,
                    PlannedStep& step) {
    const Json items = document.value("call_items", Json::array());
    for (std::size_t depth = 0; depth < step.within.size(); ++depth) {
        if (step.within[depth]->called == nullptr) {
            continue;
        }
        const Json& kept = items.at(step.frames.size());
        const std::optional<Value> item =
            kept.is_null() ? std::nullopt : std::optional(Value::from_json(kept));
        step.frames.push_back(call_frame(*step.within[depth],
                                         {.plan = plan,
                                          .facts = plan.facts,
                                          .cluster = cluster,
                                          .frame = frame_of(step),
                                          .item = &item},
                                         step.within_ids[depth] + ".",
                                         depth));
    }
}

PlannedStep step_from(const Json& document, Plan& plan, const Cluster& cluster) {
    PlannedStep step;
    step.id = document.at("id");
    step.uses = document.at("uses");
    step.member = document.at("member").is_null() ? "" : document.at("member");
    find_spec(document, plan, step);
    restore_frames(document, plan, cluster, step);
    if (!document.at("item").is_null()) {
        step.item = Value::from_json(document.at("item"));
    }
    step.after = document.at("after").get<std::vector<std::size_t>>();
    step.group = document.at("group");
    step.by_role = document.value("by_role", "");
    for (const Verdict verdict : {Verdict::will, Verdict::wont, Verdict::may}) {
        if (document.at("verdict") == to_text(verdict)) {
            step.verdict = verdict;
        }
    }
    step.because = document.at("because");
    for (const Json& operation : document.at("actions")) {
        step.operations.push_back(operation_from(operation));
    }
    step.undo = undo_from(document.at("undo"));
    step.undo_besides = undo_from(document.at("undo_besides"));
    step.no_way_back = document.at("no_way_back").is_null() ? "" : document.at("no_way_back");
    step.probed = document.at("probed");
    step.changes = document.at("changes");
    step.expected = {std::chrono::milliseconds(document.value("expected_ms", std::int64_t{0})),
                     document.value("expected_from", 0)};
    step.idle = document.at("idle");
    return step;
}

[[noreturn]] void throw_changed(const std::string& what) {
    throw JournalError(what + " on record is not the one that the hash of the plan is of",
                       "Somebody or something changed it after it was made, or another version of "
                       "lockstep made it and can go on with it: nothing is done by it. Look at the "
                       "cluster with `lockstep check`.");
}

std::vector<Finding> findings_from(const Json& list) {
    std::vector<Finding> findings;
    for (const Json& each : list) {
        findings.push_back(Finding::from_json(each));
    }
    return findings;
}

}  // namespace

Json Plan::to_json() const {
    Json document = outline();
    document["facts"] = facts.to_json();
    document["rollback"] = way_back(*this);
    Json& planned = document["steps"] = Json::array();
    const Paths paths = paths_of(*runbook);
    for (const PlannedStep& step : steps) {
        planned.push_back(document_of(step, paths));
    }
    return document;
}

Json Plan::outline() const {
    const PlannedTime time = planned_time(*this);
    Json guards = Json::array();
    for (const GuardSpec& guard : runbook->guards) {
        guards.push_back(guard.name);
    }
    return {
        {"plan_hash", hash},
        {"runbook", runbook->name},
        {"runbook_hash", runbook_hash(*runbook)},
        {"runbook_parts", runbook->parts},
        {"cluster", cluster},
        {"inventory_hash", inventory_hash},
        {"inputs", Value(inputs).to_json()},
        {"examined", examined},
        {"findings", lockstep::to_json(findings)},
        {"verdict", ready() ? "ready" : "blocked"},
        {"blocked_by", lockstep::to_json(blocked_by)},
        {"accepted", lockstep::to_json(accepted)},
        {"advice", lockstep::to_json(advice)},
        {"heals", runbook->heals},
        {"guards", guards},
        {"on_failure", on_failure == OnFailure::rollback ? "rollback" : "stop"},
        {"window", window ? lockstep::to_json(*window) : Json(nullptr)},
        {"expected",
         {{"ms", time.length.count()}, {"known", time.known}, {"guessed", time.guessed}}},
        {"runbook_path", runbook->path},
        {"inventory_path", inventory_path},
    };
}

/// What was approved is a hash: that of everything that goes on by it is worked out again.
void refuse_changed(const Json& document,
                    const std::string& hash,
                    const std::string& runbook_text,
                    const std::string& inventory_text) {
    try {
        if (document.at("plan_hash") != hash ||
            sha256_hex(canonical(bound_part(document))) != hash) {
            throw_changed("the plan");
        }
        const auto parts = document.value("runbook_parts", std::map<std::string, std::string>());
        if (runbook_hash(runbook_text, parts) != document.at("runbook_hash")) {
            throw_changed("the runbook");
        }
        if (sha256_hex(inventory_text) != document.at("inventory_hash")) {
            throw_changed("the inventory");
        }
    } catch (const Json::exception& error) {
        throw_unfit(error.what());
    }
}

Plan restore_plan(const PlanDocument& from) {
    Plan plan;
    try {
        const Json& document = from.document;
        plan.runbook = from.runbook;
        plan.cluster = from.cluster.name;
        plan.inventory_path = from.inventory.path;
        plan.inventory_hash = sha256_hex(from.inventory.text);
        plan.inputs = read_inputs(*from.runbook, from.given);
        plan.given = from.given;
        plan.facts = ClusterFacts::from_json(document.at("facts"));
        plan.examined = document.value("examined", true);
        plan.findings = findings_from(document.at("findings"));
        plan.accepted = findings_from(document.at("accepted"));
        plan.advice = findings_from(document.value("advice", Json::array()));
        plan.hash = document.at("plan_hash");
        plan.on_failure =
            document.at("on_failure") == "rollback" ? OnFailure::rollback : OnFailure::stop;
        evaluate_vars(from.cluster, plan);
        for (const Json& step : document.at("steps")) {
            plan.steps.push_back(step_from(step, plan, from.cluster));
        }
        refuse_changed(document, from.hash, plan.runbook->text, from.inventory.text);
        if (Value(plan.inputs).to_json() != document.at("inputs")) {
            throw_changed("an input");
        }
        for (const PlannedStep& step : plan.steps) {
            if (std::ranges::any_of(step.after, [&](auto i) { return i >= plan.steps.size(); })) {
                throw_unfit("step " + step.id + " waits for one that is not there");
            }
        }
    } catch (const Json::exception& error) {
        throw_unfit(error.what());
    }
    return plan;
}

}  // namespace lockstep
