#pragma once

#include <string_view>

namespace lockstep {

/// knowledge.yaml, compiled in.
extern const std::string_view k_knowledge_text;

}  // namespace lockstep
