#pragma once

#include <string>
#include <string_view>
#include <vector>

/// How the keys of a file are declared: once, for its loader, its JSON Schema and its reference.
namespace lockstep::language {

/// What the value of a key may be. A key that takes more than one kind lists each.
enum class Kind {
    text,        ///< any text
    name,        ///< `[a-z]` and then letters, digits, _ and, where the loader takes it, -
    words,       ///< one of the key's `words`
    boolean,     ///< true or false
    integer,     ///< from `least` to `most`
    number,      ///< likewise, with a fraction
    duration,    ///< `90s`, `2m`, `1h30m`
    expression,  ///< a bare expression
    any,         ///< any YAML
    batch,       ///< a number, a part such as 50%, all
    action,      ///< the name of an action
    arguments,   ///< the `with` of an action
    finding,     ///< the id of a finding, perhaps with `:subject`
    guard,       ///< the name of a guard, or a map of it to its parameters
    keys,        ///< a map with the keys of the place `of`
    word,        ///< a text without white space
    path,        ///< of a file; `~/` is the home, a relative one counts from the folder of the file
    url,         ///< `http(s)://host:port`
};

/// One of the kinds of a value, or a list or map of such.
struct Shape {
    enum class Many { one, list, map };

    Kind kind = Kind::text;
    std::string_view of;  ///< of Kind::keys: the name of the place
    Many many = Many::one;
};

struct Key {
    std::string_view name;
    std::vector<Shape> shapes;
    std::string_view description;  ///< one or two sentences
    std::string_view example;      ///< YAML of the key and its value
    std::string_view otherwise;    ///< what holds where it is not given; empty: nothing
    std::vector<std::string_view> words;
    long long least = 0;  ///< of integer and number
    long long most = 0;
    bool required = false;
    bool actions_only = false;  ///< of a step: without effect on a block, and so refused there
    bool may_be_null = false;   ///< of a map: a name in it needs no value
    bool later = false;         ///< in the contract, and not in this version: refused by its name
};

/// A map of a file: the runbook itself, a step, its `retry`.
struct Place {
    std::string_view name;
    std::string_view description;
    std::vector<Key> keys;
    bool one_key = false;  ///< exactly one of them is given

    [[nodiscard]] const Key* key(std::string_view wanted) const;
};

/// The names of the keys that this version has.
[[nodiscard]] std::vector<std::string_view> names(const Place& place);

/// Throws std::logic_error for a name that is none.
[[nodiscard]] const Place& find_place(const std::vector<Place>& places, std::string_view name);

}  // namespace lockstep::language
