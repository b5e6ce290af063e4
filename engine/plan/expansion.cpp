#include "engine/plan/expansion.hpp"

#include "base/utf8.hpp"
#include "engine/plan/binding.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace lockstep {

namespace {

using Frontier = std::vector<std::size_t>;  ///< the steps after which the next one may start

/// What surrounds the step that is being expanded.
struct Surroundings {
    std::string prefix;  ///< `block.`
    std::string member;
    std::string group;
    std::string by_role;
    const StepSpec* fan_out = nullptr;
    std::optional<Value> item;
    std::vector<const StepSpec*> within;
    std::vector<std::string> within_ids;
    std::vector<std::shared_ptr<const CallFrame>> frames;
    bool always = false;
};

void add(Frontier& to, const Frontier& steps) {
    to.insert(to.end(), steps.begin(), steps.end());
    std::ranges::sort(to);
    to.erase(std::unique(to.begin(), to.end()), to.end());
}

class Expansion {
  public:
    Expansion(const PlanRequest& request, Plan& plan) : request_(request), plan_(plan) {}

    std::vector<PlannedStep> run() {
        sequence(request_.runbook->steps, {}, {});
        Surroundings at_the_end;
        at_the_end.always = true;
        sequence(request_.runbook->always, at_the_end, {});
        return std::move(steps_);
    }

  private:
    /// A step comes after all before it in its list, or after those that it needs.
    Frontier sequence(const std::vector<StepSpec>& specs,
                      const Surroundings& around,
                      const Frontier& entry) {
        std::map<std::string, Frontier, std::less<>> ends;
        Frontier open = entry;  // what a step that says nothing waits for
        for (const StepSpec& spec : specs) {
            if (!spec.needs) {
                open = ends[spec.id] = expand(spec, around, open);
                continue;
            }
            Frontier needed = spec.needs->empty() ? entry : Frontier{};
            for (const std::string& id : *spec.needs) {
                add(needed, ends[id]);
            }
            ends[spec.id] = expand(spec, around, needed);
            std::erase_if(open, [&](std::size_t step) {
                return std::ranges::find(needed, step) != needed.end();
            });
            add(open, ends[spec.id]);
        }
        return open;
    }

    /// Items become ids, in records and answers, so they have to differ and to be known when the
    /// plan is made.
    Frontier expand(const StepSpec& spec, const Surroundings& around, Frontier frontier) {
        if (!spec.for_each) {
            return spread(spec, around, spec.id, std::move(frontier));
        }
        const Evaluation evaluated = spec.for_each->evaluate(scope_of(around));
        const auto* list = std::get_if<Value>(&evaluated);
        if (list == nullptr || list->kind() != Value::Kind::list) {
            refuse(spec, spec.for_each->where().text() + ": `for_each` is not a known list");
            return frontier;
        }
        std::set<std::string> known;
        for (const Value& item : list->as_list()) {
            if (!known.insert(item.to_text()).second) {
                refuse(
                    spec,
                    spec.for_each->where().text() + ": `for_each` has " + item.to_text() + " twice",
                    "Records could not tell the two apart: give each once.");
                continue;
            }
            Surroundings inside = around;
            inside.item = item;
            frontier = spread(
                spec, inside, spec.id + "[" + as_utf8(item.to_text()) + "]", std::move(frontier));
        }
        return frontier;
    }

    /// Over members, batch by batch: a batch starts when the one before it is over.
    Frontier spread(const StepSpec& spec,
                    const Surroundings& around,
                    const std::string& id,
                    Frontier frontier) {
        const bool selects = spec.on.has_value() || spec.on_that.has_value();
        const ActionSchema* schema = find_action(*request_.actions, spec.uses);
        const bool needs_member = schema != nullptr && schema->scope == ActionScope::member;
        if (!around.member.empty() || (!selects && !needs_member)) {
            return body(spec, around, id, std::move(frontier));
        }
        const std::string by_role = role_then(spec);
        std::vector<std::string> members = select(spec, around);
        order(members, spec, around);
        const std::vector<Strategy::Batch> batches = batches_of(spec, around);
        std::size_t batch = 0;
        for (std::size_t begin = 0; begin < members.size(); ++batch) {
            const std::size_t size = batch_size(batches, batch, members.size());
            const std::size_t end = std::min(members.size(), begin + size);
            Frontier reached;
            for (; begin < end; ++begin) {
                Surroundings inside = around;
                inside.member = members[begin];
                inside.group = around.prefix + id;
                inside.by_role = by_role;
                inside.fan_out = &spec;
                const Frontier last = body(spec, inside, id, frontier);
                reached.insert(reached.end(), last.begin(), last.end());
            }
            frontier = std::move(reached);
        }
        return frontier;
    }

    /// A block leaves no step of its own: it lives on in the ids, conditions and gates of those
    /// inside it.
    Frontier body(const StepSpec& spec,
                  const Surroundings& around,
                  const std::string& id,
                  Frontier frontier) {
        if (!spec.uses.empty()) {
            PlannedStep step;
            step.id = around.prefix + id;
            step.uses = spec.uses;
            step.member = around.member;
            step.spec = &spec;
            step.within = around.within;
            step.within_ids = around.within_ids;
            step.frames = around.frames;
            step.always = around.always;
            step.item = around.item;
            step.after = std::move(frontier);
            step.group = around.group;
            step.by_role = around.by_role;
            step.fan_out = around.fan_out;
            steps_.push_back(std::move(step));
            const ActionSchema* schema = find_action(*request_.actions, spec.uses);
            moved_ = moved_ || (schema != nullptr && schema->moves_leader());
            return {steps_.size() - 1};
        }
        Surroundings inside = around;
        inside.prefix = around.prefix + id + ".";
        inside.within.push_back(&spec);
        inside.within_ids.push_back(around.prefix + id);
        if (spec.called) {
            try {
                inside.frames.push_back(
                    call_frame(spec, source_of(around), inside.prefix, around.within.size()));
            } catch (const InputError& error) {
                refuse(spec, error.what(), error.hint());
                return frontier;
            }
        }
        return sequence(spec.steps, inside, frontier);
    }

    /// No leader, or a name that no member has, is an error; that no replica is there is a cluster
    /// of one.
    std::vector<std::string> select(const StepSpec& spec, const Surroundings& around) {
        std::vector<std::string> chosen;
        const bool by_name = spec.on && *spec.on != "leader" && *spec.on != "replicas" &&
                             *spec.on != "sync" && *spec.on != "members";
        for (const MemberFacts& member : plan_.facts.members) {
            if (spec.on_that ? matches(spec, member, around)
                             : is_in(spec, member) || !role_then(spec).empty()) {
                chosen.push_back(member.name);
            }
        }
        if (by_name && chosen.empty()) {
            refuse(spec, "step " + spec.id + ": there is no member " + *spec.on);
        }
        if (spec.on == "leader" && chosen.empty()) {
            refuse(spec, "step " + spec.id + ": there is no leader");
        }
        if (!by_name && chosen.empty() && spec.on != "leader") {
            plan_.advice.push_back({.id = "runbook.selects_nobody",
                                    .severity = Severity::info,
                                    .member = {},
                                    .subject = around.prefix + spec.id,
                                    .message = "step " + around.prefix + spec.id +
                                               " is done nowhere: no member is selected by `on: " +
                                               (spec.on ? *spec.on : spec.on_that->text()) + "`",
                                    .remedy = {},
                                    .source = {}});
        }
        return chosen;
    }

    /// A role that is looked at only when the step begins: an earlier one may have moved the
    /// leader. Empty: by the facts of the plan.
    [[nodiscard]] std::string role_then(const StepSpec& spec) const {
        const std::string on = spec.on.value_or("");
        return moved_ && (on == "leader" || on == "replicas" || on == "sync") ? on : "";
    }

    [[nodiscard]] static bool is_in(const StepSpec& spec, const MemberFacts& member) {
        const std::string on = spec.on.value_or("members");
        const bool role = on == "leader" || on == "replicas" || on == "sync";
        return role ? has_role(member, on) : on == "members" || member.name == on;
    }

    /// What is not known does not pass for "not this one": a member would be left out without a
    /// word.
    bool matches(const StepSpec& spec, const MemberFacts& member, const Surroundings& around) {
        Surroundings inside = around;
        inside.member = member.name;
        const Evaluation evaluated = spec.on_that->evaluate(scope_of(inside));
        const auto* value = std::get_if<Value>(&evaluated);
        if (value != nullptr && value->kind() == Value::Kind::boolean) {
            return value->as_bool();
        }
        refuse(spec,
               spec.on_that->where().text() + ": `on` for " + member.name + ": " +
                   why_not(evaluated, "it is not true or false"));
        return false;
    }

    /// Stable, over members by name, so that the same facts give the same order.
    void order(std::vector<std::string>& members,
               const StepSpec& spec,
               const Surroundings& around) {
        if (spec.strategy.order_by) {
            order_by(members, spec, around);
            return;
        }
        const std::string& by = spec.strategy.order;
        const auto lag = [&](const std::string& name) {
            // A lag that nobody knows counts as the longest.
            return plan_.facts.find(name)->lag_bytes.value_or(
                std::numeric_limits<std::int64_t>::max());
        };
        if (by == "lag_asc") {
            std::ranges::stable_sort(members, std::less<>{}, lag);
        } else if (by == "lag_desc" || by == "leader_last") {
            std::ranges::stable_sort(members, std::greater<>{}, lag);
        }
        if (by == "leader_last") {
            std::ranges::stable_sort(members, std::less<>{}, [&](const std::string& name) {
                return plan_.facts.find(name)->is_leader();
            });
        }
    }

    /// By an expression over each member, the smallest first; equal ones stay by name.
    void order_by(std::vector<std::string>& members,
                  const StepSpec& spec,
                  const Surroundings& around) {
        std::map<std::string, Value> keys;
        for (const std::string& name : members) {
            Surroundings inside = around;
            inside.member = name;
            const Evaluation evaluated = spec.strategy.order_by->evaluate(scope_of(inside));
            const auto* value = std::get_if<Value>(&evaluated);
            if (value == nullptr || !is_orderable(*value)) {
                refuse(spec,
                       spec.strategy.order_by->where().text() + ": `order` for " + name + ": " +
                           why_not(evaluated, "nothing can be ordered by it"));
                return;
            }
            keys.emplace(name, *value);
        }
        std::ranges::stable_sort(members, [&](const std::string& left, const std::string& right) {
            return comes_before(keys.at(left), keys.at(right));
        });
    }

    [[nodiscard]] static bool is_orderable(const Value& value) {
        return value.kind() != Value::Kind::list && value.kind() != Value::Kind::map &&
               value.kind() != Value::Kind::null;
    }

    /// Numbers by size, texts by their characters, false before true; of two kinds by the kind.
    [[nodiscard]] static bool comes_before(const Value& left, const Value& right) {
        const auto is_number = [](const Value& value) {
            return value.kind() == Value::Kind::integer || value.kind() == Value::Kind::real;
        };
        const auto number = [](const Value& value) {
            return value.kind() == Value::Kind::integer ? static_cast<double>(value.as_integer())
                                                        : value.as_real();
        };
        if (is_number(left) && is_number(right)) {
            return number(left) < number(right);
        }
        if (left.kind() != right.kind()) {
            return left.kind() < right.kind();
        }
        switch (left.kind()) {
            case Value::Kind::boolean:
                return left.as_bool() < right.as_bool();
            case Value::Kind::version:
                return left.as_version() < right.as_version();
            case Value::Kind::duration:
                return left.as_duration() < right.as_duration();
            default:
                return left.as_string() < right.as_string();
        }
    }

    [[nodiscard]] static std::string why_not(const Evaluation& evaluated,
                                             const std::string& otherwise) {
        if (const auto* unknown = std::get_if<Value::Unknown>(&evaluated)) {
            return unknown->because;
        }
        const auto* error = std::get_if<EvaluationError>(&evaluated);
        return error != nullptr ? error->message : otherwise;
    }

    /// Evaluated once for the whole fan-out, not batch by batch: the plan shows the batches.
    std::vector<Strategy::Batch> batches_of(const StepSpec& spec, const Surroundings& around) {
        if (!spec.strategy.batch_by) {
            return spec.strategy.batch;
        }
        const Evaluation evaluated = spec.strategy.batch_by->evaluate(scope_of(around));
        const auto* value = std::get_if<Value>(&evaluated);
        const bool fits = value != nullptr && (value->kind() == Value::Kind::string ||
                                               value->kind() == Value::Kind::integer);
        if (const auto batch = fits ? parse_batch(value->to_text()) : std::nullopt) {
            return {*batch};
        }
        refuse(spec,
               spec.strategy.batch_by->where().text() + ": `batch`: " +
                   why_not(evaluated,
                           fits ? value->to_text() + " is no number of members, part or all"
                                : "it is no number of members, part or all"));
        return Strategy{}.batch;
    }

    /// The last size goes on to the end: `[1, 50%]` is one member first, then halves. A part is
    /// rounded up, or nothing would ever be done.
    [[nodiscard]] static std::size_t batch_size(const std::vector<Strategy::Batch>& batches,
                                                std::size_t batch,
                                                std::size_t members) {
        const Strategy::Batch& wanted = batches[std::min(batch, batches.size() - 1)];
        if (wanted.all) {
            return members;
        }
        const auto count = static_cast<std::size_t>(std::max(wanted.count, 1));
        return wanted.percent ? std::max<std::size_t>(1, (members * count + 99) / 100) : count;
    }

    [[nodiscard]] ScopeSource source_of(const Surroundings& around) const {
        return {.plan = plan_,
                .facts = plan_.facts,
                .cluster = *request_.cluster,
                .member = around.member,
                .frame = around.frames.empty() ? nullptr : around.frames.back().get(),
                .item = &around.item};
    }

    [[nodiscard]] Scope scope_of(const Surroundings& around) const {
        return make_scope(source_of(around));
    }

    /// A plan that is refused is still made to its end: a person sees every reason at once.
    void refuse(const StepSpec& spec,
                std::string why,
                std::string remedy = "Run `lockstep check` to see the members.") {
        plan_.blocked_by.push_back({.id = "runbook.selection",
                                    .severity = Severity::critical,
                                    .member = {},
                                    .subject = spec.id,
                                    .message = std::move(why),
                                    .remedy = std::move(remedy),
                                    .source = {}});
    }

    const PlanRequest& request_;
    Plan& plan_;
    std::vector<PlannedStep> steps_;
    bool moved_ = false;  ///< a step so far may move the leader
};

}  // namespace

bool has_role(const MemberFacts& member, std::string_view role) {
    if (role == "sync") {
        return member.role == "sync_standby" || member.role == "quorum_standby";
    }
    return role == "leader" ? member.is_leader() : role == "replicas" && !member.is_leader();
}

std::vector<PlannedStep> expand_steps(const PlanRequest& request, Plan& plan) {
    return Expansion(request, plan).run();
}

}  // namespace lockstep
