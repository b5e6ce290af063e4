#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace lockstep {

/// A directory that lives as long as this.
class TempDir {
  public:
    TempDir();
    ~TempDir();
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;

    [[nodiscard]] std::string path(std::string_view name) const { return (path_ / name).string(); }

    /// Writes a file and gives its path.
    std::string write(std::string_view name, std::string_view text) const;

  private:
    std::filesystem::path path_;
};

[[nodiscard]] std::string read_file(const std::string& path);

/// Runs a shell command to its end and throws std::runtime_error unless it succeeds.
void run_shell(const std::string& command);

/// A port of the loopback that nobody listens on.
[[nodiscard]] int free_port();

/// Waits up to five seconds until something listens on the port. False when nothing does.
[[nodiscard]] bool wait_for_port(int port);

}  // namespace lockstep
