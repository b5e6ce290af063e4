#include "steps/observation/host_reading.hpp"

#include "steps/observation/script_lines.hpp"

#include <algorithm>
#include <array>
#include <sstream>

namespace lockstep {

namespace {

using script_lines::last_value;

using Lines = std::vector<std::string>;

constexpr std::string_view k_service = ".service";

std::string without_suffix(std::string name) {
    if (name.ends_with(k_service)) {
        name.resize(name.size() - k_service.size());
    }
    return name;
}

std::int64_t to_number(const std::string& text) {
    return script_lines::parse_number<std::int64_t>(text).value_or(0);
}

std::vector<Lines> blocks_of(const Lines& shown) {
    std::vector<Lines> blocks(1);
    for (const std::string& line : shown) {
        if (line == "--") {
            blocks.emplace_back();
        } else {
            blocks.back().push_back(line);
        }
    }
    return blocks;
}

void add_unit(HostFacts& host, const std::string& name, const std::string& state) {
    const auto known = std::ranges::find(host.patronis, name, &PatroniUnit::name);
    if (known == host.patronis.end()) {
        host.patronis.push_back({name, state});
    }
}

void read_units(const Lines& shown, HostFacts& host) {
    for (const Lines& block : blocks_of(shown)) {
        const std::string name = without_suffix(last_value(block, "Id"));
        if (name.empty()) {
            continue;
        }
        if (host.unit.empty()) {  // the first is ours
            host.unit = name;
            host.load_state = last_value(block, "LoadState");
            host.unit_state = last_value(block, "ActiveState");
            host.kill_mode = last_value(block, "KillMode");
        }
        add_unit(host, name, last_value(block, "ActiveState"));
    }
}

void read_postmasters(const Lines& lines, HostFacts& host) {
    for (const std::string& line : lines) {
        if (line.starts_with("postmaster=")) {
            const Lines words = script_lines::words(line.substr(line.find('=') + 1));
            if (words.size() >= 2) {
                host.postmasters.push_back(
                    {.pid = to_number(words[0]),
                     .port = to_number(words[1]),
                     .data_directory = {},
                     .unit = unit_of_cgroups({words.begin() + 2, words.end()})});
            }
        } else if (line.starts_with("data=") && !host.postmasters.empty()) {
            const std::size_t blank = line.find(' ');
            host.postmasters.back().data_directory =
                blank == std::string::npos ? "" : line.substr(blank + 1);
        }
    }
}

}  // namespace

// A host sees the processes of its containers, and their units are not its own.
std::string container_of(const Lines& words) {
    constexpr std::array<std::string_view, 8> k_signs{"docker",
                                                      "containerd",
                                                      "libpod",
                                                      "crio",
                                                      "kubepods",
                                                      "lxc",
                                                      "machine.slice",
                                                      "pid-namespace"};
    for (const std::string_view sign : k_signs) {
        for (const std::string& word : words) {
            if (word.find(sign) != std::string::npos) {
                return word;
            }
        }
    }
    return {};
}

// `0::/system.slice/system-patroni.slice/patroni@17-main.service`, or `1:name=systemd:…` (v1). What
// a user's own systemd runs is no unit of the system's: that is user@1000.service there.
std::string unit_of_cgroups(const Lines& lines) {
    if (!container_of(lines).empty()) {
        return {};
    }
    for (const std::string& line : lines) {
        const std::size_t path_at = line.find('/');
        const bool counts = line.starts_with("0::") || line.find(":name=systemd:") != line.npos;
        if (!counts || path_at == std::string::npos) {
            continue;
        }
        std::istringstream parts(line.substr(path_at));
        std::string unit;
        for (std::string part; std::getline(parts, part, '/');) {
            if (part.ends_with(".scope") || part.ends_with(k_service)) {
                unit = part;
            }
            if (part.starts_with("user@")) {
                break;
            }
        }
        if (!unit.empty()) {
            return without_suffix(unit);
        }
    }
    return {};
}

Lines lines_of_our_unit(const Lines& shown) {
    return blocks_of(shown).front();
}

std::vector<Lines> patroni_processes(const Lines& lines) {
    std::vector<Lines> found;
    for (const std::string& line : lines) {
        if (line.starts_with("patroni=")) {
            found.push_back(script_lines::words(line.substr(line.find('=') + 1)));
        }
    }
    return found;
}

// Units that are Patroni's by their process alone have any name; systemd was not asked for them,
// and what runs in one is active.
HostFacts read_host(const Lines& units, const Lines& processes) {
    HostFacts host;
    read_units(units, host);
    const std::int64_t daemon = to_number(last_value(processes, "daemon"));
    for (const Lines& words : patroni_processes(processes)) {
        if (words.empty()) {
            continue;
        }
        const std::string unit = unit_of_cgroups({words.begin() + 1, words.end()});
        const bool scope = unit.ends_with(".scope");
        if (!unit.empty()) {
            add_unit(host, unit, scope ? "" : "active");
        }
        if (to_number(words[0]) == daemon && daemon > 0) {
            host.daemon_unit = unit;
            host.daemon_pid = daemon;
        }
    }
    read_postmasters(processes, host);
    return host;
}

}  // namespace lockstep
