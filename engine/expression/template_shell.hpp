#pragma once

#include <string>
#include <string_view>

namespace lockstep {

/// Follows a shell text from left to right, to tell whether a quoted word may be put in at its end.
/// Inside quotes it may not: our own quotes would be plain text there or, worse, end the others,
/// and `"${{ x }}"` would run what x says.
class ShellContext {
  public:
    /// Goes on over a piece of the text.
    void read(std::string_view text);

    /// A quoted word has been put in here.
    void skip_word() { before_ = 'w'; }

    /// What a word would land in: "double quotes", "a here-document", …; empty: it is its own word.
    [[nodiscard]] std::string_view enclosure() const;

  private:
    enum class State {
        plain,
        single_quotes,
        double_quotes,
        backquotes,
        comment,
        delimiter,  ///< the word after `<<`
        here_document,
    };

    void read_character(char c);
    void read_plain(char c);
    void read_quoted(char c, char closing);
    void read_comment_or_document(char c);
    void read_delimiter(char c);
    void read_line_end();

    State state_ = State::plain;
    bool escaped_ = false;  ///< the last character was a backslash that escapes
    char before_ = '\n';    ///< the last character, for `<<` and `#`
    char before_that_ = '\n';
    std::string delimiter_;         ///< of the here-document that has begun or is to begin
    bool awaits_document_ = false;  ///< it begins with the next line
    std::string line_;              ///< of the here-document, as far as it was read
};

}  // namespace lockstep
