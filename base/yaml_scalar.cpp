#include "base/suggest.hpp"
#include "base/utf8.hpp"
#include "base/yaml.hpp"

#include <algorithm>
#include <charconv>
#include <system_error>

namespace lockstep::yaml {

namespace {

constexpr std::size_t k_longest_shown = 40;

[[noreturn]] void fail(const Node& node,
                       std::string_view what,
                       std::string_view wanted,
                       const std::string& hint = {}) {
    throw InputError(
        node.where,
        std::string(what) + " must be " + std::string(wanted) + ", not " + node.describe(),
        hint,
        "input.type");
}

bool all_digits(std::string_view text, std::string_view digits) {
    return !text.empty() && text.find_first_not_of(digits) == std::string_view::npos;
}

/// Digits of the base after the prefix, as YAML 1.2 writes integers; 0 where it is none.
int base_of(std::string_view digits) {
    if (digits.starts_with("0x") && all_digits(digits.substr(2), "0123456789abcdefABCDEF")) {
        return 16;
    }
    if (digits.starts_with("0o") && all_digits(digits.substr(2), "01234567")) {
        return 8;
    }
    return all_digits(digits, "0123456789") ? 10 : 0;
}

/// YAML 1.1 reads `010` as eight, 1.2 as ten: whoever wrote it meant one of them.
bool is_ambiguous_octal(std::string_view digits) {
    return digits.size() > 1 && digits.front() == '0' && base_of(digits) == 10;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
    const auto found = std::find_if(
        entries.begin(), entries.end(), [key](const Entry& e) { return e.first.text == key; });
    return found == entries.end() ? nullptr : &found->second;
}

std::string Node::describe() const {
    switch (kind) {
        case Kind::null:
            return "nothing";
        case Kind::list:
            return "a list";
        case Kind::map:
            return "a map";
        case Kind::scalar:
            break;
    }
    std::size_t length = std::min(text.find('\n'), text.size());
    if (length > k_longest_shown) {
        length = k_longest_shown;
        while (length > 0 && is_continuation(text[length])) {
            --length;
        }
    }
    const std::string shown = text.substr(0, length);
    return "the text '" + shown + (shown.size() < text.size() ? "…'" : "'");
}

std::string as_string(const Node& node, std::string_view what) {
    if (!node.is(Node::Kind::scalar)) {
        fail(node, what, "a text");
    }
    return node.text;
}

bool as_bool(const Node& node, std::string_view what) {
    if (node.is(Node::Kind::scalar) && node.plain) {
        if (node.text == "true" || node.text == "True" || node.text == "TRUE") {
            return true;
        }
        if (node.text == "false" || node.text == "False" || node.text == "FALSE") {
            return false;
        }
    }
    fail(node, what, "true or false", node.plain ? "" : "Write it without quotes.");
}

long long as_integer(const Node& node, std::string_view what) {
    if (!node.is(Node::Kind::scalar) || !node.plain) {
        fail(node, what, "an integer", node.plain ? "" : "Write it without quotes.");
    }
    std::string_view digits = node.text;
    const bool negative = digits.starts_with('-');
    if (negative || digits.starts_with('+')) {
        digits.remove_prefix(1);
    }
    const int base = base_of(digits);
    const bool is_signed = digits.size() < node.text.size();
    if (base == 0 || (base != 10 && is_signed)) {
        fail(node, what, "an integer");
    }
    if (is_ambiguous_octal(digits)) {
        fail(node, what, "an integer", "Write it without the leading zero, or 0o for octal.");
    }
    const std::string number =
        (negative ? "-" : "") + std::string(base == 10 ? digits : digits.substr(2));
    long long value = 0;
    const char* const end = number.data() + number.size();
    if (std::from_chars(number.data(), end, value, base).ec != std::errc{}) {
        fail(node, what, "an integer of at most 64 bits");
    }
    return value;
}

void refuse_unknown_keys(const Node& map,
                         const std::vector<std::string_view>& known,
                         std::string_view what) {
    for (const auto& [key, value] : map.entries) {
        if (std::find(known.begin(), known.end(), key.text) == known.end()) {
            throw InputError(key.where,
                             "unknown key \"" + key.text + "\" in " + std::string(what),
                             did_you_mean(key.text, {known.begin(), known.end()}),
                             "input.unknown_key");
        }
    }
}

}  // namespace lockstep::yaml
