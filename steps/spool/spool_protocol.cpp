#include "steps/spool/spool_protocol.hpp"

#include "base/error.hpp"
#include "base/shell_quote.hpp"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace lockstep {

namespace {

constexpr std::string_view k_name_characters =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";

// A name of a file and of a unit has at most 255 bytes, and some go for `lockstep-` and a nonce.
constexpr std::size_t k_longest_key = 200;

// Together with the script it has to stay below what libssh2 1.10 can send in one packet.
constexpr std::size_t k_longest_in_script = 4096;

// What a shell can still add one to.
constexpr std::size_t k_most_output = std::size_t{1} << 40;

}  // namespace

SpoolRequest make_request(const SpoolJob& job,
                          const std::string& nonce,
                          const SpoolAsker& asker,
                          std::size_t sent) {
    if (job.key.empty() || job.key.front() == '.' || job.key.front() == '-' ||
        job.key.size() > k_longest_key ||
        job.key.find_first_not_of(k_name_characters) != std::string::npos) {
        throw Error("`" + job.key + "` cannot be the key of a command");
    }
    if (job.command.script.find('\0') != std::string::npos) {
        throw Error("a script with a NUL byte cannot be run");
    }
    SpoolRequest request;
    request.words = "lockstep-spool";
    if (!job.attach_only) {
        request.text = job.command.script + "\n";  // never empty: dd has no blocks of nothing
        request.input = job.command.stdin_data;
    }
    // One more than wanted shows whether there is more.
    const std::size_t limit = std::min(job.command.output_limit, k_most_output) + 1;
    for (const std::string& word : {nonce,
                                    asker.process,
                                    std::to_string(asker.number),
                                    job.key,
                                    member_file_name(job.scope),
                                    std::to_string(job.fence),
                                    std::string(job.attach_only ? "1" : "0"),
                                    std::to_string(limit),
                                    std::string(job.command.on_output ? "1" : "0"),
                                    std::to_string(sent),
                                    std::to_string(request.text.size()),
                                    std::to_string(request.input.size())}) {
        request.words += " " + word;
    }
    return request;
}

std::string on_stdin(const SpoolRequest& request, const std::string& nonce) {
    return request.words + "\n" + request.text + request.input + "end " + nonce + "\n";
}

std::optional<std::string> in_script(const SpoolRequest& request) {
    if (!request.input.empty() || request.text.size() > k_longest_in_script) {
        return std::nullopt;
    }
    // Quoted once more for the login shell, and once more for sudo: each quote in it multiplies.
    const std::string quoted = shell_quote(request.text);
    if (shell_quote(shell_quote(quoted)).size() > 2 * k_longest_in_script) {
        return std::nullopt;
    }
    return request.words + " " + quoted;
}

SpoolAnswer::SpoolAnswer(const std::string& nonce, Handler handler)
    : prefix_("\n@" + nonce + " "), handler_(std::move(handler)) {}

void SpoolAnswer::feed(std::string_view piece) {
    std::string text = std::exchange(held_, {});
    text += piece;
    std::string_view rest = text;
    while (true) {
        const std::size_t at = rest.find(prefix_);
        if (at == std::string_view::npos) {
            break;
        }
        give(rest.substr(0, at));
        rest.remove_prefix(at);
        const std::size_t end = rest.find('\n', prefix_.size());
        if (end == std::string_view::npos) {
            held_ = rest;
            return;
        }
        const std::string line(rest.substr(prefix_.size(), end - prefix_.size()));
        rest.remove_prefix(end + 1);
        section_ = line == "out" ? Section::out : line == "err" ? Section::err : Section::none;
        if (section_ == Section::none) {
            handler_.line(line);
        }
    }
    // The end may be the beginning of a prefix.
    std::size_t keep = std::min(rest.size(), prefix_.size() - 1);
    while (keep > 0 && !rest.ends_with(std::string_view(prefix_).substr(0, keep))) {
        --keep;
    }
    give(rest.substr(0, rest.size() - keep));
    held_ = rest.substr(rest.size() - keep);
}

void SpoolAnswer::give(std::string_view bytes) const {
    if (bytes.empty() || section_ == Section::none) {
        return;
    }
    (section_ == Section::out ? handler_.out : handler_.err)(bytes);
}

std::string member_file_name(std::string_view name) {
    constexpr std::size_t k_longest = 100;
    std::string plain(name.substr(0, k_longest));
    for (char& c : plain) {
        if (k_name_characters.find(c) == std::string_view::npos) {
            c = '_';
        }
    }
    const bool good_start = !plain.empty() && plain.front() != '.' && plain.front() != '-';
    if (plain == name && good_start) {
        return plain;
    }
    // FNV-1a, 64 bit: the same everywhere and for ever, which std::hash is not.
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : name) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    }
    std::string digits;
    for (int shift = 60; shift >= 0; shift -= 4) {
        digits += "0123456789abcdef"[(hash >> shift) & 0xfU];
    }
    return (good_start ? plain : "_" + plain) + "-" + digits;
}

}  // namespace lockstep
