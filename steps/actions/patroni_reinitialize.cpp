#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "base/units.hpp"
#include "steps/actions/patroni_requests.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"
#include "steps/observation/patroni_api.hpp"

#include <algorithm>
#include <charconv>

namespace lockstep {

namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* k_reinit_subject = "patroni.reinitialize";
constexpr auto k_reinit_poll = 1s;
// Room for what the leader writes while it is copied.
constexpr double k_reinit_room = 1.1;

std::optional<std::int64_t> whole_number(const std::string& text) {
    std::int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [stop, error] = std::from_chars(text.data(), end, number);
    return error == std::errc() && stop == end && !text.empty() ? std::optional(number)
                                                                : std::nullopt;
}

/// What the copy may take: what is free there and what its own data give back, in bytes. df and du
/// of POSIX count KiB with -k. A directory that is not there is looked at by the one above it.
std::string room_script(const std::string& data_directory) {
    return "d=" + shell_quote(data_directory) +
           "\n"
           "if mountpoint -q \"$d\" 2>/dev/null; then echo mount=yes; fi\n"
           "used=$(du -skx \"$d\" 2>/dev/null | awk '{print $1}')\n"
           "while [ ! -d \"$d\" ] && [ \"$d\" != / ] && [ -n \"$d\" ]; do d=$(dirname \"$d\"); "
           "done\n"
           "free=$(df -Pk \"$d\" | awk 'NR == 2 {print $4}')\n"
           "echo \"used=${used:-0}\"\n"
           "echo \"free=$free\"\n";
}

SqlStatement size_statement() {
    return {.text =
                "SELECT pg_catalog.sum(pg_catalog.pg_database_size(oid)) "
                "FROM pg_catalog.pg_database",
            .params = {}};
}

/// By the server; of one that does not run the leader's is likely: Patroni's members share one
/// configuration as a rule.
std::string data_directory_of(const ClusterFacts& facts, const MemberFacts& member) {
    if (!member.postgres.data_directory.empty()) {
        return member.postgres.data_directory;
    }
    const MemberFacts* leader = facts.leader_member();
    return leader == nullptr ? "" : leader->postgres.data_directory;
}

/// `{needs, room, mount}`, or `{error}`.
Json probe_room(const StepCall& call, ActionContext& context) {
    const MemberFacts* member = member_to_probe(call, context.facts);
    const MemberFacts* leader = context.facts.leader_member();
    if (member == nullptr || leader == nullptr || leader == member) {
        return nullptr;
    }
    const std::string directory = data_directory_of(context.facts, *member);
    if (directory.empty()) {
        return {{"error", "its data directory is not known"}};
    }
    try {
        const SqlResult size = context.sql(*leader, size_statement());
        const auto needs = whole_number(size.rows.at(0).at(0).value_or(""));
        const CommandResult said = context.ssh(*member, room_script(directory));
        std::map<std::string, std::string> lines;
        std::istringstream stream(said.out);
        for (std::string line; std::getline(stream, line);) {
            const std::size_t equals = line.find('=');
            if (equals != std::string::npos) {
                lines[line.substr(0, equals)] = line.substr(equals + 1);
            }
        }
        const auto free = whole_number(lines["free"]);
        const auto used = whole_number(lines["used"]);
        if (said.exit_status != 0 || !needs || !free || !used) {
            return {{"error", "its disk could not be looked at"}};
        }
        constexpr std::int64_t k_bytes_of_kib = 1024;
        return {{"needs", *needs},
                {"room", (*free + *used) * k_bytes_of_kib},
                {"mount", lines["mount"] == "yes"},
                {"directory", directory}};
    } catch (const SqlError& error) {
        return {{"error", std::string("the leader does not say how large it is: ") + error.what()}};
    } catch (const TransportError& error) {
        if (error.kind() == TransportError::Kind::cancelled) {
            throw;
        }
        return {{"error", error.what()}};
    }
}

bool is_being_created(const MemberFacts& member) {
    return member.state.starts_with("creating replica");
}

const MemberFacts* start_of_run(const StepCall& call) {
    return call.at_start == nullptr ? nullptr : call.at_start->find(call.member);
}

/// It streams, from a postmaster that is not the one of before.
bool is_made_anew(const PostgresFacts& before, const MemberFacts& now) {
    const bool other = before.started_at.empty() ? !now.postgres.started_at.empty()
                                                 : same_start(before, now.postgres) == false;
    return other && now.state == "streaming";
}

/// Since the run was planned. One that streamed without a break was not.
bool made_anew_meanwhile(const StepCall& call, const MemberFacts& member) {
    const MemberFacts* before = start_of_run(call);
    return before != nullptr && is_made_anew(before->postgres, member);
}

class Refusals {
  public:
    Refusals(const StepCall& call, const ClusterFacts& facts, const MemberFacts& member)
        : call_(call), facts_(facts), member_(member), leader_(facts.leader_member()) {}

    std::vector<Finding> all() {
        found_ = refuse_unless_let_in(facts_, k_reinit_subject);
        if (leader_ == nullptr) {
            found_.push_back(without_leader(k_reinit_subject));
            return std::move(found_);
        }
        if (member_.is_leader() || !(member_.in_recovery || member_.role == "replica" ||
                                     member_.role.ends_with("_standby"))) {
            add("reinit.leader", "it leads: its data are the cluster's", "Switch over first.");
            return std::move(found_);
        }
        if (is_busy(member_) && !is_being_created(member_)) {
            add("postgres.not_running",
                "PostgreSQL there is " + member_.state + " just now",
                "Wait until that is over.");
        }
        copies();
        position();
        room();
        return std::move(found_);
    }

  private:
    void add(const char* id, const std::string& why, const std::string& remedy, bool may = false) {
        found_.push_back(member_refusal(call_, id, k_reinit_subject, why, remedy));
        found_.back().acceptable = may;
    }

    /// While it is made anew the leader's data are the only ones.
    void copies() {
        const bool another = std::ranges::any_of(facts_.members, [&](const MemberFacts& other) {
            return &other != &member_ && &other != leader_ && other.state == "streaming";
        });
        if (!another) {
            add("reinit.only_copy",
                "no other replica streams: until it is made anew there is one copy of the data",
                "Have another replica, or a fresh backup, and accept it by name.",
                true);
        }
    }

    /// One that is ahead has what the leader lacks.
    void position() {
        const bool later =
            member_.timeline && leader_->timeline && *member_.timeline > *leader_->timeline;
        if (later ||
            (member_.received && leader_->position && *member_.received > *leader_->position)) {
            add("reinit.ahead",
                "it has got further than the leader: what only it has would be deleted",
                "Find out what it has first; a copy of its data directory keeps it.");
        } else if (!member_.received || !leader_->position) {
            add("reinit.position_unknown",
                "it is not known how far it has got: what only it has would be deleted",
                "Compare pg_controldata there with the leader's position, and accept it by name.",
                true);
        }
    }

    void room() {
        if (call_.probed.is_null()) {
            return;
        }
        if (const std::string why = call_.probed.value("error", ""); !why.empty()) {
            add("reinit.room_unknown",
                "it is not known whether a copy fits there: " + why,
                "Look at its disk, and accept it by name.",
                true);
            return;
        }
        const auto needs = call_.probed.value("needs", std::int64_t{0});
        const auto there = call_.probed.value("room", std::int64_t{0});
        if (static_cast<double>(there) < static_cast<double>(needs) * k_reinit_room) {
            add("disk.low",
                "a copy of " + format_bytes(needs) + " does not fit into " + format_bytes(there),
                "Make room there first.");
        }
        if (call_.probed.value("mount", false)) {
            add("reinit.mount_point",
                call_.probed.value("directory", "") +
                    " is a mount point, which Patroni cannot remove (patroni#2572)",
                "Empty it by hand while its Patroni is stopped; it then makes the replica anew.");
        }
    }

    const StepCall& call_;
    const ClusterFacts& facts_;
    const MemberFacts& member_;
    const MemberFacts* leader_;
    std::vector<Finding> found_;
};

/// How far it is, by its source; empty: nobody says. PostgreSQL 13 and later.
std::string progress(ActionContext& context) {
    const MemberFacts* leader = context.facts.leader_member();
    if (leader == nullptr) {
        return {};
    }
    try {
        const SqlResult seen =
            context.sql(*leader,
                        {.text = "SELECT phase, backup_streamed, backup_total "
                                 "FROM pg_catalog.pg_stat_progress_basebackup LIMIT 1",
                         .params = {}});
        if (seen.rows.empty()) {
            return {};
        }
        const auto& row = seen.rows.front();
        const auto done = whole_number(row.at(1).value_or(""));
        const auto all = whole_number(row.at(2).value_or(""));
        return row.at(0).value_or("") + (done ? ", " + format_bytes(*done) : "") +
               (done && all ? " of " + format_bytes(*all) : "");
    } catch (const SqlError&) {
        return {};  // of a version without that view
    } catch (const TransportError&) {
        return {};
    }
}

class Reinitialize final : public Action {
  public:
    Json probe(const StepCall& call, ActionContext& context) const override {
        return probe_room(call, context);
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const MemberFacts* member = facts.find(call.member);
        preview.blocked_by = refuse_unless_reachable(member, call.member, false, true, false);
        if (!preview.blocked_by.empty()) {
            call_unasked(preview);
            return preview;
        }
        if (made_anew_meanwhile(call, *member)) {
            preview.verdict = Verdict::wont;
            preview.because = "it was made anew since this run was planned";
            return preview;
        }
        if (is_being_created(*member)) {
            preview.because = "it is being made anew already: that is waited for";
        } else {
            preview.because = "always";
            preview.blocked_by = Refusals(call, facts, *member).all();
            preview.operations.push_back(
                {Operation::Kind::http, "POST " + member->api_url + "/reinitialize {}"});
            preview.effect = [name = call.member](ClusterFacts& later) {
                MemberFacts* made = later.find(name);
                const MemberFacts* leader = later.leader_member();
                if (made != nullptr && leader != nullptr) {
                    made->state = "streaming";
                    made->timeline = leader->timeline;
                    made->postgres.started_at = to_iso8601(later.observed_at);
                }
            };
        }
        preview.no_way_back = "what it has is deleted before the copy is made";
        preview.acts_within = config_acts_within(facts) + facts.loop_wait();
        if (call.probed.is_object() && call.probed.contains("needs")) {
            preview.notes.push_back(format_bytes(call.probed.at("needs").get<std::int64_t>()) +
                                    " are copied from the leader");
        }
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::optional<MemberFacts> before = look_at_member(context, call.member);
        if (!before) {
            return {.outcome = StepOutcome::unreachable,
                    .message = call.member + " does not say how it is",
                    .hint = "Nothing was sent."};
        }
        if (!is_being_created(*before)) {
            const std::vector<Finding> refused = still_refused(call, context, *before);
            if (!refused.empty()) {
                return {.outcome = StepOutcome::failed,
                        .message = refused.front().message,
                        .hint = refused.front().remedy};
            }
            const HttpResponse response =
                context.rest(*before, {.method = "POST", .url = "/reinitialize", .body = "{}"});
            // 200: it will be, in its next loop (patroni/api.py, 2.1 to 4.1).
            if (response.status != 200) {
                return {.outcome = StepOutcome::failed,
                        .message = "POST /reinitialize was answered with status " +
                                   std::to_string(response.status) + ": " +
                                   without_secrets(response.body).substr(0, 200),
                        .hint = patroni_api::refusal_hint(response.status, response.body)};
            }
        }
        return await_copy(call, *before, context);
    }

  private:
    /// What somebody may accept by name was accepted, or the engine had not started it.
    static std::vector<Finding> still_refused(const StepCall& call,
                                              ActionContext& context,
                                              const MemberFacts& member) {
        std::vector<Finding> refused = Refusals(call, context.facts, member).all();
        std::erase_if(refused, [](const Finding& finding) { return finding.acceptable; });
        return refused;
    }

    static StepResult await_copy(const StepCall& call,
                                 const MemberFacts& before,
                                 ActionContext& context) {
        const auto patience = call.timeout.count() > 0
                                  ? call.timeout
                                  : std::chrono::milliseconds{k_default_step_timeout};
        const auto begun = context.clock.steady_now();
        // One that is being created already has no postmaster of before any more.
        const PostgresFacts old = is_being_created(before) ? PostgresFacts{} : before.postgres;
        std::string state = "it does not answer";
        std::string copied;
        for (;;) {
            if (const auto now = look_at_member(context, call.member)) {
                state = "it is " + (now->state.empty() ? "in no known state" : now->state);
                if (is_made_anew(old, *now)) {
                    return made(*now, begun, context);
                }
                if (is_being_created(*now)) {
                    const std::string so_far = progress(context);
                    copied = so_far.empty() ? copied : so_far;
                }
            }
            if (context.clock.steady_now() - begun > patience || context.deadline.expired()) {
                return {.outcome = StepOutcome::failed,
                        .message = call.member + " does not stream yet: " + state +
                                   (copied.empty() ? "" : "; its copy: " + copied),
                        .hint =
                            "`lockstep resume` waits on. What pg_basebackup says stands in the "
                            "journal of its Patroni."};
            }
            if (!context.clock.sleep_for(k_reinit_poll, context.stop)) {
                throw TransportError(TransportError::Kind::cancelled,
                                     "stopped while it was made anew: " + state +
                                         (copied.empty() ? "" : "; " + copied));
            }
        }
    }

    static StepResult made(const MemberFacts& now,
                           std::chrono::steady_clock::time_point begun,
                           ActionContext& context) {
        StepResult result;
        result.message = "made anew: it streams after " +
                         format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(
                             context.clock.steady_now() - begun)) +
                         ", PostgreSQL runs since " + now.postgres.started_at;
        result.learned = [seen = context.facts](ClusterFacts& facts) { facts.update(seen); };
        return result;
    }
};

}  // namespace

std::unique_ptr<Action> make_patroni_reinitialize() {
    return std::make_unique<Reinitialize>();
}

}  // namespace lockstep
