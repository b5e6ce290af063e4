#pragma once

#include "base/package_version.hpp"

#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace lockstep {

/// The first real number that no integer is as large as.
inline constexpr double k_two_to_63 = 9223372036854775808.0;

/// What an expression works on. Strictly typed: nothing is coerced. A value may be *unknown until
/// the run* (what a step will print, a fact nobody could observe); whatever depends on it is
/// unknown.
class Value {
  public:
    using List = std::vector<Value>;
    using Map = std::map<std::string, Value, std::less<>>;

    struct Unknown {
        std::string because;  ///< "step probe has not run", "n2 did not answer"
    };

    using Duration = std::chrono::milliseconds;
    enum class Kind { null, boolean, integer, real, string, list, map, version, duration, unknown };

    Value() = default;  ///< null
    Value(bool value);
    Value(std::int64_t value);

    Value(int value) : Value(static_cast<std::int64_t>(value)) {}

    Value(double value);
    Value(std::string value);

    Value(const char* value) : Value(std::string(value)) {}

    Value(List value);
    Value(Map value);
    Value(PackageVersion value);
    Value(Duration value);

    [[nodiscard]] static Value unknown(std::string because);
    /// A string that must not be shown; whatever is made from it is tainted too.
    [[nodiscard]] static Value secret(std::string value);
    /// Throws Error for what is nested more than 128 levels deep.
    [[nodiscard]] static Value from_json(const nlohmann::json& json);

    [[nodiscard]] Kind kind() const;
    [[nodiscard]] std::string_view kind_name() const;  ///< "string", "list", … for messages

    [[nodiscard]] bool is_unknown() const { return kind() == Kind::unknown; }

    [[nodiscard]] bool tainted() const { return tainted_; }

    [[nodiscard]] Value with_taint() const;

    // Each requires the kind; anything else is a bug (std::bad_variant_access).
    [[nodiscard]] bool as_bool() const;
    [[nodiscard]] std::int64_t as_integer() const;
    [[nodiscard]] double as_real() const;
    [[nodiscard]] const std::string& as_string() const;
    [[nodiscard]] const List& as_list() const;
    [[nodiscard]] const Map& as_map() const;
    [[nodiscard]] const PackageVersion& as_version() const;
    [[nodiscard]] Duration as_duration() const;
    [[nodiscard]] const std::string& unknown_because() const;

    /// As text, the way `${{ }}` inserts it: strings as they are, numbers and bools in CEL's way,
    /// versions in full, durations as `90s`, lists and maps as JSON. Tainted values in clear.
    [[nodiscard]] std::string to_text() const;
    /// Tainted values as "***", unknown ones as null.
    [[nodiscard]] nlohmann::json to_json() const;

    friend bool operator==(const Value& a, const Value& b);  ///< same kind and content

  private:
    std::variant<std::monostate,
                 bool,
                 std::int64_t,
                 double,
                 std::string,
                 std::shared_ptr<const List>,
                 std::shared_ptr<const Map>,
                 PackageVersion,
                 Duration,
                 Unknown>
        content_;  // shared and immutable below: facts are copied into many scopes
    bool tainted_ = false;
};

}  // namespace lockstep
