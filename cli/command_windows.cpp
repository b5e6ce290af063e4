#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/texts.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

namespace {

constexpr std::size_t k_shown = 5;

/// A window of the runbook, or of one of its steps.
struct Named {
    std::string of;
    const WindowSpec* window = nullptr;
};

void collect(const std::vector<StepSpec>& steps,
             const std::string& prefix,
             std::vector<Named>& all) {
    for (const StepSpec& step : steps) {
        if (step.window) {
            all.push_back({"step " + prefix + step.id, &*step.window});
        }
        collect(step.steps, prefix + step.id + ".", all);
    }
}

std::vector<Named> windows_of(const Runbook& runbook) {
    std::vector<Named> all;
    if (runbook.window) {
        all.push_back({"the runbook", &*runbook.window});
    }
    collect(runbook.steps, "", all);
    return all;
}

/// None where it is not known: the view says why.
std::vector<Opening> next_openings(const WindowSpec& window,
                                   const WindowView& view,
                                   Clock::Wall now) {
    return view.open || view.next ? openings(window, now, k_shown) : std::vector<Opening>();
}

std::string opening_text(const Opening& opening, const WindowSpec& window) {
    const auto length = std::chrono::floor<std::chrono::milliseconds>(opening.to - opening.from);
    return local_text(opening.from, window.time_zone) + " to " +
           local_text(opening.to, window.time_zone) + " (" + format_duration(length) + ")";
}

std::string view_text(const Named& named, Clock::Wall now, const Terminal& terminal) {
    const WindowView view = look(*named.window, now);
    std::string text =
        view.open ? terminal.paint("OPEN", Tone::good) : terminal.paint("CLOSED", Tone::warn);
    text += "  " + named.of + ": ";
    if (!view.open) {
        text += wrap(view.because, 8);
    } else if (view.until) {
        text += "until " + local_text(*view.until, named.window->time_zone);
    } else {
        text += "always, as far as a year from now";
    }
    text += "\n";
    if (named.window->cutoff.count() > 0) {
        text +=
            "      nothing is started in its last " + format_duration(named.window->cutoff) + "\n";
    }
    for (const Opening& opening : next_openings(*named.window, view, now)) {
        text += "      " + opening_text(opening, *named.window) + "\n";
    }
    return text;
}

nlohmann::json view_json(const Named& named, Clock::Wall now) {
    const WindowView view = look(*named.window, now);
    nlohmann::json list = nlohmann::json::array();
    for (const Opening& opening : next_openings(*named.window, view, now)) {
        list.push_back({{"from", to_iso8601(opening.from)}, {"to", to_iso8601(opening.to)}});
    }
    nlohmann::json document = to_json(view);
    document.update({{"of", named.of},
                     {"time_zone", named.window->time_zone},
                     {"cutoff_ms", named.window->cutoff.count()},
                     {"openings", list}});
    return document;
}

}  // namespace

int command_windows(const Options& options) {
    const std::shared_ptr<const Runbook> runbook = find_runbook(options.runbooks.front());
    const Clock::Wall now = std::chrono::system_clock::now();
    const std::vector<Named> windows = windows_of(*runbook);
    if (options.output != Output::text) {
        nlohmann::json list = nlohmann::json::array();
        for (const Named& named : windows) {
            list.push_back(view_json(named, now));
        }
        std::cout << json_text({{"runbook", runbook->name}, {"windows", list}}, options.output);
        return 0;
    }
    if (windows.empty()) {
        std::cout << runbook->name << " has no window: it may run at any time\n";
    }
    for (const Named& named : windows) {
        std::cout << view_text(named, now, Terminal::on(STDOUT_FILENO));
    }
    return 0;
}

}  // namespace lockstep
