#pragma once

#include "steps/lock/cluster_lock_script.hpp"

#include <string>
#include <vector>

/// How locks are spoken of.
namespace lockstep::lock_words {

inline constexpr const char* k_wait_for_command =
    "Wait until it has ended: what it does to the member is not known before. `lockstep check` "
    "shows it.";

/// `run 20261123-091502-3f2a by ann@ops1`.
[[nodiscard]] std::string owner(const LockFile& lock);
/// `3 min ago`, or `just now`.
[[nodiscard]] std::string ago(std::chrono::seconds age);
/// That ours has taken the place of the lock that was there, and why it could.
[[nodiscard]] std::string taken_over(const LockAnswer& answer);
/// `n1, n2 and n3`.
[[nodiscard]] std::string list(const std::vector<std::string>& names);
/// That commands of another run still run there.
[[nodiscard]] std::string command(const std::string& member, const LockAnswer& answer);
/// Who has the cluster now that we have lost it.
[[nodiscard]] std::string lost(const std::string& cluster,
                               const std::string& member,
                               const LockFile& mine,
                               const LockAnswer& answer);
/// That a member's fence is not one that a run can have left there.
[[nodiscard]] std::string odd_fence(const std::string& member,
                                    std::int64_t fence,
                                    std::int64_t others);
/// What a look found: `the lock of run X by Y, renewed 3 s ago, expires in 57 s`.
[[nodiscard]] std::string found(const LockAnswer& answer);

}  // namespace lockstep::lock_words
