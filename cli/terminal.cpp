#include "cli/terminal.hpp"

#include "base/utf8.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace lockstep {

Terminal Terminal::on(int fd) {
    const bool tty = ::isatty(fd) == 1;
    const char* no_colour = std::getenv("NO_COLOR");  // NOLINT(concurrency-mt-unsafe)
    const char* term = std::getenv("TERM");           // NOLINT(concurrency-mt-unsafe)
    const bool dumb = term == nullptr || std::string_view(term) == "dumb";
    const bool refused = no_colour != nullptr && *no_colour != '\0';
    return Terminal(tty && !dumb && !refused, tty && !dumb);
}

std::string Terminal::paint(std::string_view text, Tone tone) const {
    if (!colour_ || tone == Tone::plain) {
        return std::string(text);
    }
    const char* code = "";
    switch (tone) {
        case Tone::plain:
            break;
        case Tone::good:
            code = "\033[32m";
            break;
        case Tone::warn:
            code = "\033[33m";
            break;
        case Tone::bad:
            code = "\033[1;31m";
            break;
        case Tone::dim:
            code = "\033[2m";
            break;
        case Tone::strong:
            code = "\033[1m";
            break;
    }
    return code + std::string(text) + "\033[0m";
}

Tone tone_of(Severity severity) {
    switch (severity) {
        case Severity::info:
            return Tone::dim;
        case Severity::warning:
            return Tone::warn;
        case Severity::critical:
            return Tone::bad;
    }
    return Tone::plain;
}

std::size_t columns(std::string_view text) {
    // Continuation bytes of UTF-8 take no column of their own.
    return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte & 0xc0U) != 0x80U && byte >= 0x20;
    }));
}

std::string printable(std::string_view text) {
    return without_hidden(text, "\n\t");
}

std::string one_line(std::string_view text) {
    std::string line = printable(text);
    std::ranges::replace(line, '\n', ' ');
    std::ranges::replace(line, '\t', ' ');
    return line;
}

void Table::add(std::vector<std::string> cells, std::vector<Tone> tones) {
    for (std::string& cell : cells) {
        cell = one_line(cell);
    }
    rows_.push_back({std::move(cells), std::move(tones)});
}

std::string Table::text(const Terminal& terminal) const {
    std::vector<std::size_t> widths;
    for (const Row& row : rows_) {
        widths.resize(std::max(widths.size(), row.cells.size()));
        for (std::size_t i = 0; i < row.cells.size(); ++i) {
            widths[i] = std::max(widths[i], columns(row.cells[i]));
        }
    }
    std::string text;
    for (std::size_t r = 0; r < rows_.size(); ++r) {
        const Row& row = rows_[r];
        std::string line;
        for (std::size_t i = 0; i < row.cells.size(); ++i) {
            const Tone tone = r == 0                 ? Tone::dim
                              : i < row.tones.size() ? row.tones[i]
                                                     : Tone::plain;
            line += terminal.paint(row.cells[i], tone);
            if (i + 1 < row.cells.size()) {
                line += std::string(widths[i] - columns(row.cells[i]) + 2, ' ');
            }
        }
        line.erase(line.find_last_not_of(' ') + 1);  // where the last cell is empty
        text += "  " + line + "\n";
    }
    return text;
}

std::string wrap(std::string_view text, std::size_t indent, std::size_t width) {
    std::string wrapped;
    std::size_t used = indent;
    std::istringstream words{printable(text)};
    for (std::string word; words >> word;) {
        const std::size_t length = columns(word);
        if (used > indent && used + 1 + length > width) {
            wrapped += "\n" + std::string(indent, ' ');
            used = indent;
        } else if (used > indent) {
            wrapped += " ";
            ++used;
        }
        wrapped += word;
        used += length;
    }
    return wrapped;
}

}  // namespace lockstep
