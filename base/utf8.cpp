#include "base/utf8.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace lockstep {

namespace {

unsigned byte_at(std::string_view text, std::size_t offset) {
    return static_cast<unsigned char>(text[offset]);
}

}  // namespace

CodePoint decode_utf8(std::string_view text, std::size_t offset) {
    const unsigned first = byte_at(text, offset);
    if (first < 0x80) {
        return {static_cast<char32_t>(first), 1};
    }
    const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
    if (first < 0xC2 || first > 0xF4 || offset + length > text.size()) {
        return {};
    }
    char32_t value = first & (0xFFU >> (length + 1));
    for (std::size_t i = 1; i < length; ++i) {
        if (!is_continuation(text[offset + i])) {
            return {};
        }
        value = (value << 6U) | (byte_at(text, offset + i) & 0x3FU);
    }
    constexpr std::array<char32_t, 5> k_smallest{0, 0, 0x80, 0x800, 0x10000};
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    if (value < k_smallest.at(length) || value > 0x10FFFF || surrogate) {
        return {};
    }
    return {value, length};
}

void append_utf8(std::string& text, char32_t code) {
    const auto add = [&text](char32_t byte) { text += static_cast<char>(byte); };
    const auto add_rest = [&](unsigned shift) { add(0x80U | ((code >> shift) & 0x3FU)); };
    if (code < 0x80) {
        add(code);
    } else if (code < 0x800) {
        add(0xC0U | (code >> 6U));
        add_rest(0);
    } else if (code < 0x10000) {
        add(0xE0U | (code >> 12U));
        add_rest(6);
        add_rest(0);
    } else {
        add(0xF0U | (code >> 18U));
        add_rest(12);
        add_rest(6);
        add_rest(0);
    }
}

bool is_hidden(char32_t c) {
    constexpr std::array<std::pair<char32_t, char32_t>, 17> k_ranges{{{0x00, 0x1F},
                                                                      {0x7F, 0x9F},  // 9B is ESC [
                                                                      {0xAD, 0xAD},
                                                                      {0x34F, 0x34F},
                                                                      {0x61C, 0x61C},
                                                                      {0x115F, 0x1160},
                                                                      {0x17B4, 0x17B5},
                                                                      {0x180B, 0x180F},
                                                                      {0x200B, 0x200F},
                                                                      {0x2028, 0x202E},
                                                                      {0x2060, 0x206F},
                                                                      {0x3164, 0x3164},
                                                                      {0xFEFF, 0xFEFF},
                                                                      {0xFFA0, 0xFFA0},
                                                                      {0xFFF9, 0xFFFB},
                                                                      {0x1D173, 0x1D17A},
                                                                      {0xE0000, 0xE0FFF}}};
    return std::ranges::any_of(
        k_ranges, [c](const auto& range) { return c >= range.first && c <= range.second; });
}

std::string without_hidden(std::string_view text, std::string_view kept) {
    std::string safe;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = decode_utf8(text, at);
        const bool keep = kept.find(text[at]) != std::string_view::npos;
        if (c.length == 0 || (is_hidden(c.value) && !keep)) {
            safe += '?';
        } else {
            safe += text.substr(at, c.length);
        }
        at += std::max<std::size_t>(c.length, 1);
    }
    return safe;
}

std::string as_utf8(std::string_view text, std::string_view mark) {
    std::string valid;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = decode_utf8(text, at).length;
        valid += length == 0 ? mark : text.substr(at, length);
        at += length == 0 ? 1 : length;
    }
    return valid;
}

}  // namespace lockstep
