#include "engine/run/later_runs.hpp"

#include "base/join.hpp"

#include <set>

namespace lockstep {

namespace {

/// The members that something was changed on; empty text: the cluster as a whole. A pause goes by
/// itself, and what is taken back is as it was.
std::set<std::string> touched(const RunState& state, const ActionCatalog& actions, bool to_come) {
    std::set<std::string> members;
    for (const StepProgress& step : state.steps()) {
        const ActionSchema* schema = find_action(actions, step.uses);
        const bool temporary = schema != nullptr && (schema->temporary || !schema->ends.empty());
        const bool comes = to_come && step.changes && step.state != StepState::skipped;
        if (temporary || step.always || !(comes || step.may_have_acted())) {
            continue;
        }
        members.insert(step.member);
        for (const UndoProgress& undo : step.undo) {
            members.insert(undo.undo.member);
        }
    }
    return members;
}

}  // namespace

std::vector<std::string> changed_since(const RunState& run,
                                       Going going,
                                       const std::vector<LaterRun>& later,
                                       const ActionCatalog& actions) {
    const std::set<std::string> mine = touched(run, actions, going == Going::on);
    std::vector<std::string> found;
    for (const LaterRun& other : later) {
        const std::set<std::string> theirs = touched(other.state, actions, false);
        std::vector<std::string> both;
        for (const std::string& member : theirs) {
            if (member.empty() || mine.contains(member) || mine.contains("")) {
                both.push_back(member.empty() ? "the cluster" : member);
            }
        }
        if (!both.empty() && !mine.empty()) {
            found.push_back(other.header.id + " (" + other.header.runbook + ") changed " +
                            join(both));
        }
    }
    return found;
}

}  // namespace lockstep
