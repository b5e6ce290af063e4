#pragma once

#include "base/deadline.hpp"
#include "base/secret.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lockstep {

/// How one cluster's REST API is spoken to. Certificates are verified unless told otherwise.
struct HttpSettings {
    std::string username;            ///< empty: no basic authentication
    std::optional<Secret> password;  ///< for username
    std::string ca_file;             ///< empty: the system's authorities
    std::string cert_file;           ///< client certificate, PEM; empty: none
    std::string key_file;            ///< its key, where it is not in cert_file
    bool verify = true;              ///< `insecure_skip_verify` of the inventory turns it off
};

struct HttpRequest {
    std::string method = "GET";
    std::string url;
    std::vector<std::pair<std::string, std::string>> headers;
    std::optional<std::string> body;  ///< JSON, unless `headers` say otherwise
    bool anonymous = false;           ///< without the user name and password of the settings

    /// Names of headers are compared without regard to case (RFC 9110, 5.1).
    [[nodiscard]] bool has_header(std::string_view name) const {
        return std::ranges::any_of(
            headers, [&](const auto& header) { return lower(header.first) == lower(name); });
    }
};

struct HttpResponse {
    long status = 0;
    std::string body;  ///< at most 8 MiB; a longer one is an error
    std::string content_type;
    std::int64_t date = 0;  ///< of the server's clock, seconds since the epoch; 0: it did not tell

    [[nodiscard]] bool ok() const { return status >= 200 && status < 300; }
};

/// Sends requests, one at a time per client; each worker has its own. Every answer with a status
/// is a response, also 503: what it means is the caller's knowledge. Never follows a redirect and
/// never uses a proxy of the environment: members are spoken to directly.
class HttpClient {
  public:
    virtual ~HttpClient() = default;

    /// Throws TransportError: connect when nothing was sent; timeout, lost or cancelled later.
    virtual HttpResponse send(const HttpRequest& request,
                              Deadline deadline,
                              std::stop_token stop) = 0;
};

/// The real one, by libcurl. Patroni answers HTTP/1.0 without Content-Length and closes the
/// connection (patroni/api.py, 2.1 to 4.1), so the body ends where the stream does.
[[nodiscard]] std::unique_ptr<HttpClient> make_curl_client(HttpSettings settings);

}  // namespace lockstep
