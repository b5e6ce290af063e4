#pragma once

#include <string>
#include <string_view>

/// Identifies the process and the machine of an engine, so that no other process is taken for it:
/// this tells a lock whose engine has crashed from one whose engine is only silent.
namespace lockstep {

/// This process, as it is written into a lock: `BOOT-ID PID-NAMESPACE PID START`. The start is in
/// clock ticks since the boot (proc(5), field 22 of /proc/PID/stat). Empty when /proc does not say.
[[nodiscard]] std::string own_engine_process();

enum class EngineFate {
    unknown,  ///< on another machine or in another PID namespace, or /proc does not say
    runs,
    gone,  ///< certainly: it ran on this machine since its boot, and there is no such process
};

/// What became of the process that own_engine_process() described.
[[nodiscard]] EngineFate fate_of_engine(std::string_view process);

}  // namespace lockstep
