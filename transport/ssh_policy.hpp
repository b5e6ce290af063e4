#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

struct SshRoute;

/// The keywords of ssh_config(5) that say what a login may be like, in lower case: apply_policy()
/// reads them.
[[nodiscard]] const std::vector<std::string_view>& policy_keywords();

/// One line of `ssh -G`. What libssh2 may agree on becomes less, by `HostKeyAlgorithms`, `Ciphers`
/// and the like; where it could not obey, `RevokedHostKeys` or `BindAddress`, or nothing is left of
/// what it can do, `only_openssh` says so.
void apply_policy(SshRoute& route, std::string_view keyword, const std::string& value);

}  // namespace lockstep
