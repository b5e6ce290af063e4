#include "engine/window/time_zone.hpp"

#include "base/error.hpp"
#include "base/suggest.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

namespace lockstep {

using std::chrono::hours;
using std::chrono::local_seconds;
using std::chrono::seconds;
using std::chrono::sys_seconds;

namespace {

constexpr const char* k_folder = "/usr/share/zoneinfo";
/// Before all times that anything is asked for, and far from where sums overflow.
constexpr sys_seconds k_long_ago{seconds{-(1LL << 40)}};
/// No offset is larger, so that a local time is an instant of that many hours before or after.
constexpr hours k_largest_offset{26};

bool is_zone_name(const std::string& name) {
    const auto fits = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '+' || c == '-' || c == '/';
    };
    // The folder holds more than zones by name: with leap seconds (right), and of this machine.
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), fits) &&
           name.front() != '/' && !name.starts_with("right/") && !name.starts_with("posix/") &&
           name != "localtime" && name != "posixrules" && name != "Factory";
}

std::string hint_for(const std::string& name) {
    std::vector<std::string> names{"UTC"};
    std::ifstream table(std::string(k_folder) + "/zone.tab");
    for (std::string line; std::getline(table, line);) {
        std::istringstream fields(line);
        std::string country;
        std::string position;
        std::string zone;
        if (!line.starts_with('#') && fields >> country >> position >> zone) {
            names.push_back(zone);
        }
    }
    if (names.size() == 1) {
        return "There is no time zone data here: install tzdata.";
    }
    const std::string near = did_you_mean(name, names);
    return near.starts_with("did") ? near : "Write an IANA name, such as Europe/Berlin or UTC.";
}

}  // namespace

TimeZone::TimeZone(std::string name, seconds before, std::vector<Change> changes)
    : name_(std::move(name)), periods_(std::move(changes)) {
    std::stable_sort(periods_.begin(), periods_.end(), [](const Change& a, const Change& b) {
        return a.at < b.at;
    });
    const std::string abbreviation = periods_.empty() ? name_ : periods_.front().abbreviation;
    periods_.insert(periods_.begin(), Change{k_long_ago, before, abbreviation});
}

std::size_t TimeZone::period_of(sys_seconds at) const {
    const auto after =
        std::upper_bound(periods_.begin(), periods_.end(), at, [](sys_seconds t, const Change& c) {
            return t < c.at;
        });
    const auto count = static_cast<std::size_t>(after - periods_.begin());
    return count == 0 ? 0 : count - 1;
}

local_seconds TimeZone::local(sys_seconds at) const {
    return local_seconds{(at + periods_[period_of(at)].offset).time_since_epoch()};
}

const std::string& TimeZone::abbreviation(sys_seconds at) const {
    return periods_[period_of(at)].abbreviation;
}

sys_seconds TimeZone::instant(local_seconds local, Twice twice, Skipped skipped) const {
    const sys_seconds as_utc{local.time_since_epoch()};
    std::size_t period = period_of(as_utc - k_largest_offset);
    const std::size_t last = period_of(as_utc + k_largest_offset);
    const auto in = [&](std::size_t n) { return as_utc - periods_[n].offset; };
    const auto ends_after = [&](std::size_t n, sys_seconds at) {
        return n + 1 == periods_.size() || at < periods_[n + 1].at;
    };
    // The first period in which clocks get to show it, or something later.
    while (period < last && !ends_after(period, in(period))) {
        ++period;
    }
    if (in(period) < periods_[period].at) {
        return skipped == Skipped::as_before && period > 0 ? in(period - 1) : periods_[period].at;
    }
    sys_seconds found = in(period);
    for (; twice == Twice::last && period <= last; ++period) {
        if (in(period) >= periods_[period].at && ends_after(period, in(period))) {
            found = in(period);
        }
    }
    return found;
}

TimeZone load_time_zone(const std::string& name) {
    const std::filesystem::path path = std::filesystem::path(k_folder) / name;
    std::error_code failed;
    if (!is_zone_name(name) || !std::filesystem::is_regular_file(path, failed)) {
        throw Error("there is no time zone \"" + name + "\"", hint_for(name));
    }
    std::ifstream file(path, std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), {});
    if (!file) {
        throw Error("time zone " + name + ": " + path.string() + " cannot be read");
    }
    return parse_time_zone(bytes, name);
}

}  // namespace lockstep
