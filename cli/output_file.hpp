#pragma once

#include <string>

namespace lockstep {

/// False: it could not be written to its end; errno says why.
[[nodiscard]] bool write_all(int fd, const std::string& text);

/// Puts `text` into `path` so that whoever reads it has the old text or the new one whole:
/// into a temporary beside it, made durable, then renamed. Throws Error.
void write_whole_file(const std::string& path, const std::string& text, unsigned mode = 0644);

}  // namespace lockstep
