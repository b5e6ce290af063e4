#include "cli/texts.hpp"

namespace lockstep {

std::string knowledge_text(const std::vector<const KnowledgeRow*>& rows, const Terminal& terminal) {
    std::string text;
    const auto line = [&](const std::string& label, const std::string& content, Tone tone) {
        if (!content.empty()) {
            const std::string padded = label + std::string(6 - label.size(), ' ');
            text += "    " + terminal.paint(padded, tone) + wrap(content, 10) + "\n";
        }
    };
    for (const KnowledgeRow* row : rows) {
        text += (text.empty() ? "" : "\n") +
                terminal.paint(upper(to_text(row->severity)), tone_of(row->severity)) + "  " +
                terminal.paint(row->id, Tone::strong) + "\n";
        line("of", row->versions_text(), Tone::plain);
        line("", row->symptom, Tone::plain);
        line("when", row->when ? row->when->text() : std::string(), Tone::dim);
        line("if", row->ask, Tone::dim);
        line("do", row->remedy, Tone::good);
        line("see", row->source, Tone::dim);
    }
    return text;
}

}  // namespace lockstep
