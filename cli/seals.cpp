#include "cli/seals.hpp"

#include "base/error.hpp"
#include "base/signature.hpp"
#include "base/trusted_file.hpp"
#include "base/unique_fd.hpp"
#include "base/yaml.hpp"
#include "cli/commands.hpp"
#include "cli/identity.hpp"
#include "cli/output_file.hpp"
#include "cli/terminal.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <sstream>
#include <system_error>

namespace lockstep {

namespace {

using State = SealView::State;

constexpr std::size_t k_public_digits = 64;

/// What is signed: a text of ours, so that a signature for it is good for nothing else.
std::string sealed_text(const std::string& chain_end) {
    return "lockstep record 1\n" + chain_end;
}

/// Another command may make one at this moment: then that is ours.
void make_key(const std::string& path) {
    std::error_code error;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
    const UniqueFd fd(
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!fd && errno == EEXIST) {
        return;
    }
    if (!fd || !write_all(fd.get(), make_signing_key().reveal() + "\n") || ::fsync(fd.get()) != 0) {
        const int number = errno;
        if (fd) {
            ::unlink(path.c_str());
        }
        throw Error("your key for shared records cannot be made: " + path + ": " +
                        std::generic_category().message(number),
                    "It is kept in $XDG_CONFIG_HOME/lockstep, else ~/.config/lockstep.");
    }
}

Secret own_key() {
    const std::string path = own_key_file();
    if (::access(path.c_str(), F_OK) != 0) {
        make_key(path);
    }
    if (const std::string who = who_else_may_write(path, FoundBy::luck); !who.empty()) {
        throw Error("your key " + path + " is not used: " + who,
                    "Take the right from them: chmod go-w.");
    }
    return Secret(read_secret_line(path, "your key"));
}

void read_trusted(const std::string& path, std::vector<TrustedKey>& keys) {
    if (::access(path.c_str(), F_OK) != 0) {
        return;
    }
    std::istringstream lines(yaml::read_text(path, FoundBy::luck));
    std::string line;
    for (int number = 1; std::getline(lines, line); ++number) {
        std::istringstream words(line.substr(0, line.find('#')));
        TrustedKey key;
        key.from = path;
        std::string more;
        if (!(words >> key.name)) {
            continue;
        }
        const bool whole = words >> key.key && !(words >> more);
        if (!whole || key.key.size() != k_public_digits ||
            key.key.find_first_not_of("0123456789abcdef") != std::string::npos) {
            throw InputError({path, number, 1},
                             "this is no line NAME KEY",
                             "`lockstep keys` prints it to whoever the key is of.",
                             "file.keys");
        }
        keys.push_back(std::move(key));
    }
}

std::string trusted_file() {
    return config_folder() + "/trusted_keys";
}

std::string hint_of(const SealView& view, const RunHeader& run) {
    const std::string anyway = " To go on all the same: --unsealed --reason \"…\".";
    switch (view.state) {
        case State::stranger:
            return "Ask " + run.started_by +
                   " for what `lockstep keys` shows there. If it is this "
                   "key, put the line into " +
                   trusted_file() + " or /etc/lockstep/trusted_keys." + anyway;
        case State::broken:
            return "Somebody changed it after it was written. Look at the cluster with `lockstep "
                   "check`, and at what it says with `lockstep show`." +
                   anyway;
        default:
            return "It is of an older version of lockstep, or somebody wrote it who had no key. "
                   "Compare `lockstep show " +
                   run.id + "` with what " + run.started_by + " knows." + anyway;
    }
}

}  // namespace

std::string own_key_file() {
    return config_folder() + "/seal.key";
}

std::string own_public_key() {
    return public_key_of(own_key());
}

std::vector<TrustedKey> trusted_keys() {
    std::vector<TrustedKey> keys;
    if (::access(own_key_file().c_str(), F_OK) == 0) {
        keys.push_back({operator_identity(), own_public_key(), own_key_file()});
    }
    read_trusted(trusted_file(), keys);
    read_trusted("/etc/lockstep/trusted_keys", keys);
    return keys;
}

std::unique_ptr<JournalStore> journal_to_write(const Options& options) {
    std::unique_ptr<JournalStore> journal = open_sqlite_journal(state_folder(options));
    if (!journal->is_shared()) {
        return journal;
    }
    try {
        const Secret key = own_key();
        journal->seal_with([key, name = public_key_of(key)](const std::string& chain_end) {
            return name + " " + sign(key, sealed_text(chain_end));
        });
    } catch (const Error& error) {
        if (!options.unsealed) {
            throw;
        }
        std::cerr << "not sealed: " << printable(error.what()) << "\n";
    }
    return journal;
}

SealView look_at_seal(JournalStore& journal,
                      const RunHeader& run,
                      const std::vector<JournalRecord>& records) {
    if (!journal.is_shared()) {
        return {};
    }
    const std::string seal = journal.seal_of(run.id);
    if (seal.empty()) {
        return {State::missing, {}};
    }
    const std::string key = seal.substr(0, seal.find(' '));
    const std::string signature = seal.substr(std::min(key.size() + 1, seal.size()));
    if (!is_signed_by(key, sealed_text(chain_end(run, records)), signature)) {
        return {State::broken, {}};
    }
    const std::vector<TrustedKey> keys = trusted_keys();
    const auto found = std::ranges::find(keys, key, &TrustedKey::key);
    return found == keys.end() ? SealView{State::stranger, key}
                               : SealView{State::sealed, found->name};
}

std::string to_text(const SealView& view) {
    switch (view.state) {
        case State::not_needed:
            return "not needed: nobody else writes there";
        case State::sealed:
            return "by " + view.by;
        case State::missing:
            return "by nobody, and others may write to it";
        case State::stranger:
            return "by a key that you do not trust: " + view.by;
        case State::broken:
            return "with a seal that is not of it: it was changed afterwards";
    }
    return "?";
}

std::optional<int> refuse_unsealed(const Options& options,
                                   const SealView& view,
                                   const RunHeader& run) {
    if (options.unsealed || view.state == State::not_needed || view.state == State::sealed) {
        return std::nullopt;
    }
    std::cerr << "error: run " << run.id << " is not taken up: its record is sealed "
              << printable(to_text(view)) << "\nHINT:  " << printable(hint_of(view, run)) << "\n";
    return 4;
}

}  // namespace lockstep
