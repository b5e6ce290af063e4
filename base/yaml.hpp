#pragma once

#include "base/error.hpp"
#include "base/suggest.hpp"
#include "base/trusted_file.hpp"

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// YAML as the project accepts it: one document of maps, lists and scalars. Everything that makes
/// two readers see two things is refused with a location: duplicate keys, anchors, aliases, merge
/// keys, tags, second documents. Scalars stay text; who reads one says what it should be.
namespace lockstep::yaml {

struct Entry;

/// One node, with where it stands.
struct Node {
    enum class Kind { null, scalar, list, map };

    Kind kind = Kind::null;
    std::string text;   ///< of a scalar
    bool plain = true;  ///< a scalar without quotes: `1` may be a number, `"1"` may not
    std::vector<Node> items;
    std::vector<Entry> entries;  ///< in the order of the file
    SourceLocation where;
    /// Where the text of a scalar begins: after its quote, or on the line after `|` and `>`. Exact
    /// for the first line, and all those after `|`; what escapes and folding do is not followed.
    SourceLocation text_where;

    [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }

    /// The value of a map's key, or nullptr.
    [[nodiscard]] const Node* find(std::string_view key) const;
    /// What it is, for messages: "a list", "the text 'abc'".
    [[nodiscard]] std::string describe() const;
};

/// Of a map: its key (always a scalar) and value.
struct Entry {
    Node first;
    Node second;
};

/// The whole of a file. Throws InputError where it cannot be read, or is larger than parse() takes.
/// `only_ours`: also where somebody else may write to it, as trusted_file.hpp says; what is read is
/// what was looked at. `allowed_by` is the option that the hint names; empty: there is none.
[[nodiscard]] std::string read_text(const std::string& path,
                                    std::optional<FoundBy> only_ours = std::nullopt,
                                    const std::string& allowed_by = {});

/// Limits that no honest file meets: 4 MiB, 64 KiB a line, 64 levels, 200,000 nodes.
/// Throws InputError with the location of what is wrong. An empty document is a null node.
[[nodiscard]] Node parse(std::string_view text, const std::string& file_name);
[[nodiscard]] Node parse_file(const std::string& path);

/// The typed reading of scalars, by the core rules of YAML 1.2 and no others: `yes` and `on` are
/// text, `010` is not a number. Each throws InputError naming `what` it was reading.
[[nodiscard]] std::string as_string(const Node& node, std::string_view what);
[[nodiscard]] bool as_bool(const Node& node, std::string_view what);
[[nodiscard]] long long as_integer(const Node& node, std::string_view what);

/// One of a few words, and what it then is.
template <class Choice>
[[nodiscard]] Choice as_choice(const Node& node,
                               std::string_view what,
                               std::initializer_list<std::pair<std::string_view, Choice>> choices) {
    const std::string text = as_string(node, what);
    std::vector<std::string> names;
    for (const auto& [name, choice] : choices) {
        if (text == name) {
            return choice;
        }
        names.emplace_back(name);
    }
    throw InputError(node.where,
                     "\"" + text + "\" is no " + std::string(what),
                     did_you_mean(text, names),
                     "input.value");
}

/// Throws InputError for a key of `map` that is not in `known`, with a did-you-mean.
void refuse_unknown_keys(const Node& map,
                         const std::vector<std::string_view>& known,
                         std::string_view what);

}  // namespace lockstep::yaml
