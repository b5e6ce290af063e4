#pragma once

#include "steps/lock/engine_process.hpp"
#include "steps/spool/member_folder.hpp"
#include "tests/transport/temp_dir.hpp"
#include "transport/process_runner.hpp"
#include "transport/ssh_session.hpp"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace lockstep {

/// A member whose scripts really run, by /bin/sh of this machine, in a folder of their own in place
/// of /var/lib/lockstep.
class ShellHost {
  public:
    [[nodiscard]] std::string folder() const { return temp_.path("lockstep"); }

    [[nodiscard]] std::string path(const std::string& name) const { return folder() + "/" + name; }

    [[nodiscard]] std::string file(const std::string& name) const { return read_file(path(name)); }

    [[nodiscard]] bool has(const std::string& name) const {
        return std::filesystem::exists(path(name));
    }

    void write(const std::string& name, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
        std::ofstream(path(name), std::ios::binary) << text;
    }

    /// A spooled command of `key` that still runs: this process plays it.
    void runs_command(const std::string& key) const {
        write("spool/" + key + "/started", own_start() + "\n");
    }

    /// `PID START BOOT-ID` of this process.
    [[nodiscard]] static std::string own_start() {
        std::istringstream words(own_engine_process());  // BOOT-ID NAMESPACE PID START
        std::string boot;
        std::string space;
        std::string pid;
        std::string start;
        words >> boot >> space >> pid >> start;
        return pid + " " + start + " " + boot;
    }

    [[nodiscard]] CommandResult run(const RemoteCommand& command) const {
        return run_with({"/bin/sh"}, command.script);
    }

    [[nodiscard]] CommandResult run_with(std::vector<std::string> shell, std::string script) const {
        const std::string places = k_member_folder;
        if (const std::size_t at = script.find(places); at != std::string::npos) {
            script.replace(at, places.size(), "folder='" + folder() + "'\n");
        }
        shell.insert(shell.end(), {"-c", script});
        return make_process_runner()->run(
            {.argv = shell}, Deadline::after(std::chrono::seconds{60}), {});
    }

  private:
    TempDir temp_;
};

}  // namespace lockstep
