#include "base/package_version.hpp"

#include "base/error.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

namespace lockstep {

namespace {

// Not std::isdigit and std::isalpha: those follow the locale.
bool is_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Debian policy 5.6.12, and `_` and `^`, which occur in the versions of RPM packages.
bool is_version_character(char c) {
    constexpr std::string_view k_punctuation = ".+-~_^";
    return is_digit(c) || is_letter(c) || k_punctuation.find(c) != std::string_view::npos;
}

// dpkg, lib/dpkg/version.c, order(): `~` before the end, the end before letters, letters before
// everything else.
int order(std::string_view text, std::size_t at) {
    if (at >= text.size() || is_digit(text[at])) {
        return 0;
    }
    const char c = text[at];
    if (is_letter(c)) {
        return c;
    }
    return c == '~' ? -1 : c + 256;
}

std::string_view take_number(std::string_view text, std::size_t& at) {
    while (at < text.size() && text[at] == '0') {
        ++at;
    }
    const std::size_t begin = at;
    while (at < text.size() && is_digit(text[at])) {
        ++at;
    }
    return text.substr(begin, at - begin);
}

// dpkg, lib/dpkg/version.c, verrevcmp(): alternately a part without digits and a number.
std::strong_ordering compare_parts(std::string_view a, std::string_view b) {
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < a.size() || j < b.size()) {
        while ((i < a.size() && !is_digit(a[i])) || (j < b.size() && !is_digit(b[j]))) {
            if (const auto by_order = order(a, i) <=> order(b, j); std::is_neq(by_order)) {
                return by_order;
            }
            ++i;
            ++j;
        }
        const std::string_view number_a = take_number(a, i);
        const std::string_view number_b = take_number(b, j);
        if (const auto by_length = number_a.size() <=> number_b.size(); std::is_neq(by_length)) {
            return by_length;
        }
        if (const int by_digits = number_a.compare(number_b); by_digits != 0) {
            return by_digits <=> 0;
        }
    }
    return std::strong_ordering::equal;
}

/// Takes what stands for a step in rpm's order in front of both, `~` or `^`; nullopt: nothing did.
std::optional<std::strong_ordering> take_mark(std::string_view& a, std::string_view& b) {
    for (const char mark : {'~', '^'}) {
        const bool in_a = a.starts_with(mark);
        const bool in_b = b.starts_with(mark);
        if (in_a && in_b) {
            a.remove_prefix(1);
            b.remove_prefix(1);
            return std::strong_ordering::equal;
        }
        if (in_a || in_b) {
            // `~` is older than anything, the end, too; `^` is newer than the end alone.
            const bool older = mark == '~' || !(in_a ? b : a).empty();
            return older == in_a ? std::strong_ordering::less : std::strong_ordering::greater;
        }
    }
    return std::nullopt;
}

std::string_view take_while(std::string_view& text, bool (*wanted)(char)) {
    std::size_t length = 0;
    while (length < text.size() && wanted(text[length])) {
        ++length;
    }
    const std::string_view taken = text.substr(0, length);
    text.remove_prefix(length);
    return taken;
}

std::strong_ordering compare_numbers(std::string_view a, std::string_view b) {
    a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
    b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
    const auto by_length = a.size() <=> b.size();
    return std::is_neq(by_length) ? by_length : a.compare(b) <=> 0;
}

/// What both have in front, letters or a number: older, newer, or taken away as the same.
std::strong_ordering compare_front(std::string_view& a, std::string_view& b) {
    const bool number = is_digit(a.front());
    const auto kind = number ? is_digit : is_letter;
    const std::string_view part_a = take_while(a, kind);
    const std::string_view part_b = take_while(b, kind);
    if (part_b.empty()) {
        return number ? std::strong_ordering::greater : std::strong_ordering::less;
    }
    return number ? compare_numbers(part_a, part_b) : part_a.compare(part_b) <=> 0;
}

bool only_parts(char c) {
    return !is_digit(c) && !is_letter(c) && c != '~' && c != '^';
}

std::strong_ordering compare_parts_as_rpm(std::string_view a, std::string_view b) {
    while (!a.empty() || !b.empty()) {
        take_while(a, only_parts);
        take_while(b, only_parts);
        auto order = take_mark(a, b);
        if (!order && (a.empty() || b.empty())) {
            break;
        }
        order = order ? *order : compare_front(a, b);
        if (std::is_neq(*order)) {
            return *order;
        }
    }
    return !a.empty() <=> !b.empty();
}

[[noreturn]] void refuse(std::string_view text, const std::string& why) {
    throw Error("\"" + std::string(text) + "\" is not a version: " + why,
                "A version is written [epoch:]upstream[-revision], for example 4.0.7-1.pgdg120+1.");
}

int parse_epoch(std::string_view text, std::string_view digits) {
    int epoch = 0;
    const char* const end = digits.data() + digits.size();
    const auto [stop, problem] = std::from_chars(digits.data(), end, epoch);
    if (digits.empty() || !is_digit(digits.front()) || problem != std::errc{} || stop != end) {
        refuse(text, "what stands before the colon is not an epoch");
    }
    return epoch;
}

}  // namespace

PackageVersion::PackageVersion(std::string_view text) : text_(text) {
    if (text.empty()) {
        refuse(text, "it is empty");
    }
    std::string_view rest = text;
    if (const auto colon = rest.find(':'); colon != std::string_view::npos) {
        epoch_ = parse_epoch(text, rest.substr(0, colon));
        rest.remove_prefix(colon + 1);
    }
    for (const char c : rest) {
        if (!is_version_character(c)) {
            refuse(text, c == ' ' ? "it has a space in it" : "it has a strange character in it");
        }
    }
    if (rest.empty() || !is_digit(rest.front())) {
        refuse(text, "it does not start with a digit");
    }
    if (const auto hyphen = rest.rfind('-'); hyphen != std::string_view::npos) {
        revision_ = rest.substr(hyphen + 1);
        if (revision_.empty()) {
            refuse(text, "the revision after the hyphen is missing");
        }
        rest = rest.substr(0, hyphen);
    }
    upstream_ = rest;
}

int PackageVersion::part(int n) const {
    std::size_t at = 0;
    for (int current = 0; at < upstream_.size() && is_digit(upstream_[at]); ++current) {
        const std::string_view digits = take_number(upstream_, at);
        if (current == n) {
            int number = 0;
            const auto [stop, problem] =
                std::from_chars(digits.data(), digits.data() + digits.size(), number);
            return problem == std::errc::result_out_of_range ? std::numeric_limits<int>::max()
                                                             : number;
        }
        if (at >= upstream_.size() || upstream_[at] != '.') {
            break;  // `17~beta1` has one part: what follows is not a place in the version
        }
        ++at;
    }
    return 0;
}

std::strong_ordering operator<=>(const PackageVersion& a, const PackageVersion& b) {
    if (const auto by_epoch = a.epoch_ <=> b.epoch_; std::is_neq(by_epoch)) {
        return by_epoch;
    }
    if (const auto by_upstream = compare_parts(a.upstream_, b.upstream_);
        std::is_neq(by_upstream)) {
        return by_upstream;
    }
    return compare_parts(a.revision_, b.revision_);
}

std::strong_ordering compare_as_rpm(const PackageVersion& a, const PackageVersion& b) {
    if (const auto by_epoch = a.epoch() <=> b.epoch(); std::is_neq(by_epoch)) {
        return by_epoch;
    }
    const auto by_upstream = compare_parts_as_rpm(a.upstream(), b.upstream());
    if (std::is_neq(by_upstream) || a.revision().empty() || b.revision().empty()) {
        return by_upstream;
    }
    return compare_parts_as_rpm(a.revision(), b.revision());
}

bool operator==(const PackageVersion& a, const PackageVersion& b) {
    return std::is_eq(a <=> b);
}

}  // namespace lockstep
