#include "engine/runbook/reference.hpp"

#include "base/join.hpp"
#include "base/suggest.hpp"
#include "engine/runbook/language.hpp"
#include "engine/runbook/rules.hpp"
#include "inventory/inventory_language.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using language::Key;
using language::Kind;
using language::Place;
using language::Shape;

std::string words_of(const Key& key, const Shape& shape) {
    switch (shape.kind) {
        case Kind::text:
            return "text";
        case Kind::name:
            return "name";
        case Kind::words:
            return join(key.words, ", ");
        case Kind::boolean:
            return "true, false";
        case Kind::integer:
        case Kind::number:
            return std::string(shape.kind == Kind::integer ? "integer" : "number") + " from " +
                   std::to_string(key.least) + " to " + std::to_string(key.most);
        case Kind::duration:
            return "duration";
        case Kind::expression:
            return "expression";
        case Kind::any:
            return "anything";
        case Kind::batch:
            return "a number, a part such as 50%, all";
        case Kind::action:
            return "action";
        case Kind::arguments:
            return "map of parameters";
        case Kind::finding:
            return "finding";
        case Kind::guard:
            return "guard";
        case Kind::keys:
            return std::string(shape.of);
        case Kind::word:
            return "text without blanks";
        case Kind::path:
            return "path";
        case Kind::url:
            return "URL";
    }
    return {};
}

std::string takes(const Key& key) {
    std::string text;
    for (const Shape& shape : key.shapes) {
        text += text.empty() ? "" : "; or ";
        text += shape.many == Shape::Many::list  ? "list of "
                : shape.many == Shape::Many::map ? "map of name to "
                                                 : "";
        text += words_of(key, shape);
    }
    return text;
}

std::string takes(const ParamSchema& param) {
    if (!param.values.empty()) {
        return join(param.values, ", ");
    }
    switch (param.kind) {
        case ParamKind::string:
            return "text";
        case ParamKind::shell:
            return "shell text";
        case ParamKind::integer:
            return "integer";
        case ParamKind::boolean:
            return "true, false";
        case ParamKind::duration:
            return "duration";
        case ParamKind::bytes:
            return "size";
        case ParamKind::version:
            return "version";
        case ParamKind::list:
            return "list of text";
        case ParamKind::map:
            return "map of text";
        case ParamKind::any:
            return "anything";
        case ParamKind::expression:
            return "expression";
    }
    return {};
}

std::string sentence(const std::string& text) {
    return text.empty() || text.ends_with('.') ? text : text + ".";
}

void add_places(const std::vector<Place>& places, std::vector<ReferenceEntry>& entries) {
    for (const Place& place : places) {
        ReferenceEntry whole{.key = std::string(place.name),
                             .kind = "map",
                             .description = std::string(place.description)};
        if (place.one_key) {
            whole.notes.emplace_back("Exactly one of its keys is given.");
        }
        const std::size_t at = entries.size();
        entries.push_back(std::move(whole));
        for (const Key& key : place.keys) {
            if (key.later) {
                continue;
            }
            ReferenceEntry entry{.key = entries[at].key + "." + std::string(key.name),
                                 .kind = "key",
                                 .takes = takes(key),
                                 .otherwise = std::string(key.otherwise),
                                 .description = std::string(key.description),
                                 .example = std::string(key.example),
                                 .required = key.required};
            if (key.actions_only) {
                entry.notes.emplace_back("Not on a block.");
            }
            entries[at].inside.push_back(entry.key);
            entries.push_back(std::move(entry));
        }
    }
}

std::vector<std::string> notes_of(const ActionSchema& action) {
    std::vector<std::string> notes;
    const bool depends = action.changes && action.param("read_only") != nullptr;
    if (!action.changes) {
        notes.emplace_back("Changes nothing.");
    } else if (depends && action.looks_by_default) {
        notes.emplace_back(
            "Changes something with `read_only: false`" +
            (action.looking_methods.empty()
                 ? std::string(".")
                 : ", or a method other than " + join(action.looking_methods, " and ") + "."));
    } else {
        notes.emplace_back(depends ? "Changes something, unless `read_only` is true."
                                   : "Changes something.");
    }
    if (action.changes && !action.repeatable) {
        notes.emplace_back(
            "It is not safe to repeat: `retry` repeats it only where nothing of it "
            "has happened.");
    }
    if (action.changes && !action.own_undo) {
        notes.emplace_back("It has no undo of its own: the step says `undo`.");
    }
    if (!action.moves.empty()) {
        notes.push_back("Moves the " + join(action.moves, ", ") +
                        " on purpose: guards take these from where it has moved them to.");
    }
    if (action.scope != ActionScope::either) {
        notes.emplace_back(action.scope == ActionScope::member ? "Acts on a member."
                                                               : "Acts once for the cluster.");
    }
    if (!action.one_of.empty()) {
        notes.push_back("One of " + join(action.one_of, " and ") + ", not both.");
    }
    for (const OutputSchema& output : action.outputs) {
        notes.push_back("Output `" + output.name + "`: " + sentence(output.description));
    }
    return notes;
}

void add_catalog(const ActionCatalog& catalog,
                 const std::string& kind,
                 std::vector<ReferenceEntry>& entries) {
    for (const ActionSchema& action : catalog) {
        ReferenceEntry whole{
            .key = action.name, .kind = kind, .description = sentence(action.summary)};
        if (kind == "action") {
            whole.notes = notes_of(action);
        }
        const std::size_t at = entries.size();
        entries.push_back(std::move(whole));
        for (const ParamSchema& param : action.params) {
            const bool choice = std::ranges::find(action.one_of, param.name) != action.one_of.end();
            ReferenceEntry entry{.key = action.name + "." + param.name,
                                 .kind = "parameter",
                                 .takes = takes(param),
                                 .description = sentence(param.description),
                                 .required = param.required && !choice};
            entries[at].inside.push_back(entry.key);
            entries.push_back(std::move(entry));
        }
    }
}

/// The last word of a key: `timeout` of `step.timeout`.
std::string last_word(const std::string& key) {
    return key.substr(key.rfind('.') + 1);
}

std::string cell(std::string text) {
    for (std::size_t at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
        text.insert(at, 1, '\\');
    }
    return text;
}

class Markdown {
  public:
    explicit Markdown(const std::vector<ReferenceEntry>& entries) : entries_(entries) {}

    std::string text() {
        text_ =
            "# Reference\n\nEvery key, action, guard and rule. This page is what `lockstep "
            "explain --markdown` prints; `lockstep explain KEY` shows one of them, and\n"
            "`lockstep schema` gives an editor the same. How to write a runbook is in "
            "[runbooks.md](runbooks.md).\n\nA *duration* is `90s`, `2m`, `1h30m`, `500ms`; a "
            "*size* `512MB`, `16GB`; a *name* lower case letters, digits, _ and -, a letter "
            "first.\n";
        section("Runbook", "map", [](const auto& entry) {
            return !entry.key.starts_with("inventory");
        });
        section("Actions", "action", [](const auto&) { return true; });
        section("Guards", "guard", [](const auto&) { return true; });
        section("Inventory", "map", [](const auto& entry) {
            return entry.key.starts_with("inventory");
        });
        rules();
        return text_;
    }

  private:
    void section(const std::string& title, const std::string& kind, const auto& wanted) {
        text_ += "\n## " + title + "\n";
        for (const ReferenceEntry& entry : entries_) {
            if (entry.kind == kind && wanted(entry)) {
                whole(entry);
            }
        }
    }

    void whole(const ReferenceEntry& entry) {
        text_ += "\n### `" + entry.key + "`\n\n" + entry.description;
        for (const std::string& note : entry.notes) {
            text_ += " " + note;
        }
        text_ += "\n";
        if (entry.inside.empty()) {
            return;
        }
        const bool keys = entry.kind == "map";
        text_ +=
            keys ? "\n| key | takes | unless given | meaning | example |\n|---|---|---|---|---|\n"
                 : "\n| parameter | takes | meaning |\n|---|---|---|\n";
        for (const std::string& key : entry.inside) {
            row(*std::ranges::find(entries_, key, &ReferenceEntry::key), keys);
        }
    }

    void row(const ReferenceEntry& entry, bool keys) {
        text_ += "| `" + last_word(entry.key) + "`" + (entry.required ? " (required)" : "") +
                 " | " + cell(entry.takes) + " | ";
        if (keys) {
            text_ += cell(entry.otherwise) + " | ";
        }
        text_ +=
            cell(entry.description) + (keys ? " | `" + cell(entry.example) + "`" : "") + " |\n";
    }

    void rules() {
        text_ +=
            "\n## Rules\n\nWhat `lockstep validate` names in brackets. A warning refuses "
            "nothing.\n\n| rule | | meaning |\n|---|---|---|\n";
        for (const ReferenceEntry& entry : entries_) {
            if (entry.kind == "rule") {
                text_ += "| `" + entry.key + "` | " + entry.takes + " | " +
                         cell(entry.description) + " |\n";
            }
        }
    }

    const std::vector<ReferenceEntry>& entries_;
    std::string text_;
};

}  // namespace

std::vector<ReferenceEntry> reference(const RunbookVocabulary& vocabulary) {
    std::vector<ReferenceEntry> entries;
    add_places(language::places(), entries);
    add_catalog(vocabulary.actions, "action", entries);
    add_catalog(vocabulary.guards, "guard", entries);
    add_places(inventory_places(), entries);
    for (const RuleRow& rule : rule_table()) {
        entries.push_back({.key = std::string(rule.id),
                           .kind = "rule",
                           .takes = rule.warning ? "warning" : "error",
                           .description = std::string(rule.help)});
    }
    return entries;
}

ReferenceEntry look_up(const std::vector<ReferenceEntry>& entries, const std::string& key) {
    std::vector<std::string> names;
    std::vector<std::string> ending_so;
    for (const ReferenceEntry& entry : entries) {
        if (entry.key == key) {
            return entry;
        }
        names.push_back(entry.key);
        if (last_word(entry.key) == key) {
            ending_so.push_back(entry.key);
        }
    }
    throw UsageError("nothing is called \"" + key + "\"",
                     ending_so.empty()
                         ? did_you_mean(key, names) + " `lockstep explain` lists everything."
                         : "There is " + join(ending_so, ", ") + ".");
}

std::string reference_markdown(const std::vector<ReferenceEntry>& entries) {
    return Markdown(entries).text();
}

}  // namespace lockstep
