#include "transport/libssh2_session.hpp"

#include "base/deadline.hpp"
#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "transport/kexinit_probe.hpp"
#include "transport/known_hosts.hpp"
#include "transport/libssh2_auth.hpp"
#include "transport/libssh2_exec.hpp"
#include "transport/libssh2_link.hpp"
#include "transport/login_gate.hpp"
#include "transport/tcp_connect.hpp"
#include "transport/wait_fd.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;
using std::chrono::milliseconds;

// Each is cut by the caller's deadline. A login is a handful of round trips and 50 ms of CPU.
constexpr milliseconds k_tcp_timeout{10'000};
constexpr milliseconds k_login_timeout{30'000};
constexpr milliseconds k_probe_timeout{3'000};
// Opening a channel on a connection that slept: a dead host must not use up a long deadline.
constexpr milliseconds k_open_timeout{10'000};
constexpr milliseconds k_close_timeout{2'000};
constexpr std::string_view k_opening = "opening a session";

/// Whether the server hung up before or while keys were exchanged.
bool closed_early(int rc) {
    constexpr std::array k_codes{LIBSSH2_ERROR_BANNER_RECV,
                                 LIBSSH2_ERROR_BANNER_SEND,
                                 LIBSSH2_ERROR_SOCKET_SEND,
                                 LIBSSH2_ERROR_SOCKET_DISCONNECT,
                                 LIBSSH2_ERROR_SOCKET_RECV};
    return std::find(k_codes.begin(), k_codes.end(), rc) != k_codes.end();
}

std::string read_text(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
}

/// The types of the known keys first: libssh2 and the server agree on the first of ours that the
/// server has, and a host known by its Ed25519 key alone must not answer with another one.
std::string host_key_preference(std::string_view types, const std::vector<KnownKey>& known) {
    std::string first;
    std::string rest;
    while (!types.empty()) {
        const std::string_view type = types.substr(0, types.find(','));
        types.remove_prefix(std::min(type.size() + 1, types.size()));
        const bool is_known = std::any_of(known.begin(), known.end(), [type](const KnownKey& key) {
            return !key.revoked && !key.authority && key.type == type;
        });
        std::string& list = is_known ? first : rest;
        list += (list.empty() ? "" : ",") + std::string(type);
    }
    return first.empty() || rest.empty() ? first + rest : first + "," + rest;
}

/// Where revoked keys stand.
std::string revoked_in(const std::vector<KnownKey>& known) {
    std::string text;
    for (const KnownKey& key : known) {
        if (key.revoked) {
            text = key.file + " (line " + std::to_string(key.line) + ")";
        }
    }
    return text;
}

class Libssh2Session final : public SshSession {
  public:
    explicit Libssh2Session(SshRoute route)
        : route_(std::move(route)), endpoint_(route_.endpoint) {}

    CommandResult run(const RemoteCommand& command,
                      Deadline deadline,
                      std::stop_token stop) override;

    [[nodiscard]] std::string peer() const override { return route_.peer(); }

    [[nodiscard]] std::string_view client() const override { return "libssh2"; }

  private:
    using Link = std::unique_ptr<Libssh2Link>;

    struct Handshake {
        Link link;  ///< nothing: it did not work
        std::string problem;
        bool refused = false;  ///< nobody listens
        bool dropped = false;  ///< the server hung up before it said anything
    };

    /// Refused connections, and those that are closed at once, are tried again.
    Link log_in(Deadline deadline, const std::stop_token& stop) const;
    Handshake shake_hands(const std::vector<KnownKey>& known, const WaitTerms& terms) const;
    void set_algorithms(const Libssh2Link& link, const std::vector<KnownKey>& known) const;
    void verify_host_key(const Libssh2Link& link, const std::vector<KnownKey>& known) const;
    [[noreturn]] void throw_changed(const std::vector<KnownKey>& known,
                                    std::string_view blob) const;
    [[noreturn]] void throw_unknown(const std::vector<KnownKey>& known,
                                    std::string_view blob) const;
    [[noreturn]] void throw_unreachable(const Handshake& handshake, const WaitTerms& terms) const;

    [[nodiscard]] std::vector<KnownKey> known_keys() const;

    SshRoute route_;
    const SshEndpoint& endpoint_;
    Link link_;
};

CommandResult Libssh2Session::run(const RemoteCommand& command,
                                  Deadline deadline,
                                  std::stop_token stop) {
    // Out of the member while in use: whatever throws below drops the connection, which is then in
    // the middle of something.
    Link link = std::move(link_);
    std::optional<Libssh2Exec> exec;
    if (link != nullptr) {
        exec.emplace(*link, command);
        // A connection that died since the last command is replaced: nothing was sent on it.
        if (!exec->open({deadline.within(k_open_timeout), stop, Kind::connect, k_opening})) {
            exec.reset();
            link.reset();
        }
    }
    if (link == nullptr) {
        link = log_in(deadline, stop);
        exec.emplace(*link, command);
        if (!exec->open({deadline, stop, Kind::connect, k_opening})) {
            throw TransportError(Kind::connect,
                                 peer() + ": cannot open a session: " + link->last_error());
        }
    }
    CommandResult result = exec->run({deadline, std::move(stop), Kind::timeout, "the command ran"});
    if (exec->close(deadline.within(k_close_timeout))) {
        link_ = std::move(link);
    }
    return result;
}

Libssh2Session::Link Libssh2Session::log_in(Deadline deadline, const std::stop_token& stop) const {
    const std::vector<KnownKey> known = known_keys();
    LoginGate& gate = LoginGate::of_process();
    const WaitTerms terms{deadline.within(k_login_timeout), stop, Kind::connect, "connecting"};
    for (int attempt = 1;; ++attempt) {
        {
            const LoginGate::Pass pass = gate.enter(route_.bastion, terms.deadline, stop);
            Handshake handshake = shake_hands(known, terms);
            if (handshake.link != nullptr) {
                verify_host_key(*handshake.link, known);
                authenticate(*handshake.link,
                             route_,
                             {deadline.within(k_login_timeout), stop, Kind::connect, "logging in"});
                return std::move(handshake.link);
            }
            if ((!handshake.refused && !handshake.dropped) || attempt == k_most_login_attempts) {
                throw_unreachable(handshake, terms);
            }
            if (handshake.dropped) {
                gate.slow_down(route_.bastion);
            }
        }
        back_off(attempt, peer(), terms.deadline, stop);
    }
}

std::vector<KnownKey> Libssh2Session::known_keys() const {
    std::vector<KnownKey> all;
    for (const std::string& path : endpoint_.known_hosts) {
        const std::string text = read_text(path);
        for (const bool without_port : {false, true}) {
            const std::string& name = without_port ? route_.known_without_port : route_.known_as;
            if (name.empty()) {
                continue;  // a pattern would match it
            }
            for (KnownKey& key : find_known_keys(text, name)) {
                key.file = path;
                key.without_port = without_port;
                all.push_back(std::move(key));
            }
        }
    }
    return all;
}

/// Connects and exchanges keys.
Libssh2Session::Handshake Libssh2Session::shake_hands(const std::vector<KnownKey>& known,
                                                      const WaitTerms& terms) const {
    Handshake result;
    TcpAttempt tcp = tcp_connect(
        endpoint_.host, endpoint_.port, terms.deadline.within(k_tcp_timeout), terms.stop);
    result.refused = tcp.refused;
    result.problem = std::move(tcp.problem);
    if (tcp.socket) {
        auto link = std::make_unique<Libssh2Link>(std::move(tcp.socket), peer());
        set_algorithms(*link, known);
        const int rc = link->repeat(
            [&] { return ::libssh2_session_handshake(link->session(), link->socket()); }, terms);
        if (rc == 0) {
            result.link = std::move(link);
            return result;
        }
        result.dropped = closed_early(rc);
        result.problem = link->last_error();
    }
    return result;
}

void Libssh2Session::set_algorithms(const Libssh2Link& link,
                                    const std::vector<KnownKey>& known) const {
    const SshOffer& ours = route_.offer;
    const std::array<std::pair<int, std::string>, 6> preferences{{
        {LIBSSH2_METHOD_KEX, ours.key_exchanges},
        {LIBSSH2_METHOD_HOSTKEY, host_key_preference(ours.host_keys, known)},
        {LIBSSH2_METHOD_CRYPT_CS, ours.ciphers},
        {LIBSSH2_METHOD_CRYPT_SC, ours.ciphers},
        {LIBSSH2_METHOD_MAC_CS, ours.macs},
        {LIBSSH2_METHOD_MAC_SC, ours.macs},
    }};
    for (const auto& [method, names] : preferences) {
        // It drops the names it does not know, and fails when none is left.
        if (::libssh2_session_method_pref(link.session(), method, names.c_str()) != 0) {
            throw Libssh2Limit(Kind::connect,
                               peer() + ": this libssh2 knows none of the algorithms " + names,
                               "Allow others, in ssh's configuration.");
        }
    }
}

void Libssh2Session::verify_host_key(const Libssh2Link& link,
                                     const std::vector<KnownKey>& known) const {
    std::size_t length = 0;
    int type = 0;
    const char* bytes = ::libssh2_session_hostkey(link.session(), &length, &type);
    const std::string_view blob(bytes, bytes == nullptr ? 0 : length);
    const std::string shown = key_type(blob) + " " + key_fingerprint(blob);
    switch (judge_host_key(known, blob)) {
        case HostKeyVerdict::known:
            return;
        case HostKeyVerdict::revoked:
            throw TransportError(
                Kind::host_key,
                peer() + ": the host key is revoked: " + shown + " in " + revoked_in(known),
                "Do not log in there: give the host a new key first.");
        case HostKeyVerdict::changed:
            throw_changed(known, blob);
        case HostKeyVerdict::unknown:
            throw_unknown(known, blob);
    }
}

void Libssh2Session::throw_changed(const std::vector<KnownKey>& known,
                                   std::string_view blob) const {
    std::string expected;
    std::string file;
    for (const KnownKey& key : known) {
        if (!key.revoked && !key.authority && !key.without_port && key.type == key_type(blob)) {
            expected += (expected.empty() ? "" : ", ") + key_fingerprint(key.blob) + " (line " +
                        std::to_string(key.line) + ")";
            file = key.file;
        }
    }
    throw TransportError(
        Kind::host_key,
        peer() + ": the host key has changed: the server shows " + key_type(blob) + " " +
            key_fingerprint(blob) + ", " + file + " has " + expected,
        "Somebody may be in between. If the host was reinstalled, remove the old key: ssh-keygen "
        "-R " +
            shell_quote(route_.known_as) + " -f " + shell_quote(file));
}

void Libssh2Session::throw_unknown(const std::vector<KnownKey>& known,
                                   std::string_view blob) const {
    const std::string file =
        endpoint_.known_hosts.empty() ? "known_hosts" : endpoint_.known_hosts.front();
    const std::string type = key_type(blob);
    const std::string what = peer() + ": the host key is not known: " + type + " " +
                             key_fingerprint(blob) + " is not in " + file + ", ";
    const std::string compare =
        "Compare the fingerprint with ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub on the host, then "
        "add the key: ssh-keyscan -p " +
        std::to_string(endpoint_.port) + " -t " + (type == "ssh-ed25519" ? "ed25519" : "ecdsa") +
        " " + shell_quote(endpoint_.host) + " >> " + shell_quote(file);
    // ssh(1) would ask the host for a key, or a certificate, of the kind that is known.
    for (const KnownKey& key : known) {
        if (key.authority) {
            throw Libssh2Limit(
                Kind::host_key, what + "which has an authority for its certificates", compare);
        }
        if (!key.revoked && key.type == "ssh-rsa") {
            throw Libssh2Limit(
                Kind::host_key, what + "which has a key of type ssh-rsa for it", compare);
        }
    }
    std::string has = "which does not know the host";
    for (const KnownKey& key : known) {
        if (!key.revoked) {
            has = "which has a key of type " + key.type + " for it";
        }
    }
    throw TransportError(Kind::host_key, what + has, compare);
}

void Libssh2Session::throw_unreachable(const Handshake& handshake, const WaitTerms& terms) const {
    const std::string message = peer() + ": cannot connect: " + handshake.problem;
    std::string hint = handshake.refused
                           ? "Check that sshd runs on the host and listens on this port."
                           : "Check that the host is up and that no firewall is between.";
    if (handshake.problem.find("libssh2") != std::string::npos) {
        hint =
            "The server may have too many logins at once (sshd's MaxStartups), or punish this "
            "address (PerSourcePenalties).";
        const auto offer = probe_kexinit(
            endpoint_.host, endpoint_.port, terms.deadline.within(k_probe_timeout), terms.stop);
        const std::string mismatch = offer ? explain_mismatch(*offer, route_.offer) : std::string();
        if (!mismatch.empty()) {
            throw Libssh2Limit(Kind::connect,
                               message + "; " + mismatch,
                               "Let the server offer one of ours (Ciphers, MACs, KexAlgorithms, "
                               "HostKey in sshd_config).");
        }
    }
    throw TransportError(Kind::connect, message, hint);
}

}  // namespace

std::unique_ptr<SshSession> make_libssh2_session(SshRoute route) {
    return std::make_unique<Libssh2Session>(std::move(route));
}

}  // namespace lockstep
