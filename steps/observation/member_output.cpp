#include "base/error.hpp"
#include "base/json.hpp"
#include "base/utf8.hpp"
#include "steps/lock/engine_process.hpp"
#include "steps/observation/host_reading.hpp"
#include "steps/observation/json_fields.hpp"
#include "steps/observation/member_query.hpp"
#include "steps/observation/member_script.hpp"
#include "steps/observation/observed_time.hpp"
#include "steps/observation/patroni_api.hpp"
#include "steps/observation/script_lines.hpp"
#include "steps/observation/setup_program.hpp"
#include "transport/psql_script.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>
#include <string_view>

namespace lockstep {

namespace {

using script_lines::parse_number;
using script_lines::words;

/// One section of the script's output.
struct Section {
    std::vector<std::string> lines;
    std::optional<int> status;  ///< nullopt: the output ended within it

    [[nodiscard]] bool ok() const { return status == 0; }
};

using Sections = std::map<std::string, Section>;

// The word of the markers: others can read the nonce. The script tells it before anything else, so
// the first line with the nonce counts.
std::string marker_of(const std::string& output, const std::string& nonce) {
    const std::string tag = "@" + nonce + " ";
    const std::string secret = tag + "secret ";
    std::istringstream stream(output);
    for (std::string line; std::getline(stream, line);) {
        if (line.starts_with(tag)) {
            return line.starts_with(secret) ? "@" + line.substr(secret.size()) : "@" + nonce;
        }
    }
    return "@" + nonce;
}

// Everything outside of sections (banners of a shell, warnings of sudo) is dropped.
Sections split(const std::string& output, const std::string& nonce) {
    const std::string marker = marker_of(output, nonce);
    const std::string begin = marker + " begin ";
    const std::string end = marker + " end ";
    Sections sections;
    Section* current = nullptr;
    std::istringstream stream(output);
    for (std::string line; std::getline(stream, line);) {
        if (line.starts_with(begin)) {
            current = &sections[line.substr(begin.size())];
        } else if (line.starts_with(end)) {
            if (current != nullptr) {
                current->status = parse_number<int>(line.substr(end.size()));
            }
            current = nullptr;
        } else if (current != nullptr && !line.empty()) {
            current->lines.push_back(line);
        }
    }
    return sections;
}

std::string value_of(const Section& section, std::string_view key) {
    return script_lines::last_value(section.lines, key);
}

// A line of somebody else's program has a blank in front.
std::string bare(const std::string& line) {
    return line.starts_with(' ') ? line.substr(1) : line;
}

// Why a section has no result, in one line.
std::string reason(const Section& section) {
    if (!section.status) {
        return "the output ended before its end";
    }
    for (const std::string& line : section.lines) {
        if (!line.starts_with("package=") && !line.starts_with("changed=")) {
            return bare(line);
        }
    }
    return "it ended with exit status " + std::to_string(*section.status);
}

// Of a Patroni that is not the unit's, with all its cgroups.
std::string other_patroni(const Section& host) {
    const auto processes = patroni_processes(host.lines);
    if (processes.empty() || processes.front().empty()) {
        return {};
    }
    const std::string contained = container_of(processes.front());
    return "; a Patroni runs there as pid " + processes.front().front() +
           (contained.empty()
                ? ", and not under this name"
                : ", in a container (" + contained.substr(contained.rfind(':') + 1) + ")");
}

void read_unit(const Section& shown,
               const Section& host,
               const std::string& unit,
               MemberFacts& member) {
    const Section ours{lines_of_our_unit(shown.lines), shown.status};
    const std::string loaded = value_of(ours, "LoadState");
    if (member.os && member.os->systemd == false) {
        member.unknown["unit"] = "it was not booted with systemd" + other_patroni(host);
        return;
    }
    if (!shown.ok() || loaded.empty()) {
        member.unknown["unit"] = reason(shown);
        return;
    }
    if (host.ok()) {
        member.on_host = read_host(shown.lines, host.lines);
    }
    if (loaded == "not-found") {
        member.unknown["unit"] = "systemd has no unit " + unit + other_patroni(host);
        return;
    }
    UnitFacts facts;
    facts.active_state = value_of(ours, "ActiveState");
    facts.sub_state = value_of(ours, "SubState");
    facts.main_pid = parse_number<std::int64_t>(value_of(ours, "MainPID")).value_or(0);
    facts.restarts = parse_number<std::int64_t>(value_of(ours, "NRestarts")).value_or(0);
    if (facts.main_pid > 0) {
        facts.started_at = systemd_time(value_of(ours, "ExecMainStartTimestamp")).value_or(0);
    }
    member.unit = facts;
}

// os-release(5) may quote its values; `glibc 2.41` of getconf, nothing where there is no glibc.
void read_os(const Section& section, MemberFacts& member) {
    const auto unquoted = [&](const char* key) {
        std::string value = value_of(section, key);
        std::erase_if(value, [](char c) { return c == '"' || c == '\''; });
        return value;
    };
    const std::string libc = value_of(section, "libc");
    OsFacts os{.id = unquoted("ID"),
               .version = unquoted("VERSION_ID"),
               .libc = libc.substr(libc.rfind(' ') + 1),
               .package_tool = value_of(section, "package_tool"),
               .systemd = {}};
    if (const std::string systemd = value_of(section, "systemd"); !systemd.empty()) {
        os.systemd = systemd == "yes";
    }
    if (!os.id.empty() || !os.libc.empty() || !os.package_tool.empty()) {
        member.os = std::move(os);
    }
}

/// The list of members is the daemon's own `/cluster`, over SSH.
void read_own_word(const nlohmann::json& body, MemberFacts& member) {
    ClusterFacts listed;
    patroni_api::read_cluster(body, listed);
    EndpointFacts& said = member.own_word.emplace();
    said.url = member.name + " over SSH";
    said.over_ssh = true;
    said.take(listed);
}

void add_last_words(const nlohmann::json& said, MemberFacts& member) {
    for (const nlohmann::json& line : said) {
        if (line.is_string()) {
            member.last_words.push_back(line.get<std::string>());
        }
    }
}

/// Of the journal, which holds what was said before the log was open.
void read_postmaster(const Section& section, MemberFacts& member) {
    constexpr std::size_t k_most = 3;
    std::vector<std::string> said;
    for (const std::string& line : section.lines) {
        if (line.starts_with("said=")) {
            said.push_back(line.substr(line.find('=') + 1));
        }
    }
    const std::size_t first = said.size() - std::min(said.size(), k_most);
    member.last_words.insert(
        member.last_words.end(), said.begin() + static_cast<std::ptrdiff_t>(first), said.end());
}

// Lines of JSON, as setup_program() prints them.
void read_setup(const Section& section, MemberFacts& member) {
    bool is_read = false;
    for (const std::string& line : section.lines) {
        const nlohmann::json body = read_json(line).document;
        if (json_fields::at(body, "members").is_array()) {
            read_own_word(body, member);
        }
        if (!is_read && section.ok() && json_fields::at(body, "modules").is_object()) {
            is_read = true;
            member.setup = setup_of(body);
            add_last_words(json_fields::at(body, "said"), member);
            if (const std::string packaged = value_of(section, "packaged"); !packaged.empty()) {
                member.setup->packaged = packaged == "yes";
            }
        }
    }
    if (!is_read) {  // a traceback says last what went wrong
        member.unknown["setup"] =
            section.lines.empty() ? reason(section) : bare(section.lines.back());
    }
}

/// `package=NAME STATUS VERSION [WANT]`, as the script prints it for dpkg and rpm alike; the last
/// is dpkg's alone.
struct Package {
    std::string name;
    std::string version;
    std::string problem;
    bool held = false;
};

Package read_package(const Section& section) {
    std::vector<Package> installed;
    std::string problem;
    for (const std::string& line : section.lines) {
        if (!line.starts_with("package=")) {
            continue;
        }
        const std::vector<std::string> parts = words(line.substr(8));
        const bool whole = parts.size() == 3 || parts.size() == 4;
        if (whole && parts[1] == "installed") {
            installed.push_back({parts[0], parts[2], {}, parts.back() == "hold"});
        } else if (parts.size() >= 2 && parts[1] != "config-files" && parts[1] != "not-installed") {
            problem = "the package " + parts[0] + " is " + parts[1];
        }
    }
    if (installed.size() == 1) {
        return installed.front();
    }
    if (installed.size() > 1) {
        return {{}, {}, "several packages could be it, and no server runs that tells which"};
    }
    return {{}, {}, problem.empty() ? reason(section) : problem};
}

void read_patroni_package(const Section& section, MemberFacts& member) {
    const Package package = read_package(section);
    member.patroni.installed = package.version;
    member.patroni.held = package.held;
    if (package.version.empty()) {
        member.unknown["patroni_package"] = package.problem;
    }
    if (member.unit) {
        member.unit->package_changed_at =
            parse_number<std::int64_t>(value_of(section, "changed")).value_or(0);
    }
}

void read_postgres_package(const Section& section, MemberFacts& member) {
    const Package package = read_package(section);
    member.postgres.installed = package.version;
    member.postgres.held = package.held;
    member.postgres.package = package.name;
    if (package.version.empty()) {
        member.unknown["postgres_package"] = package.problem;
    }
}

// `version=4.0.7-1`. The order is the tool's: who needs one compares.
void read_available(const Section& section, MemberFacts& member) {
    std::vector<std::string>& versions = member.patroni.available;
    for (const std::string& line : section.lines) {
        const std::string version = line.starts_with("version=") ? line.substr(8) : "";
        if (!version.empty() && std::ranges::find(versions, version) == versions.end()) {
            versions.push_back(version);
        }
    }
}

// df -P: file system, size, used, available, capacity, mount point, which may hold spaces. The
// first line is of pg_wal, the second of the data directory.
void read_disk(const Section& section, MemberFacts& member) {
    for (const std::string& line : section.lines) {
        const std::vector<std::string> parts = words(line);
        if (parts.size() < 6 || !parts[4].ends_with('%')) {
            continue;
        }
        const auto total = parse_number<std::int64_t>(parts[1]);
        const auto available = parse_number<std::int64_t>(parts[3]);
        if (!total || !available) {
            continue;
        }
        const std::size_t mount = line.find(parts[5], line.find(parts[4]) + parts[4].size());
        const DiskFacts disk{line.substr(mount), *available, *total};
        if (!member.disk) {
            member.disk = disk;
        } else if (disk.mount != member.disk->mount) {
            member.data_disk = disk;
        }
    }
    if (!member.disk) {
        member.unknown["disk"] = reason(section);
    }
}

void read_upkeep(const Section& section, MemberFacts& member) {
    if (!section.ok()) {
        return;
    }
    const auto all = [&](std::string_view key) {
        std::vector<std::string> values;
        for (const std::string& line : section.lines) {
            if (line.starts_with(key) &&
                std::ranges::find(values, line.substr(key.size())) == values.end()) {
                values.push_back(line.substr(key.size()));
            }
        }
        return values;
    };
    UpkeepFacts& upkeep = member.upkeep.emplace();
    const std::string mode = value_of(section, "mode");
    upkeep.needrestart = value_of(section, "needrestart") == "yes" && (mode == "a" || mode == "u");
    upkeep.spared = all("spared=");
    upkeep.etcd = value_of(section, "etcd") == "yes";
    const std::string on = value_of(section, "on");
    upkeep.unattended = value_of(section, "timer") == "yes" && !on.empty() && on != "0";
    upkeep.unattended_pgdg = value_of(section, "pgdg") == "yes";
    upkeep.unattended_not = all("not=");
    upkeep.no_restarts = value_of(section, "policy") == "101";
}

// `now=…`, `fence=…`, `lock.KEY=…` as in the lock's file, `spool=KEY STATE STARTED [ours]`.
void read_leftover(const Section& section, MemberFacts& member) {
    if (!section.ok()) {
        if (const std::string untrusted = value_of(section, "untrusted"); !untrusted.empty()) {
            member.unknown["folder"] = untrusted;
        }
        return;
    }
    LeftoverFacts leftover;
    leftover.fence = parse_number<std::int64_t>(value_of(section, "fence"));
    const std::int64_t now = parse_number<std::int64_t>(value_of(section, "now")).value_or(0);
    const std::string expires = value_of(section, "lock.expires");
    if (std::ranges::any_of(section.lines,
                            [](const std::string& line) { return line.starts_with("lock."); })) {
        LockFacts lock;
        lock.id = value_of(section, "lock.id");
        lock.run = value_of(section, "lock.run");
        lock.who = value_of(section, "lock.who");
        lock.left = value_of(section, "lock.left");
        lock.since = parse_number<std::int64_t>(value_of(section, "lock.since")).value_or(0);
        lock.expires_in_seconds = parse_number<std::int64_t>(expires).value_or(now) - now;
        lock.engine_gone = fate_of_engine(value_of(section, "lock.engine")) == EngineFate::gone;
        leftover.lock = std::move(lock);
    }
    for (const std::string& line : section.lines) {
        const std::vector<std::string> parts = words(line);
        if (!line.starts_with("spool=") || parts.size() < 3) {
            continue;
        }
        const auto started = parse_number<std::int64_t>(parts[2]);
        leftover.spool.push_back(
            {parts[0].substr(6), parts[1], now - started.value_or(now), parts.size() > 3});
    }
    member.leftover = std::move(leftover);
}

void read_sql(const Section& section, MemberFacts& member) {
    member.sql.asked = true;
    const auto document = std::ranges::find_if(
        section.lines, [](const std::string& line) { return bare(line).starts_with("{\""); });
    if (section.ok() && document != section.lines.end()) {
        try {
            read_observation(*document, member);
            return;
        } catch (const Error& error) {
            member.sql.error = error.what();
        }
    } else {
        member.sql.error = section.ok() ? "psql printed no result" : reason(section);
    }
    if (member.sql.error.find("may not be used by non-root") != std::string::npos) {
        member.sql.hint = "Log in as root, set become: sudo, or log in as PostgreSQL's own user.";
        member.sql.refused = true;
    } else if (section.status == 127 ||
               member.sql.error.find("failed to execute psql") != std::string::npos) {
        member.sql.error = "there is no psql on the member: " + member.sql.error;
        member.sql.hint =
            "Install the PostgreSQL client on the member, or set postgres.via: direct.";
    } else {
        member.sql.hint = psql_hint(member.sql.error);
    }
}

void explain_no_output(const CommandResult& result, MemberFacts& member) {
    const std::string line = as_utf8(result.err.substr(0, result.err.find('\n')), k_unreadable);
    member.ssh.error = "the script did not run: " +
                       (line.empty() ? "exit status " + std::to_string(result.exit_status) : line);
}

}  // namespace

void read_output(const MemberScript& script, const CommandResult& result, MemberFacts& member) {
    // What others print may be in any encoding; facts end in JSON.
    const Sections sections = split(as_utf8(result.out, k_unreadable), script.nonce);
    const auto section = [&](const char* name) -> const Section& {
        static const Section k_missing;
        const auto found = sections.find(name);
        return found == sections.end() ? k_missing : found->second;
    };
    member.ssh = Access{};
    member.ssh.asked = true;
    if (sections.empty()) {
        explain_no_output(result, member);
        return;
    }
    const Section& boot = section("boot");
    if (boot.ok() && !boot.lines.empty()) {
        member.boot_id = boot.lines.back();
    }
    const std::string space = value_of(section("host"), "namespace");
    member.identity.host =
        member.boot_id.empty() || space.empty() ? "" : member.boot_id + " " + space;
    read_os(section("os"), member);
    read_unit(section("unit"), section("host"), script.unit, member);
    read_postmaster(section("postmaster"), member);
    read_setup(section("setup"), member);  // before SQL, whose settings it selects
    read_patroni_package(section("patroni_package"), member);
    read_available(section("available"), member);
    read_postgres_package(section("postgres_package"), member);
    read_disk(section("disk"), member);
    read_upkeep(section("upkeep"), member);
    read_leftover(section("leftover"), member);
    if (!script.os_user.empty()) {
        read_sql(section("sql"), member);
    }
    if (member.postgres.data_directory.empty()) {
        member.postgres.data_directory = value_of(section("postmaster"), "data");
    }
    if (!section("done").ok()) {
        member.ssh.error = "the output of the observing script was cut off";
    }
}

}  // namespace lockstep
