#pragma once

#include "base/yaml.hpp"
#include "inventory/inventory.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The single values of an inventory. Each reader throws InputError at the value's place.
namespace lockstep::inventory_fields {

/// What paths in an inventory are relative to: never the folder lockstep happens to run in.
struct PathBase {
    std::string folder;  ///< of the inventory file
    std::string home;    ///< what `~` means: own_account()
};

/// Throws the InputError for a value.
[[noreturn]] void fail(const yaml::Node& node,
                       const std::string& message,
                       const std::string& hint = {},
                       const std::string& rule = "inventory.value");

/// Calls `read` with the value of the key, where there is one.
template <class Reader>
void when_given(const yaml::Node& map, std::string_view key, Reader read) {
    if (const yaml::Node* value = map.find(key)) {
        read(*value);
    }
}

/// Throws where the node is not a map; `what` is "cluster", "ssh", …
void require_map(const yaml::Node& node, std::string_view what);

/// A name for a command line: not empty, without white space, not like an option.
[[nodiscard]] std::string read_word(const yaml::Node& node, std::string_view what);
[[nodiscard]] std::string read_path(const yaml::Node& node,
                                    std::string_view what,
                                    const PathBase& base);
[[nodiscard]] std::uint16_t read_port(const yaml::Node& node);

/// Throws InputError for a key that the language does not have at this place
/// (inventory_language.hpp).
void refuse_unknown_keys(const yaml::Node& node, std::string_view place, std::string_view what);

/// A program and its arguments, of the key `command`.
[[nodiscard]] std::vector<std::string> read_argv(const yaml::Node& node, std::string_view what);

/// `{env: NAME}`, `{file: PATH}` or `{command: [argv…]}`. No message ever shows a secret.
[[nodiscard]] SecretRef read_secret(const yaml::Node& node,
                                    std::string_view what,
                                    const PathBase& base);

/// `http(s)://host:port`, without a path: a single `/` at the end is taken off.
[[nodiscard]] std::string read_endpoint(const yaml::Node& node);

/// The value that a conninfo gives a keyword, if it does.
[[nodiscard]] std::optional<std::string> dsn_value(std::string_view dsn, std::string_view keyword);

/// A libpq conninfo without a password, and without the host and port that Patroni knows.
[[nodiscard]] std::string read_dsn(const yaml::Node& node);

}  // namespace lockstep::inventory_fields
