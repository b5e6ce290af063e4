#pragma once

#include "cluster/facts.hpp"
#include "cluster/finding.hpp"
#include "engine/expression/expression.hpp"
#include "engine/plan/notification.hpp"
#include "engine/plan/undo.hpp"
#include "engine/runbook/action_schema.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

/// The engine's only door to the world: it knows that steps can be previewed and run, not how.
namespace lockstep {

/// A change that a run has made before, or may have: what its step was asked to do.
struct EarlierCall {
    std::string uses;
    std::string member;   ///< empty: the cluster
    nlohmann::json with;  ///< plain values; a secret is masked
};

/// A step with everything put in: one action on one member, or on the cluster.
struct StepCall {
    std::string id;  ///< `replicas.install`
    /// Names this attempt, on the member too: a command that changes something is started there at
    /// most once under it. Letters, digits, `.`, `_` and `-`. Empty in a preview.
    std::string key;
    /// Starts nothing: follows what an earlier attempt under the same key left running, and adopts
    /// its result.
    bool attach_only = false;
    std::string uses;
    std::string member;  ///< empty: the cluster
    Value::Map with;     ///< bound; defaults of the schema are the action's business
    std::map<std::string, Expression, std::less<>> expressions;  ///< params of kind expression
    Scope scope;  ///< `inputs`, `vars`, `steps`, `item`; the action adds `cluster` and `member`
    nlohmann::json probed;  ///< what probe() found when the plan was made
    /// Of an undo: the output on record of the step that prepared it, else what that step's probe
    /// found; null: none did.
    nlohmann::json prepared;
    std::vector<std::string> heals;             ///< findings that this run is there to cure
    std::vector<std::string> open_temporaries;  ///< `patroni.pause` while this run has paused
    /// In a plan: all that the steps before it do is known, so that what they leave as it is stays.
    bool foreseen = false;
    /// The cluster as it was when the run was planned; null on the way back.
    std::shared_ptr<const ClusterFacts> at_start;
    /// What this run has changed before or may have, in the order of its plan. Empty for an action
    /// that always stands on a member.
    std::vector<EarlierCall> earlier;
    /// Who leads before this step by what was planned and done: as at the start, but for what
    /// earlier steps have moved on purpose. Empty on the way back.
    std::string led_by;
    std::chrono::milliseconds timeout{0};
    int attempt = 1;
    /// It changes nothing: when its answer is lost it has failed, and nothing is in doubt.
    bool only_looks = false;
    std::optional<std::chrono::milliseconds> acts_within{0};  ///< of its preview
    /// The calls that will be started next on the same member, one after the other, unless one
    /// fails. They only look and do not depend on the output of this call. A runner may do them
    /// together with this one and keep their results; a result counts only once its call is
    /// started.
    std::vector<std::shared_ptr<const StepCall>> read_ahead;
    bool goes_on = false;  ///< a failure of this call does not keep the next one from being started
    /// Looks afterwards whether the effect is in place; when it is not, the step has failed.
    std::shared_ptr<const StepCall> verify;
};

enum class Verdict { will, wont, may };

[[nodiscard]] std::string_view to_text(Verdict verdict);

/// What a step would do, given the facts. Made without any I/O.
struct Preview {
    Verdict verdict = Verdict::will;
    std::string because;
    bool read_only = false;  ///< this call changes nothing, although its action could
    /// When our side gave up on the answer, how much longer the other side may still act on what
    /// was sent: a Patroni that waits for its DCS does for `retry_timeout`. nullopt: nobody knows.
    std::optional<std::chrono::milliseconds> acts_within{0};
    /// How long our side waits for the answer to one message: as much longer it may act when that
    /// side is gone.
    std::chrono::milliseconds answers_within{10'000};
    std::vector<Operation> operations;
    std::vector<Undo> undo;           ///< in the order in which they would be run
    std::string no_way_back;          ///< why a change has no undo; empty: it has, or needs none
    bool needs_no_undo = false;       ///< it leaves nothing to take back
    std::vector<Finding> blocked_by;  ///< why this must not be started; empty: it may
    std::vector<std::string> notes;   ///< what a person should know: what it costs, what stays
    std::optional<std::string> felt;  ///< what users notice, where that depends on its arguments
    std::optional<std::chrono::milliseconds> takes;  ///< where its arguments say how long
    std::string leads_after;  ///< of one that moves the leader: who leads when it is done
    /// The facts as they will be when it is done, so that later steps are judged by them; may be
    /// empty.
    std::function<void(ClusterFacts&)> effect;
};

/// The calls that keep members from being left with versions that must not stand side by side, or
/// why there are none.
struct Reconciliation {
    std::vector<Undo> calls;
    std::vector<Finding> refusals;
};

enum class StepOutcome {
    succeeded,
    already_done,  ///< it looked, and there was nothing to do
    failed,        ///< it did not work, and we know how
    unreachable,   ///< the member could not be reached; nothing was sent
    in_doubt,      ///< something was sent and the answer is not known
    cancelled,     ///< stopped before it acted
    absent,        ///< asked to follow an attempt that never reached the member
};

[[nodiscard]] std::string_view to_text(StepOutcome outcome);

/// The step has its effect, by us or from before.
[[nodiscard]] inline bool is_good(StepOutcome outcome) {
    return outcome == StepOutcome::succeeded || outcome == StepOutcome::already_done;
}

/// Of what is in doubt: why its end is not known, and who can be asked.
enum class OpenEnd {
    unseen,         ///< nobody has waited for it: the engine died
    still_running,  ///< we stopped waiting; the member knows its key
    answer_lost,    ///< by HTTP, SQL or on this machine: nobody can be asked
    died,           ///< it ended without a status, killed or with its host: it acts no more
};

[[nodiscard]] std::string_view to_text(OpenEnd end);
/// What is not understood is `unseen`: that presumes least.
[[nodiscard]] OpenEnd open_end_from(std::string_view text);

struct StepResult {
    StepOutcome outcome = StepOutcome::succeeded;
    OpenEnd open = OpenEnd::unseen;       ///< of one in doubt
    std::string message;                  ///< one line: what happened, or why not
    std::string hint;                     ///< what to do, when it failed
    std::vector<std::string> last_lines;  ///< the end of its output, when it failed
    nlohmann::json output;                ///< for `register`; null: nothing
    bool holds_secret = false;            ///< there was one in the output, and it is hidden
    std::vector<Finding> findings;        ///< what a gate refused on
    std::vector<std::string> unproven;    ///< what it left open although it succeeded
    /// What the step learned about the cluster, for the facts of later steps; may be empty.
    std::function<void(ClusterFacts&)> learned;
};

/// Answer to start(): that a member has taken the step's command, or how the step ended.
struct StepEvent {
    std::size_t index = 0;  ///< as given to start()
    /// Not null: the command is the member's now and goes on without us; its boot id and pid.
    nlohmann::json accepted;
    StepResult result;
};

/// Who wants the lock of a cluster.
struct LockRequest {
    std::string run;
    std::string owner;  ///< `user@host`
};

struct LockGrant {
    std::string id;                  ///< names this holding of the lock
    std::int64_t fence = 0;          ///< grows with each holder; members refuse a smaller one
    std::vector<std::string> notes;  ///< whose lock was taken over, which member does not have it
    std::string left_behind;         ///< what the run before left (`patroni.pause`), by its lock
};

/// What the write probe saw, while it ran.
struct ProbeReport {
    std::int64_t writes = 0;
    std::int64_t errors = 0;
    std::chrono::milliseconds longest_gap{0};
    std::string last_error;
};

struct ProbeSettings {
    std::chrono::milliseconds every{100};
    bool over_ssh = true;  ///< from the leader's own host, else from here by libpq
    bool follows = false;  ///< the leader may move: every member is tried, and who leads takes it
};

class StepRunner {
  public:
    virtual ~StepRunner() = default;

    /// The members of a run, from its plan on: whatever is observed later has them, also one that
    /// has left the DCS meanwhile.
    virtual void remember_members(const ClusterFacts& planned) = 0;
    /// The whole cluster. quick: roles, versions, pause. full: and packages, disks, slots, WAL.
    [[nodiscard]] virtual ClusterFacts observe(bool full, std::stop_token stop) = 0;
    /// What is wrong with it; takes a second sample of suspicious slots first.
    [[nodiscard]] virtual std::vector<Finding> diagnose(ClusterFacts& facts,
                                                        std::stop_token stop) = 0;

    /// Looks, for a plan, at what the facts do not hold; changes nothing. Null where all is known.
    [[nodiscard]] virtual nlohmann::json probe(const StepCall& call,
                                               const ClusterFacts& facts,
                                               std::stop_token stop) = 0;
    [[nodiscard]] virtual Preview preview(const StepCall& call, const ClusterFacts& facts) = 0;

    /// Mends the versions of a cluster that a rollback would leave like `end`.
    [[nodiscard]] virtual Reconciliation reconcile(const ClusterFacts& end) = 0;

    /// Takes the cluster for one run. Throws LockHeldError when another run has it.
    [[nodiscard]] virtual LockGrant take_lock(const LockRequest& request,
                                              const ClusterFacts& facts,
                                              std::stop_token stop) = 0;
    /// Why nothing may be started any more, after waiting a while for a late renewal; empty: the
    /// lock is ours, or none was taken.
    [[nodiscard]] virtual std::string lock_trouble(std::stop_token stop) = 0;
    /// Writes into the lock what the run would leave were its engine to die now (`patroni.pause`;
    /// empty: nothing), and waits until it is there. Else as lock_trouble().
    [[nodiscard]] virtual std::string sign_lock(const std::string& would_leave,
                                                std::stop_token stop) = 0;
    /// The same where nobody has to wait for it.
    virtual void sign_lock_later(const std::string& would_leave) = 0;
    /// `left_behind` says what the run could not take back: then the lock stays as its sign.
    virtual void release_lock(const std::string& left_behind) = 0;
    /// Removes what the run's commands left on the members. Best effort.
    virtual void clean_up(const std::string& run, const ClusterFacts& facts) = 0;

    /// Starts the step on a worker. Each start() is answered by exactly one event with a result,
    /// after at most one that says `accepted`.
    virtual void start(std::size_t index,
                       StepCall call,
                       std::shared_ptr<const ClusterFacts> facts) = 0;
    /// The next event; blocks while steps run. nullopt when `wake_at` passes first.
    [[nodiscard]] virtual std::optional<StepEvent> wait(std::chrono::milliseconds at_most) = 0;
    /// Forgets all results of `read_ahead`: none of those calls will be started any more.
    virtual void drop_read_ahead() = 0;
    /// Asks what runs to stop waiting; its events still come.
    virtual void cancel_all() = 0;

    virtual void start_write_probe(const ProbeSettings& settings, const ClusterFacts& facts) = 0;
    /// nullopt: none was started.
    [[nodiscard]] virtual std::optional<ProbeReport> write_probe() = 0;
    virtual void stop_write_probe() = 0;

    /// Notifies a target of the inventory. Returns at once; a failure stops nothing.
    virtual void notify(const std::string& target, Notification notification) = 0;
    /// What could not be delivered since the last call, a line each: `ops: HTTP 500`, without
    /// secrets.
    [[nodiscard]] virtual std::vector<std::string> notification_troubles() = 0;
    /// Waits for what is under way. What is not delivered by then is a trouble.
    virtual void finish_notifications(std::chrono::milliseconds at_most) = 0;
};

}  // namespace lockstep
