#include "steps/lock/cluster_lock.hpp"

#include "base/account.hpp"
#include "base/error.hpp"
#include "base/units.hpp"
#include "cluster/fences.hpp"
#include "steps/lock/cluster_lock_words.hpp"
#include "steps/lock/engine_process.hpp"
#include "steps/observation/member_script.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <utility>

namespace lockstep {

namespace {

// A renewal that failed is repeated after this while somebody waits for it.
constexpr std::chrono::seconds k_between_attempts{1};

void refuse_cancelled(const std::stop_token& stop) {
    if (stop.stop_requested()) {
        throw TransportError(TransportError::Kind::cancelled, "taking the lock was cancelled");
    }
}

}  // namespace

ClusterLock::ClusterLock(Connections& connections,
                         Clock& clock,
                         const ClusterFacts& facts,
                         std::string scope,
                         LockTiming timing)
    : clock_(clock), cluster_(facts.name), scope_(std::move(scope)), timing_(timing) {
    for (const MemberFacts& at : facts.members) {
        members_.push_back({at, &connections.of(at), connections.extra_session(at)});
    }
    std::ranges::sort(members_, {}, [](const Member& member) { return member.at.name; });
}

ClusterLock::~ClusterLock() {
    stop_renewing();
}

/// A new nonce each time: an answer to an earlier question must not pass for this one's.
LockScript ClusterLock::script(LockScript::Act act) const {
    LockScript script;
    script.act = act;
    script.nonce = make_nonce();
    script.scope = scope_;
    script.mine = mine_;
    script.ttl = timing_.ttl;
    return script;
}

/// All acts are one script on the member, which decides there, under the member's own file lock:
/// what is looked at and what is written cannot be torn apart.
LockAnswer ClusterLock::visit(Member& member,
                              const LockScript& script,
                              std::chrono::milliseconds timeout,
                              std::stop_token stop) {
    if (member.link->ssh_settings.host.empty()) {
        throw TransportError(TransportError::Kind::connect, "its host is not known");
    }
    RemoteCommand command;
    command.script = render(script);
    return read_answer(script,
                       member.session->run(command, Deadline::after(timeout), std::move(stop)));
}

/// Taken on a majority first, then the fence is raised there: what an earlier holder has sent
/// meanwhile is refused from then on. What goes wrong in between is put back as it was.
LockGrant ClusterLock::take(const LockOwner& owner, std::stop_token stop) {
    mine_ = {.id = owner.id,
             .run = owner.run,
             .who = owner.who,
             .host = own_host(),
             .engine = own_engine_process()};
    try {
        meet_members(stop);
        take_everywhere(stop);
        choose_fence();
        raise_fence(stop);
    } catch (...) {
        end_everywhere({}, true);
        mine_ = {};
        throw;
    }
    LockGrant grant = this->grant();
    keeper_ = std::jthread([this](const std::stop_token& ending) { keep(ending); });
    return grant;
}

LockGrant ClusterLock::grant() const {
    LockGrant grant;
    grant.id = mine_.id;
    grant.fence = mine_.fence;
    // Told once for each lock, with the age that the first of its members told: a second may pass
    // between one member and the next.
    std::map<std::pair<std::string, std::string>, std::vector<const Member*>> members_of;
    for (const Member& member : members_) {
        if (member.before) {
            members_of[{member.before->id, member.before->left}].push_back(&member);
            grant.left_behind = grant.left_behind.empty() ? member.before->left : grant.left_behind;
        }
    }
    for (const auto& [lock, members] : members_of) {
        std::vector<std::string> names;
        for (const Member* member : members) {
            names.push_back(member->at.name);
        }
        grant.notes.push_back(members.front()->taken_over + " (on " + lock_words::list(names) +
                              ")");
    }
    for (const Member& member : members_) {
        if (member.odd_fence) {
            grant.notes.push_back(
                lock_words::odd_fence(member.at.name, *member.odd_fence, mine_.fence - 1) +
                (member.ours ? "; it is put back to " + std::to_string(mine_.fence) : ""));
        }
        if (!member.ours) {
            grant.notes.push_back("the lock is not on " + member.at.name + ": " + member.problem);
        }
    }
    return grant;
}

/// All at once, because a member that cannot be reached takes long to be so. Who could not be met
/// is not asked again.
void ClusterLock::meet_members(const std::stop_token& stop) {
    std::vector<std::jthread> visits;
    for (Member& member : members_) {
        visits.emplace_back([this, &member, &stop, look = script(LockScript::Act::look)] {
            try {
                const LockAnswer answer = visit(member, look, timing_.connect, stop);
                if (answer.lock && answer.lock->expires > answer.now) {
                    member.held_by = answer.lock->id;
                }
            } catch (const std::exception& error) {
                member.problem = error.what();
            }
        });
    }
}

/// In one order everywhere, so that of two runs that start at once one meets the other at the first
/// member that both reach. Past a lock that no majority has it goes on: should that be another run
/// that has just begun, one of the two gets the rest.
void ClusterLock::take_everywhere(const std::stop_token& stop) {
    for (Member& member : members_) {
        refuse_cancelled(stop);
        if (!member.problem.empty()) {
            continue;
        }
        member.asked = true;
        try {
            const LockAnswer answer = take_or_take_over(member, stop);
            if (answer.state != LockAnswer::State::ours) {
                member.held_by = answer.lock ? answer.lock->id : "";
                if (answer.state != LockAnswer::State::held || may_be_held(member.held_by)) {
                    refuse(member, answer);
                }
                member.problem = "has the lock of " +
                                 lock_words::owner(answer.lock.value_or(LockFile{})) +
                                 ", and no majority has it";
                continue;
            }
            member.ours = true;
            member.held_by.clear();
            member.fence = answer.fence;
            if (answer.lock && answer.lock->id != mine_.id) {
                member.before = answer.lock;
                member.taken_over = lock_words::taken_over(answer);
            }
        } catch (const LockHeldError&) {
            throw;
        } catch (const TransportError& error) {
            member.asked = !error.nothing_sent();
            member.problem = error.what();
        } catch (const Error& error) {
            member.problem = error.what();
        }
    }
    refuse_cancelled(stop);
    require_majority();
}

/// Whether the lock with this id may be on a majority, by what each member said last, or too few
/// are left for ours: what one of them has alone keeps nobody out.
bool ClusterLock::may_be_held(const std::string& id) const {
    std::size_t its = 0;
    std::size_t left = 0;
    for (const Member& member : members_) {
        const bool silent = !member.problem.empty() && member.held_by.empty();
        its += silent || member.held_by == id ? 1U : 0U;
        left += member.problem.empty() && member.held_by.empty() ? 1U : 0U;
    }
    return its >= majority() || left < majority();
}

/// A lock whose engine ran on this machine and is gone needs nobody's patience.
LockAnswer ClusterLock::take_or_take_over(Member& member, const std::stop_token& stop) {
    LockScript take = script(LockScript::Act::take);
    LockAnswer answer = visit(member, take, timing_.connect, stop);
    if (answer.state == LockAnswer::State::held && answer.lock &&
        fate_of_engine(answer.lock->engine) == EngineFate::gone) {
        take.gone = answer.lock->id;
        answer = visit(member, take, timing_.connect, stop);
    }
    return answer;
}

/// Beyond every number that counts. Where too few answer to tell which do, nobody gets the cluster.
void ClusterLock::choose_fence() {
    std::vector<std::optional<std::int64_t>> fences;
    for (const Member& member : members_) {
        fences.push_back(member.fence);
    }
    const Fences judged = judge_fences(fences);
    for (const std::size_t n : judged.odd) {
        Member& member = members_[n];
        if (judged.undecided) {
            throw TransportError(
                TransportError::Kind::connect,
                lock_words::odd_fence(member.at.name, *member.fence, judged.greatest) +
                    ", and too few members answer to tell which is right",
                "Try again when all members can be reached. If that is for long: `lockstep "
                "unlock " +
                    cluster_ + " --reset-fence` then puts it right.");
        }
        member.odd_fence = member.fence;
    }
    mine_.fence = judged.greatest + 1;
}

/// After this no command of an earlier run starts on the members that have the fence. One that was
/// started since we looked first is looked for once more.
void ClusterLock::raise_fence(const std::stop_token& stop) {
    renew_all(true, stop);
    refuse_cancelled(stop);
    if (!lost_.empty()) {
        throw LockHeldError(lost_, "Another run began at the same time. Try again.");
    }
    for (const Member& member : members_) {
        if (!member.command.empty()) {
            throw LockHeldError(member.command, lock_words::k_wait_for_command);
        }
    }
    require_majority();
}

/// Says who, since when and until when, for a person has to decide whether to wait. The way to
/// break it names the id, so that it cannot hit another lock.
void ClusterLock::refuse(const Member& member, const LockAnswer& answer) const {
    if (answer.state == LockAnswer::State::busy) {
        throw LockHeldError(lock_words::command(member.at.name, answer),
                            lock_words::k_wait_for_command);
    }
    const LockFile held = answer.lock.value_or(LockFile{});
    std::string hint = "Wait until it is over.";
    if (!held.id.empty()) {
        hint += " Only if its engine is certainly gone: `lockstep unlock " + cluster_ +
                " --lock-id " + held.id + "`.";
    }
    throw LockHeldError("another run holds the cluster " + cluster_ + ": " +
                            lock_words::owner(held) + ", seen on " + member.at.name + ", taken " +
                            format_duration(answer.ago(held.since)) + " ago; its lock expires in " +
                            format_duration(std::chrono::seconds{held.expires - answer.now}) +
                            " unless it is renewed",
                        hint);
}

/// Of all members and not of those that answer: two halves of a broken network must not each have a
/// majority.
void ClusterLock::require_majority() const {
    std::size_t ours = 0;
    std::string problems;
    for (const Member& member : members_) {
        ours += member.ours && member.problem.empty() ? 1U : 0U;
        if (!member.problem.empty()) {
            problems += (problems.empty() ? "" : "; ") + member.at.name + ": " + member.problem;
        }
    }
    if (ours >= majority()) {
        return;
    }
    throw TransportError(TransportError::Kind::connect,
                         "the lock of " + cluster_ + " could be taken on " + std::to_string(ours) +
                             " of " + std::to_string(members_.size()) + " members, and needs " +
                             std::to_string(majority()) + ": " + problems,
                         "`lockstep doctor` shows what works with each member.");
}

/// Side by side, since one member that hangs must not cost the others their time. A member that
/// joins late is renewed as well: it then has the fence.
void ClusterLock::renew_all(bool first, const std::stop_token& stop) {
    // From before anything is sent: the members count from when it arrives, which is later.
    const auto until = clock_.since_boot() + timing_.ttl - timing_.margin;
    std::size_t confirmed = 0;
    std::unique_lock sign_of_now(mutex_);
    const std::string would_leave = would_leave_;
    const std::size_t sign = sign_;
    sign_of_now.unlock();
    std::vector<std::jthread> visits;
    for (Member& member : members_) {
        if (first && !member.ours) {
            continue;
        }
        LockScript renew = script(LockScript::Act::renew);
        renew.ours = member.ours;
        renew.mine.left = would_leave;
        renew.odd_fence = first ? member.odd_fence : std::nullopt;
        renew.look_for_commands = first || !member.ours;
        visits.emplace_back([&, renew = std::move(renew)] {
            std::string problem;
            std::optional<LockAnswer> answer;
            try {
                answer = visit(member, renew, timing_.answer, stop);
            } catch (const std::exception& error) {
                problem = error.what();
            }
            const std::lock_guard lock(mutex_);
            member.problem = problem;
            member.asked = true;
            if (answer && note_renewal(member, *answer, renew.look_for_commands) &&
                ++confirmed == majority()) {
                valid_until_ = std::max(valid_until_, until);
                signed_ = std::max(signed_, sign);
            }
            wake_.notify_all();
        });
    }
}

/// Whether the lock is ours there. mutex_ is held. Which commands run there a member is asked
/// before the lock is ours on it, and not after: a run that is under way is not stopped by the word
/// of one. That it is lost one member says for itself; for the cluster those do that leave us no
/// majority.
bool ClusterLock::note_renewal(Member& member, const LockAnswer& answer, bool asked_for_commands) {
    member.command.clear();
    member.lost = answer.state == LockAnswer::State::lost;
    switch (answer.state) {
        case LockAnswer::State::ours:
            member.ours = true;
            return true;
        case LockAnswer::State::busy:
            if (!asked_for_commands) {
                member.problem = "it answers what it was not asked";
                return false;
            }
            member.command = lock_words::command(member.at.name, answer);
            return false;
        case LockAnswer::State::lost:
            member.ours = false;
            member.problem = lock_words::lost(cluster_, member.at.name, mine_, answer);
            if (members_.size() -
                    static_cast<std::size_t>(std::ranges::count(members_, true, &Member::lost)) <
                majority()) {
                lost_ = member.problem;
            }
            return false;
        default:
            member.problem =
                "has the lock of " + lock_words::owner(answer.lock.value_or(LockFile{}));
            return false;
    }
}

/// Ends when the lock is lost: to renew what another run holds would be to take it back.
void ClusterLock::keep(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (lost_.empty()) {
        wake_.wait_for(lock, stop, timing_.every, [this] { return wanted_; });
        if (stop.stop_requested()) {
            return;
        }
        wanted_ = false;
        lock.unlock();
        try {
            renew_all(false, stop);
        } catch (const std::exception& error) {  // no thread to be had: a renewal that failed
            spdlog::warn("the lock of {} could not be renewed: {}", cluster_, error.what());
        }
        lock.lock();
        ++renewals_;
        wake_.notify_all();
    }
}

/// By the clock that goes on in suspend: a laptop that slept must not believe in its old minute.
bool ClusterLock::valid() const {
    return lost_.empty() && std::ranges::all_of(members_, &std::string::empty, &Member::command) &&
           clock_.since_boot() < valid_until_;
}

/// Asks for one renewal after the other; the next one soon where the last one failed.
void ClusterLock::renew_until(std::unique_lock<std::mutex>& lock,
                              std::chrono::milliseconds patience,
                              const std::stop_token& stop,
                              const std::function<bool()>& settled) {
    const Deadline deadline = Deadline::after(patience);
    while (!settled() && !deadline.expired() && !stop.stop_requested()) {
        const std::size_t before = renewals_;
        wanted_ = true;
        wake_.notify_all();
        wake_.wait_until(
            lock, stop, deadline.at(), [&] { return settled() || renewals_ != before; });
        if (!settled()) {
            wake_.wait_until(lock, stop, deadline.within(k_between_attempts).at(), settled);
        }
    }
}

/// A renewal that is late is asked for at once and waited for; one that was lost to another run is
/// told without waiting.
std::string ClusterLock::trouble(std::chrono::milliseconds patience, std::stop_token stop) {
    if (!keeper_.joinable()) {
        return "the lock of " + cluster_ + " is not held";
    }
    std::unique_lock lock(mutex_);
    renew_until(lock, patience, stop, [this] { return !lost_.empty() || valid(); });
    return valid() ? std::string() : why_not_valid();
}

/// Before the change and not after it: an engine that dies in between must not leave a pause that
/// nobody's lock speaks of.
std::string ClusterLock::sign(const std::string& would_leave,
                              std::chrono::milliseconds patience,
                              std::stop_token stop) {
    std::unique_lock lock(mutex_);
    if (would_leave_ != would_leave) {
        would_leave_ = would_leave;
        ++sign_;
    }
    const auto has_it = [this] { return signed_ == sign_ && valid(); };
    renew_until(lock, patience, stop, [&] { return !lost_.empty() || has_it(); });
    return has_it() ? std::string() : why_not_valid();
}

void ClusterLock::sign_later(const std::string& would_leave) {
    const std::lock_guard lock(mutex_);
    if (would_leave_ != would_leave) {
        would_leave_ = would_leave;
        ++sign_;
        wanted_ = true;
        wake_.notify_all();
    }
}

/// What another run did comes first, then commands that still run, then what could not be reached.
std::string ClusterLock::why_not_valid() const {
    if (!lost_.empty()) {
        return lost_;
    }
    std::string problems;
    for (const Member& member : members_) {
        if (!member.command.empty()) {
            return member.command;
        }
        if (!member.problem.empty()) {
            problems += (problems.empty() ? ": " : "; ") + member.at.name + ": " + member.problem;
        }
    }
    return "the lock of " + cluster_ + " could not be renewed in time on " +
           std::to_string(majority()) + " of " + std::to_string(members_.size()) + " members" +
           problems;
}

void ClusterLock::stop_renewing() {
    if (keeper_.joinable()) {
        keeper_.request_stop();
        keeper_.join();
    }
}

/// The keeper ends first: else it could renew what was just given back.
void ClusterLock::release(const std::string& left_behind) {
    if (!keeper_.joinable()) {
        return;
    }
    stop_renewing();
    end_everywhere(left_behind, false);
    valid_until_ = {};
}

/// Also where an answer was lost: a lock that may be there is in the way of the next run. With
/// `put_back` the lock that was found is restored, because it may be the sign of a pause.
void ClusterLock::end_everywhere(const std::string& left_behind, bool put_back) {
    mine_.left = left_behind;
    std::vector<std::jthread> visits;
    for (Member& member : members_) {
        if (!member.asked) {
            continue;
        }
        LockScript release = script(LockScript::Act::release);
        if (put_back) {
            release.before = member.before;
        }
        visits.emplace_back([this, &member, release = std::move(release)] {
            try {
                static_cast<void>(visit(member, release, timing_.answer, {}));
            } catch (const std::exception& error) {
                spdlog::log(member.ours ? spdlog::level::warn : spdlog::level::debug,
                            "the lock on {} could not be given back, and expires by itself: {}",
                            member.at.name,
                            error.what());
            }
        });
    }
}

}  // namespace lockstep
