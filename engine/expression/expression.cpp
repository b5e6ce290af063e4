#include "engine/expression/expression.hpp"

#include "engine/expression/expression_evaluator.hpp"
#include "engine/expression/expression_parser.hpp"

namespace lockstep {

Expression Expression::parse(std::string_view text, const SourceLocation& where) {
    Expression expression;
    expression.root_ = ExpressionParser(text, where).parse();
    expression.reads_ =
        std::make_shared<const std::set<std::string>>(collect_reads(*expression.root_));
    expression.text_ = text;
    expression.where_ = where;
    return expression;
}

Evaluation Expression::evaluate(const Scope& scope) const {
    try {
        return ExpressionEvaluator(text_, scope).evaluate(*root_);
    } catch (const BudgetExceeded& exceeded) {
        return EvaluationError{exceeded.message, "Ask about fewer things at once."};
    }
}

const std::string& Expression::text() const {
    return text_;
}

const SourceLocation& Expression::where() const {
    return where_;
}

const std::set<std::string>& Expression::reads() const {
    return *reads_;
}

}  // namespace lockstep
