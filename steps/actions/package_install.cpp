#include "base/error.hpp"
#include "base/package_version.hpp"
#include "base/shell_quote.hpp"
#include "steps/actions/apt.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"

#include <algorithm>
#include <sstream>

namespace lockstep {

namespace {

/// One script for all that a plan has to know: installed, available, and what apt would do.
std::string probe_script(const std::string& package, const std::string& wanted) {
    return "export LC_ALL=C\n"
           "package=" +
           shell_quote(package) + " wanted=" + shell_quote(wanted) +
           "\n"
           "command -v apt-get >/dev/null || { echo no_apt=1; exit 0; }\n"
           "printf 'installed=%s\\n' \"$(dpkg-query -W -f '${db:Status-Status} ${Version}' "
           "\"$package\" 2>/dev/null)\"\n"
           "audit=$(dpkg --audit 2>&1 | head -c 300 | tr '\\n' ' '); printf 'audit=%s\\n' "
           "\"$audit\"\n"
           "apt-mark showhold \"$package\" 2>/dev/null | sed 's/^/held=/'\n"
           "apt-cache madison \"$package\" 2>/dev/null | awk -F'|' '{gsub(/ /,\"\",$2); print "
           "\"available=\" $2}'\n"
           // The simulation of the version that would be chosen: exact, or the only one of that
           // upstream; the choice itself is made by the reader of these lines.
           "for v in $(apt-cache madison \"$package\" 2>/dev/null | awk -F'|' '{gsub(/ /,\"\",$2); "
           "print $2}' | sort -u); do\n"
           "  u=${v#*:}; u=${u%-*}\n"
           "  if [ \"$v\" = \"$wanted\" ] || [ \"$u\" = \"$wanted\" ]; then\n"
           "    apt-get -s -q --no-remove --no-install-recommends --allow-downgrades install "
           "\"$package=$v\" 2>&1 | sed -n \"s/^Inst /sim=$v Inst /p; s/^Remv /sim=$v Remv /p; "
           "s/^E: /sim=$v E: /p\"\n"
           "  fi\n"
           "done\n";
}

std::string run_script(const StepCall& call, const std::string& version, const std::string& unit) {
    const std::string package = text_arg(call, "package");
    return "export LC_ALL=C\n" +
           // A first attempt may have been cut off; the plan saw dpkg clean before that one.
           (call.attempt > 1 ? apt::finish_interrupted() : "") +
           // apt's own chatter goes to stderr: stdout is for the report below.
           apt::install({package + "=" + version}) + " >&2 </dev/null\nstatus=$?\n" +
           "printf 'installed=%s\\n' \"$(dpkg-query -W -f '${Version}' " + shell_quote(package) +
           ")\"\n" + "printf 'changed=%s\\n' \"$(stat -c %Y /var/lib/dpkg/info/" +
           shell_quote(package) + ".list)\"\n" + unit_report(unit) + "exit \"$status\"\n";
}

/// The versions among `available` that `wanted` names: itself, or those with that upstream part.
std::vector<std::string> matching(const std::vector<std::string>& available,
                                  const std::string& wanted) {
    std::vector<std::string> found;
    for (const std::string& version : available) {
        if (version == wanted) {
            return {version};
        }
        if (upstream_of(version) == wanted && std::ranges::find(found, version) == found.end()) {
            found.push_back(version);
        }
    }
    return found;
}

std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) {
        text += (text.empty() ? "" : ", ") + word;
    }
    return text;
}

Finding refusal(const StepCall& call,
                const char* id,
                const std::string& message,
                std::string remedy) {
    return {.id = id,
            .severity = Severity::critical,
            .member = call.member,
            .subject = text_arg(call, "package"),
            .message = call.member + ": " + message,
            .remedy = std::move(remedy),
            .source = {}};
}

/// Why the probe says that this install must not be tried.
std::vector<Finding> refusals(const StepCall& call) {
    const nlohmann::json& probed = call.probed;
    const std::string package = text_arg(call, "package");
    const std::string version = text_arg(call, "version");
    std::vector<Finding> refused;
    const auto refuse = [&](const char* id, const std::string& what, const std::string& remedy) {
        refused.push_back(refusal(call, id, what, remedy));
    };
    if (probed.value("no_apt", false)) {
        refuse("package.unavailable",
               "there is no apt-get",
               "This version of lockstep installs with apt alone.");
        return refused;
    }
    const auto candidates = probed.at("candidates").get<std::vector<std::string>>();
    const auto available = probed.at("available").get<std::vector<std::string>>();
    if (!probed.at("audit").get<std::string>().empty()) {
        refuse("package.broken",
               "dpkg was interrupted: " + probed.at("audit").get<std::string>(),
               "Repair it on the member first: `dpkg --configure -a`.");
    }
    if (candidates.empty()) {
        refuse("package.unavailable",
               "no repository has " + package + " " + version,
               available.empty()
                   ? "It has no version of it at all. Check the package's name and the member's "
                     "repositories (`apt-get update`)."
                   : "It has " + join(available) + ".");
    } else if (candidates.size() > 1) {
        refuse("package.ambiguous",
               version + " could be each of " + join(candidates),
               "Name one of them in full.");
    }
    if (probed.at("held").get<bool>()) {
        refuse("package.held",
               package + " is on hold",
               "Somebody pinned it. If it may change now: `apt-mark unhold " + package + "`.");
    }
    for (const auto& effect : probed.at("side_effects").get<std::vector<std::string>>()) {
        refuse("package.side_effect",
               "installing it would also change " + effect,
               "Upgrade PostgreSQL in a step of its own, or pin it; repair what apt complains of.");
    }
    return refused;
}

/// What apt would do besides: removals, errors, and any PostgreSQL server package. A server whose
/// files change below it cannot start new backends cleanly (seen with 15.18 to 15.20).
std::vector<std::string> side_effects(const std::vector<std::string>& simulation,
                                      const std::string& package) {
    std::vector<std::string> found;
    for (const std::string& line : simulation) {
        std::istringstream words(line);
        std::string version;
        std::string verb;
        std::string name;
        words >> version >> verb >> name;
        const bool server = verb == "Inst" && name.starts_with("postgresql-") && name != package;
        if (verb == "Remv" || verb == "E:" || server) {
            found.push_back(line.substr(version.size() + 1));
        }
    }
    return found;
}

/// The versions of other packages that would change, as they are now: `Inst name [old] (new …)`.
std::vector<std::string> dependencies(const std::vector<std::string>& simulation,
                                      const std::string& package) {
    std::vector<std::string> found;
    for (const std::string& line : simulation) {
        std::istringstream words(line);
        std::string version;
        std::string verb;
        std::string name;
        std::string old;
        words >> version >> verb >> name >> old;
        if (verb == "Inst" && name != package && old.size() > 2 && old.front() == '[') {
            found.push_back(name + "=" + old.substr(1, old.find(']') - 1));
        }
    }
    return found;
}

/// What the release notes want known about this way up or down; empty: nothing.
std::string version_note(const std::string& from, const std::string& to) {
    const std::string old_upstream = upstream_of(from);
    const std::string new_upstream = upstream_of(to);
    if (old_upstream.empty() || new_upstream.empty()) {
        return {};
    }
    // Patroni 4.0.0 release notes.
    if (PackageVersion(old_upstream) < PackageVersion("3.1.0") &&
        PackageVersion(new_upstream) >= PackageVersion("4.0.0")) {
        return "Patroni's release notes ask for 3.1.0 before 4.x, because of a failover in "
               "between; "
               "there is none while paused";
    }
    return {};
}

class PackageInstall final : public Action {
  public:
    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const MemberFacts* member = context.facts.find(call.member);
        if (member == nullptr || member->ssh.failed()) {
            return nullptr;  // the preview refuses by the facts
        }
        const std::string package = text_arg(call, "package");
        const std::string wanted = text_arg(call, "version");
        const CommandResult result = context.ssh(*member, probe_script(package, wanted));
        const ReportLines lines(result.out);
        std::vector<std::string> available = lines.all("available");
        const std::string installed = lines.last("installed");
        const std::string k_status = "installed ";
        const bool is_installed = installed.starts_with(k_status);
        return {{"no_apt", lines.last("no_apt") == "1"},
                {"installed", is_installed ? installed.substr(k_status.size()) : ""},
                {"available", available},
                {"candidates", matching(available, wanted)},
                {"audit", lines.last("audit")},
                {"held", !lines.all("held").empty()},
                {"dependencies", dependencies(lines.all("sim"), package)},
                {"side_effects", side_effects(lines.all("sim"), package)}};
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        Preview preview;
        const MemberFacts* member = facts.find(call.member);
        preview.blocked_by = refuse_unless_reachable(member, call.member, true, false, false);
        if (!preview.blocked_by.empty() || call.probed.is_null()) {
            preview.verdict = Verdict::may;
            preview.because = "the member could not be asked";
            return preview;
        }
        const std::string package = text_arg(call, "package");
        const bool is_patroni = package == cluster.patroni_package;
        const auto candidates = call.probed.at("candidates").get<std::vector<std::string>>();
        const std::string installed =
            is_patroni ? member->patroni.installed : call.probed.at("installed").get<std::string>();
        const std::string version =
            candidates.size() == 1 ? candidates.front() : text_arg(call, "version");
        // An installed version may have left the repositories: it still is what was asked for.
        const bool fits = candidates.empty() && upstream_of(installed) == version;
        if (installed == version || fits) {
            preview.verdict = Verdict::wont;
            preview.because = package + " " + installed + " is installed";
            return preview;
        }
        preview.blocked_by = refusals(call);
        if (is_patroni && preview.blocked_by.empty()) {
            // Debian's postinst and PGDG's %postun restart the daemon: as dangerous as a restart.
            preview.blocked_by = refuse_unless_paused(*member);
        }
        preview.because = installed.empty() ? "it is not installed" : installed + " is installed";
        preview.operations.push_back(
            {Operation::Kind::ssh, apt::install({package + "=" + version})});
        if (installed.empty()) {
            preview.no_way_back = "it was not installed before, and lockstep removes no package";
        } else {
            preview.undo.push_back(way_back(call, package, installed));
        }
        const std::string note = is_patroni ? version_note(installed, version) : "";
        if (!note.empty()) {
            preview.notes.push_back(note);
        }
        preview.effect = [name = call.member, version, is_patroni](ClusterFacts& later) {
            MemberFacts* changed = later.find(name);
            if (changed != nullptr && is_patroni) {
                changed->patroni.installed = version;
                changed->patroni.running = upstream_of(version);
                changed->unit.reset();  // whether the package restarts its daemon is its business
            }
        };
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const MemberFacts& member = context.member(call);
        const std::string package = text_arg(call, "package");
        const bool is_patroni = package == context.cluster.patroni_package;
        const std::string version =
            call.probed.at("candidates").get<std::vector<std::string>>().at(0);
        const CommandResult done = context.spooled(
            call, member, {.script = run_script(call, version, context.cluster.patroni_service)});
        const ReportLines lines(done.out);
        const std::string installed = lines.last("installed");
        StepResult result;
        if (is_patroni) {
            result.learned = learn(call.member, lines);
        }
        result.output = {{"installed", installed}, {"exit", done.exit_status}};
        if (!done.ok() || installed != version) {
            result.outcome = StepOutcome::failed;
            result.message = done.ok()
                                 ? "apt-get succeeded, but " + installed + " is installed"
                                 : "apt-get ended with status " + std::to_string(done.exit_status);
            result.hint = "See its last lines, and /var/log/apt/term.log on the member.";
            result.last_lines = last_lines(done);
            return result;
        }
        result.message = package + " " + installed;
        return result;
    }

  private:
    static Undo way_back(const StepCall& call,
                         const std::string& package,
                         const std::string& installed) {
        nlohmann::json with = {{"package", package}, {"version", installed}};
        std::vector<std::string> all{package + "=" + installed};
        const auto also = call.probed.value("dependencies", std::vector<std::string>());
        if (!also.empty()) {
            with["also"] = also;
            all.insert(all.end(), also.begin(), also.end());
        }
        return {{Operation::Kind::ssh, apt::install(all)}, "package.restore", call.member, with};
    }

    /// A restart by the package itself shows in the unit's start time: no second one is needed.
    static std::function<void(ClusterFacts&)> learn(const std::string& name,
                                                    const ReportLines& lines) {
        return [name, lines](ClusterFacts& facts) {
            MemberFacts* member = facts.find(name);
            if (member == nullptr) {
                return;
            }
            member->patroni.installed = lines.last("installed");
            member->patroni.running.clear();  // asked again before anything relies on it
            member->unit = UnitFacts{.active_state = lines.last("state"),
                                     .sub_state = {},
                                     .main_pid = lines.number("pid"),
                                     .started_at = lines.number("started"),
                                     .package_changed_at = lines.number("changed")};
        };
    }
};

}  // namespace

std::unique_ptr<Action> make_package_install() {
    return std::make_unique<PackageInstall>();
}

}  // namespace lockstep
