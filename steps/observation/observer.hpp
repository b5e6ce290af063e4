#pragma once

/// steps/observation/: looks at a cluster without touching it, by REST, one script a member over
/// SSH, and SQL, and holds the connections for that. What it sees becomes facts; what they mean is
/// for cluster/. Read observer.cpp first, then connections.hpp, member_script.hpp and
/// patroni_api.hpp.

#include "base/clock.hpp"
#include "cluster/facts.hpp"
#include "steps/observation/connections.hpp"

#include <stop_token>

namespace lockstep {

/// How much is asked.
enum class Depth {
    quick,  ///< REST alone: roles, versions that run, pause, positions, postmaster start times
    full,   ///< and one SSH script a member: packages, unit, disk, WAL and slots (by SQL)
};

class Observer {
  public:
    Observer(Connections& connections, Clock& clock) : connections_(connections), clock_(clock) {}

    /// The members that every later observation has, whether Patroni lists them or not: a run knows
    /// its own from the plan on. One whose daemon does not start is gone from the DCS after `ttl`,
    /// and is the very one that has to be mended.
    void remember(const ClusterFacts& known);

    /// Every member, in parallel, each bounded by `timeout`. Members are those that Patroni lists,
    /// those that the inventory names, and those that are remembered. A member that does not answer
    /// is in the result with its Access errors. Throws TransportError only when no endpoint of the
    /// cluster answered at all.
    [[nodiscard]] ClusterFacts observe(Depth depth,
                                       std::chrono::milliseconds timeout,
                                       std::stop_token stop);

    /// Whether the REST API accepts changes from us, asked in a way that can change nothing: a
    /// PATCH of /config with an empty object is 400 after the access check and 401 or 403 before it
    /// (patroni/api.py, _read_json_content and check_access, 2.1 to 4.1).
    void probe_write_access(ClusterFacts& facts, std::stop_token stop);

  private:
    /// An endpoint that is no member's, or a member's API once more: by a connection of its own.
    [[nodiscard]] EndpointFacts ask_beside(const std::string& url,
                                           std::chrono::milliseconds timeout,
                                           std::stop_token stop);
    void ask_again_where_they_differ(ClusterFacts& facts,
                                     std::chrono::milliseconds timeout,
                                     std::stop_token stop);

    Connections& connections_;
    Clock& clock_;
    std::vector<MemberFacts> remembered_;  ///< name and where it is; nothing of how it is
};

/// `facts` with slots marked stuck. Takes a second sample, three loops after the first, only when a
/// slot looks suspicious; `earlier` (may be null) spares the wait when it is old enough.
void settle_slots(ClusterFacts& facts,
                  const ClusterFacts* earlier,
                  Observer& observer,
                  Clock& clock,
                  std::stop_token stop,
                  std::chrono::milliseconds timeout = std::chrono::seconds{60});

}  // namespace lockstep
