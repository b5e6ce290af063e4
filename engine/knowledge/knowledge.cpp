#include "engine/knowledge/knowledge.hpp"

#include "base/or_null.hpp"
#include "base/yaml.hpp"
#include "engine/knowledge/knowledge_text.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <set>

namespace lockstep {

namespace {

using yaml::Node;

/// One table for reading, printing and comparing: a range that is added here is known everywhere.
constexpr std::array<std::pair<std::string_view, std::optional<VersionRange> KnowledgeRow::*>, 7>
    k_ranges{{{"leader", &KnowledgeRow::leader},
              {"replica", &KnowledgeRow::replica},
              {"member", &KnowledgeRow::member},
              {"beside", &KnowledgeRow::beside},
              {"from", &KnowledgeRow::from},
              {"to", &KnowledgeRow::to},
              {"postgres", &KnowledgeRow::postgres}}};

/// Symptom, remedy and source are required as well: a row that says "bad" alone helps nobody.
const Node& required(const Node& row, std::string_view key) {
    const Node* node = row.find(key);
    if (node == nullptr) {
        throw InputError(row.where, "`" + std::string(key) + "` is missing in a row");
    }
    return *node;
}

std::string text_of(const Node& row, std::string_view key) {
    const Node* node = row.find(key);
    return node == nullptr ? std::string() : yaml::as_string(*node, key);
}

/// A row of no shape would match nothing, and nobody would miss it.
void check_shape(const KnowledgeRow& row, const SourceLocation& where) {
    const bool state = row.leader || row.replica || row.member || row.beside;
    if (state == row.of_a_change()) {
        throw InputError(where,
                         "the row " + row.id + " must be either of a state or of a change",
                         "Give leader, replica, member or beside; or from and to.");
    }
    if ((row.replica && !row.leader) || (row.beside && !row.member) || (row.member && row.leader)) {
        throw InputError(where,
                         "the versions of the row " + row.id + " make no shape",
                         "`replica` goes with `leader`, `beside` with `member`.");
    }
}

/// Unknown keys are refused: a misspelt `when` would make a row hold everywhere.
KnowledgeRow read_row(const Node& node) {
    if (!node.is(Node::Kind::map)) {
        throw InputError(node.where, "a row must be a map, not " + node.describe());
    }
    yaml::refuse_unknown_keys(node,
                              {"id",
                               "severity",
                               "leader",
                               "replica",
                               "member",
                               "beside",
                               "from",
                               "to",
                               "postgres",
                               "when",
                               "ask",
                               "passing",
                               "finding",
                               "symptom",
                               "remedy",
                               "source"},
                              "a row of knowledge");
    KnowledgeRow row;
    row.id = yaml::as_string(required(node, "id"), "id");
    row.severity = yaml::as_choice<Severity>(required(node, "severity"),
                                             "severity",
                                             {{"info", Severity::info},
                                              {"warning", Severity::warning},
                                              {"critical", Severity::critical}});
    for (const auto& [key, range] : k_ranges) {
        if (const Node* versions = node.find(key)) {
            row.*range = VersionRange::read(*versions, key);
        }
    }
    if (const Node* when = node.find("when")) {
        row.when = Expression::parse(yaml::as_string(*when, "when"), when->text_where);
    }
    if (const Node* passing = node.find("passing")) {
        row.passing = yaml::as_choice<Passing>(*passing,
                                               "passing",
                                               {{"harmful", Passing::harmful},
                                                {"paused", Passing::paused},
                                                {"harmless", Passing::harmless}});
    }
    row.ask = text_of(node, "ask");
    row.finding = text_of(node, "finding");
    row.symptom = yaml::as_string(required(node, "symptom"), "symptom");
    row.remedy = yaml::as_string(required(node, "remedy"), "remedy");
    row.source = yaml::as_string(required(node, "source"), "source");
    check_shape(row, node.where);
    return row;
}

std::string_view to_text(Passing passing) {
    switch (passing) {
        case Passing::paused:
            return "paused";
        case Passing::harmless:
            return "harmless";
        case Passing::harmful:
            break;
    }
    return "harmful";
}

}  // namespace

std::string KnowledgeRow::finding_id() const {
    return !finding.empty() ? finding
           : of_a_pair()    ? "patroni.known_bad_pair"
                            : "patroni.known_issue";
}

std::string KnowledgeRow::versions_text() const {
    std::string text;
    for (const auto& [key, range] : k_ranges) {
        if (const std::optional<VersionRange>& versions = this->*range) {
            text += (text.empty() ? "" : ", ") + std::string(key) + " " + versions->text();
        }
    }
    return text;
}

/// Of a pair either version may stand on either side on the way, so both orders are tried.
bool KnowledgeRow::matters(std::string_view from_version, std::string_view to_version) const {
    const auto fits = [](const std::optional<VersionRange>& range, std::string_view version) {
        return !range || range->contains(version);
    };
    if (of_a_change()) {
        return fits(from, from_version) && fits(to, to_version);
    }
    const std::optional<VersionRange>& one = leader ? leader : member;
    const std::optional<VersionRange>& other = leader ? replica : beside;
    if (!other) {
        return fits(one, from_version) || fits(one, to_version);
    }
    return (fits(one, from_version) && fits(other, to_version)) ||
           (fits(one, to_version) && fits(other, from_version));
}

nlohmann::json KnowledgeRow::to_json() const {
    nlohmann::json versions = nlohmann::json::object();
    for (const auto& [key, range] : k_ranges) {
        if (const std::optional<VersionRange>& wanted = this->*range) {
            versions[std::string(key)] = wanted->text();
        }
    }
    return {
        {"id", id},
        {"severity", lockstep::to_text(severity)},
        {"versions", versions},
        {"when", when ? nlohmann::json(when->text()) : nlohmann::json(nullptr)},
        {"ask", or_null(ask)},
        {"passing", to_text(passing)},
        {"finding", finding_id()},
        {"symptom", symptom},
        {"remedy", remedy},
        {"source", source},
    };
}

/// Ids are names for `--accept`, so they may not be there twice.
Knowledge parse_knowledge(std::string_view text, const std::string& file_name) {
    const Node root = yaml::parse(text, file_name);
    if (!root.is(Node::Kind::list)) {
        throw InputError(root.where, "the knowledge must be a list of rows");
    }
    Knowledge rows;
    std::set<std::string> ids;
    for (const Node& node : root.items) {
        rows.push_back(read_row(node));
        if (!ids.insert(rows.back().id).second) {
            throw InputError(node.where, "the row " + rows.back().id + " is there twice");
        }
    }
    return rows;
}

/// Parsed at the first use: a command that judges no versions does not wait for it.
const Knowledge& shipped_knowledge() {
    static const Knowledge k_rows = parse_knowledge(k_knowledge_text, "knowledge.yaml");
    return k_rows;
}

}  // namespace lockstep
