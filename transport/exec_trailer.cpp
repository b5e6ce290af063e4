#include "transport/exec_trailer.hpp"

#include "base/error.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace lockstep {

namespace {

// libssh2 1.10 refuses to send packets of 35000 - 256 bytes and more (src/transport.c,
// MAX_SSH_PACKET_LEN); the rest of the packet is small.
constexpr std::size_t k_longest_command = 34'000;

// The inner shell is a process of its own: in `( … )` the script's $$ would be the outer one.
// `ps` shows the nonce to everybody: it counts until the script begins, for a word that nobody saw.
constexpr std::string_view k_wrapper =
    "n=; read -r n 2>/dev/null </proc/sys/kernel/random/uuid;"
    " [ -z \"$n\" ] || { printf \"\\036lockstep %s +%s\\036\\n\" \"$2\" \"$n\" >&2;"
    " printf \"\\036lockstep %s +%s\\036\\n\" \"$2\" \"$n\"; };"
    " /bin/sh -c \"$1\"; s=$?;"
    " printf \"\\036lockstep %s %d\\036\\n\" \"${n:-$2}\" \"$s\" >&2;"
    " printf \"\\036lockstep %s %d\\036\\n\" \"${n:-$2}\" \"$s\"";

/// One word for whatever login shell there is. Backslashes and exclamation marks stand outside the
/// single quotes: fish (3.6, "Quotes") takes `\\` inside them for one, csh expands `!` there.
std::string quote_for_login_shell(std::string_view text) {
    std::string quoted = "'";
    for (const char c : text) {
        if (c == '\0') {
            throw Error("a script with a NUL byte cannot be run");
        }
        if (c == '\'' || c == '\\' || c == '!') {
            quoted += std::string("'\\") + c + "'";
        } else {
            quoted += c;
        }
    }
    return quoted + "'";
}

/// How much of the end of `text` may be the beginning of `wanted`.
/// What may be the beginning of the trailer is held back, because a piece may end anywhere.
std::size_t partial_match(std::string_view text, std::string_view wanted) {
    for (std::size_t length = std::min(text.size(), wanted.size() - 1); length > 0; --length) {
        if (text.ends_with(wanted.substr(0, length))) {
            return length;
        }
    }
    return 0;
}

struct Trailer {
    enum class State { complete, incomplete, none };

    State state = State::none;
    int status = 0;
};

constexpr std::string_view k_end = "\036\n";
// Of a word: a UUID.
constexpr std::size_t k_longest_word = 36;

/// The word of `+<word>\036\n` at the beginning of a text, without its end: nullopt: it is none;
/// empty: it may become one.
std::optional<std::string_view> read_word(std::string_view text) {
    if (text.empty() || !text.starts_with('+')) {
        return text.empty() ? std::optional(text) : std::nullopt;
    }
    text.remove_prefix(1);
    const std::size_t size = std::min(text.find_first_not_of("0123456789abcdef-"), text.size());
    const std::string_view rest = text.substr(size);
    if (size > k_longest_word ||
        (!rest.empty() && (size == 0 || !k_end.starts_with(rest.substr(0, 2))))) {
        return std::nullopt;
    }
    return rest.size() < k_end.size() ? std::string_view() : text.substr(0, size);
}

/// Reads `<status>\036\n` at the beginning of a text.
Trailer read_status(std::string_view text) {
    constexpr std::size_t k_most_digits = 3;
    Trailer trailer;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), trailer.status);
    const auto digits = static_cast<std::size_t>(end - text.data());
    const std::string_view rest = text.substr(digits);
    if (digits > k_most_digits || (digits == 0 && !text.empty())) {
        return trailer;
    }
    if (digits > 0 && rest.starts_with(k_end)) {
        trailer.state = Trailer::State::complete;
    } else if (rest.empty() || (digits > 0 && rest == k_end.substr(0, 1))) {
        trailer.state = Trailer::State::incomplete;
    }
    return trailer;
}

}  // namespace

/// The status travels on both streams, so that each of them is known to be complete.
std::string wrap_script(std::string_view script, std::string_view nonce) {
    std::string command = "/bin/sh -c " + quote_for_login_shell(k_wrapper) + " sh " +
                          quote_for_login_shell(script) + " " + std::string(nonce);
    if (command.size() > k_longest_command) {
        throw Error("the script is too long to be sent: " + std::to_string(command.size()) +
                        " bytes of at most " + std::to_string(k_longest_command),
                    "Pass the bulk of it through stdin.");
    }
    return command;
}

TrailerScanner::TrailerScanner(std::string_view nonce)
    : prefix_("\036lockstep " + std::string(nonce) + " ") {}

/// What only looks like a trailer is output and passes; what comes after the real one is none of
/// ours.
std::string TrailerScanner::feed(std::string_view piece) {
    if (status_) {
        return {};
    }
    std::string text = std::exchange(held_, {});
    text += piece;
    std::size_t from = 0;
    for (std::size_t at = 0; (at = text.find(prefix_, from)) != std::string::npos; from = at + 1) {
        const std::string_view rest = std::string_view(text).substr(at + prefix_.size());
        const std::optional<std::string_view> word = own_word_ ? std::nullopt : read_word(rest);
        if (word && word->empty()) {
            held_ = text.substr(at);
            text.resize(at);
            return text;
        }
        if (word) {
            own_word_ = true;
            const std::size_t length = prefix_.size() + 1 + word->size() + k_end.size();
            prefix_ = "\036lockstep " + std::string(*word) + " ";
            return text.substr(0, at) + feed(text.substr(at + length));
        }
        const Trailer trailer = read_status(rest);
        if (trailer.state == Trailer::State::complete) {
            status_ = trailer.status;
            text.resize(at);
            return text;
        }
        if (trailer.state == Trailer::State::incomplete) {
            held_ = text.substr(at);
            text.resize(at);
            return text;
        }
    }
    held_ = text.substr(text.size() - partial_match(text, prefix_));
    text.resize(text.size() - held_.size());
    return text;
}

/// Without a trailer what was held back was output after all.
std::string TrailerScanner::take_rest() {
    return std::exchange(held_, {});
}

/// Reading goes on past the limit: a command whose output nobody takes would hang.
void CappedText::append(std::string_view piece) {
    const std::size_t room = limit_ - text_.size();
    text_ += piece.substr(0, room);
    truncated_ = truncated_ || piece.size() > room;
}

}  // namespace lockstep
