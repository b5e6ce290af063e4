#pragma once

#include "base/error.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace lockstep {

/// The place of `text[offset]`, if `start` is that of `text[0]`. Columns count characters. Lines
/// begin in the column of the first, as those of a YAML block do.
[[nodiscard]] SourceLocation location_in(std::string_view text,
                                         std::size_t offset,
                                         const SourceLocation& start);

/// The beginning of a text on one line, for messages.
[[nodiscard]] std::string excerpt(std::string_view text);

/// The smallest piece of an expression that means something.
struct Token {
    enum class Kind { end, word, integer, real, string, symbol };

    Kind kind = Kind::end;
    std::string text;             ///< the word, the symbol, or the string with its escapes resolved
    std::uint64_t magnitude = 0;  ///< of an integer: its minus is an operator of its own
    double real = 0;
    std::size_t begin = 0;  ///< offset of its first character
    std::size_t end = 0;    ///< offset after its last one

    [[nodiscard]] bool is(std::string_view symbol) const {
        return kind == Kind::symbol && text == symbol;
    }

    [[nodiscard]] bool is_word(std::string_view word) const {
        return kind == Kind::word && text == word;
    }
};

/// Cuts an expression into tokens (cel-spec, langdef.md, "Syntax"). It does not own the text.
class ExpressionLexer {
  public:
    /// Starts at `offset`; `where` is the place of `text[0]`, as for every position in here.
    ExpressionLexer(std::string_view text, const SourceLocation& where, std::size_t offset = 0)
        : text_(text), where_(where), at_(offset) {}

    /// Kind `end` after the last one. Throws InputError for what is no token.
    [[nodiscard]] Token next();

    [[noreturn]] void fail(std::size_t offset,
                           const std::string& message,
                           std::string hint = {}) const;

  private:
    void skip_blanks();
    [[nodiscard]] char peek(std::size_t ahead = 0) const;
    [[nodiscard]] Token read_word();
    [[nodiscard]] Token read_number();
    [[nodiscard]] Token read_hexadecimal();
    [[nodiscard]] Token read_string(bool raw);
    [[nodiscard]] Token read_symbol();
    void read_escape(std::string& out);
    [[nodiscard]] std::uint32_t read_code(int digits, std::uint32_t base);

    std::string_view text_;
    SourceLocation where_;
    std::size_t at_;
};

}  // namespace lockstep
