#include "test_smtp_server.hpp"

#include "loopback_listener.hpp"

#include <openssl/ssl.h>
#include <signal.h>
#include <sys/socket.h>

#include <array>
#include <optional>
#include <stdexcept>
#include <utility>

namespace lockstep {

/// One client, in the clear or by TLS.
class TestSmtpServer::Connection {
  public:
    explicit Connection(int socket) : socket_(socket) {}

    [[nodiscard]] bool start_tls(SSL_CTX* context) {
        ssl_ = {::SSL_new(context), ::SSL_free};
        return ::SSL_set_fd(ssl_.get(), socket_) == 1 && ::SSL_accept(ssl_.get()) == 1;
    }

    [[nodiscard]] bool is_tls() const { return ssl_ != nullptr; }

    void say(const std::string& line) {
        const std::string text = line + "\r\n";
        if (ssl_) {
            (void)::SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
        } else {
            (void)::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
        }
    }

    /// Nothing once the client is gone.
    std::optional<std::string> line() {
        while (true) {
            const std::size_t end = text_.find("\r\n");
            if (end != std::string::npos) {
                std::string line = text_.substr(0, end);
                text_.erase(0, end + 2);
                return line;
            }
            std::array<char, 4096> piece{};
            const auto count =
                ssl_ ? ::SSL_read(ssl_.get(), piece.data(), static_cast<int>(piece.size()))
                     : static_cast<int>(::recv(socket_, piece.data(), piece.size(), 0));
            if (count <= 0) {
                return std::nullopt;
            }
            text_.append(piece.data(), static_cast<std::size_t>(count));
        }
    }

  private:
    int socket_;
    std::unique_ptr<SSL, void (*)(SSL*)> ssl_{nullptr, ::SSL_free};
    std::string text_;
};

TestSmtpServer::TestSmtpServer(Behaviour behaviour) : behaviour_(std::move(behaviour)) {
    (void)::signal(SIGPIPE, SIG_IGN);  // SSL_write() knows no MSG_NOSIGNAL
    if (behaviour_.tls != Tls::none) {
        context_ = {::SSL_CTX_new(::TLS_server_method()), ::SSL_CTX_free};
        if (::SSL_CTX_use_certificate_file(
                context_.get(), behaviour_.cert_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
            ::SSL_CTX_use_PrivateKey_file(
                context_.get(), behaviour_.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
            throw std::runtime_error("no certificate for the SMTP server");
        }
    }
    LoopbackListener listener = listen_on_loopback();
    listener_ = std::move(listener.fd);
    port_ = listener.port;
    thread_ = std::jthread([this] { serve(); });
}

TestSmtpServer::~TestSmtpServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // makes accept() fail
}

std::string TestSmtpServer::url(const std::string& host) const {
    return (behaviour_.tls == Tls::from_the_start ? "smtps://" : "smtp://") + host + ":" +
           std::to_string(port_);
}

std::vector<std::string> TestSmtpServer::commands() {
    const std::lock_guard lock(mutex_);
    return commands_;
}

std::string TestSmtpServer::message() {
    const std::lock_guard lock(mutex_);
    return message_;
}

void TestSmtpServer::serve() {
    while (true) {
        const UniqueFd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket) {
            return;
        }
        Connection client(socket.get());
        if (behaviour_.tls != Tls::from_the_start || client.start_tls(context_.get())) {
            client.say("220 test");
            talk(client);
        }
    }
}

void TestSmtpServer::talk(Connection& client) {
    bool credentials_follow = false;
    while (const auto line = client.line()) {
        {
            const std::lock_guard lock(mutex_);
            commands_.push_back((client.is_tls() ? "tls " : "") + *line);
        }
        const std::string verb = line->substr(0, line->find(' '));
        if (behaviour_.heard) {
            behaviour_.heard(verb);
        }
        const auto told = behaviour_.replies.find(verb);
        if (std::exchange(credentials_follow, false)) {
            client.say("235 welcome");
        } else if (told != behaviour_.replies.end()) {
            if (told->second != "-") {
                client.say(told->second);
            }
        } else if (verb == "EHLO") {
            client.say("250-test");
            if (behaviour_.tls == Tls::starttls && !client.is_tls()) {
                client.say("250-STARTTLS");
            }
            client.say("250 AUTH PLAIN");
        } else if (verb == "STARTTLS") {
            client.say("220 go on");
            if (!client.start_tls(context_.get())) {
                return;
            }
        } else if (verb == "AUTH") {
            client.say("334 ");  // the credentials are a line of their own
            credentials_follow = true;
        } else if (verb == "DATA") {
            take_message(client);
        } else if (verb == "QUIT") {
            client.say("221 bye");
            return;
        } else {
            client.say("250 ok");
        }
    }
}

void TestSmtpServer::take_message(Connection& client) {
    client.say("354 go on");
    std::string text;
    while (const auto line = client.line()) {
        if (*line == ".") {
            {
                const std::lock_guard lock(mutex_);
                message_ = text;
            }
            const auto told = behaviour_.replies.find("(message)");
            client.say(told == behaviour_.replies.end() ? "250 taken" : told->second);
            return;
        }
        text += line->substr(line->starts_with('.') ? 1 : 0) + "\r\n";  // RFC 5321, 4.5.2
    }
}

}  // namespace lockstep
