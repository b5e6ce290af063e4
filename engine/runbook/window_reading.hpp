#pragma once

#include "engine/runbook/runbook_reading.hpp"
#include "engine/window/window.hpp"

namespace lockstep::runbook_reading {

/// `window:` of a runbook or a step. Needs the files of the time zones, but no calendar: these are
/// read when the window is looked at. Calendars are relative to the folder of `node`'s file.
[[nodiscard]] WindowSpec read_window(Reading& reading, const yaml::Node& node);

}  // namespace lockstep::runbook_reading
