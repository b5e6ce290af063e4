#pragma once

#include <string>

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

/// The name of this machine; empty where the system does not say.
[[nodiscard]] std::string own_host();

}  // namespace lockstep
