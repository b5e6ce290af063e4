#include "steps/write_probe.hpp"

#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "transport/psql_script.hpp"

#include <cmath>
#include <cstdlib>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

// Transactional, so that a commit is waited for like any client's.
constexpr const char* k_write =
    "SELECT extract(epoch FROM pg_catalog.clock_timestamp()) "
    "FROM pg_catalog.pg_logical_emit_message(true, 'lockstep'::pg_catalog.text, "
    "'write probe'::pg_catalog.text)";
// The same on a member that leads; nothing on another.
constexpr const char* k_write_where_it_leads =
    "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN NULL "
    "WHEN pg_catalog.pg_logical_emit_message(true, 'lockstep'::pg_catalog.text, "
    "'write probe'::pg_catalog.text) IS NULL THEN NULL "
    "ELSE extract(epoch FROM pg_catalog.clock_timestamp()) END";
constexpr const char* k_begin = "SET search_path = pg_catalog, pg_temp;";

bool names_the_cause(const std::string& words) {
    return words.find("FATAL:") != std::string::npos || words.find("PANIC:") != std::string::npos;
}

// A probe never outlives this, whatever happens to us.
constexpr auto k_longest = 12h;

}  // namespace

WriteProbe::WriteProbe(const ProbeSettings& settings,
                       std::vector<MemberFacts> members,
                       Connections& connections)
    : settings_(settings), members_(std::move(members)), connections_(connections) {
    for (const MemberFacts& member : members_) {
        if (member.is_leader()) {
            writer_ = member.name;
        }
    }
    for (const MemberFacts& member : members_) {
        threads_.emplace_back([this, &member](std::stop_token stop) {
            try {
                settings_.over_ssh ? run_over_ssh(member, std::move(stop))
                                   : run_from_here(member, std::move(stop));
            } catch (const std::exception& error) {
                failed(member.name, error.what());
            }
        });
    }
}

WriteProbe::~WriteProbe() {
    stop();
}

void WriteProbe::stop() {
    if (threads_.empty()) {
        return;
    }
    {
        // A server that hangs to the end writes no line that would show the gap.
        const std::lock_guard lock(mutex_);
        if (report_.writes > 0) {
            const auto silent = std::chrono::duration_cast<std::chrono::milliseconds>(
                std::chrono::steady_clock::now() - last_arrival_);
            report_.longest_gap = std::max(report_.longest_gap, silent);
        }
    }
    for (std::jthread& thread : threads_) {
        thread.request_stop();
    }
    threads_.clear();
}

std::string WriteProbe::statement() const {
    return settings_.follows ? k_write_where_it_leads : k_write;
}

ProbeReport WriteProbe::report() const {
    const std::lock_guard lock(mutex_);
    return report_;
}

void WriteProbe::run_over_ssh(const MemberFacts& member, std::stop_token stop) {
    const std::unique_ptr<SshSession> session = connections_.extra_session(member);
    const double pause = static_cast<double>(settings_.every.count()) / 1000.0;
    const PsqlSettings psql = connections_.psql_settings(member);
    // One psql for as long as it lives; a new one when the server ended the connection. When our
    // side goes away, the pipe breaks and the loops end with it.
    const std::string script =
        "cd /\n"  // psql up to 15 complains of a folder that it may not read
        "export LC_ALL=C PGAPPNAME=lockstep-write-probe PGCONNECT_TIMEOUT=5\n"
        "while :; do\n  { echo " +
        shell_quote(k_begin) + "; while sleep " + std::to_string(pause) + "; do echo " +
        shell_quote(statement() + ";") + " || exit 0; done; } | \\\n  " + psql.become +
        " psql -XAtqw -d " + shell_quote(psql_database(psql.database)) +
        (psql.user.empty() ? "" : " -U " + shell_quote(psql.user)) + " -p " +
        std::to_string(psql.port) + " 2>&1 | sed -u 's/^[^0-9]/error &/'\n" +
        "  echo 'error the connection ended' || exit 0\n  sleep 0.1\ndone\n";
    RemoteCommand command{.script = script};
    ProbeReader reader;
    command.on_output = [this, &reader, &member](std::string_view text) {
        for (const ProbeReader::Event& event : reader.read(text)) {
            event.written_at ? wrote(member.name, *event.written_at)
                             : failed(member.name, event.why);
        }
    };
    try {
        session->run(command, Deadline::after(k_longest), stop);
    } catch (const TransportError& error) {
        if (!stop.stop_requested()) {
            throw;
        }
    }
}

void WriteProbe::run_from_here(const MemberFacts& member, std::stop_token stop) {
    SystemClock clock;
    const std::unique_ptr<SqlClient> client = connections_.extra_sql(member);
    const SqlStatement write{.text = statement(), .params = {}, .read_only = false};
    while (clock.sleep_for(settings_.every, stop)) {
        try {
            const SqlResult result = client->query(write, Deadline::after(30s), stop);
            if (const std::optional<std::string>& at = result.rows.at(0).at(0)) {
                wrote(member.name, std::strtod(at->c_str(), nullptr));
            }
        } catch (const std::exception& error) {
            if (!stop.stop_requested()) {
                failed(member.name, error.what());
            }
        }
    }
}

std::vector<ProbeReader::Event> ProbeReader::read(std::string_view text) {
    std::vector<Event> events;
    for (const char c : text) {
        if (c != '\n') {
            line_ += c;
            continue;
        }
        take_line(events);
        line_.clear();
    }
    return events;
}

/// A write has failed when the server says so, or when the connection ended; FATAL ends it as well,
/// and is counted then.
void ProbeReader::take_line(std::vector<Event>& events) {
    if (line_ == k_ended) {
        events.push_back(
            {std::nullopt, last_words_.empty() ? "the connection ended" : last_words_});
        last_words_.clear();
    } else if (line_.starts_with(k_said)) {
        const std::string words = line_.substr(k_said.size());
        if (words.find("ERROR:") != std::string::npos) {
            events.push_back({std::nullopt, words});
        } else if (!words.starts_with('\t') && !names_the_cause(last_words_)) {
            last_words_ = words;
        }
    } else if (!line_.empty()) {
        events.push_back({std::strtod(line_.c_str(), nullptr), {}});
        last_words_.clear();
    }
}

void WriteProbe::wrote(const std::string& member, double at) {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (report_.writes > 0) {
        const auto gap =
            writer_ == member
                ? std::chrono::milliseconds{std::llround((at - last_write_) * 1000.0)}
                : std::chrono::duration_cast<std::chrono::milliseconds>(now - last_arrival_);
        report_.longest_gap = std::max(report_.longest_gap, gap);
    }
    writer_ = member;
    last_write_ = at;
    last_arrival_ = now;
    ++report_.writes;
}

/// Of who does not lead a failure means nothing to a client.
void WriteProbe::failed(const std::string& member, const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (member == writer_) {
        ++report_.errors;
        report_.last_error = why;
    }
}

}  // namespace lockstep
