// The bare loop: what libssh2 alone needs for the same work, in one thread and with nothing around
// it. It checks no host key, records nothing and gives up at the first trouble. usage: reach_loop
// KEY STEPS COMMAND < addresses; prints what the commands print
#include <libssh2.h>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

namespace {

[[noreturn]] void give_up(const std::string& host, const char* what, int rc) {
    std::cerr << "reach_loop: " << host << ": " << what << ": " << rc << "\n";
    std::exit(1);
}

enum class Stage { connect, handshake, login, open, start, read, close, end };

struct Host {
    std::string address;
    int socket = -1;
    LIBSSH2_SESSION* session = nullptr;
    LIBSSH2_CHANNEL* channel = nullptr;
    Stage stage = Stage::connect;
    int left = 0;
};

struct Work {
    std::string key;
    std::string command;
};

void begin(Host& host) {
    host.socket = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    ::setsockopt(host.socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(22);
    ::inet_pton(AF_INET, host.address.c_str(), &to.sin_addr);
    // The signature of connect() is older than C++.
    (void)::connect(host.socket, reinterpret_cast<const sockaddr*>(&to), sizeof(to));
    host.session = ::libssh2_session_init();
    ::libssh2_session_set_blocking(host.session, 0);
}

/// Reads what is there; true once the other side has said that nothing more comes.
bool drain(Host& host) {
    std::array<char, 4096> buffer{};
    for (;;) {
        const ssize_t count = ::libssh2_channel_read(host.channel, buffer.data(), buffer.size());
        if (count > 0) {
            std::fwrite(buffer.data(), 1, static_cast<std::size_t>(count), stdout);
        } else if (count == LIBSSH2_ERROR_EAGAIN) {
            return false;
        } else if (count < 0) {
            give_up(host.address, "read", static_cast<int>(count));
        } else {
            return ::libssh2_channel_eof(host.channel) != 0;
        }
    }
}

/// One move of a host; false: it has to wait.
bool move(Host& host, const Work& work) {
    int rc = 0;
    Stage next = host.stage;
    switch (host.stage) {
        case Stage::connect:
            next = Stage::handshake;
            break;
        case Stage::handshake:
            rc = ::libssh2_session_handshake(host.session, host.socket);
            next = Stage::login;
            break;
        case Stage::login:
            rc = ::libssh2_userauth_publickey_fromfile(
                host.session, "root", nullptr, work.key.c_str(), "");
            next = Stage::open;
            break;
        case Stage::open:
            host.channel = ::libssh2_channel_open_session(host.session);
            rc = host.channel == nullptr ? ::libssh2_session_last_errno(host.session) : 0;
            next = Stage::start;
            break;
        case Stage::start:
            rc = ::libssh2_channel_exec(host.channel, work.command.c_str());
            next = Stage::read;
            break;
        case Stage::read:
            rc = drain(host) ? 0 : LIBSSH2_ERROR_EAGAIN;
            next = Stage::close;
            break;
        case Stage::close:
            rc = ::libssh2_channel_free(host.channel);
            next = --host.left > 0 ? Stage::open : Stage::end;
            if (rc == LIBSSH2_ERROR_EAGAIN) {
                ++host.left;
            }
            break;
        case Stage::end:
            return false;
    }
    if (rc == LIBSSH2_ERROR_EAGAIN) {
        return false;
    }
    if (rc != 0) {
        give_up(host.address, "step", rc);
    }
    host.stage = next;
    return true;
}

short waits_for(const Host& host) {
    if (host.stage == Stage::connect) {
        return POLLOUT;
    }
    const int directions = ::libssh2_session_block_directions(host.session);
    if (directions == 0) {
        return POLLIN;
    }
    return static_cast<short>(((directions & LIBSSH2_SESSION_BLOCK_INBOUND) != 0 ? POLLIN : 0) |
                              ((directions & LIBSSH2_SESSION_BLOCK_OUTBOUND) != 0 ? POLLOUT : 0));
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> arguments(argv, argv + argc);
    if (arguments.size() != 4 || ::libssh2_init(0) != 0) {
        return 2;
    }
    const Work work{arguments[1], arguments[3]};
    std::vector<Host> hosts;
    for (std::string address; std::getline(std::cin, address);) {
        hosts.push_back({.address = address, .left = std::atoi(arguments[2].c_str())});
        begin(hosts.back());
    }
    for (;;) {
        std::vector<pollfd> fds;
        std::vector<Host*> waiting;
        for (Host& host : hosts) {
            if (host.stage != Stage::end) {
                fds.push_back({host.socket, waits_for(host), 0});
                waiting.push_back(&host);
            }
        }
        if (fds.empty()) {
            return 0;
        }
        ::poll(fds.data(), fds.size(), 30000);
        for (std::size_t i = 0; i < fds.size(); ++i) {
            while (fds[i].revents != 0 && move(*waiting[i], work)) {
            }
        }
    }
}
