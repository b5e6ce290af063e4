#include "base/suggest.hpp"
#include "engine/runbook/runbook_reading.hpp"

#include <algorithm>

// `uses: runbook`: a runbook inside another one.
namespace lockstep {

const ActionSchema& runbook_call_schema() {
    static const ActionSchema k_schema = [] {
        ActionSchema schema;
        schema.name = "runbook";
        schema.summary = "Puts another runbook in, with its inputs";
        schema.scope = ActionScope::cluster;
        schema.changes = true;
        schema.params = {
            {.name = "name",
             .required = true,
             .description = "Of a shipped one, or a path: `./drain.yaml`, from this file's folder"},
            {.name = "inputs",
             .kind = ParamKind::any,
             .description = "Its inputs, as a map; they are worked out when the plan is made"}};
        return schema;
    }();
    return k_schema;
}

namespace runbook_reading {

namespace {

using yaml::Node;

constexpr std::size_t k_most_nested = 8;

/// The text of the runbook that is called; nullopt, and a problem, where there is none.
std::optional<RunbookText> find_called(Reading& reading, const Node& name) {
    if (!reading.vocabulary.find_text) {
        reading.problems.add(
            name.where, "no other runbook can be called here", {}, "runbook.not_supported");
        return std::nullopt;
    }
    try {
        RunbookText found = reading.vocabulary.find_text(name.text, reading.files.back());
        const auto cycle = std::ranges::find(reading.files, found.file);
        if (cycle != reading.files.end()) {
            std::string chain;
            for (auto file = cycle; file != reading.files.end(); ++file) {
                chain += *file + " calls ";
            }
            reading.problems.add(
                name.where, chain + found.file + ": it would never end", {}, "runbook.cycle");
            return std::nullopt;
        }
        if (reading.files.size() >= k_most_nested) {
            reading.problems.add(
                name.where,
                "runbooks call each other more than " + std::to_string(k_most_nested) + " deep",
                {},
                "runbook.limit");
            return std::nullopt;
        }
        return found;
    } catch (const Error& error) {
        reading.problems.add(name.where, error.what(), error.hint(), "runbook.unknown_runbook");
        return std::nullopt;
    }
}

/// What can be said of the inputs without a cluster: their names, what is missing, constants.
void check_inputs(Reading& reading,
                  const Runbook& called,
                  const Argument::Map& given,
                  const SourceLocation& where,
                  const std::string& label) {
    std::vector<std::string> names;
    for (const InputSpec& input : called.inputs) {
        names.push_back(input.name);
        const auto found = std::ranges::find(given, input.name, &Argument::Entry::first);
        if (found == given.end()) {
            if (input.required) {
                reading.problems.add(
                    where,
                    label + ": runbook " + called.name + " needs the input " + input.name,
                    input.description,
                    "runbook.missing");
            }
            continue;
        }
        const auto* text = std::get_if<Template>(&found->second.content);
        if (text != nullptr && text->is_constant() && input.type != InputType::secret) {
            try {
                static_cast<void>(read_input_value(input, text->text()));
            } catch (const UnfitValue& error) {
                reading.problems.add(found->second.where,
                                     label + ": input " + input.name + " " + error.what(),
                                     error.hint());
            }
        }
    }
    for (const Argument::Entry& entry : given) {
        if (std::ranges::find(names, entry.first) == names.end()) {
            reading.problems.add(
                entry.second.where,
                label + ": runbook " + called.name + " has no input \"" + entry.first + "\"",
                names.empty() ? "It takes none." : did_you_mean(entry.first, names),
                "runbook.unknown_parameter");
        }
    }
}

}  // namespace

void read_call(
    Reading& reading, const Node& node, const std::string& label, Visible visible, StepSpec& step) {
    const Node* with = node.find("with");
    const Node* name = with == nullptr ? nullptr : with->find("name");
    const SourceLocation& where = node.find("uses")->where;
    visible.steps = false;  // what it is called with is decided when the plan is made
    step.with = read_arguments(reading, runbook_call_schema(), with, {label, where}, visible);
    if (visible.member) {
        reading.problems.add(where,
                             "a runbook is called for the cluster, not on each member",
                             "Move " + label + " out of `on`.",
                             "runbook.scope");
    }
    if (name == nullptr || !name->is(Node::Kind::scalar)) {
        return;
    }
    const std::optional<RunbookText> text = find_called(reading, *name);
    if (!text) {
        return;
    }
    std::vector<std::string> files = reading.files;
    files.push_back(text->file);
    std::shared_ptr<const Runbook> called;
    try {
        called = std::make_shared<const Runbook>(
            parse_called(*text, reading.vocabulary, std::move(files)));
    } catch (const InputErrors& errors) {
        for (const InputError& error : errors.errors()) {
            reading.problems.keep(error);
        }
        return;
    }
    if (!called->always.empty()) {
        reading.problems.add(name->where,
                             "runbook " + called->name + " has `always`: it cannot be called",
                             "Move those steps into the runbook that is run.",
                             "runbook.not_supported");
    }
    static const Argument::Map k_none;
    const auto inputs = step.with.find("inputs");
    const auto* given =
        inputs == step.with.end() ? &k_none : std::get_if<Argument::Map>(&inputs->second.content);
    if (given == nullptr) {
        reading.problems.add(
            inputs->second.where, label + ": inputs must be a map", {}, "runbook.type");
        return;
    }
    check_inputs(reading, *called, *given, name->where, label);
    step.uses.clear();
    step.steps = called->steps;
    step.called = called;
    if (step.window && called->window) {
        reading.problems.add(name->where,
                             label + ": runbook " + called->name + " has a window of its own",
                             "Remove one of the two.",
                             "runbook.one_of");
    }
    step.window = step.window ? step.window : called->window;
    reading.called.push_back(std::move(called));
}

}  // namespace runbook_reading

}  // namespace lockstep
