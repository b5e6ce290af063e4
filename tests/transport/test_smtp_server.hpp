#pragma once

#include "base/unique_fd.hpp"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

struct ssl_ctx_st;
struct ssl_st;

namespace lockstep {

/// An SMTP server on loopback for one client at a time. It takes every mail, unless the test tells
/// it otherwise.
class TestSmtpServer {
  public:
    enum class Tls { none, starttls, from_the_start };

    struct Behaviour {
        Tls tls = Tls::none;
        std::string cert_file;  ///< for tls
        std::string key_file;
        std::map<std::string, std::string> replies{};  ///< by verb, without \r\n; `-`: no reply
        std::function<void(const std::string& verb)> heard{};  ///< called before it replies
    };

    explicit TestSmtpServer(Behaviour behaviour);
    ~TestSmtpServer();
    TestSmtpServer(const TestSmtpServer&) = delete;
    TestSmtpServer& operator=(const TestSmtpServer&) = delete;

    /// `smtp://127.0.0.1:port`, or smtps.
    [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const;

    /// What was said to it: each command, with `tls ` before those that came encrypted.
    [[nodiscard]] std::vector<std::string> commands();
    /// The last message, as it came, the dot at its end taken off.
    [[nodiscard]] std::string message();

  private:
    class Connection;

    void serve();
    void talk(Connection& client);
    void take_message(Connection& client);

    Behaviour behaviour_;
    std::shared_ptr<ssl_ctx_st> context_;
    UniqueFd listener_;
    int port_ = 0;
    std::mutex mutex_;  // guards what follows
    std::vector<std::string> commands_;
    std::string message_;
    std::jthread thread_;
};

}  // namespace lockstep
