#pragma once

#include <string_view>

/// What may stand for a host where somebody else names it.
namespace lockstep {

/// Whether it is an address (IPv4, or IPv6 without brackets and zone) or a name as DNS and
/// /etc/hosts have it: labels of letters, digits, `-` and `_`, none of which begins with `-`.
/// Such a text is no option and no word of a shell, wherever it stands.
[[nodiscard]] bool is_host_name(std::string_view text);

/// Whether it is `http://HOST:PORT` or `https://…`, with such a host, `[…]` around IPv6, the port
/// or none, and nothing else: no user, no path, no query.
[[nodiscard]] bool is_plain_base_url(std::string_view text);

}  // namespace lockstep
