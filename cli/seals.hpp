#pragma once

#include "cli/options.hpp"
#include "engine/journal/journal.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

/// Who vouches for a record. The chain of a record shows an accident; whoever may write to the file
/// can make all of it anew, plan and texts as well. So in a state folder that people share each
/// commit carries a signature by the key of whoever wrote it, and nobody goes on by a record
/// without one of a key that they trust. A seal says who wrote it, not that it is the newest: an
/// older copy of the same file has one, too.
namespace lockstep {

/// A public key of Ed25519, in hexadecimal digits, and whose it is.
struct TrustedKey {
    std::string name;
    std::string key;
    std::string from;  ///< the file that says so
};

/// The journal, for a command that writes records: in a shared folder it seals them with the
/// caller's key, which is made where there is none. Throws Error where that cannot be had, unless
/// --unsealed is said.
[[nodiscard]] std::unique_ptr<JournalStore> journal_to_write(const Options& options);

/// Whom the caller believes: themselves, and who is in the `trusted_keys` of the configuration
/// folder and of /etc/lockstep, a line `NAME KEY` each. Throws InputError for a line that is none,
/// and for a file that somebody else may write to.
[[nodiscard]] std::vector<TrustedKey> trusted_keys();

/// The caller's key, public; made where there is none, mode 0600.
[[nodiscard]] std::string own_public_key();
[[nodiscard]] std::string own_key_file();

struct SealView {
    enum class State {
        not_needed,  ///< nobody else writes there
        sealed,
        missing,
        stranger,  ///< by a key that the caller does not trust
        broken,    ///< it is not of this record
    };

    State state = State::not_needed;
    std::string by;  ///< a name, or of a stranger the key
};

/// Of header and records as they were read, whatever is in the file by now.
[[nodiscard]] SealView look_at_seal(JournalStore& journal,
                                    const RunHeader& run,
                                    const std::vector<JournalRecord>& records);

/// `by anna`, `by nobody`, …
[[nodiscard]] std::string to_text(const SealView& view);

/// Says on stderr why nobody goes on by this record. The exit code; nullopt: it is sealed, or
/// --unsealed was said.
[[nodiscard]] std::optional<int> refuse_unsealed(const Options& options,
                                                 const SealView& view,
                                                 const RunHeader& run);

}  // namespace lockstep
