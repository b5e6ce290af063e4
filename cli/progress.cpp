#include "cli/progress.hpp"

#include "base/or_null.hpp"
#include "base/units.hpp"

#include <iostream>

namespace lockstep {

namespace {

/// An undo may act on another member than its step did.
std::string key(const JournalRecord& record) {
    const bool undo =
        record.kind == RecordKind::undo_intent || record.kind == RecordKind::undo_result;
    const std::string on = undo ? record.payload.value("on", record.member) : record.member;
    return one_line(on.empty() ? record.step : record.step + " on " + on);
}

}  // namespace

void Progress::clear_line() {
    if (line_open_) {
        std::cerr << "\r\033[K";
        line_open_ = false;
    }
}

void Progress::print(const JournalRecord& record,
                     std::string_view word,
                     Tone tone,
                     const std::string& text) {
    clear_line();
    std::string length;
    const auto begun = begun_.find(key(record));
    if (begun != begun_.end()) {
        length = " (" +
                 format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(
                     std::chrono::steady_clock::now() - begun->second)) +
                 ")";
        begun_.erase(begun);
    }
    print_line(record,
               word,
               tone,
               terminal_.paint(key(record), Tone::strong) + ": " + wrap(text, 21) + length);
}

void Progress::print_gate(const JournalRecord& record,
                          std::string_view word,
                          Tone tone,
                          const std::string& text) {
    const std::string gate = one_line(record.payload.at("gate").get<std::string>());
    print_line(record,
               word,
               tone,
               terminal_.paint(gate, Tone::strong) + (text.empty() ? "" : ": " + wrap(text, 21)));
}

void Progress::print_line(const JournalRecord& record,
                          std::string_view word,
                          Tone tone,
                          const std::string& text) {
    clear_line();
    // 11 to 19 of 2026-11-23T08:25:01.123Z: the time of day, UTC as everywhere.
    const std::string time = record.at.size() > 19 ? record.at.substr(11, 8) : record.at;
    std::string padded(word);
    padded.resize(9, ' ');
    std::cerr << terminal_.paint(time, Tone::dim) << "  " << terminal_.paint(padded, tone) << "  "
              << text << std::endl;
}

/// On a terminal, until something else is to be said: what runs now.
void Progress::show_begun(const JournalRecord& record) {
    begun_[key(record)] = std::chrono::steady_clock::now();
    if (terminal_.live()) {
        clear_line();
        std::cerr << terminal_.paint("          running    " + key(record), Tone::dim)
                  << std::flush;
        line_open_ = true;
    }
}

void Progress::print_result(const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    const std::string outcome = payload.at("outcome");
    const bool good = outcome == "succeeded" || outcome == "already_done";
    const bool undo = record.kind == RecordKind::undo_result;
    std::string word = undo ? "undone" : "ok";
    if (!good) {
        word = outcome;
    } else if (undo && !payload.contains("n") && payload.value("ends", std::string()).empty()) {
        word = "again";  // the pause, made once more for the way back or ended after it
    }
    if (good && !undo) {
        ended_well_.insert(key(record));
    }
    print(record,
          word,
          good ? Tone::good : Tone::bad,
          payload.at("message").get<std::string>() +
              (payload.value("retry", false) ? "; trying again" : ""));
}

void Progress::print_verified(const JournalRecord& record) {
    const std::string verdict = record.payload.at("verdict");
    const std::string message = record.payload.at("message");
    if (verdict == "unknown") {
        print(record, "in doubt", Tone::bad, message);
    } else if (verdict != "done") {
        print(record, "not done", Tone::warn, message);
    } else if (ended_well_.contains(key(record))) {
        print(record, "verified", Tone::good, message);
    } else {
        print(record, "was done", Tone::warn, message);
    }
}

void Progress::print_answer(const JournalRecord& record) {
    const nlohmann::json& payload = record.payload;
    const std::string why_not = payload.at("why_not");
    const std::string comment = payload.at("comment");
    print_gate(record,
               payload.at("yes").get<bool>() ? "yes" : "no",
               why_not.empty() ? Tone::good : Tone::warn,
               "by " + payload.at("by").get<std::string>() +
                   (comment.empty() ? "" : ": " + comment) +
                   (why_not.empty() ? "" : "; it does not count: " + why_not));
}

void Progress::operator()(const JournalRecord& record, const RunState& /*state*/) {
    const nlohmann::json& payload = record.payload;
    switch (record.kind) {
        case RecordKind::step_intent:
        case RecordKind::undo_intent:
            return show_begun(record);
        case RecordKind::step_result:
        case RecordKind::undo_result:
            return print_result(record);
        case RecordKind::step_verified:
            return print_verified(record);
        case RecordKind::rollback_started:
            clear_line();
            std::cerr << terminal_.paint("going back: ", Tone::warn)
                      << wrap(payload.at("because").get<std::string>(), 12) << std::endl;
            return;
        case RecordKind::step_skipped: {
            const std::string state = payload.at("state");
            return print(record,
                         state == "already_done" ? "no need" : state,
                         Tone::dim,
                         payload.at("because"));
        }
        case RecordKind::guard_tripped:
            return print(record, "guard", Tone::bad, payload.at("message"));
        case RecordKind::approval_asked:
            return print_gate(record, "asks", Tone::warn, payload.at("message"));
        case RecordKind::approval_answered:
            return print_answer(record);
        case RecordKind::approval_ended:
            return print_gate(record, payload.at("state").get<std::string>(), Tone::strong, "");
        case RecordKind::waiting:
            for (const std::string& what : payload.at("for").get<std::vector<std::string>>()) {
                print_line(record, "waits", Tone::warn, what);
            }
            return;
        case RecordKind::step_accepted:
        case RecordKind::undo_accepted:
            return;
        case RecordKind::run_started:
        case RecordKind::run_resumed:
        case RecordKind::lock_taken:
        case RecordKind::run_ended:
            return clear_line();
        case RecordKind::note:
            clear_line();
            if (payload.contains("slow")) {
                print_line(record, "slow", Tone::warn, payload.at("message"));
            }
            return;
    }
}

void print_event(const JournalRecord& record, const RunHeader& header) {
    nlohmann::json event = record.payload.is_object() ? record.payload : nlohmann::json::object();
    event["event"] = to_text(record.kind);
    event["run"] = header.id;
    event["seq"] = record.seq;
    event["at"] = record.at;
    if (!record.step.empty()) {
        event["step"] = record.step;
        event["member"] = or_null(record.member);
    }
    std::cout << event.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

}  // namespace lockstep
