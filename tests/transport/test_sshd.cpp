#include "test_sshd.hpp"

#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace lockstep {

namespace {

constexpr const char* k_sshd = "/usr/sbin/sshd";

void generate_key(const std::string& path, std::string_view options) {
    run_shell("ssh-keygen -q -f " + path + " -C test " + std::string(options));
}

std::string user_name() {
    const passwd* entry = ::getpwuid(::getuid());  // NOLINT(concurrency-mt-unsafe): one thread
    return entry == nullptr ? "root" : entry->pw_name;
}

}  // namespace

bool TestSshd::installed() {
    return ::access(k_sshd, X_OK) == 0;
}

TestSshd::TestSshd(std::string_view config) : port_(free_port()) {
    generate_keys();
    if (config.find("host_rsa") != std::string_view::npos) {
        generate_key(dir_.path("host_rsa"), "-t rsa -b 2048 -N ''");
    }
    if (::getuid() == 0) {
        std::filesystem::create_directories("/run/sshd");  // sshd insists on it as root
    }
    std::string text(config);
    text += "\nPort " + std::to_string(port_) + "\nListenAddress 127.0.0.1\n";
    if (config.find("HostKey ") == std::string_view::npos) {
        text +=
            "HostKey " + dir_.path("host_ed25519") + "\nHostKey " + dir_.path("host_ecdsa") + "\n";
    }
    text += "AuthorizedKeysFile " + dir_.path("authorized_keys") + "\nPidFile none\n";
    text += "UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n";
    text += "KbdInteractiveAuthentication no\nLogLevel VERBOSE\n";
    if (config.find("SetEnv ") == std::string_view::npos) {
        text += "SetEnv HOME=@DIR@\n";  // bash reads ~/.bashrc for sshd, and that is not ours
    }
    for (std::size_t at = text.find("@DIR@"); at != std::string::npos; at = text.find("@DIR@")) {
        text.replace(at, 5, dir_.path(""));
    }
    dir_.write("sshd_config", text);
    dir_.write("known_hosts", known_name() + " " + host_key() + "\n");
    start();
}

TestSshd::~TestSshd() {
    stop();
}

void TestSshd::generate_keys() const {
    generate_key(dir_.path("host_ed25519"), "-t ed25519 -N ''");
    generate_key(dir_.path("host_ecdsa"), "-t ecdsa -N ''");
    [[maybe_unused]] const std::string path = add_user_key("user", "-t ed25519 -N ''");
}

std::string TestSshd::add_user_key(std::string_view name, std::string_view options) const {
    const std::string path = dir_.path(name);
    generate_key(path, options);
    std::ofstream(dir_.path("authorized_keys"), std::ios::app) << read_file(path + ".pub");
    return path;
}

void TestSshd::start() {
    const std::string config = dir_.path("sshd_config");
    const std::string log = dir_.path("log");
    std::array<const char*, 7> argv{k_sshd, "-D", "-f", config.c_str(), "-E", log.c_str(), nullptr};
    // The signature of exec is older than const.
    auto* arguments = const_cast<char* const*>(argv.data());
    if (::posix_spawn(&pid_, k_sshd, nullptr, nullptr, arguments, environ) != 0 ||
        !wait_for_port(port_)) {
        throw std::runtime_error("sshd does not start: " + read_file(log));
    }
}

void TestSshd::stop() {
    if (pid_ > 0) {
        ::kill(pid_, SIGTERM);
        ::waitpid(pid_, nullptr, 0);
        pid_ = -1;
    }
}

SshEndpoint TestSshd::endpoint() const {
    SshEndpoint endpoint;
    endpoint.host = "127.0.0.1";
    endpoint.port = static_cast<std::uint16_t>(port_);
    endpoint.user = user_name();
    endpoint.identity_files = {dir_.path("user")};
    endpoint.use_agent = false;
    endpoint.known_hosts = {dir_.path("known_hosts")};
    endpoint.config_file = "none";
    endpoint.client = SshClient::libssh2;
    return endpoint;
}

std::string TestSshd::known_name() const {
    return "[127.0.0.1]:" + std::to_string(port_);
}

std::string TestSshd::host_key(std::string_view type) const {
    const std::string line = read_file(dir_.path("host_" + std::string(type) + ".pub"));
    return line.substr(0, line.find(' ', line.find(' ') + 1));
}

}  // namespace lockstep
