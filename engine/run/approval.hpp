#pragma once

#include "engine/journal/journal.hpp"
#include "engine/run/run_state.hpp"
#include "inventory/inventory.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// Whose answer to an approval counts, and why another does not.
namespace lockstep {

/// At the end of a user's name: it was given in a user namespace, where everybody is whom they
/// like.
inline constexpr std::string_view k_in_user_namespace = " (user namespace)";

/// Who there is, by the inventory of whoever judges: what a run has on record others may have
/// written.
struct People {
    const Inventory* inventory = nullptr;  ///< its groups; null: there are none
    /// The key of somebody whose answers have to prove themselves; nullopt: the operating system's
    /// word is enough for this person. Throws Error where the key cannot be had.
    std::function<std::optional<std::string>(const std::string& name)> key_of;
};

/// HMAC-SHA256, in hex, over everything that an answer and the run's header say. It proves that the
/// answer was given by somebody who has the key, about this run as it was then and no other.
[[nodiscard]] std::string proof_of(const RunHeader& run,
                                   const Answer& answer,
                                   std::string_view key);

/// Why an answer does not count; empty: it does.
[[nodiscard]] std::string why_not_counted(const RunHeader& run,
                                          const ApprovalProgress& asked,
                                          const Answer& answer,
                                          const People& people);

/// What its answers make of an approval: granted or rejected; nullopt: nothing yet.
[[nodiscard]] std::optional<ApprovalProgress::State> decided_by_answers(
    const ApprovalProgress& asked);

/// `2 approvals of dba or anna`.
[[nodiscard]] std::string approvals_text(int count, const std::vector<std::string>& from);
/// `an approval of dba more, before …`: what an approval waits for.
[[nodiscard]] std::string waits_for(const ApprovalProgress& asked);

}  // namespace lockstep
