#pragma once

#include "cluster/facts.hpp"
#include "steps/observation/connections.hpp"

#include <stop_token>
#include <string>
#include <vector>

/// Whether this machine can do its work on each member: what `lockstep doctor` tells.
namespace lockstep {

/// One way to one member.
struct Way {
    enum class Verdict {
        ok,
        limited,  ///< it works, and not for everything: `access.hint` says what not
        failed,
    };

    std::string member;
    std::string name;  ///< SSH, root, tools, REST, REST changes, SQL
    std::string how;   ///< `sudo without a password`
    Verdict verdict = Verdict::ok;
    Access access;
    std::vector<std::string> sudoers;  ///< lines that would let it work
};

/// The ways to all members, by member, after an observation with probe_write_access(). Visits each
/// member once more, all at the same time, as who logs in; changes nothing.
[[nodiscard]] std::vector<Way> find_reachability(Connections& connections,
                                                 const ClusterFacts& facts,
                                                 std::stop_token stop);

}  // namespace lockstep
