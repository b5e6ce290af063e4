#include "transport/known_hosts.hpp"

#include "base/digest.hpp"
#include "base/text.hpp"
#include "transport/encoding.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// Takes the next word of a line, up to blanks.
std::string_view take_word(std::string_view& line) {
    constexpr std::string_view k_blanks = " \t\r";
    line.remove_prefix(std::min(line.find_first_not_of(k_blanks), line.size()));
    const std::string_view word = line.substr(0, line.find_first_of(k_blanks));
    line.remove_prefix(word.size());
    return word;
}

bool matches_pattern(std::string_view pattern, std::string_view name) {
    while (!pattern.empty() && pattern.front() != '*') {
        if (name.empty() || (pattern.front() != '?' && pattern.front() != name.front())) {
            return false;
        }
        pattern.remove_prefix(1);
        name.remove_prefix(1);
    }
    if (pattern.empty()) {
        return name.empty();
    }
    pattern.remove_prefix(1);
    for (std::size_t skipped = 0; skipped <= name.size(); ++skipped) {
        if (matches_pattern(pattern, name.substr(skipped))) {
            return true;
        }
    }
    return false;
}

/// `|1|salt|hash`: HMAC-SHA1 of the name with the salt as the key (OpenSSH hostfile.c, host_hash).
bool matches_hash(std::string_view field, std::string_view name) {
    field.remove_prefix(3);
    const std::size_t bar = field.find('|');
    if (bar == std::string_view::npos) {
        return false;
    }
    const auto salt = base64_decode(field.substr(0, bar));
    const auto hash = base64_decode(field.substr(bar + 1));
    return salt && hash && hmac_sha1(*salt, name) == *hash;
}

bool matches_hosts(std::string_view field, const std::string& name) {
    if (field.starts_with("|1|")) {
        return matches_hash(field, name);
    }
    bool matched = false;
    while (!field.empty()) {
        std::string_view pattern = field.substr(0, field.find(','));
        field.remove_prefix(std::min(pattern.size() + 1, field.size()));
        const bool negated = pattern.starts_with('!');
        pattern.remove_prefix(negated ? 1 : 0);
        if (!matches_pattern(lower(pattern), name)) {
            continue;
        }
        if (negated) {
            return false;
        }
        matched = true;
    }
    return matched;
}

}  // namespace

std::string known_hosts_name(std::string_view host, std::uint16_t port) {
    const std::string name = lower(host);
    return port == 22 ? name : "[" + name + "]:" + std::to_string(port);
}

std::vector<KnownKey> find_known_keys(std::string_view text, std::string_view known_as) {
    const std::string name = lower(known_as);
    std::vector<KnownKey> keys;
    for (int number = 1; !text.empty(); ++number) {
        std::string_view line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        std::string_view field = take_word(line);
        const bool revoked = field == "@revoked";
        const bool authority = field == "@cert-authority";
        if (field.empty() || field.starts_with('#')) {
            continue;
        }
        if (revoked || authority) {
            field = take_word(line);
        }
        const std::string_view type = take_word(line);
        const auto blob = base64_decode(take_word(line));
        if (blob && key_type(*blob) == type && matches_hosts(field, name)) {
            keys.push_back(KnownKey{std::string(type), *blob, revoked, number, authority});
        }
    }
    return keys;
}

HostKeyVerdict judge_host_key(const std::vector<KnownKey>& known, std::string_view blob) {
    const std::string type = key_type(blob);
    HostKeyVerdict verdict = HostKeyVerdict::unknown;
    bool known_without_port = false;
    for (const KnownKey& key : known) {
        if (key.authority) {
            continue;
        }
        if (key.revoked) {
            if (key.blob == blob) {
                return HostKeyVerdict::revoked;
            }
        } else if (key.without_port) {
            known_without_port = known_without_port || key.blob == blob;
        } else if (key.blob == blob) {
            verdict = HostKeyVerdict::known;
        } else if (key.type == type && verdict == HostKeyVerdict::unknown) {
            verdict = HostKeyVerdict::changed;
        }
    }
    return verdict == HostKeyVerdict::unknown && known_without_port ? HostKeyVerdict::known
                                                                    : verdict;
}

std::string key_type(std::string_view blob) {
    return std::string(WireReader(blob).string());
}

std::string key_fingerprint(std::string_view blob) {
    std::string text = base64_encode(sha256(blob));
    text.erase(text.find_last_not_of('=') + 1);
    return "SHA256:" + text;
}

}  // namespace lockstep
