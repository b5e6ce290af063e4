#pragma once

#include <string>

namespace lockstep {

/// Who works here, `user@host`, by the operating system's word and not by the environment's.
[[nodiscard]] std::string operator_identity();

}  // namespace lockstep
