#include "inventory/people_readers.hpp"
#include "inventory/rest_policy.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <string_view>

namespace lockstep {

namespace {

bool is_alnum(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

bool is_one_of(char c, std::string_view all) {
    return all.find(c) != std::string_view::npos;
}

/// A URL cut where it matters here.
struct UrlParts {
    std::string_view scheme;
    std::string_view host;  ///< an IPv6 address with its brackets
    std::string_view port;  ///< digits; empty: none
    std::string_view rest;  ///< from the first / ? or #
};

bool is_port(std::string_view text) {
    const bool digits = !text.empty() && text.size() <= 5 &&
                        text.find_first_not_of("0123456789") == std::string_view::npos;
    const int port = digits ? std::stoi(std::string(text)) : 0;
    return port >= 1 && port <= 65535;
}

bool is_host(std::string_view host) {
    if (host.starts_with('[')) {
        return host.size() > 3 && host.ends_with(']') &&
               std::ranges::all_of(host.substr(1, host.size() - 2), [](char c) {
                   return std::isxdigit(static_cast<unsigned char>(c)) != 0 || is_one_of(c, ":.");
               });
    }
    return !host.empty() && host.front() != '-' && host.front() != '.' &&
           std::ranges::all_of(host, [](char c) { return is_alnum(c) || is_one_of(c, ".-_"); });
}

/// Nothing for what another reader of URLs might read in another way: whether a URL leads to this
/// machine must not depend on who reads it.
std::optional<UrlParts> split_url(std::string_view url) {
    const std::size_t scheme = url.find("://");
    const bool visible = std::ranges::all_of(
        url, [](char c) { return c > ' ' && c < '\x7f' && !is_one_of(c, "\\\"<>^`{|}"); });
    if (scheme == std::string_view::npos || !visible) {
        return std::nullopt;
    }
    UrlParts parts{.scheme = url.substr(0, scheme), .host = {}, .port = {}, .rest = {}};
    const std::string_view after = url.substr(scheme + 3);
    const std::string_view authority = after.substr(0, after.find_first_of("/?#"));
    parts.rest = after.substr(authority.size());
    const std::size_t bracket = authority.rfind(']');
    const std::size_t colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
    parts.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) {
        parts.port = authority.substr(colon + 1);
    }
    if (!is_host(parts.host) || (colon != std::string_view::npos && !is_port(parts.port))) {
        return std::nullopt;
    }
    return parts;
}

/// Hosts of these URLs have their brackets.
bool is_loopback(std::string_view host) {
    return is_loopback_host(host == "[::1]" ? host.substr(1, 3) : host);
}

}  // namespace

std::string webhook_trouble(std::string_view url, bool insecure) {
    const std::string_view authority = url.substr(0, url.find_first_of("/?#", url.find("//") + 2));
    if (authority.find('@') != std::string_view::npos) {
        return "user and password must not stand in a URL";
    }
    const std::optional<UrlParts> parts = split_url(url);
    if (!parts || (parts->scheme != "https" && parts->scheme != "http")) {
        return "it is no http or https URL";
    }
    if (parts->scheme == "http" && !insecure && !is_loopback(parts->host)) {
        return "http without TLS would show the message, and the URL, to the network";
    }
    return {};
}

std::string host_of(std::string_view url) {
    const std::optional<UrlParts> parts = split_url(url);
    return parts ? std::string(parts->host) : std::string();
}

namespace inventory_fields {

namespace {

using yaml::Node;

/// A header field that is no secret, whoever may read the inventory.
TextOrSecret read_header(const Node& key,
                         const Node& value,
                         const std::string& what,
                         const PathBase& base) {
    const auto is_any = [&](auto names) {
        return std::ranges::any_of(names, [&](std::string_view name) {
            return std::ranges::equal(name, key.text, [](char a, char b) {
                return a == std::tolower(static_cast<unsigned char>(b));
            });
        });
    };
    if (is_any(std::array{"content-type", "content-length", "transfer-encoding", "host"})) {
        fail(key, what + " is lockstep's own to set", "Remove it.");
    }
    if (!value.is(Node::Kind::scalar)) {
        return read_secret(value, what, base);
    }
    if (is_any(std::array{"authorization", "proxy-authorization", "cookie"})) {
        return read_secret(value, what, base);  // which says what to write instead
    }
    std::string text = yaml::as_string(value, what);
    const bool printable = std::ranges::all_of(text, [](char c) { return c >= ' ' && c < '\x7f'; });
    if (text.empty() || !printable) {
        fail(value, what + " must be printable ASCII, and not empty");
    }
    return text;
}

bool is_header_name(std::string_view name) {
    return !name.empty() && std::ranges::all_of(name, [](char c) {
        return is_alnum(c) || is_one_of(c, "!#$%&'*+-.^_`|~");  // RFC 9110, 5.6.2
    });
}

WebhookTarget read_webhook(const Node& node, const std::string& what, const PathBase& base) {
    yaml::refuse_unknown_keys(node, {"webhook", "headers", "ca_file", "insecure"}, what);
    WebhookTarget target;
    when_given(node, "insecure", [&](const Node& v) {
        target.insecure = yaml::as_bool(v, what + ": insecure");
    });
    const Node& url = *node.find("webhook");
    if (url.is(Node::Kind::scalar)) {
        const std::string text = yaml::as_string(url, what + ": webhook");
        if (const std::string trouble = webhook_trouble(text, target.insecure); !trouble.empty()) {
            fail(url,
                 what + ": webhook: " + trouble,
                 "Write https://host/path; http is taken for this machine, and with insecure: "
                 "true.");
        }
        target.url = text;
    } else {
        target.url = read_secret(url, what + ": webhook", base);
    }
    when_given(node, "headers", [&](const Node& headers) {
        if (!headers.is(Node::Kind::map)) {  // what it is instead may be a secret
            fail(headers, what + ": headers must be a map", "Write {Authorization: {env: NAME}}.");
        }
        for (const auto& [key, value] : headers.entries) {
            if (!is_header_name(key.text)) {
                fail(key, what + ": that is no name of a header field");
            }
            target.headers.emplace(key.text,
                                   read_header(key, value, what + ": header " + key.text, base));
        }
    });
    when_given(node, "ca_file", [&](const Node& v) {
        target.ca_file = read_path(v, what + ": ca_file", base);
    });
    return target;
}

/// An address that goes into SMTP and a header as it is: of ASCII, and of nothing that either of
/// them would read as more than an address.
std::string read_address(const Node& node, const std::string& what) {
    std::string address = yaml::as_string(node, what);
    const std::size_t at = address.find('@');
    const bool valid = at != std::string::npos && at > 0 && at + 1 < address.size() &&
                       address.size() <= 254 && std::ranges::count(address, '@') == 1 &&
                       address.front() != '-' && std::ranges::all_of(address, [](char c) {
                           return is_alnum(c) || is_one_of(c, "@.!#$%&'*+-/=?^_`{|}~");
                       });
    if (!valid) {
        fail(node,
             what + " must be a plain mail address",
             "Write dba@example.com: ASCII, without a name or < > around it.");
    }
    return address;
}

std::string read_mail_url(const Node& node, const std::string& what) {
    std::string url = yaml::as_string(node, what);
    const std::optional<UrlParts> parts = split_url(url);
    if (!parts || (parts->scheme != "smtp" && parts->scheme != "smtps") || !parts->rest.empty()) {
        fail(node,
             what + " must be smtp://host:port or smtps://host:port",
             "User and password have keys of their own: username and password.");
    }
    return url;
}

/// What can only be said once everything is read.
void check(const MailTarget& target, const Node& node, const std::string& what) {
    if (target.from.empty() || target.to.empty()) {
        fail(node,
             what + (target.from.empty() ? " has no from" : " has no to"),
             "Mail needs both: from: lockstep@example.com, to: [dba@example.com].");
    }
    if (target.username.empty() != !target.password) {
        fail(node,
             what + (target.password ? " has a password without a username"
                                     : " has a username without a password"),
             "A login needs both.");
    }
    if (!target.tls && target.password && !is_loopback(host_of(target.url))) {
        fail(node,
             what + " would send its password without TLS",
             "Remove tls: none, or username and password.");
    }
}

MailTarget read_mail(const Node& node, const std::string& what, const PathBase& base) {
    yaml::refuse_unknown_keys(
        node, {"smtp", "from", "to", "username", "password", "ca_file", "tls"}, what);
    MailTarget target;
    target.url = read_mail_url(*node.find("smtp"), what + ": smtp");
    when_given(node, "tls", [&](const Node& v) {
        if (target.url.starts_with("smtps:")) {
            fail(v, what + ": smtps:// is TLS from the start", "Remove tls.");
        }
        target.tls = yaml::as_choice<bool>(v, "kind of TLS", {{"starttls", true}, {"none", false}});
    });
    when_given(
        node, "from", [&](const Node& v) { target.from = read_address(v, what + ": from"); });
    when_given(node, "to", [&](const Node& v) {
        if (!v.is(Node::Kind::list)) {
            fail(v, what + ": to must be a list", "One is enough: to: [dba@example.com].");
        }
        for (const Node& item : v.items) {
            target.to.push_back(read_address(item, what + ": an address of to"));
        }
    });
    when_given(node, "username", [&](const Node& v) {
        target.username = read_word(v, what + ": username");
    });
    when_given(node, "password", [&](const Node& v) {
        target.password = read_secret(v, what + ": password", base);
    });
    when_given(node, "ca_file", [&](const Node& v) {
        target.ca_file = read_path(v, what + ": ca_file", base);
    });
    check(target, node, what);
    return target;
}

NotifyTarget read_target(const Node& node, const std::string& what, const PathBase& base) {
    if (!node.is(Node::Kind::map)) {  // what it is instead may be a URL, and so a secret
        fail(node,
             what + " must be a map",
             "Write {webhook: URL}, {smtp: URL, …} or {command: […]}.");
    }
    const std::array kinds{"webhook", "smtp", "command"};
    const auto given =
        std::ranges::count_if(kinds, [&](const char* kind) { return node.find(kind) != nullptr; });
    if (given != 1) {
        refuse_unknown_keys(node, "inventory.target", what);
        fail(node, what + " must have exactly one of webhook, smtp and command");
    }
    if (node.find("webhook") != nullptr) {
        return read_webhook(node, what, base);
    }
    if (node.find("smtp") != nullptr) {
        return read_mail(node, what, base);
    }
    yaml::refuse_unknown_keys(node, {"command"}, what);
    return CommandTarget{read_argv(*node.find("command"), what)};
}

}  // namespace

NotifyTargets read_targets(const Node& node, const PathBase& base) {
    require_map(node, "notify");
    NotifyTargets targets;
    for (const auto& [key, value] : node.entries) {
        const std::string name = read_name(key, "the name of a target");
        targets.emplace(name, read_target(value, "notify target " + name, base));
    }
    return targets;
}

}  // namespace inventory_fields

}  // namespace lockstep
