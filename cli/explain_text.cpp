#include "base/units.hpp"
#include "cli/texts.hpp"

namespace lockstep {

namespace {

std::string holder_text(const WalHolder& holder, const Terminal& terminal) {
    constexpr std::size_t k_sizes = 10;
    constexpr std::size_t k_text = 12;
    const std::string size = holder.bytes ? format_bytes(*holder.bytes) : "?";
    const Tone tone = holder.wrong ? Tone::bad : holder.decides ? Tone::strong : Tone::plain;
    const std::string text = holder.text + (holder.decides ? " <- decides" : "");
    return std::string(size.size() < k_sizes ? k_sizes - size.size() : 0, ' ') + size + "  " +
           terminal.paint(wrap(text, k_text), tone) + "\n";
}

std::string member_text(const WalExplanation& explanation, const Terminal& terminal) {
    const std::string name = terminal.paint(one_line(explanation.member), Tone::strong);
    if (!explanation.unknown.empty()) {
        return name + "  " + wrap("unknown: " + explanation.unknown, 4) + "\n";
    }
    std::string text = name + "  " + format_bytes(explanation.bytes) + " in pg_wal, " +
                       std::to_string(explanation.files) +
                       (explanation.files == 1 ? " file" : " files") + "\n";
    for (const WalHolder& holder : explanation.holders) {
        text += holder_text(holder, terminal);
    }
    text += "    " + wrap(explanation.verdict, 4) + "\n";
    if (!explanation.remedy.empty()) {
        text +=
            "    " + terminal.paint("do:", Tone::good) + " " + wrap(explanation.remedy, 8) + "\n";
    }
    return text;
}

}  // namespace

std::string explain_text(const ClusterFacts& facts,
                         const std::vector<Finding>& findings,
                         const std::vector<WalExplanation>& explanations,
                         const Terminal& terminal) {
    const std::string check = check_text(facts, findings, terminal);
    std::string text = check.substr(0, check.find('\n') + 1);
    for (const WalExplanation& explanation : explanations) {
        text += "\n" + member_text(explanation, terminal);
    }
    return text;
}

}  // namespace lockstep
