#pragma once

#include "base/error.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace lockstep::yaml {

/// The text of a YAML file, checked and made uniform before the reader sees it, and the way from an
/// offset in it to a place that an editor shows.
class Source {
  public:
    /// Takes off a byte order mark and the CR of CRLF. Throws InputError for what is not UTF-8, for
    /// control characters, for characters that make a text look like another one, for directives
    /// and for a text or line that is too long.
    Source(std::string_view text, std::string file_name);

    [[nodiscard]] const std::string& text() const { return text_; }

    /// The character there, or NUL past the end (the text itself has none).
    [[nodiscard]] char at(std::size_t offset) const {
        return offset < text_.size() ? text_[offset] : '\0';
    }

    /// Line and column of an offset; columns count characters, not bytes.
    [[nodiscard]] SourceLocation where(std::size_t offset) const;
    /// Whether nothing else stands between two offsets.
    [[nodiscard]] bool only_spaces(std::size_t begin, std::size_t end) const;
    /// Where the text of the block scalar begins whose `|` or `>` stands at the offset.
    [[nodiscard]] SourceLocation block_text(std::size_t offset) const;

    /// Whether the quoted text that begins at the offset ends somewhere.
    [[nodiscard]] bool quote_is_closed(std::size_t offset) const;

  private:
    [[nodiscard]] std::size_t line_of(std::size_t offset) const;  ///< counts from 0
    void check_characters() const;
    void check_lines() const;
    void check_directives() const;

    std::string text_;
    std::string file_;
    std::vector<std::size_t> lines_;  ///< offset of the first character of each line

    /// Where where() was asked for last. A parser asks from left to right, and a line may hold
    /// thousands of values: to count from its beginning each time would cost their square.
    struct Asked {
        std::size_t line = 0;
        std::size_t offset = 0;
        std::size_t characters = 0;  ///< before the offset, in its line
    };

    mutable Asked asked_;
};

}  // namespace lockstep::yaml
