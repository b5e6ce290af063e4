#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "base/units.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/daemon_word.hpp"
#include "steps/actions/host_obstacles.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"
#include "steps/packages/package_tool.hpp"
#include "steps/spool/member_folder.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_restore_poll = 100ms;
constexpr auto k_patience = 90s;

std::vector<std::string> kept_sums(const StepCall& call) {
    return call.prepared.is_object() ? call.prepared.value("sums", std::vector<std::string>())
                                     : std::vector<std::string>();
}

std::string install_text(const StepCall& call, const PackageTool& tool, const MemberFacts& member) {
    const Direction back = direction(tool, member.patroni.installed, text_arg(call, "version"));
    return tool.install(packages_of(call), back);
}

// Root installs no file that this run has not kept: by the digests on its record, which nobody on
// the member can write to. A run without such a record (of an earlier version) takes what somebody
// vouches for. Where nothing is kept there is the repository, which proves its packages itself.
std::string find_what_was_kept(const StepCall& call) {
    std::string sums;
    std::string names;
    for (const std::string& sum : kept_sums(call)) {
        sums += (sums.empty() ? "" : "\n") + sum;
        names += " " + shell_quote(sum.substr(std::min(sum.find("  ") + 2, sum.size())));
    }
    if (sums.empty()) {
        return find_kept(call) +
               "[ -z \"$kept\" ] || { cd \"$folder\" && set -- ./*\"$suffix\"; }\n";
    }
    return "differs=\nsame() {\n  [ -d \"$folder\" ] || return 1\n"
           "  (cd \"$folder\" && printf '%s\\n' " +
           shell_quote(sums) +
           " | sha256sum -c --status 2>/dev/null) && return\n  differs=$folder\n  return 1\n}\n" +
           find_kept(call, "same") +
           "[ -n \"$kept\" ] || [ -z \"$differs\" ] ||\n"
           "  refuse \"$differs does not hold what was kept: a file has another digest\"\n"
           "set --" +
           names + "\n";
}

// A daemon that does not come up may have used up its starts (StartLimitBurst); and what a failed
// postinst left half configured is configured by the installation of the old version.
std::string restore_script(const PackageTool& tool,
                           const StepCall& call,
                           const std::string& install,
                           const std::string& unit,
                           const MemberFacts& member) {
    const std::string package = package_name(call);
    const std::string version = text_arg(call, "version");
    std::string script = package_functions(tool) + "package=" + shell_quote(package) +
                         " version=" + shell_quote(version) + " service=" + shell_quote(unit) +
                         "\nstatus=0\nrefuse() {\n  printf 'why=%s\\n' \"$1\"\n"
                         "  printf 'installed=%s\\n' \"$(unpacked \"$package\")\"\n  exit 1\n}\n" +
                         find_what_was_kept(call);
    // Stopped first, which in a pause leaves PostgreSQL alone: a daemon that crashes in a loop
    // would use up the starts that systemd grants, and the old package's own restart would be
    // refused.
    const std::string stop = unit.empty()
                                 ? ""
                                 : "  systemctl stop -- \"$service\" </dev/null\n"
                                   "  systemctl reset-failed -- \"$service\" 2>/dev/null\n";
    script += "if [ \"$(installed \"$package\")\" != \"$version\" ]; then\n  repair\n" + stop +
              "  if [ -n \"$kept\" ]; then\n" + patiently(std::string(tool.install_kept)) +
              "  else\n" + patiently(install) +
              "  fi\n"
              "  [ \"$status\" -eq 0 ] || printf 'busy=%s\\n' \"$(holders)\"\n"
              "fi\n"
              "printf 'installed=%s\\n' \"$(unpacked \"$package\")\"\n";
    if (!unit.empty()) {
        script += unit_report(unit) +
                  "changed=$(changed \"$package\")\n"
                  "begun=$(date -d \"$(field ExecMainStartTimestamp)\" +%s)\n"
                  "if [ \"$(field ActiveState)\" != active ] || [ \"${begun:-0}\" -lt "
                  "\"${changed:-0}\" ]; then\n"
                  "  systemctl reset-failed -- \"$service\" 2>/dev/null\n"
                  "  systemctl restart -- \"$service\" </dev/null || status=$?\nfi\n" +
                  unit_report(unit) + "printf 'changed=%s\\n' \"$changed\"\n";
    }
    return script + postmasters_report(member) + "exit \"$status\"\n";
}

/// Puts a package back to a version that was kept before it was changed, and sees a Patroni run and
/// replicate again.
class PackageRestore final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        Preview preview;
        const std::string version = text_arg(call, "version");
        const bool is_patroni = package_name(call) == cluster.patroni_package;
        const PackageTool* tool = tool_for_preview(call, facts, preview);
        preview.because = "back to " + version;
        if (tool == nullptr) {
            return preview;
        }
        const MemberFacts* member = facts.find(call.member);
        preview.operations.push_back({Operation::Kind::ssh, install_text(call, *tool, *member)});
        if (is_patroni) {
            if (member->patroni.installed == version &&
                member->patroni.running == upstream_of(version)) {
                preview.verdict = Verdict::wont;
                preview.because = version + " is installed and runs";
                return preview;
            }
            preview.blocked_by = refuse_to_change_package(*member, cluster);
            for (Finding& refused : refuse_unless_paused(*member, call, facts)) {
                preview.blocked_by.push_back(std::move(refused));
            }
        }
        preview.effect = [name = call.member, version, is_patroni](ClusterFacts& later) {
            MemberFacts* changed = later.find(name);
            if (changed != nullptr && is_patroni) {
                changed->patroni.installed = version;
                changed->patroni.running = upstream_of(version);
            }
        };
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const MemberFacts member = context.member(call);
        const std::string version = text_arg(call, "version");
        const bool is_patroni = package_name(call) == context.cluster.patroni_package;
        const PackageTool& tool = package_tool(member, call);
        const auto& open = call.open_temporaries;
        const bool ours = std::ranges::find(open, "patroni.pause") != open.end();
        const DaemonMust must = ours ? DaemonMust::be_paused_or_silent : DaemonMust::be_paused;
        const std::string first =
            is_patroni ? ask_daemon_script(member, context.facts, context.cluster, must) : "";
        const CommandResult done = context.spooled(
            call,
            member,
            {.script = first + restore_script(tool,
                                              call,
                                              install_text(call, tool, member),
                                              is_patroni ? context.cluster.patroni_service : "",
                                              member)});
        if (auto refused =
                refused_by_daemon(call.member, done, package_name(call) + " was not taken back")) {
            return *refused;
        }
        const ReportLines lines(done.out);
        StepResult result;
        result.learned = learn_postmasters(call.member, lines);
        if (!done.ok() || lines.last("installed") != version) {
            result.outcome = StepOutcome::failed;
            result.message = "it ended with status " + std::to_string(done.exit_status) + ", and " +
                             lines.last("installed") + " is installed";
            if (const std::string busy = lines.last("busy"); !busy.empty()) {
                result.message += "; the lock is held by " + busy;
            }
            result.hint = "See its last lines, and " + std::string(tool.log) + " on the member.";
            result.last_lines = last_lines(done);
            const std::string why = lines.last("why");
            if (const std::string said = why.empty() ? telling_line(done) : why; !said.empty()) {
                result.message += ": " + said;
                if (said.find(k_untrusted) != std::string::npos) {
                    result.hint = k_untrusted_hint;
                }
            }
            return result;
        }
        if (!is_patroni) {
            result.message = "back to " + version;
            return result;
        }
        StepResult seen = see_it_run(call, context, version, postgres_is_down(member));
        seen.learned = [first = result.learned, then = seen.learned](ClusterFacts& facts) {
            if (first) {
                first(facts);
            }
            if (then) {
                then(facts);
            }
        };
        return seen;
    }

  private:
    static StepResult see_it_run(const StepCall& call,
                                 ActionContext& context,
                                 const std::string& version,
                                 bool was_down) {
        const auto begun = context.clock.steady_now();
        const std::string upstream = upstream_of(version);
        std::string seen = "its Patroni does not answer";
        while (context.clock.steady_now() - begun < k_patience) {
            try {
                context.refresh(Depth::quick);
                seen = missing(*context.facts.find(call.member), upstream, was_down);
            } catch (const TransportError& error) {
                if (error.kind() == TransportError::Kind::cancelled) {
                    throw;
                }
                seen = error.what();
            }
            if (seen.empty()) {
                StepResult result{.message = "back to " + version + ", which runs"};
                result.learned =
                    [name = call.member, version, now = context.facts](ClusterFacts& facts) {
                        facts.update(now);
                        if (MemberFacts* member = facts.find(name)) {
                            member->patroni.installed = version;
                            member->unit.reset();
                        }
                    };
                return result;
            }
            if (!context.clock.sleep_for(k_restore_poll, context.stop)) {
                break;
            }
        }
        return {
            .outcome = StepOutcome::failed,
            .message = version + " is installed again, but " + seen,
            .hint = "See `journalctl -u " + context.cluster.patroni_service + "` on the member."};
    }

    /// What is not as it should be; empty: the daemon runs that version, and PostgreSQL has its
    /// place.
    static std::string missing(const MemberFacts& member,
                               const std::string& upstream,
                               bool was_down) {
        if (!member.api.ok()) {
            return "its Patroni does not answer";
        }
        if (member.patroni.running != upstream) {
            return "its Patroni says that it is " + member.patroni.running;
        }
        if (was_down && postgres_is_down(member)) {
            return "";  // as it was: while paused Patroni does not start it
        }
        const bool leads = member.is_leader() && member.state == "running";
        const bool follows = !member.is_leader() && member.in_recovery &&
                             (member.state == "streaming" || member.state == "in archive recovery");
        return leads || follows ? "" : "PostgreSQL is " + member.state + " as " + member.role;
    }
};

}  // namespace

std::unique_ptr<Action> make_package_restore() {
    return std::make_unique<PackageRestore>();
}

}  // namespace lockstep
