#include "test_postgres.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

namespace lockstep {

namespace {

/// Debian keeps the server's programs out of the PATH, one directory per major version.
std::string server_program(const std::string& name) {
    std::string found;
    const std::filesystem::path root = "/usr/lib/postgresql";
    if (std::filesystem::exists(root)) {
        for (const auto& entry : std::filesystem::directory_iterator(root)) {
            const std::string path = (entry.path() / "bin" / name).string();
            found = ::access(path.c_str(), X_OK) == 0 ? std::max(found, path) : found;
        }
    }
    return found;
}

}  // namespace

bool TestPostgres::installed() {
    return !server_program("initdb").empty() && ::access("/usr/bin/psql", X_OK) == 0;
}

std::string TestPostgres::become() {
    return ::getuid() == 0 ? "runuser -u postgres --" : "";
}

std::string TestPostgres::user() {
    if (::getuid() == 0) {
        return "postgres";
    }
    const passwd* entry = ::getpwuid(::getuid());  // NOLINT(concurrency-mt-unsafe): one thread
    return entry == nullptr ? "postgres" : entry->pw_name;
}

TestPostgres::TestPostgres() : port_(free_port()) {
    const std::string quiet = " >> " + dir_.path("log") + " 2>&1";
    const std::string data = dir_.path("data");
    const std::string in_dir = "cd " + dir_.path("") + " && ";
    run_shell("chmod 777 " + dir_.path("") + " && touch " + dir_.path("log") + " && chmod 666 " +
              dir_.path("log"));
    run_shell(in_dir + become() + " " + server_program("initdb") +
              " --no-sync --auth=trust --encoding=UTF8 --locale=C -D " + data + quiet);
    run_shell(in_dir + become() + " " + server_program("pg_ctl") + " -w -D " + data + " -l " +
              dir_.path("server.log") + " -o '-F -h 127.0.0.1 -p " + std::to_string(port_) +
              " -k " + dir_.path("") + "' start" + quiet + " </dev/null");
}

TestPostgres::~TestPostgres() {
    const std::string command = "cd / && " + become() + " " + server_program("pg_ctl") +
                                " -m immediate -D " + dir_.path("data") + " stop >/dev/null 2>&1";
    [[maybe_unused]] const int rc = std::system(command.c_str());  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace lockstep
