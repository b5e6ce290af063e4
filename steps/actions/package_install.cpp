#include "base/error.hpp"
#include "base/join.hpp"
#include "base/package_version.hpp"
#include "base/shell_quote.hpp"
#include "cluster/host_findings.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/daemon_word.hpp"
#include "steps/actions/host_obstacles.hpp"
#include "steps/actions/package_obstacles.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"
#include "steps/packages/package_tool.hpp"

#include <algorithm>
#include <sstream>

namespace lockstep {

namespace {

/// One script for all that a plan has to know: installed, available, and what the tool would do.
/// While another process works with packages nothing can be said of what an interrupted one left.
std::string probe_script(const PackageTool& tool, const StepCall& call) {
    return package_functions(tool) + "package=" + shell_quote(package_name(call)) +
           " wanted=" + shell_quote(text_arg(call, "version")) +
           " file=" + shell_quote(package_file(call)) + R"sh(
simulate() {
  lines=$(simulated "$2")
  printf '%s\n' "$lines" | sed "s/^/sim=$1 /"
  printf '%s\n' "$lines" | sizes | sed 's/^/sizes=/'
}
df -PB1 /usr /var 2>/dev/null | sed 's/^/df=/'
printf 'installed=%s\n' "$(installed "$package")"
busy=$(holders)
printf 'busy=%s\n' "$busy"
[ -n "$busy" ] || printf 'audit=%s\n' "$(trouble "$package")"
printf 'held=%s\n' "$(held "$package" 2>/dev/null)"
if [ -n "$file" ]; then
  printf 'described=%s\n' "$(described "$file" 2>/dev/null)"
  simulate file "$file"
else
  preferred "$package" | sed 's/^/policy=/'
  offers=$(offered "$package")
  # Those that could be meant: exactly this one, or of that upstream version.
  for version in $offers; do
    printf 'available=%s\n' "$version"
    upstream=${version#*:} upstream=${upstream%-*}
    if [ "$version" = "$wanted" ] || [ "$upstream" = "$wanted" ]; then
      simulate "$version" "$package=$version"
    fi
  done
fi
)sh";
}

/// Reports what is there afterwards in the same script, whatever the status: the member is asked
/// while it surely knows.
std::string run_script(const PackageTool& tool,
                       const StepCall& call,
                       const std::string& command,
                       const std::string& unit,
                       const MemberFacts& member) {
    const std::string package = shell_quote(package_name(call));
    return package_functions(tool) +
           // A first attempt may have been cut off; the plan saw all clean before that one.
           (call.attempt > 1 ? "repair\n" : "") + patiently(command) +
           "printf 'installed=%s\\nchanged=%s\\n' \"$(unpacked " + package + ")\" \"$(changed " +
           package + ")\"\n" + package_report(package_name(call)) + unit_report(unit) +
           postmasters_report(member) + "exit \"$status\"\n";
}

/// The versions among `available` that `wanted` names: itself, or those with that upstream part.
/// The exact version wins over those of the same upstream part: a person who writes a revision
/// means it.
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

/// What the tool would do besides: removals, errors, and any PostgreSQL server package. A server
/// whose files change below it cannot start new backends cleanly (seen with 15.18 to 15.20).
std::vector<std::string> side_effects(const std::vector<std::string>& simulation,
                                      const std::string& package,
                                      const PackageTool& tool) {
    std::vector<std::string> found;
    for (const std::string& line : simulation) {
        std::istringstream words(line);
        std::string version;
        std::string verb;
        std::string name;
        words >> version >> verb >> name;
        const bool server = verb == "Inst" && tool.is_server(name) && name != package;
        if (verb == "Remv" || verb == "E:" || server) {
            found.push_back(line.substr(version.size() + 1));
        }
    }
    return found;
}

/// The versions of other packages that would change, as they are now: `Inst name [old] (new …)`.
/// Kept with the old package: taking that back alone would leave new dependencies under it, or
/// fail.
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
    /// A member that cannot be asked gives no probe, and no error: the preview says it in the words
    /// of the plan.
    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const PackageTool* tool = tool_to_probe(call, context.facts);
        if (tool == nullptr) {
            return nullptr;  // the preview refuses by the facts
        }
        const std::string package = package_name(call);
        const CommandResult result = context.ssh(context.member(call), probe_script(*tool, call));
        const ReportLines lines(result.out);
        const std::vector<std::string> available = lines.all("available");
        const std::string described = lines.last("described");
        std::vector<std::string> candidates = matching(available, text_arg(call, "version"));
        if (described.starts_with(package + " ")) {
            candidates = {described.substr(package.size() + 1)};
        }
        return {{"installed", lines.last("installed")},
                {"available", available},
                {"described", described},
                {"candidates", candidates},
                {"audit", lines.last("audit")},
                {"busy", lines.last("busy")},
                {"held", lines.last("held") == "yes"},
                {"no_room", no_room(lines.all("df"), lines.last("sizes"))},
                {"policy", lines.all("policy")},
                {"dependencies", dependencies(lines.all("sim"), package)},
                {"side_effects", side_effects(lines.all("sim"), package, *tool)}};
    }

    /// First whether it can be asked, then whether there is anything to do, and only then what
    /// stands against it: obstacles to something that need not be done interest nobody.
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        Preview preview;
        const PackageTool* tool = tool_for_preview(call, facts, preview);
        if (tool == nullptr || call.probed.is_null()) {
            call_unasked(preview);
            return preview;
        }
        const MemberFacts* member = facts.find(call.member);
        const std::string package = package_name(call);
        const bool is_patroni = package == cluster.patroni_package;
        const std::string installed =
            is_patroni ? member->patroni.installed : call.probed.at("installed").get<std::string>();
        const std::string version = chosen_version(call);
        // An installed version may have left the repositories: it still is what was asked for.
        const bool fits = call.probed.at("candidates").empty() && !version.empty() &&
                          upstream_of(installed) == version;
        const bool foreign = is_patroni && program_is_not_packaged(*member, package).has_value();
        if (!foreign && !installed.empty() && (installed == version || fits)) {
            preview.verdict = Verdict::wont;
            preview.because = package + " " + installed + " is installed";
            return preview;
        }
        preview.blocked_by = obstacles(call, *tool);
        if (is_patroni && preview.blocked_by.empty()) {
            preview.blocked_by = refuse_unpackaged(*member, call);
        }
        if (is_patroni && preview.blocked_by.empty()) {
            // Debian's postinst and PGDG's %postun restart the daemon: as dangerous as a restart.
            preview.blocked_by = refuse_to_change_package(*member, cluster);
            for (Finding& refused : refuse_unless_paused(*member, call, facts)) {
                preview.blocked_by.push_back(std::move(refused));
            }
        }
        preview.because = installed.empty() ? "it is not installed" : installed + " is installed";
        preview.operations.push_back(
            {Operation::Kind::ssh, install_command(call, *tool, installed)});
        if (installed.empty()) {
            preview.no_way_back = "it was not installed before, and lockstep removes no package";
        } else {
            preview.undo.push_back(way_back(call, *tool, installed));
        }
        const auto upkeep = needrestart_restarts(*member);
        const std::string suspended =
            upkeep
                ? "needrestart is suspended for this call; after the next call of apt by anybody "
                  "else it restarts what it finds, paused or not (host.needrestart)"
                : "";
        for (const std::string& note :
             {suspended,
              is_patroni ? version_note(installed, version) : std::string(),
              preference_note(call),
              busy_note(call)}) {
            if (!note.empty()) {
                preview.notes.push_back(note);
            }
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

    /// The version is the one that the plan has chosen. Success is the exit status and the version
    /// found afterwards, because a package manager may end well without having done it.
    StepResult run(const StepCall& call, ActionContext& context) const override {
        const MemberFacts& member = context.member(call);
        const PackageTool& tool = package_tool(member, call);
        const std::string package = package_name(call);
        const bool is_patroni = package == context.cluster.patroni_package;
        const std::string version =
            call.probed.at("candidates").get<std::vector<std::string>>().at(0);
        const std::string command = install_command(
            call,
            tool,
            is_patroni ? member.patroni.installed : call.probed.at("installed").get<std::string>());
        // Its package restarts the daemon, whatever the plan's steps do.
        const std::string first =
            is_patroni
                ? ask_daemon_script(member, context.facts, context.cluster, DaemonMust::be_paused)
                : "";
        const std::string& unit = context.cluster.patroni_service;
        const CommandResult done = context.spooled(
            call, member, {.script = first + run_script(tool, call, command, unit, member)});
        if (auto refused = refused_by_daemon(call.member, done, package + " was not changed")) {
            return *refused;
        }
        const ReportLines lines(done.out);
        const std::string installed = lines.last("installed");
        StepResult result;
        result.learned =
            is_patroni ? learn(call.member, lines) : learn_postmasters(call.member, lines);
        result.output = {{"installed", installed}, {"exit", done.exit_status}};
        if (!done.ok() || installed != version) {
            result.outcome = StepOutcome::failed;
            result.message = failure(tool, done, lines);
            result.hint = "See its last lines, and " + std::string(tool.log) + " on the member.";
            result.last_lines = last_lines(done);
            return result;
        }
        result.message = package + " " + installed + touched(lines);
        return result;
    }

  private:
    static std::string install_command(const StepCall& call,
                                       const PackageTool& tool,
                                       const std::string& installed) {
        const std::string version = chosen_version(call);
        return tool.install({package_item(call, version)}, direction(tool, installed, version));
    }

    static std::string busy_note(const StepCall& call) {
        const std::string busy = call.probed.at("busy");
        return busy.empty() ? ""
                            : busy +
                                  " works with packages there now; what it leaves is not known, "
                                  "and the step waits for it for a minute";
    }

    static std::string failure(const PackageTool& tool,
                               const CommandResult& done,
                               const ReportLines& lines) {
        const std::string program(tool.program);
        if (done.ok()) {
            return program + " succeeded, but " + lines.last("installed") + " is installed";
        }
        const std::string busy = lines.last("busy");
        const std::string said = telling_line(done);
        return program + " ended with status " + std::to_string(done.exit_status) +
               (busy.empty() ? "" : ", and the lock is held by " + busy) +
               (said.empty() ? "" : ": " + said);
    }

    /// What became of configuration that a person edited.
    static std::string touched(const ReportLines& lines) {
        const auto kept = lines.all("kept");
        const auto replaced = lines.all("replaced");
        return (kept.empty()
                    ? ""
                    : "; configuration that was edited stays, the package's is " + join(kept)) +
               (replaced.empty()
                    ? ""
                    : "; configuration was replaced, what it was is " + join(replaced));
    }

    /// With the versions as they are now, to the revision: the repository may offer another one by
    /// then.
    static Undo way_back(const StepCall& call,
                         const PackageTool& tool,
                         const std::string& installed) {
        const std::string package = package_name(call);
        nlohmann::json with = {{"package", package}, {"version", installed}};
        std::vector<std::string> all{package + "=" + installed};
        const auto also = call.probed.value("dependencies", std::vector<std::string>());
        if (!also.empty()) {
            with["also"] = also;
            all.insert(all.end(), also.begin(), also.end());
        }
        const Direction back = direction(tool, chosen_version(call), installed);
        return {
            {Operation::Kind::ssh, tool.install(all, back)}, "package.restore", call.member, with};
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
                                     .package_changed_at = lines.number("changed"),
                                     .restarts = lines.number("restarts")};
            learn_postmasters(*member, lines);
        };
    }
};

}  // namespace

std::unique_ptr<Action> make_package_install() {
    return std::make_unique<PackageInstall>();
}

}  // namespace lockstep
