#include "base/yaml_source.hpp"

#include "base/unique_fd.hpp"
#include "base/utf8.hpp"
#include "base/yaml.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <system_error>

namespace lockstep::yaml {

namespace {

constexpr std::size_t k_max_bytes = std::size_t{4} * 1024 * 1024;
// yaml-cpp 0.7 keeps all tokens of a line in memory before it reports the first: some 230 bytes
// for each bracket. A line of 64 KiB bounds that at 15 MB.
constexpr std::size_t k_max_line = std::size_t{64} * 1024;

std::string hex(char32_t value) {
    constexpr std::string_view k_digits = "0123456789ABCDEF";
    std::string text;
    for (unsigned shift = value > 0xFFFF ? 20 : 12;; shift -= 4) {
        text += k_digits[(value >> shift) & 0xFU];
        if (shift == 0) {
            return "U+" + text;
        }
    }
}

/// Why a character may not stand in a file, or nothing.
std::optional<std::string> objection(char32_t c) {
    if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7F || (c >= 0x80 && c < 0xA0 && c != 0x85)) {
        return "the control character " + hex(c) + " is not allowed";
    }
    if (c == 0x85 || c == 0x2028 || c == 0x2029) {
        return "the character " + hex(c) + " is a line break to some readers and not to others";
    }
    // CVE-2021-42574: with these a text is shown in another order than it is read.
    if ((c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069)) {
        return "the character " + hex(c) + " changes the order in which a text is shown";
    }
    if (c == 0xFEFF) {
        return "a byte order mark in the middle of the text";
    }
    return std::nullopt;
}

std::string uniform(std::string_view text) {
    constexpr std::string_view k_byte_order_mark = "\xEF\xBB\xBF";
    if (text.starts_with(k_byte_order_mark)) {
        text.remove_prefix(k_byte_order_mark.size());
    }
    std::string result;
    result.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') {
            continue;
        }
        result += text[i];
    }
    return result;
}

[[noreturn]] void fail_too_large(const std::string& file) {
    throw InputError({file, 0, 0},
                     "larger than " + std::to_string(k_max_bytes / 1024 / 1024) + " MiB",
                     "Is this the right file?",
                     "yaml.limit");
}

std::string reason(int error) {
    return std::generic_category().message(error);
}

}  // namespace

Source::Source(std::string_view text, std::string file_name) : file_(std::move(file_name)) {
    if (text.size() > k_max_bytes) {
        fail_too_large(file_);
    }
    text_ = uniform(text);
    lines_.push_back(0);
    for (std::size_t i = 0; i < text_.size(); ++i) {
        if (text_[i] == '\n') {
            lines_.push_back(i + 1);
        }
    }
    check_lines();
    check_directives();
    check_characters();
}

std::size_t Source::line_of(std::size_t offset) const {
    const auto next = std::upper_bound(lines_.begin(), lines_.end(), offset);
    return static_cast<std::size_t>(next - lines_.begin()) - 1;
}

SourceLocation Source::where(std::size_t offset) const {
    offset = std::min(offset, text_.size());
    const std::size_t line = line_of(offset);
    if (asked_.line != line || asked_.offset > offset) {
        asked_ = {line, lines_[line], 0};
    }
    const std::string_view since =
        std::string_view(text_).substr(asked_.offset, offset - asked_.offset);
    const auto more =
        std::count_if(since.begin(), since.end(), [](char c) { return !is_continuation(c); });
    asked_ = {line, offset, asked_.characters + static_cast<std::size_t>(more)};
    return {file_, static_cast<int>(line + 1), static_cast<int>(asked_.characters + 1)};
}

bool Source::only_spaces(std::size_t begin, std::size_t end) const {
    return std::min(text_.find_first_not_of(' ', begin), text_.size()) >= end;
}

bool Source::indented_with_tab(std::size_t offset) const {
    const std::size_t begin = lines_[line_of(offset)];
    const std::size_t end = text_.find_first_not_of(" \t", begin);
    return std::string_view(text_).substr(begin, end - begin).find('\t') != std::string_view::npos;
}

SourceLocation Source::block_text(std::size_t offset) const {
    const std::size_t header_end = text_.find('\n', offset);
    const std::size_t first = text_.find_first_not_of(" \n", header_end);
    return where(first == std::string::npos ? offset : first);
}

bool Source::quote_is_closed(std::size_t offset) const {
    const char quote = text_[offset];
    for (std::size_t i = offset + 1; i < text_.size(); ++i) {
        const bool escape =
            quote == '"' ? text_[i] == '\\' : text_[i] == quote && at(i + 1) == quote;
        if (escape) {
            ++i;
        } else if (text_[i] == quote) {
            return true;
        }
    }
    return false;
}

void Source::check_lines() const {
    for (std::size_t i = 0; i < lines_.size(); ++i) {
        const std::size_t end = i + 1 < lines_.size() ? lines_[i + 1] : text_.size();
        if (end - lines_[i] > k_max_line) {
            throw InputError({file_, static_cast<int>(i + 1), 1},
                             "a line longer than " + std::to_string(k_max_line / 1024) + " KiB",
                             "Break it: a quoted text, or one after > or |, may span lines.",
                             "yaml.limit");
        }
    }
}

void Source::check_directives() const {
    // They stand before everything but comments and empty lines.
    for (const std::size_t line : lines_) {
        const std::size_t first = std::min(text_.find_first_not_of(' ', line), text_.size());
        if (at(first) == '%') {
            throw InputError(where(first),
                             "directives are not allowed",
                             "Remove the line: the file is read as YAML 1.2.",
                             "yaml.directive");
        }
        if (at(first) != '#' && at(first) != '\n') {
            return;
        }
    }
}

void Source::check_characters() const {
    for (std::size_t i = 0; i < text_.size();) {
        const CodePoint c = decode_utf8(text_, i);
        if (c.length == 0) {
            throw InputError(
                where(i), "this is not UTF-8", "Save the file as UTF-8.", "yaml.encoding");
        }
        if (c.value == '\r') {
            throw InputError(where(i),
                             "a carriage return without a line feed",
                             "End lines with LF or CRLF; write \"\\r\" for the character.",
                             "yaml.encoding");
        }
        if (const auto why = objection(c.value)) {
            throw InputError(where(i),
                             *why,
                             "In double quotes it can be written as an escape.",
                             "yaml.encoding");
        }
        i += c.length;
    }
}

namespace {

/// In the words of ssh, which does so with its configuration.
void refuse_shared(int fd, const std::string& path, FoundBy by, const std::string& allowed_by) {
    const std::string who = who_else_may_write(fd, path, by);
    if (who.empty()) {
        return;
    }
    const std::string mend =
        "It can have things done in your name: take the right from them "
        "(chmod go-w), or use a file of your own.";
    const std::string anyway = by == FoundBy::luck
                                   ? " Where that is wanted, name it, and add " + allowed_by + "."
                                   : " It is used all the same with " + allowed_by + ".";
    throw InputError({path, 0, 0},
                     "is not used: " + who,
                     mend + (allowed_by.empty() ? "" : anyway),
                     "file.shared");
}

}  // namespace

std::string read_text(const std::string& path,
                      std::optional<FoundBy> only_ours,
                      const std::string& allowed_by) {
    const SourceLocation where{path, 0, 0};
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status)) {
        const bool missing = !error || error == std::errc::no_such_file_or_directory;
        throw InputError(where,
                         missing ? "no such file" : "cannot be read: " + error.message(),
                         "Check the path, and from which folder it counts.",
                         "file.unreadable");
    }
    if (std::filesystem::is_directory(status)) {
        throw InputError(where, "is a directory", "Name a file in it.", "file.unreadable");
    }
    // A pipe that somebody put there would keep us waiting for whoever writes to it.
    const int no_wait = only_ours == FoundBy::luck ? O_NONBLOCK : 0;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC | no_wait));
    if (!fd) {
        throw InputError(
            where, "cannot be read: " + reason(errno), "Check its permissions.", "file.unreadable");
    }
    if (only_ours) {
        refuse_shared(fd.get(), path, *only_ours, allowed_by);
    }
    std::string text(k_max_bytes + 1, '\0');
    std::size_t length = 0;
    while (length < text.size()) {
        const ssize_t count = ::read(fd.get(), text.data() + length, text.size() - length);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            throw InputError(
                where, "cannot be read: " + reason(errno), "Check the disk.", "file.unreadable");
        }
        if (count == 0) {
            break;
        }
        length += static_cast<std::size_t>(count);
    }
    text.resize(length);
    if (text.size() > k_max_bytes) {
        fail_too_large(path);
    }
    return text;
}

}  // namespace lockstep::yaml
