#include "base/utf8.hpp"
#include "base/yaml_reader.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace lockstep::yaml {

namespace {

bool is_surrogate(char32_t value, char32_t first) {
    return value >= first && value < first + 0x400;
}

/// What stands after the backslash and has no digits.
std::optional<std::string_view> plain_escape(char c) {
    using namespace std::string_view_literals;
    constexpr std::pair<char, std::string_view> k_escapes[] = {
        {'0', "\0"sv},
        {'a', "\a"},
        {'b', "\b"},
        {'t', "\t"},
        {'\t', "\t"},
        {'n', "\n"},
        {'v', "\v"},
        {'f', "\f"},
        {'r', "\r"},
        {'e', "\x1B"},
        {' ', " "},
        {'"', "\""},
        {'/', "/"},
        {'\\', "\\"},
        {'N', "\xC2\x85"},
        {'_', "\xC2\xA0"},
        {'L', "\xE2\x80\xA8"},
        {'P', "\xE2\x80\xA9"},
    };
    for (const auto& [name, meaning] : k_escapes) {
        if (c == name) {
            return meaning;
        }
    }
    return std::nullopt;
}

/// What stands for line breaks in a text whose lines are folded.
std::string folded(std::size_t breaks) {
    return breaks == 1 ? " " : std::string(breaks - 1, '\n');
}

}  // namespace

/// All of a text in quotes or of brackets, the first line of a plain text.
Node Reader::begin_text(long parent, bool flow) {
    const char c = here();
    if (c == '"' || c == '\'') {
        return quoted(parent);
    }
    if (c == '[' || c == '{') {
        return flow_collection(parent);
    }
    const bool is_free = std::string_view("&*!|>@`%#,[]{}\"'").find(c) == std::string_view::npos;
    if (!is_free || is_indicator(pos_, '-', flow) || is_indicator(pos_, '?', flow) ||
        is_indicator(pos_, ':', flow)) {
        refuse_start(flow);
    }
    Node node = make(Node::Kind::scalar, pos_);
    node.text_where = node.where;
    node.text = plain_line(flow);
    return node;
}

void Reader::refuse_start(bool flow) const {
    const char c = here();
    switch (c) {
        case '&': {
            const std::size_t end = text_.find_first_of(" \t\n,[]{}", pos_);
            fail(pos_,
                 "anchors are not allowed: " + text_.substr(pos_, end - pos_),
                 "Write the value out where it is needed; quote a text that begins with &.",
                 "yaml.anchor");
        }
        case '*':
            fail(pos_,
                 "aliases are not allowed",
                 "Write the value out where it is needed; quote a text that begins with *.",
                 "yaml.anchor");
        case '!':
            fail(pos_,
                 "tags are not allowed: YAML reads a word that begins with ! as one",
                 "For a negation write `not a`; quote a text that begins with !.",
                 "yaml.tag");
        case '#':
            refuse_rest();
        case ':':
            refuse_key(source_.where(pos_), false);
        case ',':
        case ']':
        case '}':
            fail(pos_,
                 std::string("a value was expected, not ") + c,
                 flow ? "Between two commas, and before the first, stands a value."
                      : "Quote a text that begins so.");
        default:
            fail(pos_, std::string("a text may not begin with ") + c + " here", "Quote it.");
    }
}

/// To where a comment, a colon or, in brackets, one of them ends it; blanks at the end are none of
/// its own.
std::string_view Reader::plain_line(bool flow) {
    const std::size_t begin = pos_;
    for (std::size_t i = pos_; i < text_.size() && text_[i] != '\n'; ++i) {
        const char c = text_[i];
        if ((c == '#' && i > begin && is_blank(text_[i - 1])) || is_indicator(i, ':', flow) ||
            (flow && is_flow_indicator(c))) {
            break;
        }
        if (!is_blank(c)) {
            pos_ = i + 1;
        }
    }
    return std::string_view(text_).substr(begin, pos_ - begin);
}

void Reader::more_plain_lines(std::string& text, long parent, bool flow) {
    for (;;) {
        skip_blanks();
        if (here() != '\n') {
            return;
        }
        const std::size_t line_end = pos_;
        const Line line = line_;
        std::size_t breaks = 0;
        while (here() == '\n') {
            enter_line(pos_ + 1);
            pos_ = line_.first;
            ++breaks;
        }
        if (at_end() || static_cast<long>(line_.indent) <= parent || here() == '#' ||
            at_document_mark(line_.begin) ||
            (flow && (is_flow_indicator(here()) || is_indicator(pos_, ':', true)))) {
            pos_ = line_end;
            line_ = line;
            return;
        }
        text += folded(breaks);
        text += plain_line(flow);
    }
}

Node Reader::quoted(long parent) {
    const char quote = here();
    Node node = make(Node::Kind::scalar, pos_);
    node.plain = false;
    node.text_where = node.where;
    ++node.text_where.column;
    if (!source_.quote_is_closed(pos_)) {
        fail(pos_, "this quote is never closed", "Everything after it would be part of the text.");
    }
    std::size_t kept = 0;  // what comes after it are blanks, which a line break swallows
    for (++pos_;;) {
        const char c = here();
        if (c == '\n') {
            node.text.resize(kept);
            quoted_break(node.text, parent, false);
        } else if (c == '\\' && quote == '"') {
            escape(node.text, parent);
        } else {
            ++pos_;
            if (c == quote && quote == '\'' && here() == quote) {
                ++pos_;  // two of them are one
            } else if (c == quote) {
                return node;
            }
            node.text += c;
            if (is_blank(c)) {
                continue;
            }
        }
        kept = node.text.size();
    }
}

/// The line break, empty lines and the indentation of the next one.
void Reader::quoted_break(std::string& text, long parent, bool escaped) {
    std::size_t breaks = 0;
    while (here() == '\n') {
        enter_line(pos_ + 1);
        pos_ = line_.first;
        ++breaks;
    }
    if (static_cast<long>(line_.indent) <= parent || at_document_mark(line_.begin)) {
        fail(line_.begin + line_.indent,
             "this line of a text in quotes is indented too little",
             "Indent it with more spaces than what the text belongs to, or close the quote "
             "before.");
    }
    text += escaped ? std::string(breaks - 1, '\n') : folded(breaks);
}

void Reader::escape(std::string& text, long parent) {
    const std::size_t begin = pos_;
    const char name = source_.at(begin + 1);
    pos_ += 2;
    if (name == '\n') {
        --pos_;
        quoted_break(text, parent, true);
    } else if (const auto meaning = plain_escape(name)) {
        text += *meaning;
    } else if (name == 'x' || name == 'u' || name == 'U') {
        char32_t value = escaped_number(begin, name == 'x' ? 2 : name == 'u' ? 4 : 8);
        // JSON writes a character above U+FFFF as two numbers.
        if (name == 'u' && is_surrogate(value, 0xD800) && here() == '\\' &&
            source_.at(pos_ + 1) == 'u') {
            pos_ += 2;
            const char32_t low = escaped_number(begin, 4);
            if (is_surrogate(low, 0xDC00)) {
                value = 0x10000 + ((value - 0xD800) << 10U) + (low - 0xDC00);
            }
        }
        if (value > 0x10FFFF || is_surrogate(value, 0xD800) || is_surrogate(value, 0xDC00)) {
            fail(begin,
                 "this escape names no character",
                 "Half of a pair of \\ud800 to \\udfff says nothing alone.");
        }
        append_utf8(text, value);
    } else {
        fail(begin,
             "YAML has no such escape",
             "In single quotes a backslash is a backslash; in double quotes write \\\\ for one.");
    }
}

char32_t Reader::escaped_number(std::size_t begin, std::size_t digits) {
    std::uint32_t value = 0;
    const char* const first = text_.data() + std::min(pos_, text_.size());
    const char* const last = first + std::min(digits, text_.size() - std::min(pos_, text_.size()));
    const auto [end, error] = std::from_chars(first, last, value, 16);
    if (error != std::errc{} || end != first + digits) {
        fail(begin,
             "an escape of " + std::to_string(digits) + " hexadecimal digits has fewer",
             "Write \\x41, \\u0041 or \\U00000041.");
    }
    pos_ += digits;
    return value;
}

/// `|` keeps line breaks, `>` folds them; after it the indentation and what becomes of the last
/// line breaks.
Node Reader::block_text(long parent) {
    Node node = make(Node::Kind::scalar, pos_);
    node.plain = false;
    node.text_where = source_.block_text(pos_);
    const bool folds = here() == '>';
    char chomping = '\0';
    std::size_t digit = 0;
    for (++pos_;; ++pos_) {
        if (chomping == '\0' && (here() == '+' || here() == '-')) {
            chomping = here();
        } else if (digit == 0 && here() >= '1' && here() <= '9') {
            digit = static_cast<std::size_t>(here() - '0');
        } else {
            break;
        }
    }
    const bool blank = is_blank(here());
    skip_blanks();
    if (here() == '#' && blank) {
        pos_ = std::min(text_.find('\n', pos_), text_.size());
    }
    if (!at_end() && here() != '\n') {
        if (here() == '#') {
            refuse_rest();
        }
        fail(pos_,
             std::string("the text after ") + (folds ? '>' : '|') + " begins on the next line",
             "After it may stand - or +, and the indentation, 1 to 9. Quote a text that begins "
             "so.");
    }
    if (at_end()) {
        return node;
    }
    enter_line(pos_ + 1);
    const std::size_t indent =
        digit > 0 ? static_cast<std::size_t>(std::max(parent, 0L)) + digit : block_indent(parent);
    node.text = block_lines(indent, folds, chomping);
    return node;
}

/// That of the first line which is not empty, if it is more than the parent's.
std::size_t Reader::block_indent(long parent) {
    const auto least = static_cast<std::size_t>(parent + 1);
    std::size_t longest = 0;
    std::size_t its_line = 0;
    for (std::size_t begin = line_.begin; begin < text_.size();) {
        const std::size_t first = std::min(text_.find_first_not_of(' ', begin), text_.size());
        const std::size_t spaces = first - begin;
        if (first < text_.size() && text_[first] != '\n') {
            if (spaces < least || at_document_mark(begin)) {
                break;
            }
            if (longest > spaces) {
                fail(its_line + spaces,
                     "an empty line before the text has more spaces than its first line",
                     "Take them away, or say the indentation after | or >: |2.");
            }
            return spaces;
        }
        if (spaces > longest) {
            longest = spaces;
            its_line = begin;
        }
        begin = first + 1;
    }
    return std::max(least, longest);
}

/// Takes the lines that are indented so far; the reader stands at the next one then.
std::string Reader::block_lines(std::size_t indent, bool folds, char chomping) {
    std::string text;
    std::size_t breaks = 0;  // since the last line that has something
    bool any = false;
    bool was_blank = false;
    std::size_t begin = line_.begin;
    while (begin < text_.size()) {
        const std::size_t first = std::min(text_.find_first_not_of(' ', begin), text_.size());
        const std::size_t spaces = first - begin;
        const bool is_empty = spaces <= indent && (first == text_.size() || text_[first] == '\n');
        if (!is_empty && (spaces < indent || at_document_mark(begin))) {
            if (text_[first] == '\t') {
                refuse_tab(first);
            }
            break;
        }
        const std::size_t end = std::min(text_.find('\n', first), text_.size());
        if (!is_empty) {
            const bool blank = is_blank(text_[begin + indent]);
            const bool joins = folds && any && !was_blank && !blank;
            text += joins ? folded(breaks) : std::string(breaks, '\n');
            text.append(text_, begin + indent, end - begin - indent);
            any = true;
            was_blank = blank;
            breaks = 0;
        }
        if (end < text_.size()) {
            ++breaks;
        }
        begin = end + 1;
    }
    if (chomping == '+') {
        text.append(breaks, '\n');
    } else if (chomping == '\0' && any && breaks > 0) {
        text += '\n';
    }
    enter_line(std::min(begin, text_.size()));
    return text;
}

}  // namespace lockstep::yaml
