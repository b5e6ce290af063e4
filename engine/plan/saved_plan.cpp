#include "engine/plan/saved_plan.hpp"

#include "base/canonical_json.hpp"
#include "base/error.hpp"
#include "base/json.hpp"
#include "engine/runbook/language.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using Json = nlohmann::json;

constexpr int k_format = 1;

Json names_of(const Json& findings) {
    Json names = Json::array();
    for (const Json& finding : findings) {
        names.push_back({finding.at("id"), finding.at("member"), finding.at("subject")});
    }
    return names;
}

std::string word(const Json& value) {
    return value.is_string() ? value.get<std::string>()
           : value.is_null() ? "unknown"
                             : value.dump();
}

/// A difference, and the fact that it is of; none of what must not move.
struct Difference {
    std::string fact;
    std::string text;
};

using Differences = std::vector<Difference>;

/// `leader: n1, now n2`
void compare(const std::string& fact,
             const std::string& what,
             const Json& saved,
             const Json& now,
             Differences& found) {
    if (saved != now) {
        found.push_back({fact, what + ": " + word(saved) + ", now " + word(now)});
    }
}

const Json& at(const Json& object, const char* key) {
    static const Json k_none;
    const auto found = object.is_object() ? object.find(key) : object.end();
    return object.is_object() && found != object.end() ? *found : k_none;
}

const Json* member_of(const Json& facts, const Json& name) {
    for (const Json& member : at(facts, "members")) {
        if (at(member, "name") == name) {
            return &member;
        }
    }
    return nullptr;
}

void compare_members(const Json& saved, const Json& now, Differences& found) {
    for (const Json& before : at(saved, "members")) {
        const std::string name = word(at(before, "name"));
        const Json* after = member_of(now, at(before, "name"));
        if (after == nullptr) {
            found.push_back({"members", "member " + name + " is gone"});
            continue;
        }
        compare("roles", "role of " + name, at(before, "role"), at(*after, "role"), found);
        for (const auto& [software, label] :
             {std::pair{"patroni", "Patroni"}, std::pair{"postgres", "PostgreSQL"}}) {
            compare("versions",
                    std::string(label) + " running on " + name,
                    at(at(before, software), "running"),
                    at(at(*after, software), "running"),
                    found);
            compare("versions",
                    std::string(label) + " installed on " + name,
                    at(at(before, software), "installed"),
                    at(at(*after, software), "installed"),
                    found);
        }
    }
    for (const Json& after : at(now, "members")) {
        if (member_of(saved, at(after, "name")) == nullptr) {
            found.push_back({"members", "member " + word(at(after, "name")) + " is new"});
        }
    }
}

std::string name_of(const Json& step) {
    const Json& member = at(step, "member");
    return "step " + word(at(step, "id")) + (member.is_null() ? "" : " on " + word(member));
}

const Json* step_like(const Json& steps, const Json& wanted) {
    for (const Json& step : steps) {
        if (at(step, "id") == at(wanted, "id") && at(step, "member") == at(wanted, "member")) {
            return &step;
        }
    }
    return nullptr;
}

std::string texts_of(const Json& operations) {
    std::string text;
    for (const Json& operation : operations) {
        text += (text.empty() ? "" : "; ") + word(at(operation, "text"));
    }
    return text.empty() ? "nothing" : text;
}

void compare_steps(const Json& saved, const Json& now, Differences& found) {
    for (const Json& before : saved) {
        const Json* after = step_like(now, before);
        if (after == nullptr) {
            found.push_back({"", name_of(before) + " is not there any more"});
            continue;
        }
        compare("",
                "verdict of " + name_of(before),
                at(before, "verdict"),
                at(*after, "verdict"),
                found);
        for (const char* what : {"actions", "undo", "undo_besides"}) {
            compare("",
                    std::string(what) + " of " + name_of(before),
                    texts_of(at(before, what)),
                    texts_of(at(*after, what)),
                    found);
        }
    }
    for (const Json& after : now) {
        if (step_like(saved, after) == nullptr) {
            found.push_back({"", name_of(after) + " is new"});
        }
    }
}

}  // namespace

Json bound_part(Json plan) {
    for (const char* moving : {"plan_hash",
                               "facts",
                               "examined",
                               "findings",
                               "advice",
                               "window",
                               "expected",
                               "runbook_path",
                               "inventory_path",
                               "rollback"}) {
        plan.erase(moving);
    }
    plan["blocked_by"] = names_of(plan.at("blocked_by"));
    plan["accepted"] = names_of(plan.at("accepted"));
    // By name and not in their order: that is the runbook's, and among replicas it is by their lag.
    // What keeps packages for the way back follows from the undos, and is there already the second
    // time.
    Json& steps = plan.at("steps");
    std::vector<Json> kept;
    for (Json& step : steps) {
        for (const char* moving : {"because",
                                   "notes",
                                   "no_way_back",
                                   "probed",
                                   "after",
                                   "expected_ms",
                                   "expected_from",
                                   "felt"}) {
            step.erase(moving);
        }
        if (step.at("made_with").is_null()) {
            kept.push_back(std::move(step));
        }
    }
    std::ranges::sort(kept, {}, [](const Json& step) {
        return std::pair(word(at(step, "id")), word(at(step, "member")));
    });
    steps = Json(std::move(kept));
    return plan;
}

const std::vector<std::string>& facts_that_drift() {
    static const std::vector<std::string> k_facts = [] {
        const auto& words = language::place("runbook").key("allow_drift")->words;
        return std::vector<std::string>(words.begin(), words.end());
    }();
    return k_facts;
}

std::vector<std::string> differences(const Json& saved,
                                     const Json& now,
                                     const std::vector<std::string>& allowed) {
    const Json before = bound_part(saved);
    const Json after = bound_part(now);
    if (before == after) {
        return {};
    }
    Differences found;
    if (before.at("runbook_hash") != after.at("runbook_hash")) {
        found.push_back({"", "the runbook is another one"});
    }
    if (before.at("inventory_hash") != after.at("inventory_hash")) {
        found.push_back({"inventory", "the inventory was changed"});
    }
    compare("", "inputs", before.at("inputs"), after.at("inputs"), found);
    const Json& facts = saved.at("facts");
    compare("leader", "leader", at(facts, "leader"), at(now.at("facts"), "leader"), found);
    compare("paused", "paused", at(facts, "paused"), at(now.at("facts"), "paused"), found);
    compare_members(facts, now.at("facts"), found);
    if (before.at("accepted") != after.at("accepted")) {
        found.push_back({"", "what was accepted by name is not the same any more"});
    }
    for (const Json& finding : now.at("blocked_by")) {
        const Json name = names_of(Json::array({finding})).front();
        if (!before.at("blocked_by").contains(name)) {
            found.push_back({"", "it would be refused: " + word(at(finding, "message"))});
        }
    }
    compare_steps(before.at("steps"), after.at("steps"), found);
    if (found.empty()) {
        found.push_back({"", "the order or the make-up of its steps"});
    }
    std::vector<std::string> texts;
    for (const Difference& each : found) {
        if (std::ranges::find(allowed, each.fact) == allowed.end()) {
            texts.push_back(each.text);
        }
    }
    return texts;
}

/// What differences() tells of, and no configuration.
Json SavedPlan::facts_told(const Json& facts) {
    Json told = {{"leader", at(facts, "leader")}, {"paused", at(facts, "paused")}};
    told["members"] = Json::array();
    for (const Json& member : at(facts, "members")) {
        Json one = {{"name", at(member, "name")}, {"role", at(member, "role")}};
        for (const char* software : {"patroni", "postgres"}) {
            one[software] = {{"running", at(at(member, software), "running")},
                             {"installed", at(at(member, software), "installed")}};
        }
        told["members"].push_back(std::move(one));
    }
    return told;
}

std::string SavedPlan::to_text() const {
    Json document = {
        {"lockstep_plan", k_format},
        {"made_at", made_at},
        {"made_by", made_by},
        {"reason", reason},
        {"runbook_from", runbook_from},
        {"runbook_text", runbook_text},
        {"cluster", cluster},
        {"given", given},
        {"accepted", accepted},
        {"on_failure", on_failure},
        {"allow_drift", allow_drift},
        {"plan", plan},
    };
    document["hash"] = sha256_hex(canonical(document));
    return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

SavedPlan SavedPlan::parse(std::string_view text, const std::string& file_name) {
    const auto refuse = [&](const std::string& why, const std::string& hint) {
        return InputError(SourceLocation{file_name, 1, 1}, why, hint);
    };
    Json document = read_json(text, k_own_json).document;
    if (!document.is_object() || !document.contains("lockstep_plan")) {
        throw refuse("this is no saved plan", "`lockstep plan RUNBOOK --out FILE` makes one.");
    }
    if (document.at("lockstep_plan") != k_format) {
        throw refuse("this plan was saved by another version of lockstep", "Make it anew.");
    }
    const Json hash = document.value("hash", Json());
    document.erase("hash");
    if (hash != sha256_hex(canonical(document))) {
        throw refuse("this plan was changed after it was made",
                     "Make it anew: what a plan says is what was seen, and cannot be edited.");
    }
    SavedPlan saved;
    try {
        saved.made_at = document.at("made_at");
        saved.made_by = document.at("made_by");
        saved.reason = document.at("reason");
        saved.runbook_from = document.at("runbook_from");
        saved.runbook_text = document.at("runbook_text");
        saved.cluster = document.at("cluster");
        saved.given = document.at("given").get<std::map<std::string, std::string>>();
        saved.accepted = document.at("accepted").get<std::vector<std::string>>();
        saved.on_failure = document.at("on_failure");
        saved.allow_drift = document.value("allow_drift", std::vector<std::string>());
        saved.plan = document.at("plan");
        (void)bound_part(saved.plan);
        (void)saved.plan.at("facts");
        if (saved.plan.at("verdict") != "ready" || !saved.plan.at("blocked_by").empty()) {
            throw refuse("this plan must not be started", "Only a plan that is ready is saved.");
        }
    } catch (const Json::exception& error) {
        throw refuse(std::string("this plan cannot be read: ") + error.what(), "Make it anew.");
    }
    return saved;
}

}  // namespace lockstep
