#include "base/host_name.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <string>

namespace lockstep {

namespace {

bool is_decimal(char c) {
    return c >= '0' && c <= '9';
}

bool is_label_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_decimal(c) || c == '-' ||
           c == '_';
}

bool is_address(int family, std::string_view text) {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    return ::inet_pton(family, std::string(text).c_str(), bytes.data()) == 1;
}

bool is_label(std::string_view label) {
    constexpr std::size_t k_longest = 63;
    return !label.empty() && label.size() <= k_longest && label.front() != '-' &&
           std::ranges::all_of(label, is_label_character);
}

}  // namespace

bool is_host_name(std::string_view text) {
    constexpr std::size_t k_longest = 253;
    if (text.empty() || text.size() > k_longest || text.find('\0') != std::string_view::npos) {
        return false;
    }
    if (text.find(':') != std::string_view::npos) {
        return is_address(AF_INET6, text);
    }
    if (text.ends_with('.')) {
        text.remove_suffix(1);
    }
    // What is digits and dots alone is taken for an address by whoever resolves it: 2130706433 and
    // 127.1 are the loopback for inet_aton().
    if (std::ranges::all_of(text, [](char c) { return is_decimal(c) || c == '.'; })) {
        return is_address(AF_INET, text);
    }
    while (true) {
        const std::size_t dot = text.find('.');
        if (!is_label(text.substr(0, dot))) {
            return false;
        }
        if (dot == std::string_view::npos) {
            return true;
        }
        text.remove_prefix(dot + 1);
    }
}

bool is_plain_base_url(std::string_view text) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!text.starts_with(scheme)) {
            continue;
        }
        text.remove_prefix(scheme.size());
        const bool bracketed = text.starts_with('[');
        const std::size_t end = bracketed ? text.find(']') : text.find(':');
        const std::string_view host = text.substr(bracketed ? 1 : 0, end - (bracketed ? 1 : 0));
        std::string_view port = end == std::string_view::npos ? "" : text.substr(end);
        port.remove_prefix(bracketed && !port.empty() ? 1 : 0);
        constexpr std::size_t k_longest_port = 5;
        const bool is_port = port.empty() || (port.starts_with(':') && port.size() > 1 &&
                                              port.size() <= 1 + k_longest_port &&
                                              std::ranges::all_of(port.substr(1), is_decimal));
        const bool is_v6 = host.find(':') != std::string_view::npos;
        return is_port && bracketed == is_v6 && is_host_name(host) &&
               !(bracketed && end == std::string_view::npos);
    }
    return false;
}

}  // namespace lockstep
