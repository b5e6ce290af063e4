#pragma once

#include <string>
#include <string_view>

namespace lockstep {

/// Who runs this program, by the user database and not by $USER: under sudo and cron the
/// environment says something else.
struct Account {
    std::string name;
    std::string home;  ///< $HOME where it is set, as every program that expands ~ does it
};

/// Of the effective user; both empty where the database has no entry (containers) and $HOME is not
/// set.
[[nodiscard]] Account own_account();

/// Whether this process is in a user namespace other than the machine's own. Whoever makes one says
/// as whom they are seen in it. True also where that cannot be looked at.
[[nodiscard]] bool in_user_namespace();

/// Whether a /proc/PID/uid_map is that of the first one, which maps every user to themselves.
[[nodiscard]] bool is_first_uid_map(std::string_view text);

/// The name of this machine; empty where the system does not say.
[[nodiscard]] std::string own_host();

}  // namespace lockstep
