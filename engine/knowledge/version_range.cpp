#include "engine/knowledge/version_range.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace lockstep {

namespace {

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) {
        text.remove_prefix(1);
    }
    while (text.ends_with(' ')) {
        text.remove_suffix(1);
    }
    return text;
}

PackageVersion version_at(std::string_view text, const SourceLocation& where) {
    try {
        return PackageVersion(trimmed(text));
    } catch (const Error& error) {
        throw InputError(
            where, error.what(), "A range is `< 4.0.0`, `4.0.0 - 4.0.2`, `14.x` or `any`.");
    }
}

/// `3.4` of `3.3`: where the versions that begin with it end.
std::string next_series(std::string_view series, const SourceLocation& where) {
    const std::size_t dot = series.rfind('.');
    const std::string_view last = dot == std::string_view::npos ? series : series.substr(dot + 1);
    int number = 0;
    const auto [end, error] = std::from_chars(last.data(), last.data() + last.size(), number);
    if (error != std::errc{} || end != last.data() + last.size()) {
        throw InputError(where, "\"" + std::string(series) + ".x\" is no series of versions");
    }
    return std::string(series.substr(0, series.size() - last.size())) + std::to_string(number + 1);
}

}  // namespace

/// `<=` before `<`: the longer sign begins with the shorter one.
VersionRange::Span VersionRange::parse_span(std::string_view text, const SourceLocation& where) {
    text = trimmed(text);
    Span span;
    if (text == "any") {
        return span;
    }
    if (const std::size_t dash = text.find(" - "); dash != std::string_view::npos) {
        span.from = version_at(text.substr(0, dash), where);
        span.to = version_at(text.substr(dash + 3), where);
        if (*span.to < *span.from) {
            throw InputError(where, "\"" + std::string(text) + "\" ends before it begins");
        }
        return span;
    }
    if (text.ends_with(".x")) {
        const std::string_view series = text.substr(0, text.size() - 2);
        span.from = version_at(series, where);
        span.to = version_at(next_series(series, where), where);
        span.to_included = false;
        return span;
    }
    for (const std::string_view sign : {"<=", "<", ">=", ">"}) {
        if (!text.starts_with(sign)) {
            continue;
        }
        const PackageVersion limit = version_at(text.substr(sign.size()), where);
        if (sign.starts_with('<')) {
            span.to = limit;
            span.to_included = sign == "<=";
        } else {
            span.from = limit;
            span.from_included = sign == ">=";
        }
        return span;
    }
    span.from = span.to = version_at(text, where);
    return span;
}

VersionRange VersionRange::parse(std::string_view text, const SourceLocation& where) {
    VersionRange range;
    range.spans_.push_back(parse_span(text, where));
    range.text_ = trimmed(text);
    return range;
}

/// A list without a version would never hold, and nobody would miss it.
VersionRange VersionRange::read(const yaml::Node& node, std::string_view what) {
    if (!node.is(yaml::Node::Kind::list)) {
        return parse(yaml::as_string(node, what), node.where);
    }
    VersionRange range;
    for (const yaml::Node& item : node.items) {
        const std::string text = yaml::as_string(item, what);
        range.spans_.push_back(parse_span(text, item.where));
        range.text_ += (range.text_.empty() ? "" : ", ") + text;
    }
    if (range.spans_.empty()) {
        throw InputError(node.where, std::string(what) + " names no version");
    }
    return range;
}

/// Upstream versions are compared: of the packaging rows know nothing. What is no version is in no
/// range, so a row about it stays silent.
bool VersionRange::contains(std::string_view version) const {
    std::optional<PackageVersion> upstream;
    try {
        upstream.emplace(PackageVersion(version).upstream());
    } catch (const Error&) {
        return false;
    }
    return std::ranges::any_of(spans_, [&](const Span& span) {
        const bool begun =
            !span.from || *span.from < *upstream || (span.from_included && *span.from == *upstream);
        const bool ended =
            span.to && (*span.to < *upstream || (!span.to_included && *span.to == *upstream));
        return begun && !ended;
    });
}

}  // namespace lockstep
