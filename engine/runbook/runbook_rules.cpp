#include "engine/runbook/runbook_rules.hpp"

#include "base/suggest.hpp"
#include "engine/runbook/runbook_reading.hpp"
#include "engine/runbook/step_reads.hpp"

#include <algorithm>
#include <functional>
#include <tuple>

namespace lockstep {

namespace {

using runbook_reading::for_each_read;
using runbook_reading::Looks;
using runbook_reading::Read;

/// A step with an action, as it stands among the others.
struct Placed {
    const StepSpec* step = nullptr;
    const ActionSchema* schema = nullptr;
    bool changes = false;
    bool always = false;  ///< it is done at the end, whatever came of the run
    bool called =
        false;  ///< it stands in a runbook that this one calls, which was checked by itself

    /// `step "block.drain"` would say more, and ids are unique where they stand.
    [[nodiscard]] std::string label() const { return "step \"" + step->id + "\""; }
};

/// The value of an expression that nothing can change; nullopt where something can.
std::optional<Value> constant(const Expression& expression) {
    if (!expression.reads().empty()) {
        return std::nullopt;
    }
    const Evaluation evaluated = expression.evaluate({});
    const auto* value = std::get_if<Value>(&evaluated);
    return value == nullptr ? std::nullopt : std::optional(*value);
}

bool is_false(const std::optional<Value>& value) {
    return value && *value == Value(false);
}

bool is_never_done(const StepSpec& step) {
    const auto list = step.for_each ? constant(*step.for_each) : std::nullopt;
    return (step.when && is_false(constant(*step.when))) ||
           (list && list->kind() == Value::Kind::list && list->as_list().empty());
}

/// An assertion that cannot hold, and ends every run.
bool always_stops(const StepSpec& step) {
    const auto that = step.with.find("that");
    if (step.uses != "assert" || that == step.with.end() || step.when || step.for_each ||
        step.on_failure == OnFailure::carry_on) {
        return false;
    }
    const auto* expression = std::get_if<Expression>(&that->second.content);
    return expression != nullptr && is_false(constant(*expression));
}

std::string no_output(const std::string& name, const std::string& field) {
    return "what is registered as \"" + name + "\" has no \"" + field + "\"";
}

std::string shown_secret(const Placed& placed, const std::string& param, const std::string& path) {
    return placed.label() + ": " + param + " would show " + path + ", which is a secret";
}

class Rules {
  public:
    Rules(const Runbook& runbook, const ActionCatalog& actions)
        : runbook_(runbook), actions_(actions) {}

    std::vector<InputError> check() {
        place(runbook_.steps, false, false);
        place(runbook_.always, true, false);
        check_undo();
        check_gates();
        check_guards();
        check_way_forward();
        static_cast<void>(check_reach(runbook_.steps));
        static_cast<void>(check_reach(runbook_.always));
        check_outputs();
        check_shell();
        check_secrets();
        std::ranges::stable_sort(found_, [](const auto& a, const auto& b) {
            return std::tie(a.where().line, a.where().column) <
                   std::tie(b.where().line, b.where().column);
        });
        return std::move(found_);
    }

  private:
    void add(const SourceLocation& where,
             const std::string& rule,
             const std::string& message,
             const std::string& hint) {
        found_.emplace_back(where, message, hint, rule);
    }

    void place(const std::vector<StepSpec>& steps, bool always, bool called) {
        for (const StepSpec& step : steps) {
            const ActionSchema* schema = find_action(actions_, step.uses);
            if (schema != nullptr) {
                const bool changes = runbook_reading::looks_only(*schema, step.with) == Looks::no;
                placed_.push_back({&step, schema, changes, always, called});
            }
            place(step.steps, always, called || step.called != nullptr);
        }
    }

    /// The steps from which there is no way back any more.
    [[nodiscard]] std::set<const StepSpec*> after_no_return() const {
        return runbook_reading::steps_after(
            runbook_.steps, [](const StepSpec& step) { return !step.point_of_no_return.empty(); });
    }

    void check_undo() {
        const auto no_way_back = after_no_return();
        for (const Placed& placed : placed_) {
            const StepSpec& step = *placed.step;
            const bool said =
                !step.undo.empty() || step.no_undo || !step.point_of_no_return.empty();
            if (placed.changes && !placed.always && !placed.schema->own_undo && !said &&
                !no_way_back.contains(&step)) {
                add(step.where,
                    "undo.missing",
                    placed.label() + " changes something, and nothing says how that is taken back",
                    "Give it `undo`, or `undo: none` where it needs none.");
            }
        }
    }

    /// One is enough: whoever puts a gate before the first change has one before all.
    void check_gates() {
        const auto is_gate = [this](const StepSpec& step) {
            const ActionSchema* schema = find_action(actions_, step.uses);
            return step.approval || (schema != nullptr && (schema->gates || schema->asks));
        };
        const auto gated = runbook_reading::steps_after(runbook_.steps, is_gate);
        for (const Placed& placed : placed_) {
            if (placed.changes && !placed.always && !gated.contains(placed.step) &&
                !is_gate(*placed.step)) {
                add(placed.step->where,
                    "gate.missing",
                    placed.label() + " changes something, and no gate comes before it",
                    "Begin with {id: preflight, uses: check, with: {refuse_on: critical}}.");
                return;
            }
        }
    }

    /// It would trip over its own work, in the middle of the run.
    void check_guards() {
        for (const Placed& placed : placed_) {
            for (const GuardSpec& guard : runbook_.guards) {
                if (guard.name == placed.schema->breaks_guard) {
                    add(placed.step->where,
                        "guard.broken",
                        placed.label() + " does what the guard " + guard.name + " forbids",
                        "Leave the guard out: a run of " + placed.schema->name +
                            " is judged by what that proves.");
                }
            }
        }
    }

    void check_way_forward() {
        const auto no_way_back = after_no_return();
        for (const Placed& placed : placed_) {
            const StepSpec& step = *placed.step;
            const bool stops = step.on_failure.value_or(runbook_.on_failure) != OnFailure::carry_on;
            if (no_way_back.contains(&step) && placed.changes && stops &&
                step.retry.attempts == 1 && !placed.schema->repeatable) {
                add(step.where,
                    "return.stuck",
                    placed.label() +
                        " can fail after a point of no return, and then there is no way on",
                    "Do it before that, or give it `on_failure: continue` or `retry`.");
            }
        }
    }

    /// Whether the run can come past these steps. Of what it cannot reach, the first is named.
    bool check_reach(const std::vector<StepSpec>& steps) {
        const StepSpec* stopper = nullptr;
        for (const StepSpec& step : steps) {
            if (stopper != nullptr) {
                add(step.where,
                    "step.unreachable",
                    "no run comes to step \"" + step.id + "\": step \"" + stopper->id +
                        "\" before it always stops",
                    "What it asserts is false, whatever the cluster is like.");
                return false;
            }
            if (is_never_done(step)) {
                add(step.where,
                    "step.unreachable",
                    "step \"" + step.id + "\" is never done: its `" +
                        (step.when ? "when` is false" : "for_each` is empty") +
                        ", whatever the cluster is like",
                    "Remove it, or ask for something that can be true.");
            } else if (always_stops(step) || (!check_reach(step.steps) && !step.when)) {
                stopper = &step;
            }
        }
        return stopper == nullptr;
    }

    /// By the name that is registered: every output that it may have; none, where one is not known.
    [[nodiscard]] std::map<std::string, std::vector<std::string>, std::less<>> outputs() const {
        std::map<std::string, std::vector<std::string>, std::less<>> all;
        std::set<std::string> unknown;
        for (const Placed& placed : placed_) {
            if (placed.called) {
                continue;
            }
            const std::string& name = placed.step->register_as;
            for (const OutputSchema& output : placed.schema->outputs) {
                all[name].push_back(output.name);
            }
            const OutputSpec& output = placed.step->output;
            if (placed.schema->outputs.empty() || output.as != OutputSpec::As::whole ||
                output.select) {
                unknown.insert(name);
            }
        }
        for (const std::string& name : unknown) {
            all.erase(name);
        }
        all.erase("");
        return all;
    }

    void check_outputs() {
        const auto known = outputs();
        const std::function<void(const std::vector<StepSpec>&)> walk = [&](const auto& level) {
            for (const StepSpec& step : level) {
                for_each_read(step, [&](const Read& read) { check_output(known, read); });
                if (step.called == nullptr) {  // its names are its own, and were checked
                    walk(step.steps);
                }
            }
        };
        if (!known.empty()) {
            walk(runbook_.steps);
            walk(runbook_.always);
        }
    }

    void check_output(const std::map<std::string, std::vector<std::string>, std::less<>>& known,
                      const Read& read) {
        std::set<std::string> seen;
        for (const std::string& path : read.paths) {
            constexpr std::string_view k_root = "steps.";
            const std::size_t name_end = path.find_first_of(".[", k_root.size());
            if (!path.starts_with(k_root) || name_end == std::string::npos ||
                path[name_end] != '.') {
                continue;
            }
            const std::string name = path.substr(k_root.size(), name_end - k_root.size());
            const std::size_t end = std::min(path.find_first_of(".[", name_end + 1), path.size());
            const std::string field = path.substr(name_end + 1, end - name_end - 1);
            const auto outputs = known.find(name);
            if (outputs != known.end() &&
                std::ranges::find(outputs->second, field) == outputs->second.end() &&
                seen.insert(path.substr(0, end)).second) {
                add(runbook_reading::find_path(*read.text, path.substr(0, end), read.where),
                    "output.unknown",
                    no_output(name, field),
                    did_you_mean(field, outputs->second));
            }
        }
    }

    void check_shell() {
        for (const Placed& placed : placed_) {
            for (const auto& [name, argument] : placed.step->with) {
                const ParamSchema* param = placed.schema->param(name);
                const auto* text = std::get_if<Template>(&argument.content);
                if (param == nullptr || param->kind != ParamKind::shell || text == nullptr) {
                    continue;
                }
                for (const SourceLocation& where : text->raw_places()) {
                    add(where,
                        "shell.raw",
                        placed.label() + ": a value goes into the shell text as it is",
                        "Leave `| raw` out: then it is quoted, whatever it holds.");
                }
            }
        }
    }

    /// `inputs.password`, and the variables that are made of it.
    [[nodiscard]] std::set<std::string> secrets() const {
        std::set<std::string> names;
        for (const InputSpec& input : runbook_.inputs) {
            if (input.type == InputType::secret) {
                names.insert("inputs." + input.name);
            }
        }
        for (const auto& [name, value] : runbook_.vars) {
            for_each_read(value, [&, &name = name](const Read& read) {
                if (std::ranges::any_of(read.paths,
                                        [&](const auto& path) { return names.contains(path); })) {
                    names.insert("vars." + name);
                }
            });
        }
        return names;
    }

    void check_secrets() {
        const std::set<std::string> names = secrets();
        for (const Placed& placed : placed_) {
            for (const auto& [key, argument] : placed.step->with) {
                const ParamSchema* param = placed.schema->param(key);
                const bool shown = !placed.called && param != nullptr && !param->secret &&
                                   param->kind != ParamKind::expression;
                if (shown && !names.empty()) {
                    check_shown(placed, *param, argument, names);
                }
            }
        }
    }

    void check_shown(const Placed& placed,
                     const ParamSchema& param,
                     const Argument& argument,
                     const std::set<std::string>& secret) {
        for_each_read(argument, [&](const Read& read) {
            for (const std::string& path : read.paths) {
                if (secret.contains(path)) {
                    add(runbook_reading::find_path(*read.text, path, read.where),
                        "secret.misplaced",
                        shown_secret(placed, param.name, path),
                        "Pass it by `stdin`.");
                }
            }
        });
    }

    const Runbook& runbook_;
    const ActionCatalog& actions_;
    std::vector<Placed> placed_;
    std::vector<InputError> found_;
};

}  // namespace

std::vector<InputError> check_runbook(const Runbook& runbook, const ActionCatalog& actions) {
    auto found = Rules(runbook, actions).check();
    // A step may stand in another file, of a runbook that is called.
    std::map<std::string, std::shared_ptr<const std::string>, std::less<>> sources;
    for (InputError& problem : found) {
        const std::string& file = problem.where().file;
        auto& source = sources[file];
        if (source == nullptr) {
            const auto part = runbook.parts.find(file);
            source = std::make_shared<const std::string>(
                part == runbook.parts.end() ? runbook.text : part->second);
        }
        problem = problem.in(source);
    }
    return found;
}

}  // namespace lockstep
