#pragma once

#include "base/unique_fd.hpp"

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace lockstep {

/// An HTTP server on loopback that says exactly what the test tells it to, byte by byte.
class TestHttpServer {
  public:
    /// Called with the whole request; sends what it likes on the socket, which is closed after it.
    using Answer = std::function<void(const std::string& request, int socket)>;

    explicit TestHttpServer(Answer answer);
    ~TestHttpServer();
    TestHttpServer(const TestHttpServer&) = delete;
    TestHttpServer& operator=(const TestHttpServer&) = delete;

    [[nodiscard]] std::string url(std::string_view path) const;
    [[nodiscard]] std::vector<std::string> requests();

    /// An answer that is always this text.
    static Answer always(std::string text);

  private:
    void serve();

    Answer answer_;
    UniqueFd listener_;
    int port_ = 0;
    std::mutex mutex_;
    std::vector<std::string> requests_;
    std::jthread thread_;
};

void send_text(int socket, std::string_view text);

}  // namespace lockstep
