#include "base/units.hpp"
#include "cli/commands.hpp"
#include "cli/texts.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace lockstep {

namespace {

constexpr std::size_t k_shown = 5;
constexpr std::size_t k_most_left_out = 50;

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

/// "freezes.ics (freeze): 12 entries, 30 occurrences in the year ahead; 2 left out", and which.
std::string report_text(const CalendarReport& report) {
    std::string text = "      " + report.file + (report.is_freeze ? " (freeze): " : ": ");
    if (!report.refused.empty()) {
        text += "closes the window\n        " + wrap(report.refused, 10) + "\n";
        return report.hint.empty() ? text : text + "        HINT: " + wrap(report.hint, 10) + "\n";
    }
    const auto counted = [](std::size_t count, const std::string& one, const std::string& many) {
        return std::to_string(count) + " " + (count == 1 ? one : many);
    };
    text += counted(report.entries, "entry", "entries") + ", " +
            counted(report.occurrences, "occurrence", "occurrences") + " in the year ahead; " +
            (report.left_out.empty() ? "nothing is left out"
                                     : std::to_string(report.left_out.size()) + " left out:") +
            "\n";
    for (std::size_t n = 0; n < std::min(report.left_out.size(), k_most_left_out); ++n) {
        const LeftOut& entry = report.left_out[n];
        text += "        " + wrap(entry.what + ": " + entry.why, 10) + "\n";
    }
    if (report.left_out.size() > k_most_left_out) {
        text += "        and " + std::to_string(report.left_out.size() - k_most_left_out) +
                " more: --output json has them\n";
    }
    return text;
}

nlohmann::json report_json(const CalendarReport& report) {
    nlohmann::json left_out = nlohmann::json::array();
    for (const LeftOut& entry : report.left_out) {
        left_out.push_back({{"what", entry.what}, {"why", entry.why}});
    }
    return {{"file", report.file},
            {"freeze", report.is_freeze},
            {"entries", report.entries},
            {"occurrences", report.occurrences},
            {"left_out", left_out},
            {"refused", report.refused},
            {"hint", report.hint}};
}

std::string view_text(const Named& named, Clock::Wall now, const Terminal& terminal, bool explain) {
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
    if (explain) {
        for (const CalendarReport& report : calendar_reports(*named.window, now)) {
            text += report_text(report);
        }
    }
    return text;
}

nlohmann::json view_json(const Named& named, Clock::Wall now, bool explain) {
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
    if (explain) {
        nlohmann::json calendars = nlohmann::json::array();
        for (const CalendarReport& report : calendar_reports(*named.window, now)) {
            calendars.push_back(report_json(report));
        }
        document["calendars"] = calendars;
    }
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
            list.push_back(view_json(named, now, options.explain_calendars));
        }
        std::cout << json_text({{"runbook", runbook->name}, {"windows", list}}, options.output);
        return 0;
    }
    if (windows.empty()) {
        std::cout << runbook->name << " has no window: it may run at any time\n";
    }
    for (const Named& named : windows) {
        std::cout << view_text(named, now, Terminal::on(STDOUT_FILENO), options.explain_calendars);
    }
    return 0;
}

}  // namespace lockstep
