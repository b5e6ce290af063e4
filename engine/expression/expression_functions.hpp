#pragma once

#include "engine/expression/expression.hpp"
#include "engine/expression/expression_limits.hpp"

#include <cstddef>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace re2 {
class RE2;
}

namespace lockstep {

/// The regular expressions that one evaluation has met. RE2, because its time is linear in the text
/// whatever the pattern, and because CEL means its syntax.
class PatternCache {
  public:
    PatternCache();
    ~PatternCache();
    PatternCache(const PatternCache&) = delete;
    PatternCache(PatternCache&&) = delete;
    PatternCache& operator=(const PatternCache&) = delete;
    PatternCache& operator=(PatternCache&&) = delete;

    /// Whether `pattern` occurs anywhere in `text`. `shown`: the pattern may stand in messages.
    [[nodiscard]] Evaluation matches(const std::string& text,
                                     const std::string& pattern,
                                     bool shown,
                                     Budget& budget);

  private:
    std::map<std::string, std::unique_ptr<re2::RE2>, std::less<>> compiled_;
};

/// What a call needs besides its arguments.
struct CallContext {
    Budget& budget;
    PatternCache& patterns;
};

/// How a function may be called.
enum class CallStyle { function, method, either };

/// One row of the table of functions. All are pure: the same arguments give the same result.
struct Function {
    std::string_view name;
    CallStyle style;
    std::vector<std::vector<Value::Kind>> parameters;  ///< the kinds that each one takes
    Evaluation (*apply)(std::span<const Value> arguments, CallContext& context);
    std::string_view example;  ///< for hints
};

/// nullptr when there is none of this name that may be called this way.
[[nodiscard]] const Function* find_function(std::string_view name, bool as_method);
/// The names that may be called this way, macros not among them.
[[nodiscard]] std::vector<std::string> function_names(bool as_method);

/// Checks the kinds of the arguments, applies, and taints the result if an argument is tainted.
/// Errors take precedence over unknown arguments.
[[nodiscard]] Evaluation call_function(const Function& function,
                                       std::span<const Value> arguments,
                                       CallContext& context);

}  // namespace lockstep
