#pragma once

#include "cluster/finding.hpp"

#include <string>
#include <string_view>
#include <vector>

/// Text for people: colour only where a person looks, aligned columns, wrapped lines.
namespace lockstep {

enum class Tone { plain, good, warn, bad, dim, strong };

/// One of the two streams.
class Terminal {
  public:
    /// Colour when `fd` is a terminal, TERM is not dumb and NO_COLOR (no-color.org) is not set.
    static Terminal on(int fd);

    explicit Terminal(bool colour, bool live) : colour_(colour), live_(live) {}

    [[nodiscard]] std::string paint(std::string_view text, Tone tone) const;

    /// Whether lines may be redrawn.
    [[nodiscard]] bool live() const { return live_; }

  private:
    bool colour_;
    bool live_;
};

[[nodiscard]] Tone tone_of(Severity severity);

/// Columns on a screen, for the UTF-8 that we print; control characters count nothing.
[[nodiscard]] std::size_t columns(std::string_view text);

/// What other machines said, made safe for a terminal: control characters
/// and what is not UTF-8 become `?`.
[[nodiscard]] std::string printable(std::string_view text);

/// The same for a name or a cell: line breaks and tabs become blanks, too.
[[nodiscard]] std::string one_line(std::string_view text);

/// Rows under a header, each column as wide as its widest cell. Cells may hold what others said.
class Table {
  public:
    explicit Table(std::vector<std::string> header) { rows_.push_back({std::move(header), {}}); }

    void add(std::vector<std::string> cells, std::vector<Tone> tones = {});
    [[nodiscard]] std::string text(const Terminal& terminal) const;

  private:
    struct Row {
        std::vector<std::string> cells;
        std::vector<Tone> tones;
    };

    std::vector<Row> rows_;
};

/// `text` in lines of at most `width`, broken at spaces, each but the first behind `indent` spaces.
[[nodiscard]] std::string wrap(std::string_view text, std::size_t indent, std::size_t width = 100);

}  // namespace lockstep
