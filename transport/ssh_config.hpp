#pragma once

#include "base/deadline.hpp"
#include "transport/kexinit_probe.hpp"
#include "transport/process_runner.hpp"
#include "transport/ssh_session.hpp"

#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep {

/// An endpoint with what ssh's configuration says of it: everything that libssh2 needs is there.
struct SshRoute {
    SshEndpoint endpoint;  ///< nothing in it is empty but identity_files
    std::string known_as;  ///< the host's name in known_hosts: HostKeyAlias, else `[host]:port`
    /// ssh(1) looks for the name without the port where that one has no such key; empty: it does
    /// not.
    std::string known_without_port;
    std::string agent_socket;  ///< empty: there is no agent to ask
    std::string proxy;    ///< `ProxyJump bastion`, `ProxyCommand …`: only ssh(1) goes that way
    std::string bastion;  ///< the first hop of ProxyJump: where logins add up; else the host
    SshOffer offer = accepted_algorithms();  ///< what may be agreed on
    std::string only_openssh;  ///< the setting that libssh2 would not obey; empty: there is none
    /// CertificateFile or IdentitiesOnly is set, or a path that only ssh(1) can work out: it may
    /// have keys to show that libssh2 has not.
    bool more_keys = false;

    /// `user@host:port`
    [[nodiscard]] std::string peer() const;
};

/// Asks `ssh -G`, which is the only sure reader of ssh_config(5) with its Match and Include, unless
/// the files that it would read say nothing that matters here. Throws TransportError: connect when
/// the configuration is wrong, with ssh's own words.
[[nodiscard]] SshRoute find_route(const SshEndpoint& endpoint,
                                  ProcessRunner& processes,
                                  Deadline deadline,
                                  const std::stop_token& stop);

/// Whether a configuration file, or one that it includes, may say something that find_route() wants
/// to know. One that does not exist says nothing.
[[nodiscard]] bool config_matters(const std::string& path);

/// The options of ssh(1) that its configuration is read with: file, port and user as far as given.
[[nodiscard]] std::vector<std::string> ssh_config_options(const SshEndpoint& endpoint);

/// Reads the answer of `ssh -G` (OpenSSH 8.4 to 9.9: lines of a lower-case keyword and its value).
/// What `given` has is kept.
[[nodiscard]] SshRoute read_ssh_config(std::string_view answer, const SshEndpoint& given);

}  // namespace lockstep
