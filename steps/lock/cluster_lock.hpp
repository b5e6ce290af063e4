#pragma once

/// steps/lock/: one run a cluster: taking, renewing, releasing and breaking the lock. Who has to
/// stop when it is lost is for engine/run/ (StepRunner::lock_trouble). Read this file first, then
/// cluster_lock_script.hpp, the member's side.

#include "base/clock.hpp"
#include "cluster/facts.hpp"
#include "engine/plan/step_runner.hpp"
#include "steps/lock/cluster_lock_script.hpp"
#include "steps/observation/connections.hpp"

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

/// The lock is kept on the members themselves, so that two machines exclude each other whatever the
/// DCS is: it is held by who holds it on a majority of all members. A lease alone excludes nobody,
/// because its holder may be frozen between looking at it and acting. So every holder has a fence,
/// a number greater than that of any before, which the members remember; a command that comes with
/// a smaller one is not started there. cluster/fences.hpp says which of their numbers count, and
/// why. What one member says of the lock is its own affair: held is what a majority confirms, and
/// lost what a majority cannot confirm any more. One thing no majority knows: that a command of
/// another run is still at work on a member. It is believed before anything has begun there.
namespace lockstep {

/// Who holds, or wants, the lock of a cluster.
struct LockOwner {
    std::string id;  ///< random: make_lock_id()
    std::string run;
    std::string who;  ///< `user@host`
};

/// How long the lock lasts without being renewed, and how it is renewed.
struct LockTiming {
    std::chrono::seconds ttl{60};
    std::chrono::milliseconds every{15000};
    /// How long before its end we stop relying on it: clocks differ, and what is begun takes time.
    std::chrono::milliseconds margin{10000};
    std::chrono::milliseconds connect{10000};  ///< a member may take so long to be reached
    std::chrono::milliseconds answer{5000};    ///< and so long to answer a renewal
};

/// The lock of one run. Has SSH sessions of its own, so that a renewal waits for no step, and a
/// thread that renews. Its functions are for one thread, that of the executor.
class ClusterLock {
  public:
    /// Nothing is sent yet. `scope` is Patroni's: it names the lock on the members.
    ClusterLock(Connections& connections,
                Clock& clock,
                const ClusterFacts& facts,
                std::string scope,
                LockTiming timing = {});
    ClusterLock(const ClusterLock&) = delete;
    ClusterLock& operator=(const ClusterLock&) = delete;
    /// Stops renewing. Does not release.
    ~ClusterLock();

    /// Takes the lock on a majority of the members, one after the other by name, then raises the
    /// fence there, and renews from then on. An expired lock is taken over; so is one whose engine
    /// ran on this machine and is certainly gone. Throws LockHeldError when another run has the
    /// lock of a member, or a command running there, and TransportError (connect) when no majority
    /// can be reached; nothing is held then.
    LockGrant take(const LockOwner& owner, std::stop_token stop);

    /// Why nothing may be started now; empty: the cluster is ours. Costs nothing while the lock is
    /// valid for a while yet; else waits up to `patience` for a renewal, which it asks for.
    [[nodiscard]] std::string trouble(std::chrono::milliseconds patience, std::stop_token stop);

    /// Writes what the run would leave were its engine to die now (`patroni.pause`; empty: nothing)
    /// into the lock, and waits until a majority of the members has it. Why they have not.
    [[nodiscard]] std::string sign(const std::string& would_leave,
                                   std::chrono::milliseconds patience,
                                   std::stop_token stop);
    /// The same where nobody has to wait: it goes with the next renewal.
    void sign_later(const std::string& would_leave);

    /// Ends renewing. Without `left_behind` the lock files go. With it they stay, expired and
    /// marked with what the run left (`patroni.pause`). A member that cannot be reached keeps a
    /// lock that expires by itself.
    void release(const std::string& left_behind);

    /// The number that goes with every command of this run; 0: the lock was not taken.
    [[nodiscard]] std::int64_t fence() const { return mine_.fence; }

  private:
    struct Member {
        MemberFacts at;
        const MemberConnections* link = nullptr;
        std::unique_ptr<SshSession> session;
        bool asked = false;              ///< to take or renew: our lock may be there
        std::string held_by;             ///< the unexpired lock of another, as last seen: its id
        std::optional<LockFile> before;  ///< the lock of another that ours has taken the place of
        std::string taken_over;          ///< that and how
        std::optional<std::int64_t> fence;      ///< as it was found
        std::optional<std::int64_t> odd_fence;  ///< the same, where it does not count
        // Guarded by mutex_ once the renewing thread runs.
        bool ours = false;    ///< by its last answer
        std::string problem;  ///< why its last answer is none
        bool lost = false;    ///< by its last answer another holds the cluster
        std::string command;  ///< of another run that runs there
    };

    [[nodiscard]] std::size_t majority() const { return members_.size() / 2 + 1; }

    [[nodiscard]] LockScript script(LockScript::Act act) const;
    [[nodiscard]] LockAnswer visit(Member& member,
                                   const LockScript& script,
                                   std::chrono::milliseconds timeout,
                                   std::stop_token stop);
    void meet_members(const std::stop_token& stop);
    void take_everywhere(const std::stop_token& stop);
    [[nodiscard]] LockAnswer take_or_take_over(Member& member, const std::stop_token& stop);
    void choose_fence();
    void raise_fence(const std::stop_token& stop);
    [[nodiscard]] LockGrant grant() const;
    [[nodiscard]] bool may_be_held(const std::string& id) const;
    [[noreturn]] void refuse(const Member& member, const LockAnswer& answer) const;
    void require_majority() const;

    void keep(const std::stop_token& stop);
    void renew_all(bool first, const std::stop_token& stop);
    bool note_renewal(Member& member, const LockAnswer& answer, bool asked_for_commands);
    void renew_until(std::unique_lock<std::mutex>& lock,
                     std::chrono::milliseconds patience,
                     const std::stop_token& stop,
                     const std::function<bool()>& settled);
    void stop_renewing();
    /// With `put_back` the locks that were there before ours come back.
    void end_everywhere(const std::string& left_behind, bool put_back);
    [[nodiscard]] bool valid() const;
    [[nodiscard]] std::string why_not_valid() const;

    Clock& clock_;
    std::string cluster_;
    std::string scope_;
    LockTiming timing_;
    LockFile mine_;
    std::vector<Member> members_;  ///< by name

    mutable std::mutex mutex_;  // guards what follows
    std::condition_variable_any wake_;
    std::chrono::milliseconds valid_until_{0};  ///< as Clock::since_boot()
    std::string lost_;                          ///< for good: another holds the cluster
    bool wanted_ = false;                       ///< a renewal, at once
    std::string would_leave_;                   ///< what each renewal writes
    std::size_t sign_ = 0;                      ///< counts its changes
    std::size_t signed_ = 0;                    ///< the last of them that a majority has
    std::size_t renewals_ = 0;                  ///< that are over, whatever came of them

    std::jthread keeper_;
};

/// What `unlock` found on one member.
struct FoundLock {
    std::string member;
    std::string found;  ///< for a person: `the lock of run X by Y, renewed 3 min ago`
    bool has_it = false;
    bool removed = false;
    std::string error;                  ///< why nothing is known of it
    std::optional<std::int64_t> fence;  ///< the greatest lock seen there
};

/// Looks for the lock with this id. Throws UsageError when no member has one, with the ids that
/// there are, and TransportError when no member answered. Changes nothing.
[[nodiscard]] std::vector<FoundLock> find_lock(Connections& connections,
                                               const ClusterFacts& facts,
                                               const std::string& scope,
                                               const std::string& lock_id,
                                               std::stop_token stop);

/// Removes the lock with this id on every member that has it, and raises the fence there, so that
/// its engine, should it come back, starts nothing. Throws as find_lock() does.
[[nodiscard]] std::vector<FoundLock> break_lock(Connections& connections,
                                                const ClusterFacts& facts,
                                                const std::string& scope,
                                                const std::string& lock_id,
                                                std::stop_token stop);

/// The members whose fence does not count (cluster/fences.hpp), or holds no number: `found` says
/// so. Throws UsageError where there are none, or a run is at work; TransportError where too few
/// answer to tell. Changes nothing.
[[nodiscard]] std::vector<FoundLock> find_odd_fences(Connections& connections,
                                                     const ClusterFacts& facts,
                                                     const std::string& scope,
                                                     std::stop_token stop);

/// Puts these back to the greatest fence that counts; `removed`: done. Throws as the above.
[[nodiscard]] std::vector<FoundLock> reset_odd_fences(Connections& connections,
                                                      const ClusterFacts& facts,
                                                      const std::string& scope,
                                                      std::stop_token stop);

}  // namespace lockstep
