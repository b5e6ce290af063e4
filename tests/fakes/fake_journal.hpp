#pragma once

#include "base/error.hpp"
#include "engine/journal.hpp"

#include <map>

namespace lockstep {

/// Keeps runs in memory; can fail like a full disk.
class FakeJournal final : public JournalStore {
  public:
    std::vector<RunHeader> headers;
    std::map<std::string, std::vector<JournalRecord>> kept;
    int fail_at = 0;  ///< the append with this number (from 1) throws; 0: none does

    void create(const RunHeader& run) override { headers.push_back(run); }

    void append(const std::string& run, const JournalRecord& record) override {
        if (++appended_ == fail_at) {
            throw JournalError("the disk is full");
        }
        kept[run].push_back(record);
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

  private:
    int appended_ = 0;
};

}  // namespace lockstep
