#pragma once

#include "engine/plan/plan_document.hpp"
#include "engine/plan/planner.hpp"
#include "engine/run/guards.hpp"
#include "engine/run/run.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/fake_journal.hpp"
#include "tests/fakes/fake_runner.hpp"

#include <memory>
#include <string>

namespace lockstep {

/// A whole run on fakes: three members, a runbook, and actions that do what the story says.
/// Actions: `look` (changes nothing), `peek` (the same of a member, whose facts it does not read),
/// `change` and `fragile` (change; fragile is not repeatable), `hold` and `release` (a temporary
/// change and its end; `pin` and `unpin` the same of a member), `revert` (what undoes take back
/// with), prepared by `prepare`, `move` (moves the leader).
class Story : public testing::Test {
  protected:
    Story() {
        for (const char* action : {"look",
                                   "change",
                                   "fragile",
                                   "hold",
                                   "release",
                                   "pin",
                                   "unpin",
                                   "revert",
                                   "prepare",
                                   "ask",
                                   "by_hand",
                                   "peek",
                                   "move"}) {
            runner.describe(action);
        }
        runner.previews["peek"] = [](const StepCall&, const ClusterFacts&) {
            return Preview{.read_only = true};
        };
        for (const char* name : {"n1", "n2", "n3"}) {
            MemberFacts member;
            member.name = name;
            member.role = std::string(name) == "n1" ? "leader" : "replica";
            member.state = member.role == "leader" ? "running" : "streaming";
            member.in_recovery = member.role != "leader";
            member.timeline = 1;
            member.lag_bytes = member.role == "leader" ? 0 : name[1] - '0';
            member.postgres.started_at = "then";
            member.api.asked = member.ssh.asked = member.sql.asked = true;
            runner.facts.members.push_back(member);
        }
        runner.facts.name = "orders";
        runner.facts.leader = "n1";
        runner.facts.timeline = 1;
        cluster.name = "orders";
        inventory.clusters.push_back(cluster);
    }

    static const ActionCatalog& actions() {
        static const ActionCatalog k_actions{
            {.name = "look", .summary = "", .params = {{.name = "text"}}},
            {.name = "peek",
             .summary = "",
             .scope = ActionScope::member,
             .alone = true,
             .params = {{.name = "text"}}},
            {.name = "change",
             .summary = "",
             .scope = ActionScope::either,
             .changes = true,
             .spooled = true,
             .params = {{.name = "text"}}},
            {.name = "fragile",
             .summary = "",
             .changes = true,
             .repeatable = false,
             .spooled = true},
            {.name = "hold",
             .summary = "",
             .scope = ActionScope::cluster,
             .changes = true,
             .temporary = true,
             .measured_as = "paused_ms"},
            {.name = "release",
             .summary = "",
             .scope = ActionScope::cluster,
             .changes = true,
             .ends = "hold"},
            {.name = "pin", .summary = "", .changes = true, .temporary = true},
            {.name = "unpin", .summary = "", .changes = true, .ends = "pin"},
            {.name = "revert",
             .summary = "",
             .changes = true,
             .spooled = true,
             .prepared_by = "prepare",
             .params = {{.name = "what", .required = true}}},
            {.name = "move",
             .summary = "",
             .scope = ActionScope::cluster,
             .changes = true,
             .moves = {"leader", "timeline", "postmaster"},
             .params = {{.name = "to", .required = true}}},
            {.name = "ask", .summary = "", .asks = true, .params = {{.name = "message"}}},
            {.name = "by_hand",
             .summary = "",
             .asks = true,
             .answered = true,
             .params = {{.name = "instructions"}}},
            {.name = "prepare",
             .summary = "",
             .preparation_id = "keep",
             .waived_by = "package.no_way_back",
             .params = {{.name = "what", .required = true}}},
        };
        return k_actions;
    }

    Plan plan(const std::string& steps, const std::string& head = "") {
        const std::string text = "runbook: story\n" + head + "steps:\n" + steps;
        RunbookVocabulary vocabulary{actions(), guard_catalog(), {"slot.stuck"}, {}};
        vocabulary.find_text = [this](const std::string& name, const std::string& /*from*/) {
            const auto found = files.find(name);
            if (found == files.end()) {
                throw Error("there is no runbook " + name);
            }
            return RunbookText{name, found->second};
        };
        runbook = std::make_shared<const Runbook>(parse_runbook(text, "story.yaml", vocabulary));
        PlanRequest request;
        request.runbook = runbook;
        request.inventory = &inventory;
        request.cluster = &cluster;
        request.actions = &actions();
        request.inputs = read_inputs(*runbook, {});
        request.accepted = accepted;
        request.durations = &durations;
        request.now = clock.wall_now();
        return make_plan(request, runner, {});
    }

    RunEnd run(const Plan& planned, std::stop_token stop = {}) {
        runner.on_idle_wait = [this] { clock.advance(std::chrono::milliseconds{200}); };
        const RunEnd end = start_run(setup(planned), header_of(planned), std::move(stop));
        keep_state(planned);
        return end;
    }

    /// As another engine would: from what is on record, and nothing else.
    RunEnd resume(TakeUp by = {}, std::stop_token stop = {}) {
        return take_up(resume_run, std::move(by), std::move(stop));
    }

    RunEnd roll_back(std::stop_token stop = {}) {
        return take_up(roll_back_run, {}, std::move(stop));
    }

    RunSession::Setup setup(const Plan& planned) {
        return {planned, cluster, actions(), runner, journal, clock, listener, people, patience};
    }

    static RunHeader header_of(const Plan& planned) {
        RunHeader header;
        header.id = "run";
        header.cluster = planned.cluster;
        header.runbook = planned.runbook->name;
        header.plan = planned.to_json();
        header.plan_hash = planned.hash;
        header.started_by = "anna@jump1";
        header.given = planned.given;
        return header;
    }

    /// What the journal says is what the engine knew: replaying is the recovery.
    void keep_state(const Plan& planned) {
        state = std::make_unique<RunState>(planned.to_json());
        for (const JournalRecord& record : journal.records("run")) {
            state->apply(record);
        }
    }

    /// The verdict or state of a step, as text.
    static std::string verdict(const Plan& planned,
                               const std::string& id,
                               const std::string& member = "") {
        for (const PlannedStep& step : planned.steps) {
            if (step.id == id && step.member == member) {
                return std::string(to_text(step.verdict));
            }
        }
        return "no such step";
    }

    std::string state_of(const std::string& id, const std::string& member = "") {
        const StepProgress* step = state->find(id, member);
        return step == nullptr ? "no such step" : std::string(to_text(step->state));
    }

    /// What was started, in order: `id` or `id on member`.
    std::vector<std::string> started() {
        std::vector<std::string> names;
        for (const std::string& what : runner.asked) {
            if (what.starts_with("start ") && what != "start write probe") {
                names.push_back(what.substr(6));
            }
        }
        return names;
    }

    void make_fail(const std::string& action, StepOutcome outcome, const std::string& member = "") {
        runner.workers[action] = [=](const StepCall& call, ClusterFacts&) {
            StepResult result;
            if (member.empty() || call.member == member) {
                result.outcome = outcome;
                result.message = "went wrong";
            }
            return result;
        };
    }

    template <typename Work>
    RunEnd take_up(Work work, TakeUp by, std::stop_token stop) {
        const RunHeader header = journal.headers.back();
        const Plan restored = restore_plan(
            {header.plan, runbook, inventory, cluster, header.given, header.plan_hash});
        runner.forget_events();
        const RunEnd end =
            work(setup(restored), header, journal.records("run"), by, std::move(stop));
        keep_state(restored);
        return end;
    }

    FakeRunner runner;
    FakeJournal journal;
    FakeClock clock;
    Cluster cluster;
    Inventory inventory;
    std::shared_ptr<const Runbook> runbook;
    RecordListener listener;
    std::vector<std::string> accepted;
    std::map<std::string, std::string> files;  ///< runbooks that can be called, by name
    Durations durations;
    People people;
    Patience patience;
    std::unique_ptr<RunState> state;

    /// Somebody answers, as `lockstep approve` does.
    void answer(const std::string& gate,
                const std::string& by,
                bool yes = true,
                const std::string& comment = {}) {
        journal.answer("run",
                       {.gate = gate,
                        .yes = yes,
                        .by = by,
                        .at = to_iso8601(clock.wall_now()),
                        .comment = comment,
                        .plan_hash = journal.headers.back().plan_hash});
    }
};

using Names = std::vector<std::string>;

}  // namespace lockstep
