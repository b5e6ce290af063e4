#include "cli/commands.hpp"
#include "cli/texts.hpp"
#include "engine/runbook/reference.hpp"
#include "engine/runbook/schema.hpp"
#include "steps/catalog.hpp"

#include <unistd.h>

#include <iostream>

namespace lockstep {

namespace {

nlohmann::json entry_json(const ReferenceEntry& entry) {
    return {{"key", entry.key},
            {"kind", entry.kind},
            {"takes", entry.takes},
            {"otherwise", entry.otherwise},
            {"description", entry.description},
            {"example", entry.example},
            {"required", entry.required},
            {"inside", entry.inside},
            {"notes", entry.notes}};
}

std::string line(const Terminal& terminal, const std::string& label, const std::string& text) {
    constexpr std::size_t k_indent = 15;
    return text.empty()
               ? ""
               : "  " + terminal.paint(label, Tone::dim) +
                     std::string(k_indent - 2 - label.size(), ' ') + wrap(text, k_indent) + "\n";
}

/// One entry, and a line for each that it holds.
std::string entry_text(const ReferenceEntry& entry,
                       const std::vector<ReferenceEntry>& entries,
                       const Terminal& terminal) {
    std::string text = terminal.paint(entry.key, Tone::strong) + "  " + entry.kind +
                       (entry.required ? ", required" : "") + "\n  " + wrap(entry.description, 2) +
                       "\n";
    for (const std::string& note : entry.notes) {
        text += "  " + wrap(note, 2) + "\n";
    }
    text += line(terminal, entry.kind == "rule" ? "severity" : "takes", entry.takes);
    text += line(terminal, "unless given", entry.otherwise);
    text += line(terminal, "example", entry.example);
    if (!entry.inside.empty()) {
        Table table({"KEY", "TAKES"});
        for (const std::string& key : entry.inside) {
            const ReferenceEntry inside = look_up(entries, key);
            table.add({key, inside.takes + (inside.required ? " (required)" : "")});
        }
        text += "\n" + table.text(terminal);
    }
    return text;
}

/// What can be looked up: everything that holds something, with what it is for.
std::string list_text(const std::vector<ReferenceEntry>& entries, const Terminal& terminal) {
    Table table({"NAME", "IS", "WHAT FOR"});
    for (const ReferenceEntry& entry : entries) {
        if (entry.kind != "key" && entry.kind != "parameter" && entry.kind != "rule") {
            table.add({entry.key, entry.kind, entry.description});
        }
    }
    return table.text(terminal) +
           "\nlockstep explain NAME shows what is in it, NAME.KEY one of its keys; a rule goes by "
           "its own name.\n";
}

}  // namespace

int command_explain(const Options& options) {
    const std::vector<ReferenceEntry> entries = reference(runbook_vocabulary());
    const Terminal terminal = Terminal::on(STDOUT_FILENO);
    if (options.markdown) {
        std::cout << reference_markdown(entries);
    } else if (options.output != Output::text) {
        nlohmann::json document = nlohmann::json::array();
        for (const ReferenceEntry& entry : entries) {
            document.push_back(entry_json(entry));
        }
        std::cout << json_text(
            options.topic.empty() ? document : entry_json(look_up(entries, options.topic)),
            options.output);
    } else if (options.topic.empty()) {
        std::cout << list_text(entries, terminal);
    } else {
        std::cout << entry_text(look_up(entries, options.topic), entries, terminal);
    }
    return 0;
}

int command_schema(const Options& options) {
    const RunbookVocabulary vocabulary = runbook_vocabulary();
    if (options.topic == "runbook") {
        std::cout << runbook_schema(vocabulary).dump(2) << "\n";
    } else if (options.topic == "inventory") {
        std::cout << inventory_schema().dump(2) << "\n";
    } else {
        std::cout << nlohmann::ordered_json{{"runbook", runbook_schema(vocabulary)},
                                            {"inventory", inventory_schema()}}
                         .dump(2)
                  << "\n";
    }
    return 0;
}

}  // namespace lockstep
