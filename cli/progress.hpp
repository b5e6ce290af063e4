#pragma once

#include "cli/terminal.hpp"
#include "engine/run/executor.hpp"

#include <chrono>
#include <map>
#include <set>
#include <string>

namespace lockstep {

/// A line for each step as it ends, on stderr; on a terminal also one for what runs now.
class Progress {
  public:
    explicit Progress(Terminal terminal) : terminal_(terminal) {}

    void operator()(const JournalRecord& record, const RunState& state);

  private:
    void clear_line();
    void show_begun(const JournalRecord& record);
    void print_result(const JournalRecord& record);
    void print_verified(const JournalRecord& record);
    void print_answer(const JournalRecord& record);
    void print(const JournalRecord& record,
               std::string_view word,
               Tone tone,
               const std::string& text);

    void print_gate(const JournalRecord& record,
                    std::string_view word,
                    Tone tone,
                    const std::string& text);
    void print_line(const JournalRecord& record,
                    std::string_view word,
                    Tone tone,
                    const std::string& text);

    Terminal terminal_;
    bool line_open_ = false;
    std::map<std::string, std::chrono::steady_clock::time_point> begun_;
    std::set<std::string> ended_well_;  ///< steps that were seen to
};

/// The same as JSON lines on stdout: one event a record.
void print_event(const JournalRecord& record, const RunHeader& header);

}  // namespace lockstep
