#include "steps/actions/daemon.hpp"
#include "steps/actions/daemon_word.hpp"
#include "steps/actions/host_obstacles.hpp"
#include "steps/actions/patroni_requests.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/actions/service_commands.hpp"
#include "steps/catalog.hpp"
#include "steps/packages/package_tool.hpp"

namespace lockstep {

namespace {

bool is_patroni(const StepCall& call, const Cluster& cluster) {
    return is_patroni_unit(text_arg(call, "service"), cluster);
}

class ServiceRestart final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        Preview preview;
        const MemberFacts* member = member_with_unit(call, facts, cluster, preview);
        if (member == nullptr) {
            return preview;
        }
        preview.because = "always";
        if (is_patroni(call, cluster) && !bool_arg(call, "always", false)) {
            judge_daemon(*member, preview);
            if (preview.verdict == Verdict::wont) {
                return preview;
            }
        }
        if (is_patroni(call, cluster)) {
            preview.blocked_by = refuse_to_stop_unit(*member);
            const std::vector<Finding> refused = refuse_unless_paused(*member, call, facts);
            preview.blocked_by.insert(preview.blocked_by.end(), refused.begin(), refused.end());
        } else {
            preview.blocked_by =
                refuse_to_stop_other(*member, short_unit_name(text_arg(call, "service")));
        }
        preview.operations.push_back(
            {Operation::Kind::ssh, systemctl_command("restart", text_arg(call, "service"))});
        preview.needs_no_undo = true;
        if (is_patroni(call, cluster)) {
            choose_way_back(*member, cluster, preview);
            preview.felt = "";  // in pause PostgreSQL goes on without it
        }
        preview.effect = [name = call.member](ClusterFacts& later) {
            if (MemberFacts* changed = later.find(name)) {
                changed->patroni.running = upstream_of(changed->patroni.installed);
            }
        };
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const MemberFacts& member = context.member(call);
        const std::string service = text_arg(call, "service");
        // Asked once more at the last moment: somebody may have resumed the cluster meanwhile, or
        // answered for its REST API.
        const std::string first =
            is_patroni(call, context.cluster)
                ? ask_daemon_script(member, context.facts, context.cluster, DaemonMust::be_paused)
                : "";
        const CommandResult done = context.spooled(
            call, member, {.script = first + systemctl_script("restart", service, member)});
        if (auto refused = refused_by_daemon(call.member, done, service + " was not restarted")) {
            return *refused;
        }
        const ReportLines lines(done.out);
        StepResult result;
        result.learned = is_patroni(call, context.cluster) ? learn_unit(call.member, lines)
                                                           : learn_postmasters(call.member, lines);
        if (!done.ok() || lines.last("state") != "active") {
            result.outcome = StepOutcome::failed;
            result.message = service + " is " + lines.last("state") + " after the restart";
            result.hint = "See `journalctl -u " + service + "` on the member.";
            result.last_lines = last_lines(done);
            return result;
        }
        result.message = "runs as pid " + lines.last("pid");
        return result;
    }

  private:
    /// A restart is taken back by the package that the daemon ran: either the one that another step
    /// of this run replaced, and then its undo is the way back, or, where only the daemon was never
    /// restarted (patroni#3184), the one of that version, if there is one.
    static void choose_way_back(const MemberFacts& member,
                                const Cluster& cluster,
                                Preview& preview) {
        const std::string& running = member.patroni.running;
        if (running.empty() || running == upstream_of(member.patroni.installed)) {
            return;
        }
        std::vector<std::string> packages;
        for (const std::string& version : member.patroni.available) {
            if (upstream_of(version) == running) {
                packages.push_back(version);
            }
        }
        const PackageTool* tool = package_tool(member);
        if (packages.size() != 1 || tool == nullptr) {
            preview.notes.push_back("no way back to " + running +
                                    ", which it runs: that is not installed any more, and no "
                                    "repository has one package of it");
            return;
        }
        const Direction back = direction(*tool, member.patroni.installed, packages[0]);
        preview.undo.push_back(
            {{Operation::Kind::ssh,
              tool->install({cluster.patroni_package + "=" + packages[0]}, back)},
             "package.restore",
             member.name,
             {{"package", cluster.patroni_package}, {"version", packages[0]}}});
    }

    static void judge_daemon(const MemberFacts& member, Preview& preview) {
        switch (daemon_state(member)) {
            case DaemonState::current:
                preview.verdict = Verdict::wont;
                preview.because = "it runs what is installed";
                return;
            case DaemonState::outdated:
                if (member.unit && member.unit->fails_again_and_again() &&
                    member.patroni.running.empty()) {
                    preview.because = "it does not answer, and systemd has started it again " +
                                      std::to_string(member.unit->restarts) + " times";
                    return;
                }
                preview.because = "it runs " +
                                  (member.patroni.running.empty() ? std::string("something older")
                                                                  : member.patroni.running) +
                                  ", " + member.patroni.installed + " is installed";
                return;
            case DaemonState::unknown:
                preview.verdict = Verdict::may;
                preview.because = member.setup && member.setup->packaged == false
                                      ? "no package tells what it should run"
                                      : "only if its package does not restart it by itself";
                return;
        }
    }
};

}  // namespace

std::unique_ptr<Action> make_service_restart() {
    return std::make_unique<ServiceRestart>();
}

}  // namespace lockstep
