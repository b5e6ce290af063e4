#include "cli/problem_text.hpp"

#include "base/excerpt.hpp"
#include "cli/version.hpp"
#include "engine/runbook/rules.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using nlohmann::json;

constexpr std::size_t k_most_shown = 100;
constexpr std::size_t k_width = 100;

std::string source_text(const InputError& problem, const Terminal& terminal) {
    if (problem.source() == nullptr || problem.where().line == 0) {
        return {};
    }
    const std::string number = std::to_string(problem.where().line);
    const auto shown =
        source_excerpt(*problem.source(), problem.where(), k_width - number.size() - 5);
    if (!shown) {
        return {};
    }
    return "  " + terminal.paint(number + " |", Tone::dim) + " " + shown->line + "\n  " +
           terminal.paint(std::string(number.size(), ' ') + " |", Tone::dim) + " " +
           terminal.paint(shown->caret, Tone::strong) + "\n";
}

std::string problem_text(const InputError& problem, const Terminal& terminal) {
    const bool warning = is_warning(problem);
    std::string text =
        terminal.paint(warning ? "warning:" : "error:", warning ? Tone::warn : Tone::bad) + " " +
        printable(problem.what()) + terminal.paint(" [" + problem.rule() + "]", Tone::dim) + "\n" +
        source_text(problem, terminal);
    if (!problem.hint().empty()) {
        text += terminal.paint("HINT:", Tone::strong) + "  " + printable(problem.hint()) + "\n";
    }
    return text;
}

/// RFC 3986: a path as the reference of a URI.
std::string uri_of(const std::string& path) {
    constexpr std::string_view k_kept =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/";
    constexpr std::string_view k_digits = "0123456789ABCDEF";
    std::string uri = path.starts_with('/') ? "file://" : "";
    for (const char c : path) {
        const auto byte = static_cast<unsigned char>(c);
        if (k_kept.find(c) != std::string_view::npos) {
            uri += c;
        } else {
            uri += {'%', k_digits[byte >> 4U], k_digits[byte & 0xFU]};
        }
    }
    return uri;
}

json sarif_rules() {
    json rules = json::array();
    for (const RuleRow& rule : rule_table()) {
        rules.push_back(
            {{"id", rule.id},
             {"shortDescription", {{"text", rule.help}}},
             {"help", {{"text", rule.help}}},
             {"defaultConfiguration", {{"level", rule.warning ? "warning" : "error"}}}});
    }
    return rules;
}

json sarif_result(const InputError& problem) {
    const SourceLocation& where = problem.where();
    json place = {{"artifactLocation", {{"uri", uri_of(where.file)}}}};
    if (where.line > 0) {
        place["region"] = {{"startLine", where.line}, {"startColumn", where.column}};
    }
    const std::string hint = problem.hint().empty() ? "" : "\n" + problem.hint();
    json result = {{"ruleId", problem.rule()},
                   {"level", is_warning(problem) ? "warning" : "error"},
                   {"message", {{"text", problem.message() + hint}}},
                   {"locations", {{{"physicalLocation", place}}}}};
    if (const RuleRow* rule = find_rule(problem.rule())) {
        result["ruleIndex"] = rule - rule_table().data();
    }
    return result;
}

}  // namespace

bool is_warning(const InputError& problem) {
    const RuleRow* rule = find_rule(problem.rule());
    return rule != nullptr && rule->warning;
}

std::string problems_text(const std::vector<InputError>& problems, const Terminal& terminal) {
    std::string text;
    for (std::size_t i = 0; i < std::min(problems.size(), k_most_shown); ++i) {
        text += problem_text(problems[i], terminal);
    }
    if (problems.size() > k_most_shown) {
        text += "… and " + std::to_string(problems.size() - k_most_shown) + " more\n";
    }
    return text;
}

json problems_json(const std::vector<InputError>& problems) {
    json list = json::array();
    for (const InputError& problem : problems) {
        list.push_back({{"rule", problem.rule()},
                        {"severity", is_warning(problem) ? "warning" : "error"},
                        {"file", problem.where().file},
                        {"line", problem.where().line},
                        {"column", problem.where().column},
                        {"message", problem.message()},
                        {"hint", problem.hint()}});
    }
    return {{"valid", std::ranges::all_of(problems, is_warning)}, {"errors", list}};
}

json problems_sarif(const std::vector<InputError>& problems) {
    json results = json::array();
    for (const InputError& problem : problems) {
        results.push_back(sarif_result(problem));
    }
    const json driver = {{"name", "lockstep"}, {"version", k_version}, {"rules", sarif_rules()}};
    return {{"$schema", "https://json.schemastore.org/sarif-2.1.0.json"},
            {"version", "2.1.0"},
            {"runs",
             {{{"tool", {{"driver", driver}}},
               {"columnKind", "unicodeCodePoints"},
               {"results", results}}}}};
}

}  // namespace lockstep
