#include "base/error.hpp"

namespace lockstep {

std::string SourceLocation::text() const {
    if (line == 0) {
        return file;
    }
    return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

}  // namespace lockstep
