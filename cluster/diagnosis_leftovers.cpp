#include "base/units.hpp"
#include "cluster/diagnosis_rules.hpp"
#include "cluster/fences.hpp"

#include <algorithm>
#include <map>

namespace lockstep::rules {

namespace {

/// What one run left, on whatever members.
struct Remains {
    const LockFacts* lock = nullptr;
    std::vector<std::string> locked;    ///< members
    std::vector<std::string> commands;  ///< that still run, or died: `KEY on n2`
    bool runs = false;                  ///< one of them
    bool owner_known = false;           ///< that it is a run on this cluster
};

/// By run, not by member: a person deals with a run, on all its members at once.
std::map<std::string, Remains> collect(const ClusterFacts& facts) {
    std::map<std::string, Remains> by_run;
    for (const MemberFacts& member : facts.members) {
        if (!member.leftover) {
            continue;
        }
        if (const auto& lock = member.leftover->lock) {
            Remains& remains = by_run[lock->run];
            // The one that says what was left, else the one that expired last.
            if (remains.lock == nullptr ||
                std::pair(!lock->left.empty(), lock->expires_in_seconds) >
                    std::pair(!remains.lock->left.empty(), remains.lock->expires_in_seconds)) {
                remains.lock = &*lock;
            }
            remains.owner_known = true;
            remains.locked.push_back(member.name);
        }
        for (const SpoolEntry& entry : member.leftover->spool) {
            // One that has ended waits for nobody and does nothing: it is a result on file, which
            // `resume` reads and a later run removes. Alone it is no finding.
            if (entry.state == "ended") {
                continue;
            }
            Remains& remains = by_run[entry.run()];
            remains.runs = remains.runs || entry.state == "running";
            remains.owner_known = remains.owner_known || entry.owner_known;
            remains.commands.push_back(
                entry.key + (entry.state == "running" ? " still runs on " : " died on ") +
                member.name + " (started " + ago(entry.age_seconds) + ")");
        }
    }
    return by_run;
}

std::string message_of(const std::string& run, const Remains& remains, bool paused_by_it) {
    std::string text = run.empty() ? "an unknown run, by a damaged lock" : "run " + run;
    if (remains.lock != nullptr) {
        const LockFacts& lock = *remains.lock;
        text += lock.who.empty() ? "" : " by " + lock.who;
        text += lock.left.empty() ? " has not given the cluster back" : " left " + lock.left;
        text += lock.engine_gone && lock.expires_in_seconds > 0
                    ? ": its engine is gone, its lock is on " + join_names(remains.locked)
                    : ": its lock on " + join_names(remains.locked) + " expired " +
                          ago(-lock.expires_in_seconds);
    } else {
        text += " left commands behind";
        text += remains.owner_known ? "" : ", for this cluster or another one of these hosts";
    }
    for (const std::string& command : remains.commands) {
        text += "; " + command;
    }
    return text + (paused_by_it ? ". The cluster is paused: nothing fails over" : "");
}

/// What still runs is waited for first; a lock is broken only after all else, and by its id.
std::string remedy_of(const ClusterFacts& facts, const std::string& run, const Remains& remains) {
    std::string text;
    if (remains.runs) {
        text = "Wait until its commands have ended. ";
    } else if (!remains.commands.empty()) {
        text = "Look at what its commands printed, in /var/lib/lockstep/spool on the member. ";
    }
    if (!run.empty()) {
        text += "`lockstep resume " + run + "` goes on with it, `lockstep rollback " + run +
                "` undoes it, where its journal is. ";
    }
    if (remains.lock != nullptr && !remains.lock->id.empty()) {
        text += "If that is settled: `lockstep unlock " + facts.name + " --lock-id " +
                remains.lock->id + "`.";
    } else if (remains.lock != nullptr) {
        text += "The next run takes its place.";
    } else if (!remains.runs) {
        text += remains.owner_known ? "If that is settled, remove their folders."
                                    : "If that is settled, and no run is at work on any cluster of "
                                      "these hosts, remove their folders.";
    }
    return text;
}

/// A number that no run can have left. The next run puts it back; until then it is somebody's who
/// can write there.
void odd_fences(const ClusterFacts& facts, Findings& found) {
    std::vector<std::optional<std::int64_t>> fences;
    for (const MemberFacts& member : facts.members) {
        fences.push_back(member.leftover ? member.leftover->fence : std::nullopt);
    }
    const Fences judged = judge_fences(fences);
    for (const std::size_t n : judged.odd) {
        const std::string& name = facts.members[n].name;
        found.push_back(
            {"member.fence_odd",
             Severity::warning,
             name,
             "",
             "the fence of lockstep on " + name + " is " + std::to_string(*fences[n]) +
                 ", and that of the others at most " + std::to_string(judged.greatest) +
                 ": no run has left it there" +
                 (judged.undecided ? ", or too few members answer to tell" : ""),
             "See who can write to /var/lib/lockstep on " + name + ". " +
                 (judged.undecided ? "Once all members answer: `lockstep unlock "
                                   : "The next run puts it back, and so does `lockstep unlock ") +
                 facts.name + " --reset-fence`.",
             ""});
    }
}

}  // namespace

std::string ago(std::int64_t seconds) {
    return seconds > 0 ? format_duration(std::chrono::seconds{seconds}) + " ago" : "just now";
}

void leftovers(const ClusterFacts& facts, Findings& found) {
    odd_fences(facts, found);
    if (facts.held_lock() != nullptr) {
        return;  // a run is at work, and what is there may be its own
    }
    for (const auto& [run, remains] : collect(facts)) {
        const bool paused_by_it = facts.paused && remains.lock != nullptr &&
                                  remains.lock->left.find("patroni.pause") != std::string::npos;
        found.push_back({"member.leftover",
                         paused_by_it ? Severity::critical : Severity::warning,
                         "",
                         run,
                         message_of(run, remains, paused_by_it),
                         remedy_of(facts, run, remains),
                         ""});
    }
}

}  // namespace lockstep::rules
