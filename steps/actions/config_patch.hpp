#pragma once

#include <nlohmann/json.hpp>

/// What Patroni makes of `PATCH /config`. Like a merge patch of RFC 7396, with two differences
/// (patroni/utils.py, patch_config, the same from 2.1 to 4.1): a scalar whose text is the same is
/// left as it is, so that "30" does not replace 30; and a map that is new is taken over with its
/// nulls.
namespace lockstep {

/// True where it changes something. Both are objects.
bool apply_config_patch(nlohmann::json& config, const nlohmann::json& patch);

/// The patch that takes `patch` back once it is applied to `config`: old values, null where there
/// was none. Empty where it changes nothing.
[[nodiscard]] nlohmann::json inverse_config_patch(const nlohmann::json& config,
                                                  const nlohmann::json& patch);

}  // namespace lockstep
