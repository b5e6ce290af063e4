#pragma once

#include "engine/runbook/window_reading.hpp"
#include "engine/window/calendar.hpp"
#include "engine/window/window.hpp"
#include "tests/engine/runbook/runbook_vocabulary.hpp"

#include <ctime>
#include <iomanip>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

/// Windows, moments and openings as texts, for the tests of windows.
namespace lockstep::window_texts {

/// "2026-11-28 22:00", of UTC.
inline std::chrono::system_clock::time_point utc(const std::string& text) {
    std::tm parts{};
    std::istringstream(text) >> std::get_time(&parts, "%Y-%m-%d %H:%M");
    return std::chrono::system_clock::from_time_t(timegm(&parts));
}

/// Its errors, one a line, with their hints.
inline std::string problems_of(const std::string& yaml, WindowSpec& window) {
    runbook_reading::Reading reading{.vocabulary = testing_vocabulary::vocabulary()};
    window = runbook_reading::read_window(reading, yaml::parse(yaml, "books/f.yaml"));
    std::string text;
    try {
        reading.problems.throw_if_any();
    } catch (const InputErrors& errors) {
        for (const InputError& error : errors.errors()) {
            text += error.what() + (error.hint().empty() ? "" : " (" + error.hint() + ")") + "\n";
        }
    }
    return text;
}

/// A window that is read without errors.
inline WindowSpec window_of(const std::string& yaml) {
    WindowSpec window;
    if (const std::string problems = problems_of(yaml, window); !problems.empty()) {
        throw std::runtime_error(problems);
    }
    return window;
}

/// "Sat 28 Nov 2026 22:00 CET to Sun 29 Nov 2026 02:00 CET", each.
inline std::vector<std::string> texts_of(const WindowSpec& window,
                                         const std::string& from,
                                         std::size_t count) {
    std::vector<std::string> texts;
    for (const Opening& opening : openings(window, utc(from), count)) {
        texts.push_back(local_text(opening.from, window.time_zone) + " to " +
                        local_text(opening.to, window.time_zone));
    }
    return texts;
}

using Texts = std::vector<std::string>;

/// `what: why`, each.
inline Texts left_out_of(const CalendarReading& reading) {
    Texts texts;
    for (const LeftOut& entry : reading.left_out) {
        texts.push_back(entry.what + ": " + entry.why);
    }
    return texts;
}

}  // namespace lockstep::window_texts
