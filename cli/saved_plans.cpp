#include "base/error.hpp"
#include "base/yaml.hpp"
#include "cli/commands.hpp"
#include "cli/texts.hpp"

namespace lockstep {

namespace {

void refuse_what_the_plan_answers(const Options& options, const std::string& cluster) {
    if (!options.set.empty() || !options.accept.empty() || !options.on_failure.empty()) {
        throw UsageError("a saved plan has its inputs and what was accepted in it",
                         "Leave --set, --accept and --on-failure out, or make a plan anew.");
    }
    if (!options.cluster.empty() && options.cluster != cluster) {
        throw UsageError("this plan is for the cluster " + cluster + ", not " + options.cluster,
                         "Leave -c out.");
    }
}

/// Empty where the file is away: the plan has its own copy, and may have come from elsewhere.
std::string edit_of(const SavedPlan& saved) {
    try {
        const std::string hash = runbook_hash(*find_runbook(saved.runbook_from));
        return hash == saved.plan.at("runbook_hash")
                   ? ""
                   : "the runbook " + saved.runbook_from + " says something else by now";
    } catch (const InputErrors&) {
        return "the runbook " + saved.runbook_from + " is not valid any more";
    } catch (const Error&) {
        return {};
    }
}

}  // namespace

TakenUp take_up_plan(const std::string& path, const Options& options) {
    TakenUp taken;
    taken.saved = SavedPlan::parse(text_to_run(path, shared_runbook(options)), path);
    refuse_what_the_plan_answers(options, taken.saved.cluster);
    taken.options = options;
    taken.options.from_saved_plan = true;
    taken.options.cluster = taken.saved.cluster;
    taken.options.set = taken.saved.given;
    taken.options.accept = taken.saved.accepted;
    taken.options.on_failure = taken.saved.on_failure;
    if (taken.options.reason.empty()) {
        taken.options.reason = taken.saved.reason;
    }
    taken.runbook = pinned_runbook(
        taken.saved.runbook_text,
        taken.saved.plan.value("runbook_path", taken.saved.runbook_from),
        taken.saved.plan.value("runbook_parts", std::map<std::string, std::string>()));
    taken.edited = edit_of(taken.saved);
    return taken;
}

std::vector<std::string> stale_reasons(const TakenUp& taken, const Plan& now) {
    std::vector<std::string> found =
        differences(taken.saved.plan, now.to_json(), taken.saved.allow_drift);
    if (!taken.edited.empty()) {
        found.insert(found.begin(), taken.edited);
    }
    return found;
}

std::string stale_text(const std::string& path,
                       const std::vector<std::string>& found,
                       const Terminal& terminal) {
    if (found.empty()) {
        return terminal.paint("AS SAVED", Tone::good) + "  " + path +
               " would do now just what it says\n";
    }
    std::string text =
        terminal.paint("STALE", Tone::bad) + "  " + path + " is not what would be done now:\n";
    for (const std::string& line : found) {
        text += "  - " + wrap(line, 4) + "\n";
    }
    return text;
}

}  // namespace lockstep
