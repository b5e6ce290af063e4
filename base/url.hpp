#pragma once

#include <string>
#include <string_view>

/// Parts of a URL, or of `host:port`.
namespace lockstep {

/// The host, without brackets; empty when it has none.
[[nodiscard]] std::string url_host(std::string_view url);
/// The port; empty when it names none.
[[nodiscard]] std::string url_port(std::string_view url);

}  // namespace lockstep
