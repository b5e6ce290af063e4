#include "engine/expression/expression.hpp"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

// The input as an expression and as a template. Whatever it is: a value, unknown, an error, or an
// InputError; nothing else, soon, and the same again the second time.
namespace {

using lockstep::Value;

const lockstep::Scope& scope() {
    static const lockstep::Scope k_scope = {
        {"i", 7},
        {"d", 1.5},
        {"t", true},
        {"s", "it's a text; rm -rf $(pwd) \"`\\"},
        {"n", Value()},
        {"u", Value::unknown("step probe has not run")},
        {"v", lockstep::PackageVersion("1:4.0.7-1.pgdg120+1")},
        {"w", Value(std::chrono::milliseconds(90'500))},
        {"p", Value::secret("hunter2")},
        {"l", Value::List{1, 2, "three", Value(), Value::unknown("n2 did not answer")}},
        {"m",
         Value::Map{{"a", Value::List{Value::Map{{"b", 1}}, Value::Map{{"b", 2}}}},
                    {"p", Value::secret("hunter2")},
                    {"u", Value::unknown("n3 did not answer")}}}};
    return k_scope;
}

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

bool mentions_secret(const std::string& text) {
    return text.find("hunter2") != std::string::npos;
}

void check(const lockstep::Evaluation& result, bool input_mentions_secret) {
    if (const auto* const error = std::get_if<lockstep::EvaluationError>(&result)) {
        require(!error->message.empty());
        require(input_mentions_secret || !mentions_secret(error->message + error->hint));
    } else if (const auto* const value = std::get_if<Value>(&result)) {
        require(!value->is_unknown());
        require(input_mentions_secret ||
                !mentions_secret(value->to_json().dump(
                    -1, ' ', false, nlohmann::json::error_handler_t::replace)));
        require(value->tainted() || value->kind() == Value::Kind::map || input_mentions_secret ||
                !mentions_secret(value->to_text()));
    }
}

template <class Parsed, class Evaluate>
void run(std::string_view text, Evaluate evaluate) {
    try {
        const Parsed parsed = Parsed::parse(text, {"fuzz", 1, 1});
        const lockstep::Evaluation result = evaluate(parsed);
        check(result, mentions_secret(std::string(text)));
        require(result.index() == evaluate(parsed).index());
        for (const std::string& path : parsed.reads()) {
            require(!path.empty());
        }
    } catch (const lockstep::InputError& error) {
        require(error.where().line >= 1 && error.where().column >= 1);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(data, data + size);
    run<lockstep::Expression>(text, [](const auto& e) { return e.evaluate(scope()); });
    run<lockstep::Template>(text, [](const auto& t) { return t.render(scope()); });
    run<lockstep::Template>(
        text, [](const auto& t) { return t.render(scope(), lockstep::Quoting::shell); });
    return 0;
}
