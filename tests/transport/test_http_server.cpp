#include "test_http_server.hpp"

#include "loopback_listener.hpp"

#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <stdexcept>
#include <utility>

namespace lockstep {

namespace {

std::string read_request(int socket) {
    std::string text;
    std::array<char, 4096> piece{};
    while (true) {
        const std::size_t end = text.find("\r\n\r\n");
        if (end != std::string::npos) {
            const std::size_t at = text.find("Content-Length: ");
            const std::size_t length =
                at < end ? std::strtoul(text.c_str() + at + 16, nullptr, 10) : 0;
            if (text.size() >= end + 4 + length) {
                return text;
            }
        }
        const ssize_t count = ::recv(socket, piece.data(), piece.size(), 0);
        if (count <= 0) {
            return text;
        }
        text.append(piece.data(), static_cast<std::size_t>(count));
    }
}

}  // namespace

void send_text(int socket, std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
        if (count <= 0) {
            return;
        }
        text.remove_prefix(static_cast<std::size_t>(count));
    }
}

TestHttpServer::TestHttpServer(Answer answer) : answer_(std::move(answer)) {
    LoopbackListener listener = listen_on_loopback();
    listener_ = std::move(listener.fd);
    port_ = listener.port;
    thread_ = std::jthread([this] { serve(); });
}

TestHttpServer::~TestHttpServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // makes accept() fail
}

std::string TestHttpServer::url(std::string_view path) const {
    return "http://127.0.0.1:" + std::to_string(port_) + std::string(path);
}

std::vector<std::string> TestHttpServer::requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
}

TestHttpServer::Answer TestHttpServer::always(std::string text) {
    return [text = std::move(text)](const std::string&, int socket) { send_text(socket, text); };
}

void TestHttpServer::serve() {
    while (true) {
        const UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket) {
            return;
        }
        const std::string request = read_request(socket.get());
        {
            const std::lock_guard lock(mutex_);
            requests_.push_back(request);
        }
        answer_(request, socket.get());
    }
}

}  // namespace lockstep
