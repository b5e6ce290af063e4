#include "steps/lock/engine_process.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <optional>
#include <sstream>

namespace lockstep {

namespace {

/// What /proc/PID/stat says. The name, field 2, is in parentheses and may hold anything.
struct ProcessStat {
    char state = '?';
    int threads = 0;
    std::string start;
};

std::optional<ProcessStat> stat_of(long pid) {
    std::ifstream stream("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    if (!std::getline(stream, line) || line.rfind(')') == std::string::npos) {
        return std::nullopt;
    }
    std::istringstream fields(line.substr(line.rfind(')') + 1));
    ProcessStat stat;
    std::string skipped;
    constexpr int k_threads = 20;
    constexpr int k_start = 22;
    fields >> stat.state;
    for (int field = 4; field < k_threads; ++field) {
        fields >> skipped;
    }
    fields >> stat.threads;
    for (int field = k_threads + 1; field < k_start; ++field) {
        fields >> skipped;
    }
    return fields >> stat.start ? std::optional(stat) : std::nullopt;
}

// Every container of a host has the boot id of the host, but pids of its own.
std::string own_place() {
    std::ifstream stream("/proc/sys/kernel/random/boot_id");
    std::string boot;
    std::array<char, 64> space{};
    if (!std::getline(stream, boot) || boot.empty() ||
        ::readlink("/proc/self/ns/pid", space.data(), space.size() - 1) <= 0) {
        return {};
    }
    return boot + " " + space.data();
}

}  // namespace

std::string own_engine_process() {
    const std::string place = own_place();
    const auto stat = stat_of(::getpid());
    if (place.empty() || !stat) {
        return {};
    }
    return place + " " + std::to_string(::getpid()) + " " + stat->start;
}

EngineFate fate_of_engine(std::string_view process) {
    const std::string place = own_place();
    if (place.empty() || !process.starts_with(place + " ")) {
        return EngineFate::unknown;
    }
    const std::string_view rest = process.substr(place.size() + 1);
    int pid = 0;
    const auto [end, problem] = std::from_chars(rest.data(), rest.data() + rest.size(), pid);
    if (problem != std::errc{} || pid < 1 || end == rest.data() + rest.size() || *end != ' ') {
        return EngineFate::unknown;
    }
    const std::string start(end + 1, rest.data() + rest.size());
    if (start.empty() || start.find_first_not_of("0123456789") != std::string::npos) {
        return EngineFate::unknown;
    }
    // By kill and not by /proc alone, where hidepid hides the processes of others.
    if (::kill(pid, 0) != 0 && errno == ESRCH) {
        return EngineFate::gone;
    }
    const auto stat = stat_of(pid);
    if (!stat) {
        return EngineFate::unknown;
    }
    if (stat->start != start) {
        return EngineFate::gone;  // its pid is another's now
    }
    // A zombie does nothing any more; one with threads is still on its way there.
    const bool dead = (stat->state == 'Z' || stat->state == 'X') && stat->threads <= 1;
    return dead ? EngineFate::gone : EngineFate::runs;
}

}  // namespace lockstep
