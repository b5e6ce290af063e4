#include "engine/journal/journal.hpp"

#include "base/canonical_json.hpp"
#include "base/digest.hpp"

#include <array>
#include <cstdio>
#include <ctime>
#include <random>

namespace lockstep {

namespace {

struct KindRow {
    RecordKind kind;
    std::string_view text;
};

constexpr std::array k_kinds{
    KindRow{RecordKind::run_started, "run_started"},
    KindRow{RecordKind::run_resumed, "run_resumed"},
    KindRow{RecordKind::lock_taken, "lock_taken"},
    KindRow{RecordKind::step_intent, "step_intent"},
    KindRow{RecordKind::step_accepted, "step_accepted"},
    KindRow{RecordKind::step_result, "step_result"},
    KindRow{RecordKind::step_verified, "step_verified"},
    KindRow{RecordKind::step_skipped, "step_skipped"},
    KindRow{RecordKind::rollback_started, "rollback_started"},
    KindRow{RecordKind::undo_intent, "undo_intent"},
    KindRow{RecordKind::undo_accepted, "undo_accepted"},
    KindRow{RecordKind::undo_result, "undo_result"},
    KindRow{RecordKind::guard_tripped, "guard_tripped"},
    KindRow{RecordKind::approval_asked, "approval_asked"},
    KindRow{RecordKind::approval_answered, "approval_answered"},
    KindRow{RecordKind::approval_ended, "approval_ended"},
    KindRow{RecordKind::waiting, "waiting"},
    KindRow{RecordKind::note, "note"},
    KindRow{RecordKind::run_ended, "run_ended"},
};

}  // namespace

std::string_view to_text(RecordKind kind) {
    for (const KindRow& row : k_kinds) {
        if (row.kind == kind) {
            return row.text;
        }
    }
    return "?";
}

std::optional<RecordKind> parse_record_kind(std::string_view text) {
    for (const KindRow& row : k_kinds) {
        if (row.text == text) {
            return row.kind;
        }
    }
    return std::nullopt;
}

std::string header_digest(const RunHeader& run) {
    return sha256_hex(canonical({run.id,
                                 run.cluster,
                                 run.runbook,
                                 run.plan_hash,
                                 run.started_at,
                                 run.started_by,
                                 run.reason,
                                 run.engine_version,
                                 sha256_hex(run.runbook_text),
                                 sha256_hex(run.inventory_text),
                                 canonical(run.inputs),
                                 canonical(run.given),
                                 canonical(run.plan)}));
}

/// Each record's hash covers the one before it: a changed or missing record shows.
std::string next_link(const std::string& previous,
                      const std::string& run,
                      const JournalRecord& record,
                      const std::string& payload) {
    const nlohmann::json link = {previous,
                                 run,
                                 record.seq,
                                 record.at,
                                 to_text(record.kind),
                                 record.step,
                                 record.member,
                                 payload};
    return sha256_hex(canonical(link));
}

std::string chain_end(const RunHeader& run, const std::vector<JournalRecord>& records) {
    std::string link = header_digest(run);
    for (const JournalRecord& record : records) {
        link = next_link(link, run.id, record, canonical(record.payload));
    }
    return link;
}

std::string make_run_id(std::chrono::system_clock::time_point now) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(now);
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    std::array<char, 20> date{};
    const std::size_t length = std::strftime(date.data(), date.size(), "%Y%m%d-%H%M%S", &parts);
    std::array<char, 8> tail{};
    std::random_device random;
    const int tail_length = std::snprintf(tail.data(), tail.size(), "-%04x", random() & 0xffffU);
    return std::string(date.data(), length) +
           std::string(tail.data(), static_cast<std::size_t>(tail_length));
}

}  // namespace lockstep
