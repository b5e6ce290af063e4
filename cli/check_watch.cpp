#include "cli/check_watch.hpp"

#include "base/error.hpp"
#include "base/or_null.hpp"
#include "base/units.hpp"
#include "cli/live_screen.hpp"
#include "cli/output_file.hpp"
#include "cli/signals.hpp"
#include "cli/texts.hpp"

#include <spdlog/spdlog.h>

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <optional>

namespace lockstep {

namespace {

using Json = nlohmann::json;
using Kind = WatchEvent::Kind;

constexpr std::size_t k_events_on_screen = 10;

bool is_same(const Finding& a, const Finding& b) {
    return a.id == b.id && a.member == b.member && a.subject == b.subject &&
           a.severity == b.severity;
}

bool has(const std::vector<Finding>& findings, const Finding& wanted) {
    return std::ranges::any_of(findings, [&](const Finding& one) { return is_same(one, wanted); });
}

std::map<std::pair<std::string, std::string>, std::string> values_of(const ClusterFacts& facts) {
    std::map<std::pair<std::string, std::string>, std::string> values;
    values[{"", "leader"}] = facts.leader;
    values[{"", "timeline"}] = facts.timeline ? std::to_string(*facts.timeline) : "";
    for (const MemberFacts& member : facts.members) {
        values[{member.name, "role"}] = member.role;
        values[{member.name, "state"}] = member.state;
        values[{member.name, "patroni"}] = member.patroni.running;
        values[{member.name, "postgres"}] = member.postgres.running;
    }
    return values;
}

Json sample_of(const MemberFacts& member) {
    Json sample = {{"member", member.name},
                   {"role", or_null(member.role)},
                   {"state", or_null(member.state)},
                   {"position", or_null(member.position)},
                   {"lag_bytes", or_null(member.lag_bytes)}};
    sample["wal_bytes"] = member.wal ? Json(member.wal->bytes) : Json(nullptr);
    sample["wal_held_bytes"] = member.wal ? or_null(member.wal->held_bytes()) : Json(nullptr);
    sample["wal_growth_bytes_per_second"] =
        member.wal ? or_null(member.wal->growth_per_second) : Json(nullptr);
    sample["disk_free_bytes"] = member.disk ? Json(member.disk->free_bytes) : Json(nullptr);
    sample["slots"] = member.slots ? Json(member.slots->size()) : Json(nullptr);
    sample["stuck"] = member.slots ? Json(std::ranges::count_if(*member.slots, &SlotFacts::stuck))
                                   : Json(nullptr);
    return sample;
}

void print_line(const Json& line) {
    std::cout << line.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
}

/// What a look came to goes out this way; one for a terminal, one for programs.
class Showing {
  public:
    explicit Showing(const Options& options) : options_(options) {
        if (options.output == Output::text && terminal_.live()) {
            screen_.emplace(STDOUT_FILENO);
        }
    }

    /// False: nobody is there to see it any more.
    [[nodiscard]] bool show(const std::vector<CheckResult>& results,
                            const std::vector<WatchEvent>& events) {
        bool seen = true;
        if (options_.output == Output::prometheus) {
            write(results);
        } else if (screen_) {
            seen = draw(results, events);
        } else {
            for (const CheckResult& result : results) {
                if (result.observed()) {
                    print_line(sample_event(result));
                }
            }
            for (const WatchEvent& event : events) {
                print_line(to_json(event));
            }
        }
        first_ = false;
        return seen && std::cout.good();
    }

    /// What stays on the terminal when the screen is gone.
    void leave(const std::vector<CheckResult>& results) {
        if (screen_) {
            screen_.reset();
            std::cout << body(results) << std::flush;
        }
    }

  private:
    [[nodiscard]] std::string body(const std::vector<CheckResult>& results) const {
        const bool single = results.size() == 1 && !options_.all && results.front().observed();
        return single ? check_text(results.front().facts, results.front().findings, terminal_)
                      : check_all_text(results, terminal_);
    }

    /// A disk that is full for a moment is no reason to stop looking.
    void write(const std::vector<CheckResult>& results) const {
        try {
            write_whole_file(options_.output_file, prometheus_text(results));
        } catch (const Error& error) {
            spdlog::warn("{}", error.what());
        }
    }

    [[nodiscard]] bool draw(const std::vector<CheckResult>& results,
                            const std::vector<WatchEvent>& events) {
        std::size_t latest = 0;
        if (!first_) {  // what was so before we came is no event
            latest = events.size();
            events_.insert(events_.end(), events.begin(), events.end());
        }
        while (events_.size() > k_events_on_screen) {
            events_.pop_front();
        }
        std::chrono::milliseconds took{0};
        Clock::Wall at;
        for (const CheckResult& result : results) {
            took = std::max(took, result.took);
            at = std::max(at, result.at);
        }
        std::string text = terminal_.paint("every " + format_duration(*options_.watch) + ", last " +
                                               to_iso8601(at).substr(0, 19) + "Z in " +
                                               format_duration(took) + "; Ctrl-C ends",
                                           Tone::dim) +
                           "\n\n" + body(results);
        if (!events_.empty()) {
            text += "\n" + terminal_.paint("changes", Tone::dim) + "\n";
        }
        for (std::size_t n = 0; n < events_.size(); ++n) {
            text += event_line(events_[n], n + latest >= events_.size(), terminal_) + "\n";
        }
        return screen_->draw(text);
    }

    const Options& options_;
    Terminal terminal_ = Terminal::on(STDOUT_FILENO);
    std::optional<LiveScreen> screen_;
    std::deque<WatchEvent> events_;
    bool first_ = true;
};

}  // namespace

Json to_json(const WatchEvent& event) {
    Json json = {{"at", to_iso8601(event.at)}, {"cluster", event.cluster}};
    switch (event.kind) {
        case Kind::appeared:
        case Kind::gone:
            json["event"] = event.kind == Kind::appeared ? "finding_appeared" : "finding_gone";
            json["finding"] = event.finding.to_json();
            break;
        case Kind::changed:
            json["event"] = "changed";
            json["member"] = or_null(event.member);
            json["field"] = event.field;
            json["from"] = or_null(event.from);
            json["to"] = or_null(event.to);
            break;
        case Kind::failed:
            json["event"] = "observation_failed";
            json["error"] = event.to;
            break;
        case Kind::back:
            json["event"] = "observation_back";
            break;
    }
    return json;
}

Json sample_event(const CheckResult& result) {
    Json members = Json::array();
    for (const MemberFacts& member : result.facts.members) {
        members.push_back(sample_of(member));
    }
    return {{"event", "sample"},
            {"at", to_iso8601(result.at)},
            {"cluster", result.cluster},
            {"status", to_text(result.status())},
            {"took_ms", result.took.count()},
            {"leader", or_null(result.facts.leader)},
            {"paused", result.facts.paused},
            {"members", members}};
}

std::string event_line(const WatchEvent& event, bool latest, const Terminal& terminal) {
    std::string what = event.cluster + ": ";
    Tone tone = Tone::plain;
    switch (event.kind) {
        case Kind::appeared:
        case Kind::gone:
            what += event.finding.id;
            what += event.finding.member.empty() ? "" : " on " + event.finding.member;
            what += event.finding.subject.empty() ? "" : " (" + event.finding.subject + ")";
            what += event.kind == Kind::gone ? " is gone"
                                             : ": " + std::string(to_text(event.finding.severity));
            tone = event.kind == Kind::gone ? Tone::good : tone_of(event.finding.severity);
            break;
        case Kind::changed:
            what += (event.member.empty() ? "" : event.member + ": ") + event.field + " " +
                    (event.from.empty() ? "-" : event.from) + " -> " +
                    (event.to.empty() ? "-" : event.to);
            break;
        case Kind::failed:
            what += "cannot be observed: " + event.to;
            tone = Tone::bad;
            break;
        case Kind::back:
            what += "can be observed again";
            tone = Tone::good;
            break;
    }
    return std::string(latest ? "> " : "  ") +
           terminal.paint(to_iso8601(event.at).substr(11, 8), Tone::dim) + "  " +
           terminal.paint(one_line(what), tone);
}

std::vector<WatchEvent> WatchLog::take(const std::vector<CheckResult>& results) {
    std::vector<WatchEvent> events;
    for (const CheckResult& result : results) {
        Known& known = known_[result.cluster];
        if (!result.observed()) {
            if (!known.failed) {
                events.push_back(
                    {Kind::failed, result.at, result.cluster, {}, "", "", "", result.error});
            }
            known.failed = true;
            continue;
        }
        if (known.failed) {
            events.push_back({Kind::back, result.at, result.cluster, {}, "", "", "", ""});
        }
        compare(result, known, events);
        known.failed = false;
        known.seen = true;
    }
    return events;
}

void WatchLog::compare(const CheckResult& result, Known& known, std::vector<WatchEvent>& events) {
    auto values = values_of(result.facts);
    for (const auto& [key, value] : values) {
        const auto before = known.values.find(key);
        const std::string from = before == known.values.end() ? "" : before->second;
        if (known.seen && from != value) {
            events.push_back(
                {Kind::changed, result.at, result.cluster, {}, key.first, key.second, from, value});
        }
    }
    for (const Finding& finding : known.findings) {
        if (!has(result.findings, finding)) {
            events.push_back({Kind::gone, result.at, result.cluster, finding, "", "", "", ""});
        }
    }
    for (const Finding& finding : result.findings) {
        if (!has(known.findings, finding)) {
            events.push_back({Kind::appeared, result.at, result.cluster, finding, "", "", "", ""});
        }
    }
    known.values = std::move(values);
    known.findings = result.findings;
}

int watch(const Options& options, ClusterChecks& checks, Clock& clock, Interrupts& interrupts) {
    const std::stop_token stop = interrupts.token();
    WatchLog log;
    Showing showing(options);
    std::vector<CheckResult> last;
    bool going_on = true;
    while (going_on) {
        const auto begun = clock.steady_now();
        try {
            last = checks.look(stop);
        } catch (const TransportError&) {  // stopped in the middle: the look before counts
            break;
        }
        if (!showing.show(last, log.take(last))) {
            break;
        }
        const auto due = begun + *options.watch;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - clock.steady_now());
        going_on = clock.sleep_for(std::max(left, std::chrono::milliseconds{0}), stop);
    }
    if (last.empty()) {
        return static_cast<int>(CheckStatus::unknown);
    }
    showing.leave(last);
    return static_cast<int>(worst(last));
}

}  // namespace lockstep
