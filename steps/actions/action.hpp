#pragma once

/// steps/actions/: what a step does, one file an action. An action says what it would do, does it
/// once, and tells what came of it; whether it is tried again, undone or waited for is for
/// engine/run/. Read this file first, then service_restart.cpp as an example; the row of each is in
/// steps/catalog.cpp.

#include "base/clock.hpp"
#include "base/deadline.hpp"
#include "base/error.hpp"
#include "cluster/facts.hpp"
#include "engine/plan/notification.hpp"
#include "engine/plan/step_runner.hpp"
#include "inventory/inventory.hpp"
#include "steps/observation/connections.hpp"
#include "steps/observation/observer.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace lockstep {

/// What an action has at hand while it looks or acts. One per running step.
struct ActionContext {
    Connections& connections;
    Observer& observer;
    Clock& clock;
    const Cluster& cluster;
    ClusterFacts facts;  ///< as known when the step started; the action may refresh them
    std::stop_token stop;
    Deadline deadline;
    std::string scope;       ///< names the cluster's lock on the members
    std::int64_t fence = 0;  ///< of the cluster's lock: members refuse a smaller one
    /// To be asked right before sending something that no member can refuse: why it must not be
    /// sent; empty: it may.
    std::function<std::string()> lock_trouble;
    std::function<void(nlohmann::json)> accepted;  ///< told when a member has the step's command
    /// Takes results before the action returns: that of its own call (0; what the action returns
    /// then does not count any more), or of one of the call's `read_ahead` (from 1). Empty: nobody
    /// takes them.
    std::function<void(std::size_t, StepResult)> early;
    std::string run;  ///< the run's id
    /// Tells a target of the inventory, and waits. Why that failed; empty: it has arrived.
    std::function<std::string(const std::string& target, const Notification& notification)> notify;

    [[nodiscard]] const MemberFacts& member(const StepCall& call) const;

    /// A script as root on the member. A status other than 0 is a result, not an exception.
    CommandResult ssh(const MemberFacts& member, const std::string& script);
    CommandResult ssh(const MemberFacts& member, const RemoteCommand& command);
    /// A script that changes something: it runs on the member by itself, at most once under the
    /// call's key, and its end is found again after a lost connection or a crash of ours. Where the
    /// call only follows an earlier attempt that never reached the member: throws NeverReached.
    CommandResult spooled(const StepCall& call,
                          const MemberFacts& member,
                          const RemoteCommand& command,
                          bool as_root = true);
    /// The same as the user who logs in.
    CommandResult ssh_as_login(const MemberFacts& member, const RemoteCommand& command);
    /// A request to the member's own REST API, answered within `at_most`.
    HttpResponse rest(const MemberFacts& member,
                      const HttpRequest& request,
                      std::chrono::milliseconds at_most = std::chrono::seconds{10});
    SqlResult sql(const MemberFacts& member, const SqlStatement& statement);

    /// Throws Error where the cluster is not ours any more. `whom`: who would have got it.
    void refuse_when_not_ours(const std::string& whom) const;

    /// Reads the cluster again: quick facts, or all.
    void refresh(Depth depth);
};

/// An attempt that was to be followed does not exist on the member.
class NeverReached : public Error {
    using Error::Error;
};

/// When its answer is lost, how much longer a statement may still act: the server ends it by its
/// statement_timeout, which is our deadline, and may be a moment late.
inline constexpr std::chrono::milliseconds k_sql_acts_within{5'000};
/// How long a statement of the step may take: its deadline is the server's statement_timeout, too.
[[nodiscard]] std::chrono::milliseconds sql_answers_within(const StepCall& call);

/// How long a step may take that has no timeout of its own.
inline constexpr std::chrono::minutes k_default_step_timeout{10};

/// What began on a member has ended there without a status: it acts no more, and how far it came
/// nobody knows.
class EndedUnseen : public TransportError {
    using TransportError::TransportError;
};

/// What a step does. Stateless: one object serves every step that uses it, from any thread.
/// preview() and run() render commands by the same functions: the preview is the run.
class Action {
  public:
    virtual ~Action() = default;

    /// Looks at what the facts do not hold; changes nothing.
    [[nodiscard]] virtual nlohmann::json probe(const StepCall& call, ActionContext& context) const;

    [[nodiscard]] virtual Preview preview(const StepCall& call,
                                          const ClusterFacts& facts,
                                          const Cluster& cluster) const = 0;

    /// Acts, and says what came of it. A TransportError that leaves it is judged by the caller:
    /// unreachable when nothing was sent, else in doubt if the action changes something.
    [[nodiscard]] virtual StepResult run(const StepCall& call, ActionContext& context) const = 0;
};

/// The findings with which a preview refuses when the member cannot be worked on over SSH, over its
/// REST API, or by SQL.
[[nodiscard]] std::vector<Finding> refuse_unless_reachable(const MemberFacts* member,
                                                           const std::string& name,
                                                           bool needs_ssh,
                                                           bool needs_api,
                                                           bool needs_sql);

/// The member that a preview is about, where SSH reaches it; nullptr: the preview refuses now, and
/// says that the member could not be asked.
[[nodiscard]] const MemberFacts* member_over_ssh(const StepCall& call,
                                                 const ClusterFacts& facts,
                                                 Preview& preview);

/// The member that a probe may ask; nullptr: none, and the preview refuses by the facts.
[[nodiscard]] const MemberFacts* member_to_probe(const StepCall& call, const ClusterFacts& facts);

/// `may`, because the member could not be asked.
void call_unasked(Preview& preview);

/// A critical finding of the call's member; the message is put behind its name.
[[nodiscard]] Finding member_refusal(const StepCall& call,
                                     std::string id,
                                     std::string subject,
                                     const std::string& message,
                                     std::string remedy);

/// A critical finding of the whole cluster.
[[nodiscard]] Finding cluster_refusal(std::string id,
                                      std::string subject,
                                      std::string message,
                                      std::string remedy);

/// The last lines of a command's output, for the summary: stderr, or stdout when that is empty.
[[nodiscard]] std::vector<std::string> last_lines(const CommandResult& result,
                                                  std::size_t count = 8);

/// Of a package manager's last lines the one that tells why it failed, else the very last.
[[nodiscard]] std::string telling_line(const CommandResult& result);

/// Typed access to `with:`, with the schema's defaults applied by the caller.
[[nodiscard]] std::string text_arg(const StepCall& call,
                                   std::string_view name,
                                   std::string otherwise = {});
[[nodiscard]] bool bool_arg(const StepCall& call, std::string_view name, bool otherwise);
[[nodiscard]] std::chrono::milliseconds duration_arg(const StepCall& call,
                                                     std::string_view name,
                                                     std::chrono::milliseconds otherwise);
[[nodiscard]] std::vector<std::string> list_arg(const StepCall& call, std::string_view name);

}  // namespace lockstep
