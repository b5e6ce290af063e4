#pragma once

#include "cluster/facts.hpp"
#include "transport/command.hpp"

#include <chrono>
#include <cstdint>
#include <string>

/// Everything that an observation asks a host, in one POSIX shell script and one SSH round trip.
/// The script changes nothing and writes no file. Its output is in sections, set apart by a marker
/// that nobody else can write, and each tells how it ended.
///
/// It believes nobody on the host but root: a process counts by its owner and not by its name, what
/// belongs to others is read and run as these, for a while, and of what they say a little. What
/// hangs costs the facts that it stands for, and the whole ends by itself on the member.
namespace lockstep {

struct MemberScript {
    std::string nonce;    ///< random; marks the line that tells the markers' word
    std::string unit;     ///< of the Patroni daemon
    std::string package;  ///< of Patroni
    std::string os_user;  ///< who may connect by the socket; empty: SQL is asked in another way
    std::uint16_t port = 5432;
    std::string api_port;  ///< of its Patroni's REST API; empty: not known
    std::string role;      ///< of PostgreSQL; empty: the one named as os_user
    std::string database = "postgres";
    std::string scope;  ///< Patroni's: names the lock; empty: not known, nor is the lock
    std::chrono::seconds patience{60};  ///< after which it ends, whoever still waits for it
};

/// A fresh 128 bit nonce in hex.
[[nodiscard]] std::string make_nonce();

[[nodiscard]] std::string render(const MemberScript& script);

/// Reads the output into `member`: boot id, unit, the host's Patronis and postmasters, packages,
/// disk, what lockstep has there, and by SQL wal and slots. What
/// could not be had is in `member.sql` and `member.unknown`; `member.ssh` fails when the script did
/// not run at all.
void read_output(const MemberScript& script, const CommandResult& result, MemberFacts& member);

}  // namespace lockstep
