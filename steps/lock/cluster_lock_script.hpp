#pragma once

#include "transport/command.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the lock of a cluster is on one member: two files, and the POSIX shell script that works on
/// them. `lock.SCOPE` says who holds the cluster until when, by the member's own clock.
/// `fence.SCOPE` is the greatest number that a run ever held it with; it stays for ever, and
/// whoever comes with a smaller one is refused. Every read-check-write happens under flock(1) on
/// `guard`, under which commands of a run are started, too.
namespace lockstep {

/// `lock.SCOPE`, whatever the scope holds.
[[nodiscard]] std::string lock_file_name(std::string_view scope);

/// A random id of 16 hex digits.
[[nodiscard]] std::string make_lock_id();

/// A lock file. Times are seconds since the epoch by the clock of the member that it is on.
struct LockFile {
    std::string id;
    std::string run;
    std::string who;     ///< `user@host`
    std::string host;    ///< of the engine
    std::string engine;  ///< see own_engine_process()
    std::string left;    ///< what the run left when it ended without giving the lock back
    std::int64_t since = 0;
    std::int64_t renewed = 0;
    std::int64_t expires = 0;
    std::int64_t fence = 0;
};

/// One visit to one member.
struct LockScript {
    enum class Act {
        look,         ///< changes nothing
        take,         ///< writes our lock where nobody else holds it
        renew,        ///< writes our lock and fence where the lock is ours, or nobody else's
        release,      ///< removes our lock, or marks it with what is `left`, or puts back `before`
        unlock,       ///< removes the lock `mine.id`, whoever is behind it, and raises the fence
        reset_fence,  ///< writes the fence of `mine`, whatever is there
    };

    Act act = Act::look;
    std::string nonce;  ///< random; begins every line of the answer
    std::string scope;
    LockFile mine;                   ///< id, run, who, host, engine, left; for renew the fence
    std::string gone;                ///< take: this lock's engine is gone; its expiry is no matter
    std::optional<LockFile> before;  ///< release: the lock that ours had taken the place of
    bool ours = false;               ///< renew: the lock was ours here before
    /// renew: a fence above ours that the majority knows nothing of: it is put back to ours.
    std::optional<std::int64_t> odd_fence;
    bool look_for_commands = false;  ///< renew: refuse while a command of another run runs here
    std::chrono::seconds ttl{60};
    std::string folder;  ///< on the member; empty: /var/lib/lockstep for root (member_folder.hpp)
};

[[nodiscard]] std::string render(const LockScript& script);

/// A command of another run that still runs on the member.
struct RunningCommand {
    std::string key;  ///< `RUN.…`
    std::chrono::seconds age{0};

    [[nodiscard]] std::string run() const { return key.substr(0, key.find('.')); }
};

/// What the member answered.
struct LockAnswer {
    enum class State {
        ours,      ///< take, renew: our lock is on file
        held,      ///< take, renew: an unexpired lock of another
        busy,      ///< take, renew: a command of another run still runs
        lost,      ///< renew: another has our lock, or the fence is greater than ours
        released,  ///< release: it was ours
        removed,   ///< unlock
        nothing,   ///< release, unlock: no lock of that id; look
    };

    State state = State::nothing;
    std::optional<LockFile> lock;  ///< that was there before
    std::int64_t fence = 0;        ///< the greatest one seen, before
    std::int64_t now = 0;
    std::vector<RunningCommand> commands;

    [[nodiscard]] std::chrono::seconds ago(std::int64_t at) const {
        return std::chrono::seconds{at < now ? now - at : 0};
    }
};

/// Throws Error when the script could not do its work; nothing is known of the lock then.
[[nodiscard]] LockAnswer read_answer(const LockScript& script, const CommandResult& result);

}  // namespace lockstep
