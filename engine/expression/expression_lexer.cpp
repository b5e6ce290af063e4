#include "engine/expression/expression_lexer.hpp"

#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace lockstep {

namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool starts_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

int hexadecimal_digit(char c) {
    if (is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

std::string quoted_character(char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7F) {
        return "a character that is not plain text";
    }
    return std::string("'") + c + "'";
}

}  // namespace

SourceLocation location_in(std::string_view text, std::size_t offset, const SourceLocation& start) {
    SourceLocation at = start;
    if (start.line == 0) {
        return at;
    }
    for (const char c : text.substr(0, offset)) {
        if (c == '\n') {
            ++at.line;
            at.column = start.column;  // the lines of a block are indented alike
        } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {  // not inside a character
            ++at.column;
        }
    }
    return at;
}

std::string excerpt(std::string_view text) {
    constexpr std::size_t k_longest = 60;
    std::string line;
    for (const char c : text) {
        const bool inside_character = (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
        if (line.size() >= k_longest && !inside_character) {
            return line + "…";
        }
        if (!is_blank(c)) {
            line += c;
        } else if (!line.empty() && line.back() != ' ') {
            line += ' ';
        }
    }
    return line;
}

void ExpressionLexer::fail(std::size_t offset, const std::string& message, std::string hint) const {
    throw InputError(
        location_in(text_, offset, where_), message, std::move(hint), "runbook.expression");
}

char ExpressionLexer::peek(std::size_t ahead) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
}

void ExpressionLexer::skip_blanks() {
    while (at_ < text_.size()) {
        if (is_blank(text_[at_])) {
            ++at_;
        } else if (text_[at_] == '/' && peek(1) == '/') {
            at_ = std::min(text_.find('\n', at_), text_.size());
        } else {
            return;
        }
    }
}

Token ExpressionLexer::next() {
    skip_blanks();
    const std::size_t begin = at_;
    Token token;
    if (at_ < text_.size()) {
        const char c = text_[at_];
        const char after = peek(1);
        if ((c == 'r' || c == 'R') && (after == '"' || after == '\'')) {
            ++at_;
            token = read_string(true);
        } else if (starts_word(c)) {
            token = read_word();
        } else if (is_digit(c) || (c == '.' && is_digit(after))) {
            token = read_number();
        } else if (c == '"' || c == '\'') {
            token = read_string(false);
        } else {
            token = read_symbol();
        }
    }
    token.begin = begin;
    token.end = at_;
    return token;
}

Token ExpressionLexer::read_word() {
    const std::size_t begin = at_;
    while (starts_word(peek()) || is_digit(peek())) {
        ++at_;
    }
    const std::string_view word = text_.substr(begin, at_ - begin);
    if ((word == "b" || word == "B") && (peek() == '"' || peek() == '\'')) {
        fail(begin, "there are no literals of bytes here", "Write a string without the b.");
    }
    Token token;
    token.kind = Token::Kind::word;
    token.text = word;
    return token;
}

Token ExpressionLexer::read_number() {
    const std::size_t begin = at_;
    if (peek() == '0' && (peek(1) == 'x' || peek(1) == 'X')) {
        return read_hexadecimal();
    }
    const auto skip_digits = [this] {
        while (is_digit(peek())) {
            ++at_;
        }
    };
    Token token;
    token.kind = Token::Kind::integer;
    skip_digits();
    if (peek() == '.' && is_digit(peek(1))) {
        token.kind = Token::Kind::real;
        ++at_;
        skip_digits();
    }
    const std::size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(1 + sign))) {
        token.kind = Token::Kind::real;
        at_ += 1 + sign;
        skip_digits();
    }
    if (starts_word(peek())) {
        fail(begin,
             "a number is followed by letters",
             "Sizes and lengths of time are written bytes('16MB') and duration('2m').");
    }
    const char* const first = text_.data() + begin;
    const char* const last = text_.data() + at_;
    const std::from_chars_result result = token.kind == Token::Kind::real
                                              ? std::from_chars(first, last, token.real)
                                              : std::from_chars(first, last, token.magnitude);
    if (result.ec != std::errc{}) {
        fail(begin, "the number is too large");
    }
    return token;
}

Token ExpressionLexer::read_hexadecimal() {
    const std::size_t begin = at_;
    at_ += 2;
    Token token;
    token.kind = Token::Kind::integer;
    const auto [stop, problem] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), token.magnitude, 16);
    if (problem == std::errc::result_out_of_range) {
        fail(begin, "the number is too large");
    }
    at_ = static_cast<std::size_t>(stop - text_.data());
    if (problem != std::errc{} || starts_word(peek())) {
        fail(begin, "this is not a hexadecimal number");
    }
    return token;
}

Token ExpressionLexer::read_string(bool raw) {
    const std::size_t begin = at_;
    const char quote = text_[at_++];
    Token token;
    token.kind = Token::Kind::string;
    while (true) {
        if (at_ >= text_.size() || text_[at_] == '\n' || text_[at_] == '\r') {
            fail(begin, "the string that starts here is not closed");
        }
        const char c = text_[at_++];
        if (c == quote) {
            return token;
        }
        if (c == '\\' && !raw) {
            read_escape(token.text);
        } else {
            token.text += c;
        }
    }
}

// cel-spec, langdef.md, "String and Bytes Values". The backslash has been read.
void ExpressionLexer::read_escape(std::string& out) {
    constexpr std::string_view k_letters = "abfnrtv\\?\"'`";
    constexpr std::string_view k_meanings = "\a\b\f\n\r\t\v\\?\"'`";
    const std::size_t begin = at_ - 1;
    const char c = peek();
    if (const auto simple = k_letters.find(c); c != '\0' && simple != std::string_view::npos) {
        ++at_;
        out += k_meanings[simple];
        return;
    }
    std::uint32_t code = 0;
    if (c == 'x' || c == 'X') {
        ++at_;
        code = read_code(2, 16);
    } else if (c == 'u' || c == 'U') {
        ++at_;
        code = read_code(c == 'u' ? 4 : 8, 16);
    } else if (c >= '0' && c <= '3') {
        code = read_code(3, 8);
    } else {
        fail(begin,
             "there is no escape \\" + (starts_word(c) ? std::string(1, c) : std::string()),
             R"(A backslash itself is written \\, or the string r'…'.)");
    }
    const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
    if (surrogate || code > 0x10FFFF) {
        fail(begin, "this escape is not a character");
    }
    append_utf8(out, code);
}

std::uint32_t ExpressionLexer::read_code(int digits, std::uint32_t base) {
    const std::size_t begin = at_;
    std::uint32_t code = 0;
    for (int n = 0; n < digits; ++n) {
        const int digit = hexadecimal_digit(peek());
        if (digit < 0 || static_cast<std::uint32_t>(digit) >= base) {
            fail(begin, "this escape needs " + std::to_string(digits) + " digits");
        }
        code = code * base + static_cast<std::uint32_t>(digit);
        ++at_;
    }
    return code;
}

Token ExpressionLexer::read_symbol() {
    constexpr std::array<std::string_view, 6> k_double = {"&&", "||", "==", "!=", "<=", ">="};
    constexpr std::string_view k_single = "!<>+-*/%?:.,()[]{}|";
    Token token;
    token.kind = Token::Kind::symbol;
    for (const std::string_view symbol : k_double) {
        if (text_.substr(at_, symbol.size()) == symbol) {
            token.text = symbol;
        }
    }
    const char c = text_[at_];
    if (token.text.empty() && k_single.find(c) != std::string_view::npos) {
        token.text = c;
    }
    if (token.text.empty()) {
        std::string hint;
        if (c == '=') {
            hint = "Equality is written ==.";
        } else if (c == '&') {
            hint = "\"And\" is written && or and.";
        }
        fail(at_, quoted_character(c) + " means nothing here", std::move(hint));
    }
    at_ += token.text.size();
    return token;
}

}  // namespace lockstep
