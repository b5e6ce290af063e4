#pragma once

#include "base/clock.hpp"
#include "engine/journal/journal.hpp"
#include "engine/plan/binding.hpp"
#include "engine/plan/plan.hpp"
#include "engine/run/approval.hpp"
#include "engine/run/run_state.hpp"

#include <functional>
#include <optional>
#include <stop_token>

namespace lockstep {

/// Told of each record, once it is durable.
using RecordListener = std::function<void(const JournalRecord&, const RunState&)>;

/// What a run does where it has to wait for a person or a window.
struct Patience {
    bool wait = false;  ///< it stays, and looks again and again; else it ends, to be resumed
    bool override_window = false;  ///< whatever the windows say: somebody said why
};

/// Why a run does not go on.
struct Failure {
    int exit_code = 10;
    RunPhase phase = RunPhase::failed;
    std::string message;
    std::string hint;
    std::optional<OnFailure> on_failure;  ///< what the failed step says, where it does
    std::vector<std::string> waiting_for;
    std::string not_before;  ///< of one that waits: when there is something to do again
    /// Nothing was left to change, and what had been in force meanwhile was given back: it proves
    /// less than it should, and takes nothing back by itself.
    bool stands = false;
};

/// How a run ended, or where it stopped.
struct RunEnd {
    int exit_code = 0;
    RunPhase phase = RunPhase::succeeded;
    std::string message;
    std::string hint;
    std::vector<std::string> waiting_for = {};
    std::string not_before = {};
};

/// One engine at work on one run: the record, the state made of it, the cluster as last seen, and
/// acting under the record. Owned by the thread that runs; every change of state is a record
/// first.
class RunSession {
  public:
    struct Setup {
        const Plan& plan;
        const Cluster& cluster;
        const ActionCatalog& actions;
        StepRunner& runner;
        JournalStore& journal;
        Clock& clock;
        RecordListener listener;
        People people = {};
        Patience patience = {};
        EngineId engine = {};
    };

    RunSession(Setup setup, RunHeader header);

    /// Takes over what an earlier engine recorded.
    void replay(const std::vector<JournalRecord>& records);

    /// Puts the run on record. Its plan is large, and not needed as a document after that.
    void create();

    /// The record is durable when this returns, unless it is grouped: see Grouping.
    void record(RecordKind kind, const PlannedStep* step, nlohmann::json payload);

    /// While one exists, the records of steps that only look are made durable together at the next
    /// flush(), with one wait for the disk, and steps that are started wait for that. Any other
    /// record is durable at once, together with the records before it.
    class Grouping {
      public:
        explicit Grouping(RunSession& session) : session_(session) { session_.grouping_ = true; }

        Grouping(const Grouping&) = delete;
        Grouping& operator=(const Grouping&) = delete;

        ~Grouping() {
            session_.grouping_ = false;
            session_.starts_.clear();  // of one that an exception ends
        }

      private:
        RunSession& session_;
    };

    /// Makes the pending records durable, then starts the steps that wait for them.
    void flush();
    /// Starts a step whose intent is recorded.
    void start(std::size_t index, StepCall call);

    void note(const std::string& message, nlohmann::json more = nlohmann::json::object());

    /// Tells those whom the runbook names for this event. What cannot be delivered is noted once it
    /// is known, and changes nothing.
    void tell(const std::string& event,
              const std::string& text,
              const std::vector<std::string>& details = {});
    void note_notification_troubles();

    /// Records that a step is about to act, with its operations and its frozen undo.
    void record_intent(const PlannedStep& step,
                       const StepCall& call,
                       const Preview& preview,
                       bool gives_back);
    void record_result(const PlannedStep& step, const StepResult& result, bool retry);

    /// Records what a look at a step in doubt came to: `verdict` is done, not_done or unknown, and
    /// `how` says who or what told so. `acts_no_more`: of one that stays unknown, that at least its
    /// command has ended.
    void record_verified(const PlannedStep& step,
                         const char* verdict,
                         const std::string& how,
                         const std::string& message,
                         bool acts_no_more = false);

    // A call that takes something back, or makes a temporary change for that. `n`: which undo of
    // the step.
    void record_undo_intent(const PlannedStep& step,
                            const StepCall& call,
                            const Preview& preview,
                            std::optional<std::size_t> n);
    void record_undo_result(const PlannedStep& step,
                            const std::string& uses,
                            const StepResult& result,
                            std::optional<std::size_t> n);

    /// Rule 1 of open calls: why nothing may be started on `member` (empty: on the cluster as a
    /// whole); empty: nothing is in the way.
    [[nodiscard]] std::string obstacle(const std::string& member) const;

    /// A call that is made by itself, while nothing else runs.
    struct Outgoing {
        const PlannedStep& step;
        StepCall call;
        Preview preview;
        OpenCall::Purpose purpose = OpenCall::Purpose::undo;
        std::optional<std::size_t> undo = {};  ///< which undo of the step
        bool own_step = false;                 ///< its records are the step's own
    };

    /// The last question before a change: why it may not be made; empty: the cluster is still ours,
    /// and where the change is `temporary`, the lock says that it may be in force.
    [[nodiscard]] std::string not_ours(const OpenTemporary* temporary, std::stop_token stop);

    /// The way of everything but the steps themselves to the cluster: asks what may be in the way
    /// and whether the cluster is still ours, puts it on record, sends it, and finds out what came
    /// of it. Where it was not sent the result is `cancelled`, and nothing is on record.
    [[nodiscard]] StepResult dispatch(Outgoing out, std::stop_token stop = {});

    /// Runs a call to its end, recording that the member took it. For what acts: dispatch().
    StepResult perform(const PlannedStep& step, StepCall call, RecordKind accepted);

    /// Rule 2, of a call whose answer is lost: looks until its effect could not come any more, and
    /// whether it is in place then. As the result that the answer would have brought; in doubt
    /// where nobody knows how long it may still act, where a look does not show what it does (then
    /// it has `died`: it acts no more), or where it was stopped.
    [[nodiscard]] StepResult find_out(StepCall call, const std::string& why, std::stop_token stop);

    /// Gets fresh facts before a change, unless the last look is no older than `age`. A failure
    /// when the cluster cannot be observed.
    [[nodiscard]] std::optional<Failure> look_again(bool may_take_long,
                                                    std::stop_token stop,
                                                    std::chrono::milliseconds age = {});
    /// The same at once, with what only the hosts tell or without.
    [[nodiscard]] std::optional<Failure> look(bool full, std::stop_token stop);
    void refresh(bool full, std::stop_token stop);
    /// What a call would do now. A refusal that passes by itself, because a daemon that was just
    /// started does not answer yet, is waited out for a while.
    [[nodiscard]] Preview preview(const StepCall& call, std::stop_token stop);
    /// Why the run must stop. A guard that lacks a fact waits for it a while.
    [[nodiscard]] std::optional<std::string> tripped_guard(std::stop_token stop);

    /// What a run that is taken up saw of the cluster last: as it left it, until a change of its
    /// own. One that is refused because the cluster is another one by now (17) keeps it.
    [[nodiscard]] nlohmann::json left() const;

    [[nodiscard]] BoundStep bind(const PlannedStep& step) const;
    /// The call of a step as it will be once those from `first` on are done, where it does not
    /// depend on what they give.
    [[nodiscard]] std::optional<StepCall> bind_for_read_ahead(std::size_t first,
                                                              std::size_t index) const;
    /// The `verify` of a step that is done by `call`.
    [[nodiscard]] BoundStep bind_verify(const PlannedStep& step, const StepCall& call) const;
    /// Who leads before `step` by what was planned and done: as at the start, but for what other
    /// steps have moved on purpose.
    [[nodiscard]] std::string led_by(const PlannedStep& step) const;
    /// The start that guards compare with: the leader is the one that it was moved to on purpose,
    /// and who led before has no postmaster to protect.
    [[nodiscard]] std::shared_ptr<const ClusterFacts> guarded_start() const;
    /// For whom the fan-out of a step is that goes by role, decided now unless it is on record;
    /// nullopt: nobody leads.
    [[nodiscard]] std::optional<std::vector<std::string>> chosen_for(const PlannedStep& step);
    /// Starts the write probe where the runbook has one and it does not run yet.
    void start_write_probe();
    [[nodiscard]] ScopeSource source_of(const PlannedStep& step) const;
    [[nodiscard]] Scope scope_of(const PlannedStep& step) const;
    /// The undo of a step as it is now: the runbook's own, else the action's.
    [[nodiscard]] std::vector<Undo> freeze_undo(const PlannedStep& step,
                                                const Preview& preview) const;
    /// Names an attempt: for spools, and for the record.
    [[nodiscard]] std::string key_of(const PlannedStep& step,
                                     const std::string& what,
                                     int attempt) const;
    /// Reads the output of a step as it registers it, and checks `until`. A result that cannot be
    /// read, or that `until` does not accept, becomes a failure. True: only `until` is not true
    /// yet.
    bool read_output(const PlannedStep& step, StepResult& result) const;
    void read_output_of_failure(const PlannedStep& step, StepResult& result) const;
    void keep_output(const PlannedStep& step, const StepResult& result);

    /// What `step` would put in force until the run ends; nullopt: it is no such step.
    [[nodiscard]] std::optional<OpenTemporary> temporary_of(const PlannedStep& step) const;
    /// The actions whose temporary changes are in force.
    [[nodiscard]] std::vector<std::string> open_temporaries() const;
    /// The temporary changes that are in force, for people; empty: none.
    [[nodiscard]] std::string what_is_open() const;
    /// The same with the open calls: what the lock says that this run leaves.
    [[nodiscard]] std::string what_it_leaves() const;
    /// Ends each temporary change of the run where that is safe; says loudly what stays.
    void give_back_temporaries();
    /// Puts a temporary change that a rollback needs in force again. False: that was not possible.
    bool take_again(const std::string& temporary, std::stop_token stop);

    /// The last record of this engine: lock released, spools cleaned where nothing is open.
    RunEnd end(RunEnd how, bool gave_up = false);

    [[nodiscard]] const Setup& setup() const { return setup_; }

    [[nodiscard]] const Plan& plan() const { return setup_.plan; }

    [[nodiscard]] StepRunner& runner() const { return setup_.runner; }

    [[nodiscard]] Clock& clock() const { return setup_.clock; }

    [[nodiscard]] const RunHeader& header() const { return header_; }

    [[nodiscard]] const RunState& state() const { return state_; }

    [[nodiscard]] const ClusterFacts& facts() const { return *facts_; }

    /// Takes over what a step learned of the cluster, for the steps after it.
    void learn(const std::function<void(ClusterFacts&)>& what);
    [[nodiscard]] std::vector<Finding> diagnose(std::stop_token stop);
    /// What is found at the end of a way, by fresh facts.
    [[nodiscard]] std::vector<Finding> diagnose_end(std::stop_token stop);
    /// The same, until what is found there is `good`, or `patience` is over.
    [[nodiscard]] std::vector<Finding> diagnose_end(
        const std::function<bool(const std::vector<Finding>&)>& good,
        std::chrono::seconds patience,
        std::stop_token stop);

    /// What the end does not show, although the run succeeded.
    void leave_unproven(const std::string& text) { unproven_.push_back(text); }

    /// Critical, and not there when the run was planned.
    [[nodiscard]] bool is_new_trouble(const Finding& finding) const;
    [[nodiscard]] bool was_accepted(const Finding& finding) const;

    [[nodiscard]] const StepProgress& progress(std::size_t index) const {
        return state_.steps()[index];  // RunState keeps the order of the plan
    }

    [[nodiscard]] std::size_t index_of(const PlannedStep& step) const {
        return static_cast<std::size_t>(&step - setup_.plan.steps.data());
    }

    /// What the step that prepared this way back has on record, see StepCall::prepared.
    [[nodiscard]] nlohmann::json prepared_for(const Undo& undo) const;

    [[nodiscard]] const ActionSchema& schema_of(const PlannedStep& step) const;
    [[nodiscard]] const PlannedStep* find(const std::string& id, const std::string& member) const;
    /// Takes the lock of the cluster and records it.
    [[nodiscard]] LockGrant take_lock(const std::string& owner, std::stop_token stop);

  private:
    void tell_end(const RunEnd& how);
    void give_back(const OpenTemporary& temporary);
    StepResult end_temporary(Outgoing out);
    void keep(const OpenTemporary& temporary, const std::string& why, const std::string& hint);
    [[nodiscard]] nlohmann::json measure();
    void set_facts(ClusterFacts facts);
    [[nodiscard]] const nlohmann::json& seen() const;
    /// Adds the cluster as it is known now, unless the last record says the same.
    void add_seen(nlohmann::json& payload) const;
    void commit();
    [[nodiscard]] BoundStep bind(const PlannedStep& step, const ScopeSource& source) const;
    [[nodiscard]] std::vector<EarlierCall> earlier_calls(const ActionSchema& schema) const;

    struct Start {
        std::size_t index;
        StepCall call;
    };

    bool grouping_ = false;
    std::vector<JournalRecord> pending_;  ///< applied, and not durable yet
    std::vector<Start> starts_;           ///< that wait for that
    std::string signed_;                  ///< what the lock says is in force
    std::vector<std::string> unproven_;
    bool probing_ = false;
    Setup setup_;
    RunHeader header_;
    RunState state_;
    std::shared_ptr<const ClusterFacts> facts_;     ///< the latest known
    mutable std::optional<Value> observed_;         ///< the same for expressions, once asked for
    mutable nlohmann::json seen_;                   ///< its digest, once asked for
    std::shared_ptr<const ClusterFacts> at_start_;  ///< for the steps that compare with it
    std::optional<Clock::Steady> looked_at_;        ///< last, by this engine
    Clock::Steady full_at_;                         ///< when the slow part of them was last read
    Value::Map registered_;                         ///< `steps` of expressions
};

/// What a run remembers of the cluster around each change, and compares when it goes on.
[[nodiscard]] nlohmann::json digest(const ClusterFacts& facts);

}  // namespace lockstep
