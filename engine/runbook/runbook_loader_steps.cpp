#include "base/suggest.hpp"
#include "engine/runbook/language.hpp"
#include "engine/runbook/runbook_reading.hpp"
#include "engine/runbook/window_reading.hpp"

#include <algorithm>

namespace lockstep::runbook_reading {

namespace {

using yaml::Node;

constexpr const char* k_call = "runbook";

/// What holds for the steps in one list.
struct Around {
    bool member = false;  ///< a block around them has `on`
    bool item = false;    ///< or `for_each`
};

/// `defaults` of the runbook, for the steps that do not say otherwise.
struct Defaults {
    std::optional<std::chrono::milliseconds> timeout;
    Retry retry;
};

Defaults read_defaults(Reading& reading, const Node& node) {
    Defaults defaults;
    if (!check_keys(reading, node, "defaults", "defaults")) {
        return defaults;
    }
    if (const Node* timeout = node.find("timeout")) {
        defaults.timeout = read_duration(reading, *timeout, "timeout");
    }
    if (const Node* retry = node.find("retry")) {
        defaults.retry = read_retry(reading, *retry, {});
    }
    return defaults;
}

/// What people write for the four words; a member of that name can be asked for by expression.
std::string meant_word(const std::string& text) {
    for (const auto& [meant, wrong] :
         std::initializer_list<std::pair<const char*, std::vector<std::string>>>{
             {"leader", {"primary", "master", "leaders"}},
             {"replicas", {"replica", "standby", "standbys", "secondary", "secondaries"}},
             {"sync", {"sync_standby", "synchronous"}},
             {"members", {"member", "all", "nodes", "hosts"}}}) {
        if (std::find(wrong.begin(), wrong.end(), text) != wrong.end()) {
            return meant;
        }
    }
    return {};
}

bool is_member_name(const std::string& text) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
    };
    return !text.empty() && std::all_of(text.begin(), text.end(), fits);
}

void read_on(Reading& reading, const Node& node, bool item, StepSpec& step) {
    if (!node.is(Node::Kind::scalar) || node.text.empty()) {
        reading.problems.add(node.where,
                             "on must be a text, not " + node.describe(),
                             "leader, replicas, sync, members, a name, or an expression such as "
                             "member.name in ['n1', 'n2'].",
                             "runbook.type");
        return;
    }
    if (!is_member_name(node.text)) {
        step.on_that = read_expression(reading, node, "`on`", {.member = true, .item = item});
        return;
    }
    if (const std::string meant = meant_word(node.text); !meant.empty()) {
        reading.problems.add(node.where,
                             "\"" + node.text + "\" is not a word of `on`",
                             "did you mean \"" + meant +
                                 "\"? A member of that name is "
                                 "member.name == '" +
                                 node.text + "'.");
    }
    step.on = node.text;
}

/// Reads one list of steps after the other, the blocks' own inside.
class StepReader {
  public:
    StepReader(Reading& reading, const Defaults& defaults)
        : reading_(reading), defaults_(defaults) {}

    std::vector<StepSpec> read(const Node& node, const Around& around) {
        std::vector<StepSpec> steps;
        if (!node.is(Node::Kind::list) || node.items.empty()) {
            reading_.problems.add(
                node.where,
                "steps must be a list of at least one step, not " +
                    (node.is(Node::Kind::list) ? "an empty one" : node.describe()),
                {},
                "runbook.type");
            return steps;
        }
        for (const Node& item : node.items) {
            if (auto step = read_step(item, around, steps)) {
                steps.push_back(std::move(*step));
            }
        }
        check_siblings(steps);
        return steps;
    }

  private:
    std::optional<StepSpec> read_step(const Node& node,
                                      const Around& around,
                                      const std::vector<StepSpec>& siblings) {
        if (!check_keys(reading_, node, "step", "a step")) {
            return std::nullopt;
        }
        StepSpec step;
        step.where = node.where;
        read_id(node, step);
        const ActionSchema* schema = read_uses(node, step);
        const Around inside = read_selection(node, around, schema, step);
        const Visible visible{inside.member, inside.item, true};
        if (const Node* needs = node.find("needs")) {
            read_needs(*needs, siblings, step);
        }
        if (const Node* approval = node.find("approval")) {
            step.approval = read_approval(reading_, *approval);
            if (schema != nullptr && schema->answered && approval->find("not_self") == nullptr) {
                step.approval->not_self = false;  // what was done is told by who did it
            }
        }
        if (const Node* window = node.find("window")) {
            step.window = read_window(reading_, *window);
        }
        if (const Node* when = node.find("when")) {
            step.when = read_expression(reading_, *when, "`when`", visible);
        }
        if (const Node* on_failure = node.find("on_failure")) {
            step.on_failure =
                read_on_failure(reading_, *on_failure, {"stop", "continue", "rollback"});
        }
        if (step.uses == k_call) {
            refuse_keys_of_actions(node, "calls a runbook", {"with"}, step);
            read_call(reading_, node, label(step), visible, step);
        } else if (const Node* steps = node.find("steps")) {
            read_block(node, *steps, inside, step);
        } else {
            read_action(node, schema, visible, step);
        }
        return step;
    }

    void read_id(const Node& node, StepSpec& step) {
        if (const Node* name = node.find("name")) {
            step.name = read_label(reading_, *name, "name");
        }
        const Node* id = node.find("id");
        if (id == nullptr) {
            reading_.problems.add(node.where,
                                  "this step has no id",
                                  "It is what plans, records and a resume know the step by.",
                                  "runbook.missing");
            return;
        }
        reading_.problems.attempt([&] { step.id = yaml::as_string(*id, "id"); });
        if (id->is(Node::Kind::scalar) && !is_name(step.id, true)) {
            reading_.problems.add(id->where,
                                  "\"" + step.id + "\" is no id for a step",
                                  "Lower case letters, digits, _ and -, a letter first.",
                                  "runbook.bad_name");
        }
        step.where = id->where;
    }

    const ActionSchema* read_uses(const Node& node, StepSpec& step) {
        const Node* uses = node.find("uses");
        const Node* steps = node.find("steps");
        if ((uses == nullptr) == (steps == nullptr)) {
            reading_.problems.add(node.where,
                                  label(step) + (uses == nullptr ? " has neither `uses` nor `steps`"
                                                                 : " has both `uses` and `steps`"),
                                  "A step is one action, or a block of steps.",
                                  uses == nullptr ? "runbook.missing" : "runbook.one_of");
        }
        if (uses == nullptr) {
            return nullptr;
        }
        std::vector<std::string> names = names_of(reading_.vocabulary.actions);
        names.emplace_back(k_call);
        const auto name = read_one_of(reading_, *uses, "action", names);
        step.uses = name.value_or("");
        return find_action(reading_.vocabulary.actions, step.uses);
    }

    /// `for_each`, `on` and `strategy`, in the order in which they are worked out; and what they
    /// make visible inside.
    Around read_selection(const Node& node,
                          const Around& around,
                          const ActionSchema* schema,
                          StepSpec& step) {
        Around inside = around;
        if (const Node* for_each = node.find("for_each")) {
            step.for_each = read_expression(
                reading_, *for_each, "`for_each`", {.member = around.member, .item = around.item});
            inside.item = true;
        }
        const Node* on = node.find("on");
        const Node* strategy = node.find("strategy");
        const bool member_action = schema != nullptr && schema->scope == ActionScope::member;
        if (on != nullptr) {
            read_on(reading_, *on, inside.item, step);
        }
        if (strategy != nullptr) {
            step.strategy = read_strategy(reading_, *strategy);
        }
        const Node* spread = on != nullptr ? on : strategy;
        if (spread != nullptr && around.member) {
            reading_.problems.add(spread->where,
                                  "the block around " + label(step) + " has `on` already",
                                  "Each of its steps runs on the member that the block is at.",
                                  "runbook.scope");
        } else if (on == nullptr && strategy != nullptr && !member_action) {
            reading_.problems.add(strategy->where,
                                  label(step) + " has a strategy but no `on`",
                                  "Say on which members it runs.",
                                  "runbook.no_effect");
        }
        inside.member = around.member || on != nullptr || member_action;
        if (schema != nullptr && schema->scope == ActionScope::cluster && inside.member) {
            reading_.problems.add(node.find("uses")->where,
                                  step.uses + " acts once for the cluster, not on each member",
                                  "Move " + label(step) + " out of `on`.",
                                  "runbook.scope");
        }
        return inside;
    }

    /// Which of its siblings it waits for: those before it, so that there is no circle.
    void read_needs(const Node& node, const std::vector<StepSpec>& siblings, StepSpec& step) {
        step.needs.emplace();
        if (node.is(Node::Kind::list) && node.items.empty()) {
            return;
        }
        std::vector<std::string> names;
        names.reserve(siblings.size());
        for (const StepSpec& sibling : siblings) {
            names.push_back(sibling.id);
        }
        for (const std::string& id : read_texts(reading_, node, "step")) {
            if (std::ranges::find(names, id) == names.end()) {
                reading_.problems.add(
                    node.where,
                    label(step) + " needs \"" + id + "\", which is no step before it in this list",
                    names.empty() ? "" : did_you_mean(id, names),
                    "runbook.needs");
            } else {
                step.needs->push_back(id);
            }
        }
    }

    /// The keys that mean nothing for what is no action are refused: they would be without effect.
    void refuse_keys_of_actions(const Node& node,
                                const std::string& what,
                                const std::vector<std::string>& but,
                                const StepSpec& step) {
        for (const auto& [key, value] : node.entries) {
            const language::Key* row = language::place("step").key(key.text);
            if (row != nullptr && row->actions_only &&
                std::ranges::find(but, key.text) == but.end()) {
                reading_.problems.add(
                    key.where,
                    label(step) + " " + what + ": `" + key.text + "` has no effect on it",
                    "Give it to the steps of the block.",
                    "runbook.no_effect");
            }
        }
    }

    void read_block(const Node& node, const Node& steps, const Around& inside, StepSpec& step) {
        refuse_keys_of_actions(node, "is a block", {}, step);
        step.steps = read(steps, inside);
    }

    void read_action(const Node& node,
                     const ActionSchema* schema,
                     const Visible& visible,
                     StepSpec& step) {
        if (schema != nullptr) {
            const Owner owner{label(step), node.find("uses")->where};
            step.with = read_arguments(reading_, *schema, node.find("with"), owner, visible);
        }
        const Node* retry = node.find("retry");
        step.retry =
            retry != nullptr ? read_retry(reading_, *retry, defaults_.retry) : defaults_.retry;
        const Node* timeout = node.find("timeout");
        step.timeout =
            timeout != nullptr ? read_duration(reading_, *timeout, "timeout") : defaults_.timeout;
        read_recovery(reading_, node, schema, label(step), visible, step);
        if (const Node* estimate = node.find("estimate")) {
            step.estimate = read_duration(reading_, *estimate, "estimate", true);
        }
        if (const Node* until = node.find("until")) {
            Visible with_result = visible;
            with_result.result = true;
            step.until = read_expression(reading_, *until, "`until`", with_result);
            if (step.retry.attempts < 2) {
                reading_.problems.add(until->where,
                                      label(step) + " has `until` but is tried once",
                                      "Give it retry: {attempts: 10, delay: 5s}.",
                                      "runbook.no_effect");
            }
        }
        if (const Node* name = node.find("register")) {
            read_register(reading_, *name, visible, step);
        }
    }

    void check_siblings(const std::vector<StepSpec>& steps) {
        std::map<std::string_view, const StepSpec*> first;
        for (const StepSpec& step : steps) {
            const auto [found, is_new] = first.emplace(step.id, &step);
            if (!is_new && !step.id.empty()) {
                reading_.problems.add(
                    step.where,
                    "duplicate id \"" + step.id + "\"",
                    "The first one is on line " + std::to_string(found->second->where.line) + ".",
                    "runbook.duplicate_id");
            }
        }
    }

    [[nodiscard]] static std::string label(const StepSpec& step) {
        return step.id.empty() ? "this step" : "step \"" + step.id + "\"";
    }

    Reading& reading_;
    Defaults defaults_;
};

/// What always comes at the end is never taken back, waits for nobody, and leaves nothing open.
void check_always(Reading& reading, const std::vector<StepSpec>& steps) {
    for (const StepSpec& step : steps) {
        const ActionSchema* schema = find_action(reading.vocabulary.actions, step.uses);
        const bool temporary = schema != nullptr && (schema->temporary || !schema->ends.empty());
        const bool asks = step.approval || (schema != nullptr && schema->asks);
        std::string why;
        if (!step.undo.empty() || !step.point_of_no_return.empty()) {
            why = "is never taken back";
        } else if (temporary) {
            why = "cannot make or end a temporary change";
        } else if (asks) {
            why = "cannot wait for somebody";
        } else if (step.called) {
            why = "cannot call a runbook";
        }
        if (!why.empty()) {
            reading.problems.add(step.where,
                                 "step \"" + step.id + "\" of `always` " + why,
                                 "It is done once nothing goes forward or back any more.",
                                 "runbook.not_in_always");
        }
        check_always(reading, step.steps);
    }
}

}  // namespace

void read_steps(Reading& reading, const Node& root, Runbook& runbook) {
    Defaults defaults;
    if (const Node* given = root.find("defaults")) {
        defaults = read_defaults(reading, *given);
    }
    StepReader reader(reading, defaults);
    if (const Node* steps = root.find("steps")) {
        runbook.steps = reader.read(*steps, {});
    } else {
        reading.problems.add(root.where,
                             "`steps` is missing",
                             "A runbook has at least one step.",
                             "runbook.missing");
    }
    if (const Node* always = root.find("always")) {
        runbook.always = reader.read(*always, {});
        check_always(reading, runbook.always);
    }
}

}  // namespace lockstep::runbook_reading
