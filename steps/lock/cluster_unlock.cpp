#include "base/error.hpp"
#include "cluster/fences.hpp"
#include "steps/lock/cluster_lock.hpp"
#include "steps/lock/cluster_lock_words.hpp"
#include "steps/observation/member_script.hpp"

#include <algorithm>
#include <map>

namespace lockstep {

namespace {

constexpr std::chrono::seconds k_patience{15};

struct Visited {
    FoundLock result;
    std::string other_id;  ///< of the lock that is there, if it is not the one
    bool held = false;     ///< a lock is there that has not expired
};

Visited visit(Connections& connections,
              const MemberFacts& at,
              LockScript script,
              std::stop_token stop) {
    Visited visited;
    visited.result.member = at.name;
    script.nonce = make_nonce();
    try {
        MemberConnections& link = connections.of(at);
        if (link.ssh_settings.host.empty()) {
            throw TransportError(TransportError::Kind::connect, "its host is not known");
        }
        RemoteCommand command;
        command.script = render(script);
        const std::lock_guard lock(link.ssh_use);
        const LockAnswer answer = read_answer(
            script, link.root().run(command, Deadline::after(k_patience), std::move(stop)));
        visited.result.found = lock_words::found(answer);
        visited.result.fence = answer.fence;
        visited.held = answer.lock && answer.lock->expires > answer.now;
        visited.result.has_it = answer.lock && answer.lock->id == script.mine.id;
        visited.result.removed = answer.state == LockAnswer::State::removed;
        if (answer.lock && !visited.result.has_it) {
            visited.other_id = answer.lock->id;
        }
    } catch (const std::exception& error) {
        visited.result.error = error.what();
    }
    return visited;
}

[[noreturn]] void refuse(const ClusterFacts& facts,
                         const std::string& lock_id,
                         const std::vector<Visited>& visits) {
    std::map<std::string, std::vector<std::string>> members_of;
    std::string errors;
    bool answered = false;
    for (const Visited& visited : visits) {
        const FoundLock& result = visited.result;
        answered = answered || result.error.empty();
        if (!result.error.empty()) {
            errors += (errors.empty() ? "" : "; ") + result.member + ": " + result.error;
        } else if (!visited.other_id.empty()) {
            members_of[visited.other_id].push_back(result.member);
        }
    }
    if (!answered) {
        throw TransportError(
            TransportError::Kind::connect,
            "no member of " + facts.name + " could be asked for its lock: " + errors,
            "`lockstep doctor` shows what works with each member.");
    }
    std::vector<std::string> there;
    there.reserve(members_of.size());
    for (const auto& [id, members] : members_of) {
        there.push_back(id + " on " + lock_words::list(members));
    }
    std::string hint =
        there.empty() ? "There is no lock on any member" : "There is " + lock_words::list(there);
    hint += errors.empty() ? "." : "; not asked: " + errors + ".";
    throw UsageError("no member of " + facts.name + " has a lock with the id " + lock_id, hint);
}

std::vector<Visited> visit_each(Connections& connections,
                                const ClusterFacts& facts,
                                const LockScript& script,
                                const std::stop_token& stop) {
    std::vector<Visited> visits(facts.members.size());
    {
        std::vector<std::jthread> threads;
        for (std::size_t n = 0; n < visits.size(); ++n) {
            threads.emplace_back(
                [&, n] { visits[n] = visit(connections, facts.members[n], script, stop); });
        }
    }
    if (stop.stop_requested()) {
        throw TransportError(TransportError::Kind::cancelled, "unlocking was cancelled");
    }
    return visits;
}

std::vector<FoundLock> visit_all(Connections& connections,
                                 const ClusterFacts& facts,
                                 const LockScript& script,
                                 const std::stop_token& stop) {
    const std::vector<Visited> visits = visit_each(connections, facts, script, stop);
    std::vector<FoundLock> found;
    found.reserve(visits.size());
    for (const Visited& visited : visits) {
        found.push_back(visited.result);
    }
    if (std::ranges::none_of(found, &FoundLock::has_it)) {
        refuse(facts, script.mine.id, visits);
    }
    return found;
}

LockScript script_for(LockScript::Act act, const std::string& scope, const std::string& lock_id) {
    LockScript script;
    script.act = act;
    script.scope = scope;
    script.mine.id = lock_id;
    return script;
}

/// What a member says of a fence that is none: cluster_lock_script.cpp.
constexpr std::string_view k_no_number = " holds no number";

/// The members whose fence is to be put back, and to what. One member's word that a run is at work
/// keeps nobody from it; that of a majority does.
struct OddFences {
    std::vector<FoundLock> found;
    std::vector<std::size_t> members;  ///< by position in the facts
    std::int64_t back_to = 0;
};

OddFences odd_fences(Connections& connections,
                     const ClusterFacts& facts,
                     const std::string& scope,
                     const std::stop_token& stop) {
    const std::vector<Visited> visits =
        visit_each(connections, facts, script_for(LockScript::Act::look, scope, {}), stop);
    const auto held = std::ranges::count(visits, true, &Visited::held);
    if (static_cast<std::size_t>(held) > visits.size() / 2) {
        throw UsageError("a run is at work on " + facts.name,
                         "Wait until it is over, or break its lock first: `lockstep unlock " +
                             facts.name + " --lock-id …`.");
    }
    std::vector<std::optional<std::int64_t>> fences;
    OddFences odd;
    std::string all;
    std::size_t away = 0;
    for (std::size_t n = 0; n < visits.size(); ++n) {
        const FoundLock& seen = visits[n].result;
        fences.push_back(seen.fence);
        const bool damaged = seen.error.find(k_no_number) != std::string::npos;
        away += !seen.fence && !damaged ? 1U : 0U;
        if (damaged) {
            odd.members.push_back(n);
        }
        all += (all.empty() ? "" : ", ") + seen.member + ": " +
               (seen.fence ? std::to_string(*seen.fence) : seen.error);
        odd.found.push_back(seen);
    }
    const Fences judged = judge_fences(fences);
    if (judged.undecided && away > 0) {
        throw TransportError(TransportError::Kind::connect,
                             "too few members of " + facts.name +
                                 " answer to tell which fence is right (" + all + ")",
                             "`lockstep doctor` shows what works with each member.");
    }
    odd.members.insert(odd.members.end(), judged.odd.begin(), judged.odd.end());
    std::ranges::sort(odd.members);
    odd.back_to = judged.greatest;
    if (odd.members.empty()) {
        throw UsageError("no fence of " + facts.name + " is odd (" + all + ")",
                         "There is nothing to put right.");
    }
    for (const std::size_t n : odd.members) {
        FoundLock& seen = odd.found[n];
        seen.found =
            seen.fence ? lock_words::odd_fence(seen.member, *seen.fence, odd.back_to) : seen.error;
        seen.has_it = true;
        seen.error.clear();
    }
    return odd;
}

}  // namespace

std::vector<FoundLock> find_odd_fences(Connections& connections,
                                       const ClusterFacts& facts,
                                       const std::string& scope,
                                       std::stop_token stop) {
    return odd_fences(connections, facts, scope, stop).found;
}

std::vector<FoundLock> reset_odd_fences(Connections& connections,
                                        const ClusterFacts& facts,
                                        const std::string& scope,
                                        std::stop_token stop) {
    OddFences odd = odd_fences(connections, facts, scope, stop);
    LockScript reset = script_for(LockScript::Act::reset_fence, scope, {});
    reset.mine.fence = odd.back_to;
    for (const std::size_t n : odd.members) {
        const Visited visited = visit(connections, facts.members[n], reset, stop);
        odd.found[n].removed = visited.result.removed;
        odd.found[n].error = visited.result.error;
    }
    return std::move(odd.found);
}

std::vector<FoundLock> find_lock(Connections& connections,
                                 const ClusterFacts& facts,
                                 const std::string& scope,
                                 const std::string& lock_id,
                                 std::stop_token stop) {
    return visit_all(connections, facts, script_for(LockScript::Act::look, scope, lock_id), stop);
}

std::vector<FoundLock> break_lock(Connections& connections,
                                  const ClusterFacts& facts,
                                  const std::string& scope,
                                  const std::string& lock_id,
                                  std::stop_token stop) {
    return visit_all(connections, facts, script_for(LockScript::Act::unlock, scope, lock_id), stop);
}

}  // namespace lockstep
