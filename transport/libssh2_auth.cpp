#include "transport/libssh2_auth.hpp"

#include "transport/identity_file.hpp"
#include "transport/known_hosts.hpp"
#include "transport/libssh2_session.hpp"
#include "transport/ssh_agent.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

namespace lockstep {

namespace {

// An agent may ask a person to confirm, but must not keep the others waiting for long.
constexpr std::chrono::seconds k_agent_timeout{10};

/// What libssh2 hands to sign_by_agent().
struct Signer {
    SshAgent* agent = nullptr;
    const AgentKey* key = nullptr;
    const WaitTerms* terms = nullptr;
};

/// libssh2 calls it with the data to be signed and frees what it gets by free().
int sign_by_agent(LIBSSH2_SESSION* /*session*/,
                  unsigned char** sig,
                  size_t* sig_len,
                  const unsigned char* data,
                  size_t data_len,
                  void** abstract) noexcept {
    const auto* signer = static_cast<const Signer*>(*abstract);
    const std::string_view bytes(reinterpret_cast<const char*>(data), data_len);
    const auto signature = signer->agent->sign(
        *signer->key, bytes, signer->terms->deadline.within(k_agent_timeout), signer->terms->stop);
    if (!signature || signature->empty()) {
        return -1;
    }
    *sig = static_cast<unsigned char*>(std::malloc(signature->size()));
    if (*sig == nullptr) {
        return -1;
    }
    std::memcpy(*sig, signature->data(), signature->size());
    *sig_len = signature->size();
    return 0;
}

bool lost_connection(int rc) {
    constexpr std::array k_codes{LIBSSH2_ERROR_SOCKET_SEND,
                                 LIBSSH2_ERROR_SOCKET_DISCONNECT,
                                 LIBSSH2_ERROR_SOCKET_RECV,
                                 LIBSSH2_ERROR_BAD_SOCKET};
    return std::find(k_codes.begin(), k_codes.end(), rc) != k_codes.end();
}

/// One attempt to log in, which remembers for the message what it tried.
class Login {
  public:
    Login(const Libssh2Link& link, const SshRoute& route, const WaitTerms& terms)
        : link_(link), route_(route), endpoint_(route.endpoint), terms_(terms) {}

    void run() {
        if (ask_methods() || try_agent() || try_files()) {
            return;
        }
        fail("the server does not let us in");
    }

  private:
    /// True when the server wants no authentication at all.
    bool ask_methods() {
        const auto length = static_cast<unsigned int>(endpoint_.user.size());
        const char* list = link_.repeat(
            [&] {
                return ::libssh2_userauth_list(link_.session(), endpoint_.user.c_str(), length);
            },
            terms_);
        if (list == nullptr) {
            if (::libssh2_userauth_authenticated(link_.session()) != 0) {
                return true;
            }
            fail("the server does not say how to log in: " + link_.last_error());
        }
        accepted_ = list;
        if (accepted_.find("publickey") == std::string::npos) {
            limit_ = openssh_can_do();
            fail("the server does not accept keys");
        }
        return false;
    }

    bool try_agent() {
        if (!endpoint_.use_agent) {
            return false;
        }
        const std::string& path = route_.agent_socket;
        if (path.empty()) {
            note("agent: SSH_AUTH_SOCK is not set");
            return false;
        }
        std::optional<SshAgent> agent = SshAgent::open(path);
        const auto keys = agent ? agent->keys(terms_.deadline.within(k_agent_timeout), terms_.stop)
                                : std::nullopt;
        link_.check(terms_);
        if (!keys) {
            note("agent: nobody answers at " + path);
            return false;
        }
        if (keys->empty()) {
            note("agent: it holds no key");
        }
        return std::any_of(keys->begin(), keys->end(), [&](const AgentKey& key) {
            return try_agent_key(*agent, key);
        });
    }

    bool try_agent_key(SshAgent& agent, const AgentKey& key) {
        const std::string name = "agent key " + key.comment + " " + key_fingerprint(key.blob);
        const std::string unusable = unusable_key_reason(key_type(key.blob));
        if (!unusable.empty()) {
            return skip_unusable(name, unusable);
        }
        Signer signer{&agent, &key, &terms_};
        void* abstract = &signer;
        const auto* blob = reinterpret_cast<const unsigned char*>(key.blob.data());
        return accepted(name,
                        link_.repeat(
                            [&] {
                                return ::libssh2_userauth_publickey(link_.session(),
                                                                    endpoint_.user.c_str(),
                                                                    blob,
                                                                    key.blob.size(),
                                                                    sign_by_agent,
                                                                    &abstract);
                            },
                            terms_));
    }

    bool try_files() {
        if (endpoint_.identity_files.empty()) {
            note("no identity file is configured");
        }
        return std::any_of(endpoint_.identity_files.begin(),
                           endpoint_.identity_files.end(),
                           [&](const std::string& path) { return try_file(path); });
    }

    bool try_file(const std::string& path) {
        const std::string name = "file " + path;
        const IdentityFile file = inspect_identity_file(path);
        if (file.state == IdentityFile::State::unreadable) {
            return skip(name, "cannot be read: " + file.reason);
        }
        if (file.state == IdentityFile::State::not_a_key) {
            return skip(name, "is not a private key");
        }
        const std::string unusable = unusable_key_reason(file.type);
        if (!unusable.empty()) {
            return skip_unusable(name, unusable);
        }
        if (::access((path + "-cert.pub").c_str(), R_OK) == 0) {
            limit_ = true;  // the server may know the authority and not the key
            note(name + ": its certificate is not shown");
        }
        if (file.encrypted && !endpoint_.passphrase) {
            return skip(name, "is encrypted and there is no passphrase for it");
        }
        // Never null: libssh2 1.10 takes the length of it (src/openssl.c, passphrase_cb).
        const char* passphrase = endpoint_.passphrase ? endpoint_.passphrase->reveal().c_str() : "";
        const auto length = static_cast<unsigned int>(endpoint_.user.size());
        return accepted(name,
                        link_.repeat(
                            [&] {
                                return ::libssh2_userauth_publickey_fromfile_ex(
                                    link_.session(),
                                    endpoint_.user.c_str(),
                                    length,
                                    nullptr,
                                    path.c_str(),
                                    passphrase);
                            },
                            terms_));
    }

    bool accepted(const std::string& name, int rc) {
        if (rc == 0) {
            return true;
        }
        link_.check(terms_);
        if (lost_connection(rc)) {
            note(name + ": the server closed the connection");
            fail("the server does not let us in");
        }
        if (rc == LIBSSH2_ERROR_FILE) {
            return skip(name, "cannot be used, is the passphrase right? " + link_.last_error());
        }
        return skip(name, "refused");
    }

    bool skip(const std::string& name, const std::string& reason) {
        note(name + ": " + reason);
        rsa_ = rsa_ || reason.starts_with("an RSA key");
        return false;
    }

    /// A key that ssh(1) can use.
    bool skip_unusable(const std::string& name, const std::string& reason) {
        limit_ = true;
        return skip(name, reason);
    }

    /// Ways in that libssh2 does not go: with tickets of Kerberos, or by the key of this host.
    [[nodiscard]] bool openssh_can_do() const {
        return accepted_.find("gssapi") != std::string::npos ||
               accepted_.find("hostbased") != std::string::npos;
    }

    void note(const std::string& line) { tried_ += (tried_.empty() ? "" : "; ") + line; }

    [[noreturn]] void fail(const std::string& reason) const {
        std::string message = link_.peer() + ": " + reason;
        if (!tried_.empty()) {
            message += "; tried: " + tried_;
        }
        if (!accepted_.empty()) {
            message += "; the server accepts: " + accepted_;
        }
        std::string hint = "Check that the public key is in ~/.ssh/authorized_keys of user " +
                           endpoint_.user + " on " + endpoint_.host + ".";
        if (rsa_) {
            hint = "Use an Ed25519 or ECDSA key: ssh-keygen -t ed25519, then ssh-copy-id.";
        } else if (tried_.find("closed the connection") != std::string::npos) {
            hint =
                "The server may have counted too many failures (sshd's MaxAuthTries): hold fewer "
                "keys in the agent, or do not use it for this host.";
        }
        if (limit_ || route_.more_keys || openssh_can_do()) {
            throw Libssh2Limit(TransportError::Kind::auth, message, hint);
        }
        throw TransportError(TransportError::Kind::auth, message, hint);
    }

    const Libssh2Link& link_;
    const SshRoute& route_;
    const SshEndpoint& endpoint_;
    const WaitTerms& terms_;
    std::string accepted_;
    std::string tried_;
    bool rsa_ = false;
    bool limit_ = false;  // ssh(1) may well get in
};

}  // namespace

void authenticate(const Libssh2Link& link, const SshRoute& route, const WaitTerms& terms) {
    Login(link, route, terms).run();
}

}  // namespace lockstep
