#include "engine/expression/template_shell.hpp"

namespace lockstep {

namespace {

bool ends_word(char c) {
    constexpr std::string_view k_ends = " \t\n;&|()<>";
    return k_ends.find(c) != std::string_view::npos;
}

}  // namespace

void ShellContext::read(std::string_view text) {
    for (const char c : text) {
        const bool was_escaped = escaped_;
        escaped_ = false;
        if (!was_escaped) {
            read_character(c);
        }
        before_that_ = before_;
        before_ = was_escaped ? '\\' : c;
    }
}

void ShellContext::read_character(char c) {
    switch (state_) {
        case State::single_quotes:
            state_ = c == '\'' ? State::plain : state_;
            break;
        case State::double_quotes:
            read_quoted(c, '"');
            break;
        case State::backquotes:
            read_quoted(c, '`');
            break;
        case State::comment:
        case State::here_document:
            read_comment_or_document(c);
            break;
        case State::delimiter:
            read_delimiter(c);
            break;
        case State::plain:
            read_plain(c);
            break;
    }
}

void ShellContext::read_quoted(char c, char closing) {
    escaped_ = c == '\\';
    if (c == closing) {
        state_ = State::plain;
    }
}

void ShellContext::read_comment_or_document(char c) {
    if (c == '\n') {
        read_line_end();
    } else if (state_ == State::here_document) {
        line_ += c;
    }
}

void ShellContext::read_plain(char c) {
    switch (c) {
        case '\\':
            escaped_ = true;
            break;
        case '\'':
            state_ = State::single_quotes;
            break;
        case '"':
            state_ = State::double_quotes;
            break;
        case '`':
            state_ = State::backquotes;
            break;
        case '#':
            state_ = ends_word(before_) ? State::comment : state_;
            break;
        case '<':
            if (before_ == '<' && before_that_ != '<') {
                state_ = State::delimiter;
                delimiter_.clear();
            }
            break;
        case '\n':
            read_line_end();
            break;
        default:
            break;
    }
}

void ShellContext::read_delimiter(char c) {
    constexpr std::string_view k_not_part = "'\"\\";
    if (delimiter_.empty() && (c == ' ' || c == '\t' || c == '-')) {
        return;
    }
    if (!ends_word(c)) {
        if (k_not_part.find(c) == std::string_view::npos) {
            delimiter_ += c;
        }
        return;
    }
    // `<<<` and the shift of `$((1 << 4))` have no document.
    awaits_document_ = delimiter_.find_first_not_of("0123456789") != std::string::npos;
    state_ = State::plain;
    read_plain(c);
}

void ShellContext::read_line_end() {
    if (state_ == State::here_document) {
        const auto first = line_.find_first_not_of('\t');  // `<<-` takes tabs off
        const bool ends = first != std::string::npos && line_.substr(first) == delimiter_;
        state_ = ends ? State::plain : State::here_document;
        line_.clear();
        return;
    }
    state_ = awaits_document_ ? State::here_document : State::plain;
    awaits_document_ = false;
}

std::string_view ShellContext::enclosure() const {
    switch (state_) {
        case State::single_quotes:
            return "single quotes";
        case State::double_quotes:
            return "double quotes";
        case State::backquotes:
            return "backquotes";
        case State::here_document:
            return "a here-document";
        case State::delimiter:
            return "the delimiter of a here-document";
        case State::comment:
            return "a comment";
        case State::plain:
            break;
    }
    if (escaped_) {
        return "an escape";
    }
    return before_ == '$' ? "a $, which gives quotes another meaning" : "";
}

}  // namespace lockstep
