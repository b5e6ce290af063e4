#include "engine/runbook/step_reads.hpp"

#include <map>

namespace lockstep::runbook_reading {

namespace {

void read_expression(const Expression& expression, const TakeRead& take) {
    take({expression.reads(), &expression.text(), expression.where()});
}

/// Goes through the lists of steps once, and carries on what came before.
class Order {
  public:
    explicit Order(const std::function<bool(const StepSpec&)>& fits) : fits_(fits) {}

    /// Whether one that fits is in the list, which is begun after one where `after` says so.
    bool walk(const std::vector<StepSpec>& steps, bool after) {
        bool inside = false;
        std::map<std::string_view, bool> over;  // by id: one that fits is over once the step is
        for (const StepSpec& step : steps) {
            bool here = after || (!step.needs && inside);
            for (const std::string& id : step.needs.value_or(std::vector<std::string>{})) {
                const auto needed = over.find(id);
                here = here || (needed != over.end() && needed->second);
            }
            if (here) {
                found_.insert(&step);
            }
            const bool fitting = fits_(step);
            const bool holds_one = walk(step.steps, here || fitting) || fitting;
            over.insert_or_assign(step.id, here || holds_one);
            inside = inside || holds_one;
        }
        return inside;
    }

    [[nodiscard]] std::set<const StepSpec*> found() && { return std::move(found_); }

  private:
    const std::function<bool(const StepSpec&)>& fits_;
    std::set<const StepSpec*> found_;
};

}  // namespace

void for_each_read(const Argument& argument, const TakeRead& take) {
    if (const auto* text = std::get_if<Template>(&argument.content)) {
        if (!text->is_constant()) {
            take({text->reads(), &text->text(), text->where()});
        }
    } else if (const auto* expression = std::get_if<Expression>(&argument.content)) {
        read_expression(*expression, take);
    } else if (const auto* list = std::get_if<Argument::List>(&argument.content)) {
        for (const Argument& element : *list) {
            for_each_read(element, take);
        }
    } else if (const auto* map = std::get_if<Argument::Map>(&argument.content)) {
        for (const auto& [name, element] : *map) {
            for_each_read(element, take);
        }
    }
}

void for_each_read(const StepSpec& step, const TakeRead& take) {
    for (const auto* expression : {&step.on_that,
                                   &step.when,
                                   &step.for_each,
                                   &step.until,
                                   &step.output.select,
                                   &step.strategy.batch_by}) {
        if (*expression) {
            read_expression(**expression, take);
        }
    }
    for (const auto& [name, argument] : step.with) {
        for_each_read(argument, take);
    }
    for (const CallSpec& call : step.undo) {
        for (const auto& [name, argument] : call.with) {
            for_each_read(argument, take);
        }
    }
    if (step.verify) {
        for (const auto& [name, argument] : step.verify->with) {
            for_each_read(argument, take);
        }
    }
}

std::set<const StepSpec*> steps_after(const std::vector<StepSpec>& steps,
                                      const std::function<bool(const StepSpec&)>& fits) {
    Order order(fits);
    static_cast<void>(order.walk(steps, false));
    return std::move(order).found();
}

}  // namespace lockstep::runbook_reading
