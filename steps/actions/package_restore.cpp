#include "base/shell_quote.hpp"
#include "base/units.hpp"
#include "steps/actions/apt.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_poll = 100ms;
constexpr auto k_patience = 90s;

std::string install_text(const StepCall& call) {
    std::vector<std::string> wanted{text_arg(call, "package") + "=" + text_arg(call, "version")};
    for (const std::string& also : list_arg(call, "also")) {
        wanted.push_back(also);
    }
    return apt::install(wanted);
}

// A daemon that does not come up may have used up its starts (StartLimitBurst); and what a failed
// postinst left half configured is configured by the installation of the old version.
std::string restore_script(const StepCall& call, const std::string& unit) {
    const std::string package = text_arg(call, "package");
    const std::string version = text_arg(call, "version");
    std::string script =
        "export LC_ALL=C\nfolder=" + shell_quote(apt::kept_folder(package, version)) +
        " package=" + shell_quote(package) + " version=" + shell_quote(version) + "\n";
    if (!unit.empty()) {
        script +=
            "unit=" + shell_quote(unit) + "\nsystemctl reset-failed -- \"$unit\" 2>/dev/null\n";
    }
    script +=
        "status=0\n"
        "if [ \"$(dpkg-query -W -f '${db:Status-Status} ${Version}' \"$package\" 2>/dev/null)\" != "
        "\"installed $version\" ]; then\n" +
        apt::finish_interrupted() + "  if [ -e \"$folder/complete\" ]; then " + apt::install({}) +
        " \"$folder\"/*.deb >&2 </dev/null; else " + install_text(call) +
        " >&2 </dev/null; fi\n  status=$?\nfi\n"
        "printf 'installed=%s\\n' \"$(dpkg-query -W -f '${Version}' \"$package\")\"\n";
    if (!unit.empty()) {
        script += unit_report(unit) +
                  "changed=$(stat -c %Y \"/var/lib/dpkg/info/$package.list\")\n"
                  "begun=$(date -d \"$(field ExecMainStartTimestamp)\" +%s)\n"
                  "if [ \"$(field ActiveState)\" != active ] || [ \"${begun:-0}\" -lt \"$changed\" "
                  "]; then\n"
                  "  systemctl daemon-reload; systemctl reset-failed -- \"$unit\" 2>/dev/null\n"
                  "  systemctl restart -- \"$unit\" </dev/null || status=$?\nfi\n" +
                  unit_report(unit) + "printf 'changed=%s\\n' \"$changed\"\n";
    }
    return script + "exit \"$status\"\n";
}

/// Puts a package back to a version that was kept before it was changed, and sees a Patroni run and
/// replicate again.
class PackageRestore final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        Preview preview;
        const MemberFacts* member = facts.find(call.member);
        const std::string version = text_arg(call, "version");
        const bool is_patroni = text_arg(call, "package") == cluster.patroni_package;
        preview.because = "back to " + version;
        preview.operations.push_back({Operation::Kind::ssh, install_text(call)});
        preview.blocked_by = refuse_unless_reachable(member, call.member, true, false, false);
        if (!preview.blocked_by.empty()) {
            preview.verdict = Verdict::may;
            return preview;
        }
        if (is_patroni) {
            if (member->patroni.installed == version &&
                member->patroni.running == upstream_of(version)) {
                preview.verdict = Verdict::wont;
                preview.because = version + " is installed and runs";
                return preview;
            }
            preview.blocked_by = refuse_unless_paused(*member);
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
        const bool is_patroni = text_arg(call, "package") == context.cluster.patroni_package;
        const CommandResult done = context.spooled(
            call,
            member,
            {.script = restore_script(call, is_patroni ? context.cluster.patroni_service : "")});
        const ReportLines lines(done.out);
        StepResult result;
        if (!done.ok() || lines.last("installed") != version) {
            result.outcome = StepOutcome::failed;
            result.message = "it ended with status " + std::to_string(done.exit_status) + ", and " +
                             lines.last("installed") + " is installed";
            result.hint = "See its last lines, and /var/log/apt/term.log on the member.";
            result.last_lines = last_lines(done);
            return result;
        }
        return is_patroni ? see_it_run(call, context, version)
                          : StepResult{.message = "back to " + version};
    }

  private:
    static StepResult see_it_run(const StepCall& call,
                                 ActionContext& context,
                                 const std::string& version) {
        const auto begun = context.clock.steady_now();
        const std::string upstream = upstream_of(version);
        std::string seen = "its Patroni does not answer";
        while (context.clock.steady_now() - begun < k_patience) {
            try {
                context.refresh(Depth::quick);
                seen = missing(*context.facts.find(call.member), upstream);
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
            if (!context.clock.sleep_for(k_poll, context.stop)) {
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
    static std::string missing(const MemberFacts& member, const std::string& upstream) {
        if (!member.api.ok()) {
            return "its Patroni does not answer";
        }
        if (member.patroni.running != upstream) {
            return "its Patroni says that it is " + member.patroni.running;
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
