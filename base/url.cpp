#include "base/url.hpp"

namespace lockstep {

namespace {

/// `[fd00::1]:8008` of `https://[fd00::1]:8008/patroni`; of `http://a:1@b/` it is `b`, as curl has
/// it (RFC 3986, 3.2).
std::string_view authority_of(std::string_view url) {
    const std::size_t scheme = url.find("://");
    const std::string_view rest = scheme == std::string_view::npos ? url : url.substr(scheme + 3);
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#\\"));
    return authority.substr(authority.rfind('@') + 1);  // npos + 1 is 0
}

}  // namespace

std::string url_host(std::string_view url) {
    const std::string_view authority = authority_of(url);
    if (authority.starts_with('[')) {
        return std::string(authority.substr(1, authority.find(']') - 1));
    }
    return std::string(authority.substr(0, authority.find(':')));
}

std::string url_port(std::string_view url) {
    const std::string_view authority = authority_of(url);
    const std::size_t colon = authority.rfind(':');
    const std::string_view port =
        colon == std::string_view::npos ? std::string_view() : authority.substr(colon + 1);
    const bool number =
        !port.empty() && port.find_first_not_of("0123456789") == std::string_view::npos;
    return number ? std::string(port) : std::string();
}

}  // namespace lockstep
