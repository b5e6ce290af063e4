#include "steps/lock/cluster_lock_words.hpp"

#include "base/units.hpp"

namespace lockstep::lock_words {

std::string owner(const LockFile& lock) {
    if (lock.run.empty()) {
        return "an unknown run (its lock file is damaged)";
    }
    return "run " + lock.run + (lock.who.empty() ? "" : " by " + lock.who);
}

std::string ago(std::chrono::seconds age) {
    return age.count() > 0 ? format_duration(age) + " ago" : "just now";
}

std::string taken_over(const LockAnswer& answer) {
    const LockFile old = answer.lock.value_or(LockFile{});
    const bool expired = old.expires <= answer.now;
    return "took over the lock of " + owner(old) +
           (expired ? ", expired " + ago(answer.ago(old.expires)) : ", whose engine is gone") +
           (old.left.empty() ? "" : "; that run left " + old.left);
}

std::string list(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t n = 0; n < names.size(); ++n) {
        text += (n == 0 ? "" : n + 1 == names.size() ? " and " : ", ") + names[n];
    }
    return text;
}

std::string command(const std::string& member, const LockAnswer& answer) {
    std::vector<std::string> commands;
    for (const RunningCommand& running : answer.commands) {
        commands.push_back(running.key + " of run " + running.run() + ", started " +
                           ago(running.age));
    }
    return "another run's command still runs on " + member + ": " + list(commands);
}

std::string lost(const std::string& cluster,
                 const std::string& member,
                 const LockFile& mine,
                 const LockAnswer& answer) {
    const bool others = answer.lock && answer.lock->id != mine.id;
    const std::string by = others ? "it is held by " + owner(*answer.lock)
                                  : "somebody held it since, or unlocked it (its fence is " +
                                        std::to_string(answer.fence) + ", ours " +
                                        std::to_string(mine.fence) + ")";
    return "the lock of " + cluster + " is lost: on " + member + " " + by;
}

std::string odd_fence(const std::string& member, std::int64_t fence, std::int64_t others) {
    return "the fence of " + member + " is " + std::to_string(fence) +
           ", and that of the others at most " + std::to_string(others);
}

std::string found(const LockAnswer& answer) {
    if (!answer.lock) {
        return "no lock";
    }
    const LockFile& lock = *answer.lock;
    std::string text = "the lock " + lock.id + " of " + owner(lock) + ", renewed " +
                       ago(answer.ago(lock.renewed)) + ", ";
    text += lock.expires > answer.now
                ? "expires in " + format_duration(std::chrono::seconds{lock.expires - answer.now})
                : "expired " + ago(answer.ago(lock.expires));
    if (!lock.left.empty()) {
        text += lock.expires > answer.now ? "; its run has in force " + lock.left
                                          : "; its run left " + lock.left;
    }
    return text;
}

}  // namespace lockstep::lock_words
