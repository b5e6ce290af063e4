#include "base/suggest.hpp"
#include "engine/runbook/language.hpp"
#include "engine/runbook/rules.hpp"
#include "engine/runbook/runbook_reading.hpp"
#include "engine/runbook/runbook_rules.hpp"
#include "engine/runbook/window_reading.hpp"

#include <algorithm>
#include <tuple>

namespace lockstep {

namespace runbook_reading {

namespace {

using yaml::Node;

/// The items of a list; a problem and none where it is no list.
const std::vector<Node>& items_of(Reading& reading, const Node& node, const std::string& what) {
    static const std::vector<Node> none;
    if (!node.is(Node::Kind::list)) {
        reading.problems.add(
            node.where, what + " must be a list, not " + node.describe(), {}, "runbook.type");
        return none;
    }
    return node.items;
}

/// `id`, or `id:subject` for one of several of that id.
std::optional<std::string> read_finding(Reading& reading, const Node& node) {
    Node id = node;
    const std::size_t colon = node.text.find(':');
    id.text = node.text.substr(0, colon);
    const auto known = read_one_of(reading, id, "finding", reading.vocabulary.finding_ids);
    return known && colon != std::string::npos ? *known + node.text.substr(colon) : known;
}

std::vector<std::string> read_heals(Reading& reading, const Node& node) {
    std::vector<std::string> heals;
    for (const Node& item : items_of(reading, node, "heals")) {
        const auto id = read_finding(reading, item);
        if (id && std::find(heals.begin(), heals.end(), *id) != heals.end()) {
            reading.problems.add(
                item.where, "finding \"" + *id + "\" is listed twice", {}, "runbook.duplicate_id");
        } else if (id) {
            heals.push_back(*id);
        }
    }
    return heals;
}

/// `name` or `name: {param: value}`.
std::optional<GuardSpec> read_guard(Reading& reading, const Node& node) {
    const bool with_params = node.is(Node::Kind::map);
    if (with_params && node.entries.size() != 1) {
        reading.problems.add(node.where,
                             "a guard is a name, or a map of one name to its parameters",
                             "Write each as an item of its own: disk_above: {free: 10%}.",
                             "runbook.type");
        return std::nullopt;
    }
    const Node& key = with_params ? node.entries.front().first : node;
    const Node* with = with_params ? &node.entries.front().second : nullptr;
    const auto name = read_one_of(reading, key, "guard", names_of(reading.vocabulary.guards));
    if (!name) {
        return std::nullopt;
    }
    const ActionSchema& schema = *find_action(reading.vocabulary.guards, *name);
    const Owner owner{"guard " + *name, key.where, true};
    return GuardSpec{*name, read_arguments(reading, schema, with, owner, {}), key.where};
}

std::vector<GuardSpec> read_guards(Reading& reading, const Node& node) {
    std::vector<GuardSpec> guards;
    for (const Node& item : items_of(reading, node, "guards")) {
        auto guard = read_guard(reading, item);
        if (!guard) {
            continue;
        }
        const bool again = std::any_of(
            guards.begin(), guards.end(), [&](const auto& g) { return g.name == guard->name; });
        if (again) {
            reading.problems.add(guard->where,
                                 "guard \"" + guard->name + "\" is listed twice",
                                 {},
                                 "runbook.duplicate_id");
        } else {
            guards.push_back(std::move(*guard));
        }
    }
    return guards;
}

std::vector<std::pair<std::string, Argument>> read_vars(Reading& reading, const Node& node) {
    std::vector<std::pair<std::string, Argument>> vars;
    if (!require_map(reading, node, "vars")) {
        return vars;
    }
    for (const auto& [key, value] : node.entries) {
        if (!is_name(key.text, false)) {
            reading.problems.add(key.where,
                                 "\"" + key.text + "\" is no name for a variable",
                                 "Lower case letters, digits and _, a letter first.",
                                 "runbook.bad_name");
        }
        if (auto argument = read_any(reading, value, {})) {
            vars.emplace_back(key.text, std::move(*argument));
        }
        reading.vars.push_back(key.text);  // only now: a variable may use those before it
    }
    return vars;
}

void read_name(Reading& reading, const Node& root, Runbook& runbook) {
    const Node* name = root.find("runbook");
    if (name == nullptr) {
        reading.problems.add(root.where,
                             "`runbook` is missing",
                             "Give it a name: runbook: patroni-upgrade.",
                             "runbook.missing");
        return;
    }
    reading.problems.attempt([&] { runbook.name = yaml::as_string(*name, "runbook"); });
    if (name->is(Node::Kind::scalar) && !is_name(runbook.name, true)) {
        reading.problems.add(name->where,
                             "\"" + runbook.name + "\" is no name for a runbook",
                             "Lower case letters, digits, _ and -, a letter first.",
                             "runbook.bad_name");
    }
}

/// What a runbook that is called is there to cure, and what must hold meanwhile, is so of the
/// whole.
void take_over(const Runbook& called, Runbook& runbook) {
    for (const std::string& id : called.heals) {
        if (std::ranges::find(runbook.heals, id) == runbook.heals.end()) {
            runbook.heals.push_back(id);
        }
    }
    for (const GuardSpec& guard : called.guards) {
        const bool known =
            std::ranges::find(runbook.guards, guard.name, &GuardSpec::name) != runbook.guards.end();
        if (!known || !guard.with.empty()) {  // of two limits both hold
            runbook.guards.push_back(guard);
        }
    }
    runbook.parts.insert(called.parts.begin(), called.parts.end());
    runbook.parts.emplace(called.path, called.text);
}

void read_root(Reading& reading, const Node& root, Runbook& runbook) {
    if (root.is(Node::Kind::null)) {
        reading.problems.add(root.where,
                             "the runbook is empty",
                             "It needs at least `runbook:` with a name and `steps:`.",
                             "runbook.missing");
        return;
    }
    if (!check_keys(reading, root, "runbook", "the runbook")) {
        return;
    }
    read_name(reading, root, runbook);
    if (const Node* summary = root.find("summary")) {
        runbook.summary = read_label(reading, *summary, "summary");
    }
    // Inputs before vars before steps, wherever they stand: each may use what comes before it.
    if (const Node* inputs = root.find("inputs")) {
        runbook.inputs = read_input_specs(reading, *inputs);
    }
    if (const Node* vars = root.find("vars")) {
        runbook.vars = read_vars(reading, *vars);
    }
    if (const Node* heals = root.find("heals")) {
        runbook.heals = read_heals(reading, *heals);
    }
    if (const Node* guards = root.find("guards")) {
        runbook.guards = read_guards(reading, *guards);
    }
    if (const Node* on_failure = root.find("on_failure")) {
        runbook.on_failure = read_on_failure(reading, *on_failure, {"stop", "rollback"});
    }
    if (const Node* window = root.find("window")) {
        runbook.window = read_window(reading, *window);
    }
    if (const Node* notify = root.find("notify")) {
        runbook.notify = read_notify(reading, *notify);
    }
    if (const Node* allow_drift = root.find("allow_drift")) {
        const auto& words = language::place("runbook").key("allow_drift")->words;
        runbook.allow_drift =
            read_texts(reading, *allow_drift, "fact that may move", {words.begin(), words.end()});
    }
    read_steps(reading, root, runbook);
    for (const auto& called : reading.called) {
        take_over(*called, runbook);
    }
}

}  // namespace

std::vector<std::string> names_of(const ActionCatalog& catalog) {
    std::vector<std::string> names;
    for (const ActionSchema& schema : catalog) {
        names.push_back(schema.name);
    }
    return names;
}

void Problems::throw_if_any(const std::string& text) {
    if (errors_.empty()) {
        return;
    }
    if (left_out_ > 0) {
        const SourceLocation& last = errors_.back().where();
        errors_.emplace_back(
            last, std::to_string(left_out_) + " more problems", "Mend these first.", "yaml.limit");
    }
    const auto source = std::make_shared<const std::string>(text);
    for (InputError& error : errors_) {
        if (error.source() == nullptr) {  // else it is of a runbook that this one calls
            error = error.in(source);
        }
    }
    std::stable_sort(errors_.begin(), errors_.end(), [](const auto& a, const auto& b) {
        return std::tie(a.where().line, a.where().column) <
               std::tie(b.where().line, b.where().column);
    });
    throw InputErrors(std::move(errors_));
}

OnFailure read_on_failure(Reading& reading,
                          const Node& node,
                          const std::vector<std::string>& allowed) {
    if (node.text == "continue" && std::ranges::find(allowed, node.text) == allowed.end()) {
        reading.problems.add(node.where,
                             "on_failure: continue is not supported here by this version of "
                             "lockstep",
                             "Give it to the steps whose failure does not matter.",
                             "runbook.not_supported");
        return OnFailure::stop;
    }
    const auto choice = read_one_of(reading, node, "answer to a failure", allowed);
    if (choice == "rollback") {
        return OnFailure::rollback;
    }
    return choice == "continue" ? OnFailure::carry_on : OnFailure::stop;
}

}  // namespace runbook_reading

namespace {

std::string joined(const std::vector<InputError>& errors) {
    std::string text;
    for (const InputError& error : errors) {
        text += text.empty() ? "" : "\n";
        text += error.what();
        if (!error.hint().empty()) {
            text += "\n    hint: " + error.hint();
        }
    }
    return text;
}

}  // namespace

InputErrors::InputErrors(std::vector<InputError> errors)
    : Error(joined(errors)), errors_(std::move(errors)) {}

namespace runbook_reading {

Runbook parse_called(const RunbookText& text,
                     const RunbookVocabulary& vocabulary,
                     std::vector<std::string> files) {
    Reading reading{.vocabulary = vocabulary, .files = std::move(files)};
    Runbook runbook;
    reading.problems.attempt(
        [&] { read_root(reading, yaml::parse(text.text, text.file), runbook); });
    reading.problems.throw_if_any(text.text);
    runbook.path = text.file;
    runbook.text = text.text;
    for (const InputError& problem : check_runbook(runbook, vocabulary.actions)) {
        if (!find_rule(problem.rule())->warning) {
            reading.problems.keep(problem);
        }
    }
    reading.problems.throw_if_any(text.text);
    return runbook;
}

}  // namespace runbook_reading

Runbook parse_runbook(const std::string& text,
                      const std::string& file_name,
                      const RunbookVocabulary& vocabulary) {
    return runbook_reading::parse_called({file_name, text}, vocabulary, {file_name});
}

Runbook load_runbook(const std::string& path,
                     const RunbookVocabulary& vocabulary,
                     std::optional<FoundBy> only_ours,
                     const std::string& allowed_by) {
    std::string text;
    runbook_reading::Problems problems;
    problems.attempt([&] { text = yaml::read_text(path, only_ours, allowed_by); });
    problems.throw_if_any();
    return parse_runbook(text, path, vocabulary);
}

}  // namespace lockstep
