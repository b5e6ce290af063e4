#include "base/units.hpp"
#include "cli/texts.hpp"

#include <algorithm>

namespace lockstep {

std::string json_text(const nlohmann::json& document, Output output) {
    const int indent = output == Output::json ? 2 : -1;
    return document.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string upper(std::string_view text) {
    std::string result(text);
    std::ranges::transform(
        result, result.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    return result;
}

namespace {

std::string or_dash(const std::string& text) {
    return text.empty() ? "-" : text;
}

Tone version_tone(const MemberFacts& member, const ClusterFacts& facts) {
    const MemberFacts* leader = facts.leader_member();
    const bool differs = leader != nullptr && !member.patroni.running.empty() &&
                         member.patroni.running != leader->patroni.running;
    return differs ? Tone::warn : Tone::plain;
}

std::string disk_text(const MemberFacts& member) {
    if (!member.disk || member.disk->total_bytes <= 0) {
        return "-";
    }
    const std::int64_t percent = member.disk->free_bytes * 100 / member.disk->total_bytes;
    return format_bytes(member.disk->free_bytes) + " (" + std::to_string(percent) + "%)";
}

std::string slots_text(const MemberFacts& member) {
    if (!member.slots) {
        return "-";
    }
    const auto stuck = std::ranges::count_if(*member.slots, &SlotFacts::stuck);
    std::string text = std::to_string(member.slots->size());
    return stuck == 0 ? text : text + ", " + std::to_string(stuck) + " stuck";
}

std::string members_table(const ClusterFacts& facts, const Terminal& terminal) {
    Table table({"MEMBER",
                 "ROLE",
                 "STATE",
                 "TL",
                 "LAG",
                 "PATRONI",
                 "INSTALLED",
                 "POSTGRES",
                 "PG_WAL",
                 "SLOTS",
                 "DISK FREE"});
    for (const MemberFacts& member : facts.members) {
        const bool has_stuck =
            member.slots && std::ranges::any_of(*member.slots, &SlotFacts::stuck);
        table.add({member.name,
                   or_dash(member.role),
                   or_dash(member.state),
                   member.timeline ? std::to_string(*member.timeline) : "-",
                   member.lag_bytes ? format_bytes(*member.lag_bytes) : "-",
                   or_dash(member.patroni.running),
                   or_dash(member.patroni.installed),
                   or_dash(member.postgres.running),
                   member.wal ? format_bytes(member.wal->bytes) : "-",
                   slots_text(member),
                   disk_text(member)},
                  {Tone::strong,
                   Tone::plain,
                   member.api.ok() ? Tone::plain : Tone::bad,
                   Tone::plain,
                   Tone::plain,
                   version_tone(member, facts),
                   Tone::plain,
                   Tone::plain,
                   Tone::plain,
                   has_stuck ? Tone::bad : Tone::plain,
                   Tone::plain});
    }
    return table.text(terminal);
}

std::string summary_line(const ClusterFacts& facts,
                         const std::vector<Finding>& findings,
                         const Terminal& terminal) {
    const Severity severity = findings.empty() ? Severity::info : worst(findings);
    const bool good = severity == Severity::info;
    const std::string status = good                             ? "OK"
                               : severity == Severity::critical ? "CRITICAL"
                                                                : "WARNING";
    std::string line =
        terminal.paint(status, good ? Tone::good : tone_of(severity)) + " - " + facts.name + ": ";
    if (findings.empty()) {
        line += counted(static_cast<std::int64_t>(facts.members.size()), "member") + ", ";
    } else {
        // The worst first: a pager shows no more than the beginning.
        const Finding& first = findings.front();
        line += first.id + (first.member.empty() ? "" : " on " + one_line(first.member));
        const std::size_t more = findings.size() - 1;
        line += more == 0   ? ", "
                : more == 1 ? " and 1 more finding, "
                            : " and " + std::to_string(more) + " more findings, ";
    }
    line += facts.leader.empty() ? "no leader" : "leader " + one_line(facts.leader);
    if (facts.timeline) {
        line += ", timeline " + std::to_string(*facts.timeline);
    }
    if (const LockFacts* lock = facts.held_lock()) {
        line += ", held by run " + one_line(lock->run) + " of " + one_line(lock->who);
    }
    return line + (facts.paused ? ", paused" : "") + "\n";
}

}  // namespace

namespace {

/// Of what is known of versions the row, as `--accept` takes it.
std::string name_of(const Finding& finding) {
    const bool of_a_row = finding.id.starts_with("patroni.known_");
    return of_a_row && !finding.subject.empty() ? finding.id + ":" + finding.subject : finding.id;
}

}  // namespace

std::string findings_text(const std::vector<Finding>& findings, const Terminal& terminal) {
    std::string text;
    const Finding* previous = nullptr;
    for (const Finding& finding : findings) {
        text += "  " + terminal.paint(upper(to_text(finding.severity)), tone_of(finding.severity)) +
                "  " + terminal.paint(name_of(finding), Tone::strong) +
                (finding.member.empty() ? "" : "  " + one_line(finding.member)) + "\n";
        text += "      " + wrap(finding.message, 6) + "\n";
        if (previous != nullptr && previous->id == finding.id &&
            previous->remedy == finding.remedy && previous->source == finding.source) {
            text += "      " + terminal.paint("do:", Tone::good) + " the same\n";
            previous = &finding;
            continue;
        }
        previous = &finding;
        if (!finding.remedy.empty()) {
            text += "      " + terminal.paint("do:", Tone::good) + " " + wrap(finding.remedy, 10) +
                    "\n";
        }
        if (!finding.source.empty()) {
            text += "      " + terminal.paint("see: " + one_line(finding.source), Tone::dim) + "\n";
        }
    }
    return text;
}

std::string check_all_text(const std::vector<CheckResult>& results, const Terminal& terminal) {
    const auto line_of = [&](const CheckResult& result) {
        return result.observed() ? summary_line(result.facts, result.findings, terminal)
                                 : terminal.paint("UNKNOWN", Tone::bad) + " - " + result.cluster +
                                       ": " + one_line(result.error) + "\n";
    };
    const CheckStatus status = worst(results);
    std::string text = terminal.paint(upper(to_text(status)),
                                      status == CheckStatus::ok        ? Tone::good
                                      : status == CheckStatus::warning ? Tone::warn
                                                                       : Tone::bad) +
                       " - " + std::to_string(results.size()) +
                       (results.size() == 1 ? " cluster" : " clusters");
    std::string counts;
    for (const CheckStatus each :
         {CheckStatus::critical, CheckStatus::unknown, CheckStatus::warning, CheckStatus::ok}) {
        const auto count = std::ranges::count(results, each, &CheckResult::status);
        if (count > 0) {
            counts += (counts.empty() ? ": " : ", ") + std::to_string(count) + " " +
                      std::string(to_text(each));
        }
    }
    text += counts + "\n\n";
    for (const CheckResult& result : results) {
        text += "  " + line_of(result);
    }
    for (const CheckResult& result : results) {
        if (!result.findings.empty()) {
            text += "\n" + terminal.paint(result.cluster, Tone::strong) + "\n" +
                    findings_text(result.findings, terminal);
        }
        if (!result.hint.empty()) {
            text += "\n" + terminal.paint(result.cluster, Tone::strong) + "\n      " +
                    terminal.paint("do:", Tone::good) + " " + wrap(result.hint, 10) + "\n";
        }
    }
    return text;
}

std::string check_text(const ClusterFacts& facts,
                       const std::vector<Finding>& findings,
                       const Terminal& terminal) {
    std::string text =
        summary_line(facts, findings, terminal) + "\n" + members_table(facts, terminal);
    if (!findings.empty()) {
        text += "\n" + findings_text(findings, terminal);
    }
    return text;
}

}  // namespace lockstep
