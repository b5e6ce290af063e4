#include "engine/expression/value.hpp"

#include "base/error.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

namespace lockstep {

namespace {

using Json = nlohmann::json;

// No fact of ours is nested deeper; without a limit the output of a command could end the process.
constexpr int k_deepest_json = 128;

Value read_json(const Json& json, int depth) {
    if (depth > k_deepest_json) {
        throw Error("the JSON is nested more than " + std::to_string(k_deepest_json) +
                    " levels deep");
    }
    switch (json.type()) {
        case Json::value_t::boolean:
            return Value(json.get<bool>());
        case Json::value_t::number_integer:
            return Value(json.get<std::int64_t>());
        case Json::value_t::number_unsigned:
            if (json.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
                return Value(json.get<double>());
            }
            return Value(json.get<std::int64_t>());
        case Json::value_t::number_float:
            return Value(json.get<double>());
        case Json::value_t::string:
            return Value(json.get_ref<const std::string&>());
        case Json::value_t::array: {
            Value::List list;
            list.reserve(json.size());
            for (const Json& item : json) {
                list.push_back(read_json(item, depth + 1));
            }
            return Value(std::move(list));
        }
        case Json::value_t::object: {
            Value::Map map;
            for (const auto& [key, item] : json.items()) {
                map.emplace(key, read_json(item, depth + 1));
            }
            return Value(std::move(map));
        }
        case Json::value_t::null:
        case Json::value_t::binary:
        case Json::value_t::discarded:
            break;
    }
    return {};
}

// The shortest text that reads back as the same number; `1` for 1.0, as string() of CEL.
std::string real_text(double number) {
    if (std::isnan(number)) {
        return "NaN";
    }
    if (std::isinf(number)) {
        return number > 0 ? "+Inf" : "-Inf";
    }
    std::array<char, 32> buffer{};
    const auto [end, problem] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number);
    return problem == std::errc{} ? std::string(buffer.data(), end) : std::string();
}

// In the largest unit that duration() can read back.
std::string duration_text(Value::Duration length) {
    if (length.count() % 1000 != 0) {
        return std::to_string(length.count()) + "ms";
    }
    return std::to_string(length.count() / 1000) + "s";
}

/// What to_json() does with the values that must not be shown.
enum class Secrets { hidden, shown };

Json write_json(const Value& value, Secrets secrets) {
    if (secrets == Secrets::hidden && value.tainted()) {
        return "***";
    }
    switch (value.kind()) {
        case Value::Kind::boolean:
            return value.as_bool();
        case Value::Kind::integer:
            return value.as_integer();
        case Value::Kind::real:
            // JSON has no word for the infinities and NaN.
            return std::isfinite(value.as_real()) ? Json(value.as_real()) : Json(value.to_text());
        case Value::Kind::string:
        case Value::Kind::version:
        case Value::Kind::duration:
            return value.to_text();
        case Value::Kind::list: {
            Json array = Json::array();
            for (const Value& item : value.as_list()) {
                array.push_back(write_json(item, secrets));
            }
            return array;
        }
        case Value::Kind::map: {
            Json object = Json::object();
            for (const auto& [key, item] : value.as_map()) {
                object[key] = write_json(item, secrets);
            }
            return object;
        }
        case Value::Kind::null:
        case Value::Kind::unknown:
            break;
    }
    return nullptr;
}

}  // namespace

Value::Value(bool value) : content_(value) {}

Value::Value(std::int64_t value) : content_(value) {}

Value::Value(double value) : content_(value) {}

Value::Value(std::string value) : content_(std::move(value)) {}

Value::Value(List value) : content_(std::make_shared<const List>(std::move(value))) {}

Value::Value(Map value) : content_(std::make_shared<const Map>(std::move(value))) {}

Value::Value(PackageVersion value) : content_(std::move(value)) {}

Value::Value(Duration value) : content_(value) {}

Value Value::unknown(std::string because) {
    Value value;
    value.content_ = Unknown{std::move(because)};
    return value;
}

Value Value::secret(std::string value) {
    return Value(std::move(value)).with_taint();
}

Value Value::from_json(const Json& json) {
    return read_json(json, 0);
}

Value::Kind Value::kind() const {
    return static_cast<Kind>(content_.index());  // the alternatives stand in the order of Kind
}

std::string_view Value::kind_name() const {
    constexpr std::array<std::string_view, 10> k_names = {
        "null", "bool", "int", "double", "string", "list", "map", "version", "duration", "unknown"};
    static_assert(std::variant_size_v<decltype(content_)> == k_names.size());
    return k_names.at(content_.index());
}

Value Value::with_taint() const {
    Value tainted = *this;
    tainted.tainted_ = true;
    return tainted;
}

bool Value::as_bool() const {
    return std::get<bool>(content_);
}

std::int64_t Value::as_integer() const {
    return std::get<std::int64_t>(content_);
}

double Value::as_real() const {
    return std::get<double>(content_);
}

const std::string& Value::as_string() const {
    return std::get<std::string>(content_);
}

const Value::List& Value::as_list() const {
    return *std::get<std::shared_ptr<const List>>(content_);
}

const Value::Map& Value::as_map() const {
    return *std::get<std::shared_ptr<const Map>>(content_);
}

const PackageVersion& Value::as_version() const {
    return std::get<PackageVersion>(content_);
}

Value::Duration Value::as_duration() const {
    return std::get<Duration>(content_);
}

const std::string& Value::unknown_because() const {
    return std::get<Unknown>(content_).because;
}

std::string Value::to_text() const {
    switch (kind()) {
        case Kind::null:
            return "null";
        case Kind::boolean:
            return as_bool() ? "true" : "false";
        case Kind::integer:
            return std::to_string(as_integer());
        case Kind::real:
            return real_text(as_real());
        case Kind::string:
            return as_string();
        case Kind::list:
        case Kind::map:
            // Output of commands need not be UTF-8, and a strict dump() would throw.
            return write_json(*this, Secrets::shown)
                .dump(-1, ' ', false, Json::error_handler_t::replace);
        case Kind::version:
            return as_version().text();
        case Kind::duration:
            return duration_text(as_duration());
        case Kind::unknown:
            break;
    }
    return "unknown";
}

Json Value::to_json() const {
    return write_json(*this, Secrets::hidden);
}

bool operator==(const Value& a, const Value& b) {
    if (a.kind() != b.kind()) {
        return false;
    }
    switch (a.kind()) {
        case Value::Kind::null:
            return true;
        case Value::Kind::boolean:
            return a.as_bool() == b.as_bool();
        case Value::Kind::integer:
            return a.as_integer() == b.as_integer();
        case Value::Kind::real:
            return a.as_real() == b.as_real();
        case Value::Kind::string:
            return a.as_string() == b.as_string();
        case Value::Kind::list:
            return a.as_list() == b.as_list();
        case Value::Kind::map:
            return a.as_map() == b.as_map();
        case Value::Kind::version:
            return a.as_version() == b.as_version();
        case Value::Kind::duration:
            return a.as_duration() == b.as_duration();
        case Value::Kind::unknown:
            return a.unknown_because() == b.unknown_because();
    }
    return false;
}

}  // namespace lockstep
