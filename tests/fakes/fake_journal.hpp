#pragma once

#include "base/error.hpp"
#include "engine/journal/journal.hpp"

#include <map>

namespace lockstep {

/// Keeps runs in memory; can fail like a full disk.
class FakeJournal final : public JournalStore {
  public:
    std::vector<RunHeader> headers;
    std::map<std::string, std::vector<JournalRecord>> kept;
    std::map<std::string, std::vector<Answer>> given;
    std::vector<StepLength> lengths;  ///< what step_lengths() says
    int fail_at = 0;                  ///< the append with this number (from 1) throws; 0: none does
    /// The engine dies at the append with this number: before it is written, or right after.
    int die_before = 0;
    int die_after = 0;

    std::vector<std::size_t> together;  ///< how many records came in one go

    struct Death {};  ///< not an error: nobody catches the end of a process

    void create(const RunHeader& run) override { headers.push_back(run); }

    void append(const std::string& run, const JournalRecord& record) override {
        ++appended_;
        if (appended_ == fail_at) {
            throw JournalError("the disk is full");
        }
        if (appended_ == die_before) {
            throw Death{};
        }
        kept[run].push_back(record);
        if (appended_ == die_after) {
            throw Death{};
        }
    }

    void append_all(const std::string& run, const std::vector<JournalRecord>& records) override {
        together.push_back(records.size());
        JournalStore::append_all(run, records);
    }

    void answer(const std::string& run, const Answer& answer) override {
        given[run].push_back(answer);
        given[run].back().number = static_cast<std::int64_t>(given[run].size());
    }

    std::vector<Answer> answers(const std::string& run) override { return given[run]; }

    std::vector<StepLength> step_lengths(const std::string& /*cluster*/,
                                         std::size_t /*runs*/) override {
        return lengths;
    }

    std::vector<RunHeader> runs() override { return {headers.rbegin(), headers.rend()}; }

    std::optional<RunHeader> find(const std::string& run) override {
        for (const RunHeader& header : headers) {
            if (header.id == run) {
                return header;
            }
        }
        return std::nullopt;
    }

    std::vector<JournalRecord> records(const std::string& run) override { return kept[run]; }

    [[nodiscard]] int appended() const { return appended_; }

    void count_from_here() { appended_ = 0; }

  private:
    int appended_ = 0;
};

}  // namespace lockstep
