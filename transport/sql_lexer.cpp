#include "base/error.hpp"
#include "transport/psql_script.hpp"

#include <algorithm>
#include <cctype>

namespace lockstep {

namespace {

bool is_word(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return std::isalnum(byte) != 0 || c == '_' || byte >= 0x80;
}

/// Walks over SQL as psql does (PostgreSQL 15, psqlscan.l), as far as it takes to know where a
/// statement ends.
class Lexer {
  public:
    explicit Lexer(std::string_view text) : text_(text) {}

    std::string statement() {
        while (at_ < text_.size()) {
            step();
        }
        if (end_ == 0) {
            throw Error("the SQL text has no statement");
        }
        return std::string(text_.substr(0, end_));
    }

  private:
    void step() {
        const char c = text_[at_];
        if (std::isspace(static_cast<unsigned char>(c)) != 0) {
            ++at_;
        } else if (starts_with("--")) {
            at_ = std::min(text_.find('\n', at_), text_.size());
        } else if (starts_with("/*")) {
            skip_comment();
        } else if (c == ';') {
            closed_ = closed_ || end_ != 0;
            ++at_;
        } else {
            take_token(c);
            end_ = at_;
        }
    }

    void take_token(char c) {
        if (closed_) {
            throw Error("the SQL text has more than one statement",
                        "Give each statement a step of its own.");
        }
        if (c == '\\') {
            throw Error("the SQL text has a backslash outside of quotes",
                        "Commands of psql cannot be used here.");
        }
        if (c == '\'' || c == '"') {
            skip_quoted(c, c == '\'' && is_escape_string());
        } else if (c != '$' || !skip_dollar_quoted()) {
            ++at_;
        }
    }

    [[nodiscard]] bool starts_with(std::string_view wanted) const {
        return text_.substr(at_).starts_with(wanted);
    }

    /// Whether the quote at hand belongs to E'…'.
    [[nodiscard]] bool is_escape_string() const {
        return at_ > 0 && (text_[at_ - 1] == 'E' || text_[at_ - 1] == 'e') &&
               (at_ == 1 || (!is_word(text_[at_ - 2]) && text_[at_ - 2] != '$'));
    }

    void skip_quoted(char quote, bool escapes) {
        for (++at_; at_ < text_.size(); ++at_) {
            if (escapes && text_[at_] == '\\') {
                ++at_;
            } else if (text_[at_] == quote) {
                // A doubled quote is read as two strings side by side, which ends the same.
                ++at_;
                return;
            }
        }
        throw Error("the SQL text has a quote that is not closed");
    }

    /// `$tag$ … $tag$`; false for `$1` and other uses of the dollar sign.
    bool skip_dollar_quoted() {
        if (at_ > 0 && is_word(text_[at_ - 1])) {
            return false;
        }
        std::size_t end = at_ + 1;
        while (end < text_.size() && is_word(text_[end])) {
            ++end;
        }
        const bool digit =
            end > at_ + 1 && std::isdigit(static_cast<unsigned char>(text_[at_ + 1])) != 0;
        if (end >= text_.size() || text_[end] != '$' || digit) {
            return false;
        }
        const std::string_view tag = text_.substr(at_, end + 1 - at_);
        const std::size_t close = text_.find(tag, end + 1);
        if (close == std::string_view::npos) {
            throw Error("the SQL text has a dollar quote that is not closed");
        }
        at_ = close + tag.size();
        return true;
    }

    /// Comments nest.
    void skip_comment() {
        int depth = 0;
        do {
            if (at_ >= text_.size()) {
                throw Error("the SQL text has a comment that is not closed");
            }
            const bool opens = starts_with("/*");
            const bool closes = starts_with("*/");
            depth += (opens ? 1 : 0) - (closes ? 1 : 0);
            at_ += opens || closes ? 2 : 1;
        } while (depth > 0);
    }

    std::string_view text_;
    std::size_t at_ = 0;
    std::size_t end_ = 0;  // after the last token of the statement
    bool closed_ = false;  // a semicolon came
};

}  // namespace

std::string single_statement(std::string_view text) {
    if (text.find('\0') != std::string_view::npos) {
        throw Error("the SQL text has a NUL byte");
    }
    return Lexer(text).statement();
}

std::string sql_literal(std::string_view text) {
    std::string body;
    bool escaped = false;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '\0') {
            throw Error("a parameter with a NUL byte cannot be sent to PostgreSQL");
        }
        if (c == '\'') {
            body += "''";
        } else if (c == '\\') {
            body += "\\\\";
            escaped = true;
        } else if (byte < 0x20 || byte == 0x7f) {
            body += {'\\',
                     static_cast<char>('0' + byte / 64),
                     static_cast<char>('0' + byte / 8 % 8),
                     static_cast<char>('0' + byte % 8)};
            escaped = true;
        } else {
            body += c;
        }
    }
    return (escaped ? " E'" : "'") + body + "'";
}

}  // namespace lockstep
