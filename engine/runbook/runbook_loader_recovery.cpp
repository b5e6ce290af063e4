#include "engine/runbook/runbook_reading.hpp"

#include <algorithm>
#include <map>

namespace lockstep::runbook_reading {

namespace {

using yaml::Node;

/// Reads the four keys of one step.
class RecoveryReader {
  public:
    RecoveryReader(Reading& reading, std::string label, Visible visible)
        : reading_(reading), label_(std::move(label)), visible_(visible) {}

    void read_undo(const Node& node, StepSpec& step) {
        if (node.is(Node::Kind::scalar) && node.text == "none") {
            step.no_undo = true;
            return;
        }
        if (!node.is(Node::Kind::list) || node.items.empty()) {
            const std::string what = node.is(Node::Kind::list) ? "an empty list" : node.describe();
            reading_.problems.add(node.where,
                                  "undo must be a list of actions or none, not " + what,
                                  "undo: [{uses: service.start, with: {service: pgbouncer}}]; "
                                  "without `undo`, the action's own is used.",
                                  "runbook.type");
            return;
        }
        for (const Node& item : node.items) {
            Call call = read_call(item, "undo");
            if (call.looks == Looks::yes) {
                reading_.problems.add(call.spec.where,
                                      label_ + ": undo: " + call.spec.uses +
                                          " changes nothing: it takes nothing back",
                                      call.schema->param("read_only") != nullptr
                                          ? "Give it read_only: false if it does."
                                          : "Remove it from `undo`.",
                                      "runbook.no_effect");
            }
            step.undo.push_back(std::move(call.spec));
        }
    }

    void read_verify(const Node& node, StepSpec& step) {
        if (node.is(Node::Kind::map)) {
            Call call = read_call(node, "verify");
            refuse_change(call);
            step.verify = std::move(call.spec);
            return;
        }
        if (node.is(Node::Kind::list)) {
            reading_.problems.add(node.where,
                                  "verify must be an expression or one action, not a list",
                                  "verify: {uses: ssh.run, with: {argv: […], read_only: true}}",
                                  "runbook.expression");
            return;
        }
        if (auto that = read_expression(reading_, node, "`verify`", visible_)) {
            step.verify = CallSpec{"assert", {}, node.where};
            step.verify->with.emplace("that", Argument{std::move(*that), node.where});
        }
    }

    void read_in_doubt(const Node& node, StepSpec& step) {
        static const std::vector<std::pair<std::string, InDoubt>> k_answers{
            {"verify", InDoubt::verify},
            {"retry", InDoubt::retry},
            {"ask", InDoubt::ask},
            {"fail", InDoubt::fail}};
        std::vector<std::string> names;
        names.reserve(k_answers.size());
        for (const auto& [name, answer] : k_answers) {
            names.push_back(name);
        }
        const auto given = read_one_of(reading_, node, "answer to doubt", names);
        for (const auto& [name, answer] : k_answers) {
            step.in_doubt = given == name ? answer : step.in_doubt;
        }
    }

    /// `true`, or a text of more than one word: `yes` and `no` would be reasons that nobody meant.
    void read_point_of_no_return(const Node& node, StepSpec& step) {
        if (node.is(Node::Kind::scalar) && node.plain &&
            (node.text == "true" || node.text == "false")) {
            step.point_of_no_return =
                node.text == "true" ? "there is no way back after " + label_ : "";
            return;
        }
        const std::size_t first = node.text.find_first_not_of(" \n");
        const std::size_t last = node.text.find_last_not_of(" \n");
        const std::string reason =
            first == std::string::npos ? "" : node.text.substr(first, last + 1 - first);
        if (reason.find_first_of(" \n") == std::string::npos) {
            reading_.problems.add(
                node.where,
                "point_of_no_return must be true or a reason in words, not " + node.describe(),
                "Say why there is no way back after this step.");
        } else if (reason.find("${{") != std::string::npos) {
            reading_.problems.add(node.text_where,
                                  "point_of_no_return cannot hold an expression",
                                  {},
                                  "runbook.expression");
        } else {
            step.point_of_no_return = reason;
        }
    }

  private:
    struct Call {
        CallSpec spec;
        const ActionSchema* schema = nullptr;  ///< null: not known, which is a problem already
        Looks looks = Looks::depends;          ///< also where the arguments have problems
        const Node* read_only = nullptr;       ///< as given
        bool sound = false;                    ///< the arguments have none
    };

    Call read_call(const Node& node, const std::string& key) {
        Call call;
        call.spec.where = node.where;
        const std::string what = label_ + ": " + key;
        const std::string entry = key == "undo" ? label_ + ": an entry of undo" : what;
        if (!check_keys(reading_, node, "call", entry)) {
            return call;
        }
        const Node* uses = node.find("uses");
        if (uses == nullptr) {
            reading_.problems.add(
                node.where, entry + " has no `uses`", "Name its action.", "runbook.missing");
            return call;
        }
        call.spec.where = uses->where;
        const auto name =
            read_one_of(reading_, *uses, "action", names_of(reading_.vocabulary.actions));
        if (!name) {
            return call;
        }
        call.spec.uses = *name;
        call.schema = find_action(reading_.vocabulary.actions, *name);
        check_scope(*call.schema, *uses, what);
        const Node* with = node.find("with");
        const std::size_t before = reading_.problems.count();
        call.spec.with =
            read_arguments(reading_, *call.schema, with, {what, uses->where}, visible_);
        call.sound = reading_.problems.count() == before;
        if (call.sound) {
            call.looks = looks_only(*call.schema, call.spec.with);
            call.read_only = with == nullptr ? nullptr : with->find("read_only");
        }
        return call;
    }

    /// It works on the member of its step, or for the cluster where that has none.
    void check_scope(const ActionSchema& schema, const Node& uses, const std::string& what) {
        if (schema.scope == ActionScope::member && !visible_.member) {
            reading_.problems.add(uses.where,
                                  what + ": " + schema.name +
                                      " needs a member, and the step runs once for the cluster",
                                  "Give the step `on`.",
                                  "runbook.scope");
        } else if (schema.scope == ActionScope::cluster && visible_.member) {
            reading_.problems.add(
                uses.where,
                what + ": " + schema.name + " acts once for the cluster, not on each member",
                "The step runs on each member by itself.",
                "runbook.scope");
        }
    }

    void refuse_change(const Call& call) {
        if (!call.sound || call.looks == Looks::yes) {
            return;
        }
        const std::string what = label_ + ": verify: ";
        if (call.looks == Looks::depends && call.read_only != nullptr) {
            reading_.problems.add(call.read_only->where,
                                  what + "read_only must be true, not an expression",
                                  "What looks must be sure to change nothing.",
                                  "runbook.expression");
        } else if (call.schema->param("read_only") != nullptr) {
            reading_.problems.add(call.spec.where,
                                  what + call.spec.uses + " may change something here",
                                  "Give it read_only: true if it changes nothing.",
                                  "runbook.verify_changes");
        } else {
            reading_.problems.add(call.spec.where,
                                  what + call.spec.uses + " changes something",
                                  "verify only looks: an expression, an action that changes "
                                  "nothing, or a command with read_only: true.",
                                  "runbook.verify_changes");
        }
    }

    Reading& reading_;
    std::string label_;
    Visible visible_;
};

}  // namespace

Looks looks_only(const ActionSchema& schema, const Arguments& with) {
    if (!schema.changes || schema.param("read_only") == nullptr) {
        return schema.changes ? Looks::no : Looks::yes;
    }
    const auto as_looks = [](bool looks) { return looks ? Looks::yes : Looks::no; };
    const auto given = with.find("read_only");
    if (given != with.end()) {
        const auto* value = std::get_if<Value>(&given->second.content);
        return value == nullptr ? Looks::depends : as_looks(*value == Value(true));
    }
    const auto method = with.find("method");
    if (!schema.looks_by_default || schema.looking_methods.empty() || method == with.end()) {
        return as_looks(schema.looks_by_default);
    }
    const auto* text = std::get_if<Template>(&method->second.content);
    if (text == nullptr || !text->is_constant()) {
        return Looks::depends;
    }
    const auto& methods = schema.looking_methods;
    return as_looks(std::ranges::find(methods, text->text()) != methods.end());
}

void read_recovery(Reading& reading,
                   const Node& node,
                   const ActionSchema* schema,
                   const std::string& label,
                   Visible visible,
                   StepSpec& step) {
    const bool looks = schema != nullptr && looks_only(*schema, step.with) == Looks::yes;
    RecoveryReader reader(reading, label, visible);
    using Read = void (RecoveryReader::*)(const Node&, StepSpec&);
    static const std::map<std::string, Read, std::less<>> k_keys{
        {"undo", &RecoveryReader::read_undo},
        {"verify", &RecoveryReader::read_verify},
        {"in_doubt", &RecoveryReader::read_in_doubt},
        {"point_of_no_return", &RecoveryReader::read_point_of_no_return}};
    for (const auto& [key, value] : node.entries) {
        const auto read = k_keys.find(key.text);
        if (read == k_keys.end()) {
            continue;
        }
        if (looks) {
            reading.problems.add(key.where,
                                 label + " changes nothing: `" + key.text + "` has no effect on it",
                                 "Give it to a step that changes something.",
                                 "runbook.no_effect");
        }
        (reader.*read->second)(value, step);
    }
}

}  // namespace lockstep::runbook_reading
