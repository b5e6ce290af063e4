#include "cli/commands.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "steps/reachability.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace lockstep {

namespace {

using WayVerdict = Way::Verdict;

constexpr int k_not_all_reached = 16;

const char* text_of(WayVerdict verdict) {
    switch (verdict) {
        case WayVerdict::ok:
            return "ok";
        case WayVerdict::limited:
            return "limited";
        case WayVerdict::failed:
            break;
    }
    return "FAILED";
}

Tone tone_of(WayVerdict verdict) {
    return verdict == WayVerdict::ok        ? Tone::good
           : verdict == WayVerdict::limited ? Tone::warn
                                            : Tone::bad;
}

nlohmann::json way_json(const Way& way) {
    return {{"member", way.member},
            {"way", way.name},
            {"how", way.how},
            {"ok", way.verdict != WayVerdict::failed},
            {"limited", way.verdict == WayVerdict::limited},
            {"error", way.access.asked ? way.access.error : "was not asked"},
            {"hint", way.access.hint},
            {"sudoers", way.sudoers}};
}

void print(const std::vector<Way>& ways, const Terminal& terminal) {
    Table table({"MEMBER", "WAY", "HOW", "RESULT"});
    std::string details;
    for (const Way& way : ways) {
        table.add({way.member, way.name, way.how, text_of(way.verdict)},
                  {Tone::strong, Tone::plain, Tone::dim, tone_of(way.verdict)});
        if (way.verdict == WayVerdict::ok) {
            continue;
        }
        details += "\n  " + one_line(way.member) + ", " + way.name + ":\n";
        if (way.verdict == WayVerdict::failed) {
            const std::string why = way.access.asked ? way.access.error : "was not asked";
            details += "      " + wrap(printable(why), 6) + "\n";
        }
        if (!way.access.hint.empty()) {
            details += "      HINT: " + wrap(printable(way.access.hint), 12) + "\n";
        }
        if (!way.sudoers.empty()) {
            details += "      For `visudo -f /etc/sudoers.d/lockstep` there; /bin/sh is root:\n";
        }
        for (const std::string& line : way.sudoers) {
            details += "          " + line + "\n";
        }
    }
    std::cout << table.text(terminal) << details;
}

void print_note(const std::string& note) {
    if (!note.empty()) {
        std::cout << "\n" << wrap(printable(note), 0) << "\n";
    }
}

}  // namespace

int command_doctor(const Options& options, Interrupts& interrupts) {
    Workplace place(options);
    const std::vector<Way> ways = place.runner.reachability(interrupts.token());
    if (options.output == Output::text) {
        print(ways, Terminal::on(STDOUT_FILENO));
        print_note(place.cluster.note_on_rest());
    } else {
        nlohmann::json list = nlohmann::json::array();
        for (const Way& way : ways) {
            list.push_back(way_json(way));
        }
        std::cout << nlohmann::json{{"cluster", place.cluster.name},
                                    {"rest_authenticated",
                                     place.cluster.patroni.is_authenticated()},
                                    {"ways", list}}
                         .dump(2)
                  << "\n";
    }
    const bool good = std::ranges::none_of(
        ways, [](const Way& way) { return way.verdict == WayVerdict::failed; });
    return good ? 0 : k_not_all_reached;
}

}  // namespace lockstep
