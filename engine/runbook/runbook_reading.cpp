#include "engine/runbook/runbook_reading.hpp"

#include "base/suggest.hpp"
#include "base/units.hpp"
#include "engine/expression/expression_lexer.hpp"
#include "engine/runbook/language.hpp"

#include <algorithm>

namespace lockstep::runbook_reading {

namespace {

using yaml::Node;

/// What is broken by a word that is none of `what`.
std::string rule_of_unknown(std::string_view what) {
    for (const std::string_view known : {"action", "guard", "finding"}) {
        if (what == known) {
            return "runbook.unknown_" + std::string(known);
        }
    }
    return "runbook.value";
}

bool is_word_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// `inputs.target.upstream` cut into the name and what directly follows it.
struct Path {
    std::string root;
    std::string field;  ///< empty: the name stands alone, or is indexed
};

Path split(const std::string& path) {
    const std::size_t root_end = std::min(path.find_first_of(".["), path.size());
    Path result{path.substr(0, root_end), {}};
    if (root_end < path.size() && path[root_end] == '.') {
        const std::size_t field_end = path.find_first_of(".[", root_end + 1);
        result.field = path.substr(root_end + 1, field_end - root_end - 1);
    }
    return result;
}

/// Why a name of the runbook's world may not be used here; empty: it may.
std::string hidden(const std::string& root, Visible visible) {
    if (root == "member" && !visible.member) {
        return "there is no member here: the step runs once for the cluster";
    }
    if (root == "item" && !visible.item) {
        return "there is no item here: the step has no `for_each`";
    }
    if (root == "result" && !visible.result) {
        return "there is no result here";
    }
    if (root == "steps" && !visible.steps) {
        return "the results of steps are not known here";
    }
    return {};
}

std::string hint_for_hidden(const std::string& root) {
    if (root == "member") {
        return "Give the step `on`, or look through `members`.";
    }
    if (root == "result") {
        return "`until` and `select` of `register` see what the step gave.";
    }
    return root == "steps" ? "`when` and `with` may use them." : "";
}

/// The fields that a root has by declaration, or nullptr where its fields are facts.
const Names* declared(const Reading& reading, const std::string& root) {
    if (root == "inputs") {
        return &reading.inputs;
    }
    if (root == "vars") {
        return &reading.vars;
    }
    return root == "steps" ? &reading.registered : nullptr;
}

std::string undeclared(const std::string& root, const std::string& field) {
    if (root == "steps") {
        return "no step before this one registers \"" + field + "\"";
    }
    return root == "inputs" ? "there is no input \"" + field + "\""
                            : "there is no variable \"" + field + "\" before this place";
}

}  // namespace

SourceLocation find_path(const std::string& text,
                         const std::string& path,
                         const SourceLocation& where) {
    for (std::size_t at = text.find(path); at != std::string::npos; at = text.find(path, at + 1)) {
        const std::size_t end = at + path.size();
        const bool begins = at == 0 || (!is_word_character(text[at - 1]) && text[at - 1] != '.');
        if (begins && (end == text.size() || !is_word_character(text[end]))) {
            return location_in(text, at, where);
        }
    }
    return where;
}

bool is_name(std::string_view text, bool dashes) {
    const auto fits = [dashes](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || (dashes && c == '-');
    };
    return !text.empty() && text.front() >= 'a' && text.front() <= 'z' &&
           std::all_of(text.begin(), text.end(), fits);
}

bool require_map(Reading& reading, const Node& node, const std::string& what) {
    if (!node.is(Node::Kind::map)) {
        reading.problems.add(
            node.where, what + " must be a map, not " + node.describe(), {}, "runbook.type");
    }
    return node.is(Node::Kind::map);
}

bool check_keys(Reading& reading,
                const Node& node,
                std::string_view place,
                const std::string& what) {
    if (!require_map(reading, node, what)) {
        return false;
    }
    const language::Place& known = language::place(place);
    const std::vector<std::string_view> names = language::names(known);
    for (const auto& [key, value] : node.entries) {
        const language::Key* row = known.key(key.text);
        if (row != nullptr && row->later) {
            reading.problems.add(key.where,
                                 "`" + key.text + "` is not supported by this version of lockstep",
                                 "Remove it: nothing of it would be done.",
                                 "runbook.not_supported");
        } else if (row == nullptr) {
            reading.problems.add(key.where,
                                 "unknown key \"" + key.text + "\" in " + what,
                                 did_you_mean(key.text, {names.begin(), names.end()}),
                                 "runbook.unknown_key");
        }
    }
    return true;
}

std::optional<std::string> read_one_of(Reading& reading,
                                       const Node& node,
                                       const std::string& what,
                                       const std::vector<std::string>& names) {
    if (!node.is(Node::Kind::scalar)) {
        reading.problems.add(node.where,
                             "the " + what + " must be a text, not " + node.describe(),
                             {},
                             "runbook.type");
        return std::nullopt;
    }
    if (std::find(names.begin(), names.end(), node.text) == names.end()) {
        reading.problems.add(node.where,
                             "\"" + node.text + "\" is no " + what,
                             did_you_mean(node.text, names),
                             rule_of_unknown(what));
        return std::nullopt;
    }
    return node.text;
}

std::vector<std::string> read_texts(Reading& reading,
                                    const Node& node,
                                    const std::string& what,
                                    const std::vector<std::string>& words) {
    std::vector<std::string> texts;
    const std::vector<Node> single{node};
    for (const Node& item : node.is(Node::Kind::list) ? node.items : single) {
        std::optional<std::string> text;
        if (!words.empty()) {
            text = read_one_of(reading, item, what, words);
        } else if (!item.is(Node::Kind::scalar) || item.text.empty()) {
            reading.problems.add(
                item.where, what + " must be a text, not " + item.describe(), {}, "runbook.type");
        } else {
            text = item.text;
        }
        if (text && std::find(texts.begin(), texts.end(), *text) != texts.end()) {
            reading.problems.add(item.where, what + " \"" + *text + "\" is listed twice");
        } else if (text) {
            texts.push_back(std::move(*text));
        }
    }
    return texts;
}

std::optional<std::chrono::milliseconds> read_duration(Reading& reading,
                                                       const Node& node,
                                                       const std::string& what,
                                                       bool zero_allowed) {
    const auto length = node.is(Node::Kind::scalar) ? parse_duration(node.text) : std::nullopt;
    if (!length) {
        reading.problems.add(node.where,
                             what + " must be a length of time, not " + node.describe(),
                             "Write it with a unit: 90s, 2m, 1h30m, 500ms.");
    } else if (length->count() <= 0 && !zero_allowed) {
        reading.problems.add(node.where, what + " must be longer than nothing");
        return std::nullopt;
    }
    return length;
}

int read_integer(Reading& reading,
                 const Node& node,
                 const std::string& what,
                 IntegerRange range,
                 int otherwise) {
    int result = otherwise;
    reading.problems.attempt([&] {
        const long long value = yaml::as_integer(node, what);
        if (value < range.least || value > range.most) {
            throw InputError(node.where,
                             what + " must be from " + std::to_string(range.least) + " to " +
                                 std::to_string(range.most) + ", not " + node.text,
                             {},
                             "runbook.value");
        }
        result = static_cast<int>(value);
    });
    return result;
}

std::optional<Expression> read_expression(Reading& reading,
                                          const Node& node,
                                          const std::string& what,
                                          Visible visible) {
    if (!node.is(Node::Kind::scalar)) {
        reading.problems.add(node.where,
                             what + " must be an expression, not " + node.describe(),
                             node.is(Node::Kind::null)
                                 ? ""
                                 : "Quote it: the text is read as an expression, not as YAML.",
                             "runbook.expression");
        return std::nullopt;
    }
    if (node.text.find("${{") != std::string::npos) {
        reading.problems.add(node.where,
                             what + " is an expression already",
                             "Write it without ${{ }}.",
                             "runbook.expression");
        return std::nullopt;
    }
    std::optional<Expression> expression;
    reading.problems.attempt([&] {
        expression = Expression::parse(node.text, node.text_where);
        check_reads(reading, expression->reads(), node.text, node.text_where, visible);
    });
    return expression;
}

void check_reads(Reading& reading,
                 const std::set<std::string>& reads,
                 const std::string& text,
                 const SourceLocation& where,
                 Visible visible) {
    static const std::vector<std::string> roots{"cluster",
                                                "leader",
                                                "member",
                                                "members",
                                                "inputs",
                                                "vars",
                                                "steps",
                                                "item",
                                                "run",
                                                "result"};
    std::set<std::string> seen;
    for (const std::string& path : reads) {
        const auto [root, field] = split(path);
        const Names* fields = declared(reading, root);
        const bool with_field = fields != nullptr && !field.empty();
        std::string name = root;
        if (with_field) {
            name.append(".").append(field);
        }
        if (!seen.insert(name).second) {
            continue;
        }
        const SourceLocation here = find_path(text, name, where);
        if (std::find(roots.begin(), roots.end(), root) == roots.end()) {
            reading.problems.add(here,
                                 "undefined name \"" + root + "\"",
                                 did_you_mean(root, roots),
                                 "runbook.undefined_name");
        } else if (const std::string why = hidden(root, visible); !why.empty()) {
            reading.problems.add(here, why, hint_for_hidden(root), "runbook.undefined_name");
        } else if (with_field && !fields->contains(field)) {
            reading.problems.add(here,
                                 undeclared(root, field),
                                 reading.problems.full() ? "" : did_you_mean(field, fields->all()),
                                 "runbook.undefined_name");
        }
    }
}

}  // namespace lockstep::runbook_reading
