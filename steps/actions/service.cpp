#include "base/shell_quote.hpp"
#include "steps/actions/daemon.hpp"
#include "steps/actions/daemon_word.hpp"
#include "steps/actions/host_obstacles.hpp"
#include "steps/actions/probe_stamp.hpp"
#include "steps/actions/service_commands.hpp"
#include "steps/catalog.hpp"

namespace lockstep {

namespace {

std::string show_command(const std::string& unit) {
    return "LC_ALL=C systemctl show -p LoadState -p ActiveState -- " + shell_quote(unit);
}

bool is_up(const std::string& state) {
    return state == "active" || state == "reloading" || state == "refreshing";
}

bool is_down(const std::string& state) {
    return state == "inactive" || state == "failed";
}

/// `service.start` and `service.stop`: the same but for the direction.
class ServiceSwitch final : public Action {
  public:
    explicit ServiceSwitch(bool start) : start_(start) {}

    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const MemberFacts* member = member_to_probe(call, context.facts);
        if (member == nullptr) {
            return nullptr;  // the preview refuses by the facts
        }
        const CommandResult result = context.ssh(*member, show_command(text_arg(call, "service")));
        if (!result.ok()) {
            return nullptr;
        }
        const ReportLines lines(result.out);
        return stamped({{"load", lines.last("LoadState")}, {"state", lines.last("ActiveState")}},
                       context.facts);
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& cluster) const override {
        Preview preview;
        const MemberFacts* member = member_with_unit(call, facts, cluster, preview);
        if (member == nullptr) {
            return preview;
        }
        const std::string unit = text_arg(call, "service");
        compare_state(call, facts, *member, preview);
        if (preview.verdict == Verdict::wont) {
            return preview;
        }
        const bool patroni = is_patroni_unit(unit, cluster);
        if (patroni) {
            preview.felt = "";  // in pause PostgreSQL goes on without it
        }
        if (!start_) {
            for (Finding& refused : patroni
                                        ? refuse_to_stop_unit(*member)
                                        : refuse_to_stop_other(*member, short_unit_name(unit))) {
                preview.blocked_by.push_back(std::move(refused));
            }
        }
        if (patroni && !start_) {
            const std::vector<Finding> refused = refuse_unless_paused(*member, call, facts);
            preview.blocked_by.insert(preview.blocked_by.end(), refused.begin(), refused.end());
        }
        preview.operations.push_back({Operation::Kind::ssh, systemctl_command(verb(), unit)});
        preview.undo.push_back(
            {{Operation::Kind::ssh, systemctl_command(start_ ? "stop" : "start", unit)},
             start_ ? "service.stop" : "service.start",
             call.member,
             {{"service", unit}}});
        preview.effect =
            [name = call.member, key = key_of(unit), patroni, up = start_](ClusterFacts& later) {
                if (MemberFacts* changed = later.find(name)) {
                    changed->foreseen[key] = up ? "active" : "inactive";
                    if (patroni) {
                        foresee_patroni(*changed, up);
                    }
                }
            };
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const MemberFacts& member = context.member(call);
        const std::string unit = text_arg(call, "service");
        const bool patroni = is_patroni_unit(unit, context.cluster);
        // Asked once more at the last moment: somebody may have resumed the cluster, or answered
        // for its REST API. What is started does not run, so there is nobody to ask.
        const std::string first =
            patroni && !start_
                ? ask_daemon_script(member, context.facts, context.cluster, DaemonMust::be_paused)
                : "";
        const CommandResult done =
            context.spooled(call, member, {.script = first + run_script(unit, member)});
        if (auto refused = refused_by_daemon(call.member, done, unit + " was not stopped")) {
            return *refused;
        }
        const ReportLines lines(done.out);
        const std::string state = lines.last("state");
        StepResult result;
        if (done.ok() && state.empty() && is_there(lines.last("before"))) {
            result.outcome = StepOutcome::already_done;
            result.message = unit + " is " + lines.last("before");
            return result;
        }
        if (!state.empty()) {
            result.learned =
                patroni ? learn_unit(call.member, lines) : learn_postmasters(call.member, lines);
        }
        if (!done.ok() || !is_there(state)) {
            result.outcome = StepOutcome::failed;
            result.message = state.empty()
                                 ? unit + " could not be " + past()
                                 : unit + " is " + state + " after it was to be " + past();
            result.hint = "See `journalctl -u " + unit + "` on the member.";
            result.last_lines = last_lines(done);
            return result;
        }
        result.message = start_ ? "runs as pid " + lines.last("pid") : "it is " + state;
        return result;
    }

  private:
    [[nodiscard]] std::string verb() const { return start_ ? "start" : "stop"; }

    [[nodiscard]] std::string past() const { return start_ ? "started" : "stopped"; }

    [[nodiscard]] bool is_there(const std::string& state) const {
        return start_ ? is_up(state) : is_down(state);
    }

    static std::string key_of(const std::string& unit) { return "unit " + short_unit_name(unit); }

    /// What it is now: as the steps before will leave it, else as probe() saw it.
    void compare_state(const StepCall& call,
                       const ClusterFacts& facts,
                       const MemberFacts& member,
                       Preview& preview) const {
        const std::string unit = text_arg(call, "service");
        const nlohmann::json* probed = probed_with(facts, call);
        const auto foreseen = member.foreseen.find(key_of(unit));
        std::string state;
        if (foreseen != member.foreseen.end()) {
            state = foreseen->second;
        } else if (probed != nullptr) {
            state = probed->at("state");
        }
        if (state.empty()) {
            preview.verdict = Verdict::may;
            preview.because = start_ ? "only if it does not run" : "only if it runs";
            return;
        }
        preview.because = "it is " + state;
        if (is_there(state)) {
            preview.verdict = Verdict::wont;
        }
        if (probed != nullptr) {
            refuse_unfit(call, probed->at("load"), state, preview);
        }
    }

    /// A unit that is not there is not one that is stopped, but one whose name is wrong.
    void refuse_unfit(const StepCall& call,
                      const std::string& load,
                      const std::string& state,
                      Preview& preview) const {
        const std::string unit = text_arg(call, "service");
        const bool absent = load == "not-found" && !is_up(state);
        if (!absent && (load != "masked" || !start_)) {
            return;
        }
        preview.verdict = Verdict::will;
        preview.blocked_by.push_back(
            member_refusal(call,
                           absent ? "service.unknown" : "service.masked",
                           unit,
                           absent ? "there is no unit " + unit : unit + " is masked",
                           absent ? "Check its name: `systemctl list-unit-files`."
                                  : "Somebody saw to it that it cannot start. If it may now: "
                                    "`systemctl unmask " +
                                        unit + "`."));
    }

    /// Looks first, in the same round trip: the unit may be there already.
    [[nodiscard]] std::string run_script(const std::string& unit, const MemberFacts& member) const {
        return "before=$(" + show_command(unit) +
               ") || exit 1\n"
               "load=$(printf '%s\\n' \"$before\" | sed -n 's/^LoadState=//p')\n"
               "active=$(printf '%s\\n' \"$before\" | sed -n 's/^ActiveState=//p')\n"
               "printf 'before=%s\\n' \"$active\"\n"
               "case $load:$active in\n"
               "not-found:inactive) echo 'there is no such unit' >&2; exit 1 ;;\n" +
               (start_ ? "*:active | *:reloading | *:refreshing) exit 0 ;;\n"
                       : "*:inactive | *:failed) exit 0 ;;\n") +
               "esac\n" + systemctl_script(verb(), unit, member);
    }

    static void foresee_patroni(MemberFacts& member, bool up) {
        member.patroni.running = up ? upstream_of(member.patroni.installed) : "";
        if (member.unit) {
            member.unit->active_state = up ? "active" : "inactive";
            member.unit->main_pid = 0;
            member.unit->started_at = up ? member.unit->package_changed_at : 0;
        }
    }

    bool start_;
};

}  // namespace

std::unique_ptr<Action> make_service_start() {
    return std::make_unique<ServiceSwitch>(true);
}

std::unique_ptr<Action> make_service_stop() {
    return std::make_unique<ServiceSwitch>(false);
}

}  // namespace lockstep
