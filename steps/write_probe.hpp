#pragma once

#include "engine/plan/step_runner.hpp"
#include "steps/observation/connections.hpp"

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace lockstep {

/// Takes apart what the probe's script prints: writes, and writes that failed. What psql says
/// beside that is at most why.
class ProbeReader {
  public:
    struct Event {
        std::optional<double> written_at;  ///< by the server's clock; absent: it failed
        std::string why;
    };

    [[nodiscard]] std::vector<Event> read(std::string_view text);

    /// A mark before each line that is no answer, and the line that says that psql has ended.
    static constexpr std::string_view k_said = "error ";
    static constexpr std::string_view k_ended = "error the connection ended";

  private:
    void take_line(std::vector<Event>& events);

    std::string line_;        ///< an incomplete line of output
    std::string last_words_;  ///< of psql since its last answer
};

/// A client that commits a tiny transaction again and again, to see what users of the database see.
/// It leaves nothing behind: pg_logical_emit_message (PostgreSQL 9.6+) writes WAL without a table.
/// Has a connection of its own; times are the server's, so a slow network is no gap. Where the
/// leader may move it has one to each member, and who leads takes the write: between two servers
/// the gap is by when we heard of it, since their clocks may differ.
class WriteProbe {
  public:
    /// Starts at once, on these members.
    WriteProbe(const ProbeSettings& settings,
               std::vector<MemberFacts> members,
               Connections& connections);
    WriteProbe(const WriteProbe&) = delete;
    WriteProbe& operator=(const WriteProbe&) = delete;
    ~WriteProbe();

    [[nodiscard]] ProbeReport report() const;
    void stop();

  private:
    void run_over_ssh(const MemberFacts& member, std::stop_token stop);
    void run_from_here(const MemberFacts& member, std::stop_token stop);
    void wrote(const std::string& member, double at);
    void failed(const std::string& member, const std::string& why);
    [[nodiscard]] std::string statement() const;

    ProbeSettings settings_;
    std::vector<MemberFacts> members_;
    Connections& connections_;
    mutable std::mutex mutex_;  // guards what follows
    ProbeReport report_;
    double last_write_ = 0;  ///< seconds since the epoch, the server's clock
    std::chrono::steady_clock::time_point last_arrival_;  ///< when we heard of it
    std::string writer_;  ///< who took the last write; at first who led

    std::vector<std::jthread> threads_;
};

}  // namespace lockstep
