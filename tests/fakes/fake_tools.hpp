#pragma once

#include "tests/steps/run_in_sh.hpp"
#include "tests/transport/temp_dir.hpp"

#include <filesystem>
#include <fstream>
#include <string>

namespace lockstep {

/// Programs that play a member's own, each a text for sh, in front of all others in PATH: a script
/// of an action meets them as it would meet the real ones, whatever their names.
class FakeTools {
  public:
    void has(const std::string& program, const std::string& text) const {
        const std::string path = temp_.path(program);
        std::ofstream(path) << "#!/bin/sh\n" << text << "\n";
        std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    }

    [[nodiscard]] std::string path(const std::string& name) const { return temp_.path(name); }

    [[nodiscard]] CommandResult run(const std::string& script) const {
        return run_in_sh("PATH='" + temp_.path(".") + "':$PATH", script);
    }

  private:
    TempDir temp_;
};

}  // namespace lockstep
