#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace lockstep {

/// What clocks show at a place: its offsets from UTC, and when they change. A value without any
/// state of the process: TZ and the C library's own idea of local time play no part.
class TimeZone {
  public:
    /// From `at` on clocks are `offset` ahead of UTC.
    struct Change {
        std::chrono::sys_seconds at;
        std::chrono::seconds offset{0};
        std::string abbreviation;  ///< "CET", "+0530"
    };

    /// Which one, where clocks go back and show the time twice.
    enum class Twice { first, last };
    /// What a time is that clocks leave out when they go forward: the moment at which they do, or
    /// the time as clocks would have shown it without that, as RFC 5545 (3.3.5) has it: 02:30 is
    /// then what is called 03:30.
    enum class Skipped { moment_of_change, as_before };

    /// `changes` in any order; before the first one `before` is in force.
    TimeZone(std::string name, std::chrono::seconds before, std::vector<Change> changes);

    [[nodiscard]] const std::string& name() const { return name_; }

    [[nodiscard]] std::chrono::local_seconds local(std::chrono::sys_seconds at) const;
    [[nodiscard]] std::chrono::sys_seconds instant(
        std::chrono::local_seconds local,
        Twice twice = Twice::first,
        Skipped skipped = Skipped::moment_of_change) const;
    [[nodiscard]] const std::string& abbreviation(std::chrono::sys_seconds at) const;

  private:
    [[nodiscard]] std::size_t period_of(std::chrono::sys_seconds at) const;

    std::string name_;
    std::vector<Change> periods_;  ///< by time; the first one begins before all times
};

/// The zone of an IANA name ("Europe/Berlin", "UTC") from the compiled files (RFC 8536) of Debian's
/// tzdata in /usr/share/zoneinfo; right until the year 2100. Throws Error with a hint where there
/// is no such zone or its file cannot be read. A name is never taken for a path out of that folder.
[[nodiscard]] TimeZone load_time_zone(const std::string& name);

/// The bytes of such a file. Throws Error.
[[nodiscard]] TimeZone parse_time_zone(const std::string& bytes, const std::string& name);

}  // namespace lockstep
