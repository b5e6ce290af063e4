#pragma once

#include "engine/journal/journal.hpp"
#include "engine/plan/undo.hpp"
#include "engine/run/open_call.hpp"

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace lockstep {

enum class StepState {
    pending,
    running,
    succeeded,
    already_done,
    skipped,
    failed,
    in_doubt,
    cancelled,
    undone,
};

[[nodiscard]] std::string_view to_text(StepState state);

enum class RunPhase {
    running,
    succeeded,
    failed,
    in_doubt,
    interrupted,
    waiting,       ///< for an approval or a window: it goes on by `resume`
    rolling_back,  ///< shown as `running`
    rolled_back,
    rollback_failed,
    cancelled,  ///< it only waited, and somebody ended it
};

[[nodiscard]] std::string_view to_text(RunPhase phase);

/// One undo of a step, as frozen in its intent, and how far it got.
struct UndoProgress {
    enum class State { pending, running, done, failed, in_doubt };

    Undo undo;
    State state = State::pending;
    int attempts = 0;
    std::string key;  ///< of the newest attempt
    std::string message;
    std::string hint;
    std::vector<std::string> last_lines;
};

/// One step as it stands.
struct StepProgress {
    std::string id;
    std::string member;
    std::string uses;
    StepState state = StepState::pending;
    int attempts = 0;
    int attempts_before = 0;   ///< those before it was opened again
    std::string key;           ///< of the newest attempt
    bool changes = false;      ///< of the action
    bool always = false;       ///< done at the end whatever came of the rest: no part of going back
    bool accepted = false;     ///< the member has said that it has the command
    bool unreachable = false;  ///< failed because the member could not be reached
    std::string started_at;
    std::string ended_at;
    std::string message;
    std::string hint;
    std::vector<std::string> last_lines;
    nlohmann::json output;
    bool holds_secret = false;          ///< one was hidden in the output
    nlohmann::json with;                ///< its arguments, of the newest attempt
    std::vector<std::string> unproven;  ///< what it left open although it succeeded
    std::int64_t intent_seq = 0;        ///< of its newest intent: rollback goes by it; 0: none
    std::vector<UndoProgress> undo;
    std::string no_way_back;           ///< why there is no undo
    std::string point_of_no_return;    ///< why nothing is taken back once this was started
    std::string led_by;                ///< of one that moves the leader: from whom
    std::string leads_after;           ///< and to whom; empty: it moves no leader
    std::vector<std::string> covered;  ///< temporary changes in force when it was started

    [[nodiscard]] bool over() const {
        return state != StepState::pending && state != StepState::running;
    }

    [[nodiscard]] bool is_done() const {
        return state == StepState::succeeded || state == StepState::already_done;
    }

    /// Something may have been changed that a rollback has to take back.
    [[nodiscard]] bool may_have_acted() const;

    [[nodiscard]] std::string where() const { return member.empty() ? id : id + " on " + member; }
};

/// What somebody said to a step that asks, as it was taken up.
struct GivenAnswer {
    bool yes = false;
    std::string by;
    std::string at;
    std::string comment;
    std::string why_not;  ///< why it does not count; empty: it does
};

/// An approval as it was asked for last, and how it stands.
struct ApprovalProgress {
    enum class State { open, granted, rejected, expired };

    std::string gate;  ///< `id` of the step or block, or `id@member`
    State state = State::open;
    std::string message;
    int count = 1;
    std::vector<std::string> from;
    bool not_self = true;
    bool by_hand = false;    ///< of `manual`: an answer says that it was done
    std::string asked_at;    ///< ISO 8601
    std::string expires_at;  ///< empty: never
    std::vector<GivenAnswer> answers;
};

[[nodiscard]] std::string_view to_text(ApprovalProgress::State state);

/// Who works on a run: on record with its start and with each resume, so that a run whose engine is
/// gone can be told from one that goes on.
struct EngineId {
    std::string process;  ///< opaque here: what the machine knows this process by
    std::string host;
    int pid = 0;
};

/// A temporary change that is in force; one in doubt counts as in force.
struct OpenTemporary {
    std::string action;  ///< `patroni.pause`
    std::string step;    ///< that made it
    std::string member;
    std::string since;        ///< ISO 8601
    std::string measured_as;  ///< the field of `measured` for how long it lasted

    [[nodiscard]] std::string text() const {
        return member.empty() ? action : action + " on " + member;
    }
};

/// Where a run stands. Changes in one way only: a record that is already durable is applied. So
/// reading the journal again gives the same state, and what tests exercise is the recovery code.
class RunState {
  public:
    /// The steps of a new run, all pending, from the plan that its header pins.
    explicit RunState(const nlohmann::json& plan);

    void apply(const JournalRecord& record);

    [[nodiscard]] const std::vector<StepProgress>& steps() const { return steps_; }

    [[nodiscard]] RunPhase phase() const { return phase_; }

    [[nodiscard]] std::optional<int> exit_code() const { return exit_code_; }

    [[nodiscard]] const std::string& ended_at() const { return ended_at_; }

    /// Who has worked on it last. Empty in the journals of older versions.
    [[nodiscard]] const EngineId& engine() const { return engine_; }

    /// The last sign of life of an engine: when its last record was written, ISO 8601.
    [[nodiscard]] const std::string& last_sign() const { return last_at_; }

    /// An engine is at work on it, or has died over it: its end is not on record.
    [[nodiscard]] bool has_no_end() const {
        return phase_ == RunPhase::running || phase_ == RunPhase::rolling_back;
    }

    [[nodiscard]] const nlohmann::json& measured() const { return measured_; }

    /// What was noted and still holds: what a later engine settled, or says anew, is left out.
    [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

    /// What the end did not show, of no single step.
    [[nodiscard]] const std::vector<std::string>& unproven() const { return unproven_; }

    /// Ids of findings that were still there at the end.
    [[nodiscard]] const std::vector<std::string>& open_findings() const { return open_findings_; }

    [[nodiscard]] const std::string& failure() const { return failure_; }

    [[nodiscard]] const std::string& failure_hint() const { return failure_hint_; }

    /// Oldest first.
    [[nodiscard]] const std::vector<OpenTemporary>& temporaries() const { return temporaries_; }

    /// What was sent and not seen to end, oldest first. Of a run that is over nothing may be left.
    [[nodiscard]] const std::vector<OpenCall>& open_calls() const { return open_calls_; }

    /// How long the temporary changes that ended have lasted, by `measured_as`.
    [[nodiscard]] const std::map<std::string, std::chrono::milliseconds>& lasted() const {
        return lasted_;
    }

    /// The digest of the cluster as it was last seen around a change; null: never.
    [[nodiscard]] const nlohmann::json& last_seen() const { return last_seen_; }

    /// What was not as at the start when the run ended, before it was taken back; see Difference.
    [[nodiscard]] const std::vector<std::string>& differed() const { return differed_; }

    /// It had ended, and somebody asked for it to be taken back.
    [[nodiscard]] bool ended_before_going_back() const { return ended_before_going_back_; }

    /// A rollback was begun: from then on nothing goes forward.
    [[nodiscard]] bool rolling_back() const { return rolling_back_; }

    /// Why it was begun.
    [[nodiscard]] const std::string& rollback_because() const { return rollback_because_; }

    /// When no engine was there although the run was not over: nobody watched its guards, nor what
    /// a client saw. From the last record of the one that died to the next one's first, ISO 8601.
    struct Gap {
        std::string from, to;
    };

    [[nodiscard]] const std::vector<Gap>& gaps() const { return gaps_; }

    /// How often in a row an engine has ended without getting any further.
    [[nodiscard]] int ends_in_vain() const { return ends_in_vain_; }

    [[nodiscard]] std::int64_t last_seq() const { return last_seq_; }

    /// In the order in which they were first asked for.
    [[nodiscard]] const std::vector<ApprovalProgress>& approvals() const { return approvals_; }

    [[nodiscard]] const ApprovalProgress* approval(std::string_view gate) const;

    /// Answers up to this number are on record.
    [[nodiscard]] std::int64_t answers_taken() const { return answers_taken_; }

    /// What a waiting run waits for, and before which time it has nothing to do (ISO 8601; empty:
    /// not known).
    [[nodiscard]] const std::vector<std::string>& waiting_for() const { return waiting_for_; }

    [[nodiscard]] const std::string& not_before() const { return not_before_; }

    /// Whether the run has come to a point where it could only wait, since it was taken up last.
    [[nodiscard]] bool has_waited() const { return has_waited_; }

    /// A changing step was started, whatever came of it; not one of what is always done.
    [[nodiscard]] bool changed_anything() const;
    /// An undo that is not done: another rollback would try it.
    [[nodiscard]] bool has_more_to_take_back() const;
    /// Why nothing is taken back any more; empty: it may be.
    [[nodiscard]] std::string beyond_return() const;
    [[nodiscard]] const StepProgress* find(std::string_view step, std::string_view member) const;
    /// The steps that have moved the leader on purpose, or may have, in the order of their intents.
    [[nodiscard]] std::vector<const StepProgress*> leader_moves() const;
    /// For whom a fan-out is that goes by role; nullptr: not decided yet.
    [[nodiscard]] const std::vector<std::string>* chosen(const std::string& group) const;

  private:
    std::map<std::string, std::vector<std::string>, std::less<>> chosen_;
    StepProgress& at(const JournalRecord& record);
    void apply_to_run(const JournalRecord& record);
    void apply_approval(const JournalRecord& record);
    void apply_end(const JournalRecord& record);
    void apply_intent(StepProgress& step, const JournalRecord& record);
    void apply_result(StepProgress& step, const JournalRecord& record);
    void apply_verified(StepProgress& step, const JournalRecord& record);
    void apply_undo(StepProgress& step, const JournalRecord& record);
    void open_call(const JournalRecord& record, OpenCall::Purpose purpose, bool own_step);
    void accept_call(const JournalRecord& record, bool own_step);
    void close_call(const JournalRecord& record, bool own_step);
    [[nodiscard]] OpenCall* find_call(const JournalRecord& record, bool own_step);
    void begin_temporary(const JournalRecord& record);
    void end_temporary(const JournalRecord& record, const std::string& action, bool by_its_end);
    void reopen(const nlohmann::json& steps);
    void drop_notes(std::string_view mark);

    std::vector<StepProgress> steps_;
    std::map<std::pair<std::string, std::string>, std::size_t> index_;
    RunPhase phase_ = RunPhase::running;
    std::optional<int> exit_code_;
    EngineId engine_;
    std::string ended_at_;
    nlohmann::json measured_;
    std::vector<std::string> notes_;
    std::vector<std::string> marks_;  ///< of each note: until when it holds
    std::vector<std::string> open_findings_;
    std::vector<std::string> unproven_;
    std::string failure_;
    std::string failure_hint_;
    std::vector<OpenTemporary> temporaries_;
    std::vector<OpenCall> open_calls_;
    std::map<std::string, std::chrono::milliseconds> lasted_;
    nlohmann::json last_seen_;
    std::vector<ApprovalProgress> approvals_;
    std::int64_t answers_taken_ = 0;
    std::vector<std::string> waiting_for_;
    std::string not_before_;
    bool has_waited_ = false;
    std::vector<std::string> differed_;
    bool ended_before_going_back_ = false;
    bool rolling_back_ = false;
    std::string rollback_because_ = "a rollback was asked for";
    int ends_in_vain_ = 0;
    std::string last_at_;  ///< of the record before
    std::vector<Gap> gaps_;
    std::int64_t last_seq_ = 0;
};

/// The document of `show --output json`.
[[nodiscard]] nlohmann::json to_json(const RunHeader& header, const RunState& state);

}  // namespace lockstep
