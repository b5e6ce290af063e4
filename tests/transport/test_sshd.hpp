#pragma once

#include "temp_dir.hpp"
#include "transport/ssh_session.hpp"

#include <sys/types.h>

#include <string>
#include <string_view>

namespace lockstep {

/// OpenSSH's sshd on loopback with generated keys, for one test. Logs into a file of its own.
class TestSshd {
  public:
    static bool installed();

    /// `config` is added in front of what the tests need. Throws when it does not start.
    explicit TestSshd(std::string_view config = {});
    ~TestSshd();
    TestSshd(const TestSshd&) = delete;
    TestSshd& operator=(const TestSshd&) = delete;

    /// How to log in, with a key and a known_hosts file that are right.
    [[nodiscard]] SshEndpoint endpoint() const;

    /// Generates a user key that the server accepts, and gives its path.
    [[nodiscard]] std::string add_user_key(std::string_view name, std::string_view options) const;

    /// `[127.0.0.1]:<port>`
    [[nodiscard]] std::string known_name() const;
    /// `ssh-ed25519 AAAA…`
    [[nodiscard]] std::string host_key(std::string_view type = "ed25519") const;

    [[nodiscard]] const TempDir& dir() const { return dir_; }

    [[nodiscard]] int port() const { return port_; }

    [[nodiscard]] std::string log() const { return read_file(dir_.path("log")); }

    void stop();
    void start();

  private:
    void generate_keys() const;

    TempDir dir_;
    int port_ = 0;
    pid_t pid_ = -1;
};

}  // namespace lockstep
