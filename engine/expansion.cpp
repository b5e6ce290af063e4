#include "engine/expansion.hpp"

#include "engine/rendering.hpp"

#include <algorithm>
#include <limits>

namespace lockstep {

namespace {

using Frontier = std::vector<std::size_t>;  ///< the steps after which the next one may start

/// What surrounds the step that is being expanded.
struct Surroundings {
    std::string prefix;  ///< `block.`
    std::string member;
    std::string group;
    const StepSpec* fan_out = nullptr;
    std::optional<Value> item;
    std::vector<const StepSpec*> within;
};

class Expansion {
  public:
    Expansion(const PlanRequest& request, Plan& plan) : request_(request), plan_(plan) {}

    std::vector<PlannedStep> run() {
        Frontier frontier;
        for (const StepSpec& spec : request_.runbook->steps) {
            frontier = expand(spec, {}, frontier);
        }
        return std::move(steps_);
    }

  private:
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
        for (const Value& item : list->as_list()) {
            Surroundings inside = around;
            inside.item = item;
            frontier =
                spread(spec, inside, spec.id + "[" + item.to_text() + "]", std::move(frontier));
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
        std::vector<std::string> members = select(spec, around);
        order(members, spec.strategy.order);
        std::size_t batch = 0;
        for (std::size_t begin = 0; begin < members.size(); ++batch) {
            const std::size_t size = batch_size(spec.strategy, batch, members.size());
            const std::size_t end = std::min(members.size(), begin + size);
            Frontier reached;
            for (; begin < end; ++begin) {
                Surroundings inside = around;
                inside.member = members[begin];
                inside.group = around.prefix + id;
                inside.fan_out = &spec;
                const Frontier last = body(spec, inside, id, frontier);
                reached.insert(reached.end(), last.begin(), last.end());
            }
            frontier = std::move(reached);
        }
        return frontier;
    }

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
            step.item = around.item;
            step.after = std::move(frontier);
            step.group = around.group;
            step.fan_out = around.fan_out;
            steps_.push_back(std::move(step));
            return {steps_.size() - 1};
        }
        Surroundings inside = around;
        inside.prefix = around.prefix + id + ".";
        inside.within.push_back(&spec);
        for (const StepSpec& child : spec.steps) {
            frontier = expand(child, inside, std::move(frontier));
        }
        return frontier;
    }

    std::vector<std::string> select(const StepSpec& spec, const Surroundings& around) {
        std::vector<std::string> chosen;
        const bool by_name = spec.on && *spec.on != "leader" && *spec.on != "replicas" &&
                             *spec.on != "sync" && *spec.on != "members";
        for (const MemberFacts& member : plan_.facts.members) {
            if (spec.on_that ? matches(spec, member, around) : is_in(spec, member)) {
                chosen.push_back(member.name);
            }
        }
        if (by_name && chosen.empty()) {
            refuse(spec, "step " + spec.id + ": there is no member " + *spec.on);
        }
        if (spec.on == "leader" && chosen.empty()) {
            refuse(spec, "step " + spec.id + ": there is no leader");
        }
        return chosen;
    }

    [[nodiscard]] static bool is_in(const StepSpec& spec, const MemberFacts& member) {
        const std::string on = spec.on.value_or("members");
        if (on == "members") {
            return true;
        }
        if (on == "leader") {
            return member.is_leader();
        }
        if (on == "replicas") {
            return !member.is_leader();
        }
        if (on == "sync") {
            return member.role == "sync_standby";
        }
        return member.name == on;
    }

    bool matches(const StepSpec& spec, const MemberFacts& member, const Surroundings& around) {
        Surroundings inside = around;
        inside.member = member.name;
        const Evaluation evaluated = spec.on_that->evaluate(scope_of(inside));
        const auto* value = std::get_if<Value>(&evaluated);
        if (value != nullptr && value->kind() == Value::Kind::boolean) {
            return value->as_bool();
        }
        std::string why = "it is not true or false";
        if (const auto* unknown = std::get_if<Value::Unknown>(&evaluated)) {
            why = unknown->because;
        } else if (const auto* error = std::get_if<EvaluationError>(&evaluated)) {
            why = error->message;
        }
        refuse(spec, spec.on_that->where().text() + ": `on` for " + member.name + ": " + why);
        return false;
    }

    void order(std::vector<std::string>& members, const std::string& by) const {
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

    [[nodiscard]] static std::size_t batch_size(const Strategy& strategy,
                                                std::size_t batch,
                                                std::size_t members) {
        const Strategy::Batch& wanted = strategy.batch[std::min(batch, strategy.batch.size() - 1)];
        if (wanted.all) {
            return members;
        }
        const auto count = static_cast<std::size_t>(std::max(wanted.count, 1));
        return wanted.percent ? std::max<std::size_t>(1, (members * count + 99) / 100) : count;
    }

    [[nodiscard]] Scope scope_of(const Surroundings& around) const {
        return make_scope({.plan = plan_,
                           .facts = plan_.facts,
                           .cluster = *request_.cluster,
                           .member = around.member,
                           .item = &around.item});
    }

    void refuse(const StepSpec& spec, std::string why) {
        plan_.blocked_by.push_back({.id = "runbook.selection",
                                    .severity = Severity::critical,
                                    .member = {},
                                    .subject = spec.id,
                                    .message = std::move(why),
                                    .remedy = "Run `lockstep check` to see the members.",
                                    .source = {}});
    }

    const PlanRequest& request_;
    Plan& plan_;
    std::vector<PlannedStep> steps_;
};

}  // namespace

std::vector<PlannedStep> expand_steps(const PlanRequest& request, Plan& plan) {
    return Expansion(request, plan).run();
}

}  // namespace lockstep
