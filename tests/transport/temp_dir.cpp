#include "temp_dir.hpp"

#include "base/unique_fd.hpp"
#include "transport/tcp_connect.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <thread>

namespace lockstep {

TempDir::TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "lockstep.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) {
        throw std::runtime_error("cannot create a directory");
    }
    path_ = name;
    std::filesystem::permissions(path_, std::filesystem::perms(0755));
}

TempDir::~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string TempDir::write(std::string_view name, std::string_view text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
}

std::string read_file(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
}

void run_shell(const std::string& command) {
    if (std::system(command.c_str()) != 0) {  // NOLINT(concurrency-mt-unsafe): before any thread
        throw std::runtime_error("failed: " + command);
    }
}

int free_port() {
    const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket.get(), generic, length) != 0 ||
        ::getsockname(socket.get(), generic, &length) != 0) {
        throw std::runtime_error("no free port");
    }
    return ntohs(address.sin_port);
}

bool wait_for_port(int port) {
    for (int attempt = 0; attempt < 250; ++attempt) {
        const TcpAttempt tcp = tcp_connect("127.0.0.1",
                                           static_cast<std::uint16_t>(port),
                                           Deadline::after(std::chrono::seconds(1)),
                                           {});
        if (tcp.socket) {
            return true;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return false;
}

}  // namespace lockstep
