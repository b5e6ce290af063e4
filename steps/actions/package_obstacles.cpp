#include "steps/actions/package_obstacles.hpp"

#include "base/error.hpp"
#include "base/join.hpp"
#include "base/units.hpp"

#include <map>
#include <optional>
#include <sstream>

namespace lockstep {

namespace {

Finding refusal(const StepCall& call,
                const char* id,
                const std::string& message,
                std::string remedy) {
    return member_refusal(call, id, text_arg(call, "package"), message, std::move(remedy));
}

/// Why there is nothing, or not one thing, to install.
std::optional<Finding> refuse_choice(const StepCall& call, const PackageTool& tool) {
    const auto candidates = call.probed.at("candidates").get<std::vector<std::string>>();
    const auto available = call.probed.at("available").get<std::vector<std::string>>();
    const std::string package = package_name(call);
    const std::string file = package_file(call);
    if (candidates.size() == 1) {
        return std::nullopt;
    }
    if (candidates.size() > 1) {
        return refusal(call,
                       "package.ambiguous",
                       text_arg(call, "version") + " could be each of " + join(candidates),
                       "Name one of them in full.");
    }
    if (!file.empty()) {
        const std::string described = call.probed.at("described");
        return refusal(call,
                       "package.unavailable",
                       described.empty() ? file + " is no package of " + std::string(tool.name)
                                         : file + " is " + described + ", and not " + package,
                       "Put the file there on each member, as a `" + std::string(tool.suffix) +
                           "`, and name the package that it holds.");
    }
    return refusal(call,
                   "package.unavailable",
                   "no repository has " + package + " " + text_arg(call, "version"),
                   available.empty()
                       ? "It has no version of it at all. Check the package's name and the "
                         "member's repositories (`" +
                             std::string(tool.refresh) + "`)."
                       : "It has " + join(available) + ".");
}

/// By apt's preferences; no other tool has any. Below 0 somebody forbade it (apt_preferences(5)),
/// which a version in full would go past.
struct Preference {
    std::string candidate;
    std::map<std::string, int> priorities;

    explicit Preference(const nlohmann::json& lines) {
        for (const auto& line : lines) {
            std::istringstream words(line.get<std::string>());
            std::string first;
            words >> first;
            if (first == "candidate") {
                words >> candidate;
            } else if (int priority = 0; words >> priority) {
                priorities[first] = priority;
            }
        }
    }

    [[nodiscard]] int of(const std::string& version) const {
        const auto found = priorities.find(version);
        return found == priorities.end() ? 0 : found->second;
    }

    /// What will not last; empty: nothing.
    [[nodiscard]] std::string note(const std::string& version) const {
        if (candidate.empty() || candidate == version || of(candidate) <= of(version)) {
            return {};
        }
        return "apt's preferences are for " + candidate + " (priority " +
               std::to_string(of(candidate)) + ") and not for " + version + " (" +
               std::to_string(of(version)) + "): an `apt-get upgrade` may " +
               (of(candidate) >= 1000 ? "take this back" : "go past it");
    }
};

}  // namespace

std::string package_file(const StepCall& call) {
    std::string file = text_arg(call, "file");
    if (!file.empty() && (!file.starts_with('/') || file.find_first_of("\n*?[") != file.npos)) {
        throw Error(call.id + ": `" + file + "` is no path of a package on the member",
                    "Give the whole path, which begins with a slash.");
    }
    return file;
}

std::string package_item(const StepCall& call, const std::string& version) {
    const std::string file = package_file(call);
    return file.empty() ? package_name(call) + "=" + version : file;
}

std::string chosen_version(const StepCall& call) {
    const auto candidates = call.probed.at("candidates").get<std::vector<std::string>>();
    return candidates.size() == 1 ? candidates.front() : text_arg(call, "version");
}

std::vector<Finding> obstacles(const StepCall& call, const PackageTool& tool) {
    const nlohmann::json& probed = call.probed;
    const std::string package = package_name(call);
    std::vector<Finding> refused;
    const auto refuse = [&](const char* id, const std::string& what, const std::string& remedy) {
        refused.push_back(refusal(call, id, what, remedy));
    };
    const std::string mend = "`" + std::string(tool.mend) + "`";
    if (const std::string audit = probed.at("audit"); !audit.empty()) {
        refuse("package.broken",
               std::string(tool.name == "apt" ? "dpkg" : "rpm") + " was interrupted: " + audit,
               "Repair it on the member first: " + mend + ".");
    }
    if (const auto choice = refuse_choice(call, tool)) {
        refused.push_back(*choice);
    }
    if (probed.at("held").get<bool>()) {
        refuse("package.held",
               package + " is on hold",
               "Somebody pinned it. If it may change now: `" + tool.mark(false, package) + "`.");
    }
    const Preference preference(probed.at("policy"));
    if (const std::string version = chosen_version(call); preference.of(version) < 0) {
        refuse("package.pinned",
               "apt's preferences forbid " + package + " " + version + " (priority " +
                   std::to_string(preference.of(version)) + ")",
               "See /etc/apt/preferences and /etc/apt/preferences.d, and `apt-cache policy " +
                   package + "`. If it may be installed now, take the pin away.");
    }
    for (const auto& effect : probed.at("side_effects").get<std::vector<std::string>>()) {
        const bool error = effect.starts_with("E:");
        refuse("package.side_effect",
               (error ? "it cannot be installed: " : "installing it would also change ") + effect,
               error ? "Repair what " + std::string(tool.program) + " complains of."
                     : "Upgrade PostgreSQL in a step of its own, or pin it; look at what would "
                       "go: `" +
                           tool.install({package_item(call, chosen_version(call))}, Direction::up) +
                           "`.");
    }
    for (const auto& text : probed.value("no_room", std::vector<std::string>())) {
        const std::string mount = text.substr(0, text.find(' '));
        Finding full = refusal(call,
                               "disk.low",
                               "there is no room for " + package + ": " + text,
                               "Make room on " + mount +
                                   " first; `apt-get clean` there gives back what apt "
                                   "has downloaded. If it is enough: --accept disk.low:" +
                                   mount + "@" + call.member + " --reason \"…\".");
        full.subject = mount;
        full.acceptable = true;
        refused.push_back(std::move(full));
    }
    return refused;
}

// dpkg writes the new files beside the old ones, so their whole size counts. /var takes the
// archive, the old package that is kept, and dpkg's own files, which are written anew.
std::vector<std::string> no_room(const std::vector<std::string>& df, const std::string& sizes) {
    constexpr std::int64_t k_dpkgs_own = std::int64_t{16} << 20;
    std::int64_t archive = 0;
    std::int64_t unpacked = 0;
    if (!(std::istringstream(sizes) >> archive >> unpacked)) {
        return {};
    }

    struct Room {
        std::int64_t free = 0;
        std::int64_t needed = 0;
    };

    std::map<std::string, Room> rooms;
    std::vector<std::int64_t> needs{unpacked, 2 * archive + k_dpkgs_own};
    std::size_t line_of = 0;
    for (const std::string& line : df) {
        std::istringstream words(line);
        std::string device;
        std::string mount;
        std::string ignored;
        std::int64_t free = 0;
        if (words >> device >> ignored >> ignored >> free >> ignored >> mount &&
            mount.starts_with('/') && line_of < needs.size()) {
            Room& room = rooms[mount];
            room.free = free;
            room.needed += needs[line_of++];
        }
    }
    std::vector<std::string> found;
    for (const auto& [mount, room] : rooms) {
        if (line_of == needs.size() && room.free < room.needed) {
            found.push_back(mount + " has " + format_bytes(room.free) + " free, and needs " +
                            format_bytes(room.needed));
        }
    }
    return found;
}

std::vector<Finding> refuse_unpackaged(const MemberFacts& member, const StepCall& call) {
    const bool nowhere = member.patroni.installed.empty() &&
                         call.probed.at("installed").get<std::string>().empty() &&
                         call.probed.at("audit").get<std::string>().empty();
    if (!nowhere || !member.api.ok()) {
        return {};
    }
    const auto unit = member.unknown.find("unit");
    return {refusal(call,
                    "package.not_its_own",
                    "its Patroni runs, but the package " + package_name(call) +
                        " is not installed there" +
                        (unit == member.unknown.end() ? "" : " (" + unit->second + ")"),
                    "It came by another way (pip, a container), and is upgraded by that. If it is "
                    "another package: `patroni_package` in the inventory.")};
}

std::string preference_note(const StepCall& call) {
    return Preference(call.probed.at("policy")).note(chosen_version(call));
}

}  // namespace lockstep
