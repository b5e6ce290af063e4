#include "transport/mail_message.hpp"

#include "base/error.hpp"
#include "transport/encoding.hpp"

#include <algorithm>
#include <array>
#include <ctime>

namespace lockstep {

namespace {

constexpr std::size_t k_longest_line = 76;
constexpr std::size_t k_longest_plain_subject = 200;
// 39 bytes are 52 characters of base64: with `Subject: =?UTF-8?B?` and `?=` 73 of the 76 that a
// line with an encoded word may have.
constexpr std::size_t k_bytes_per_word = 39;

bool is_continuation(char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

bool is_printable(char c) {
    return c >= ' ' && c <= '~';
}

/// The names of days and months are English whatever the locale is, so not by strftime().
std::string date_text(std::chrono::system_clock::time_point at) {
    constexpr std::array k_days{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    constexpr std::array k_months{
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds = std::chrono::system_clock::to_time_t(at);
    std::tm utc{};
    ::gmtime_r(&seconds, &utc);
    const auto two = [](int number) { return (number < 10 ? "0" : "") + std::to_string(number); };
    return std::string(k_days.at(static_cast<std::size_t>(utc.tm_wday))) + ", " +
           std::to_string(utc.tm_mday) + " " + k_months.at(static_cast<std::size_t>(utc.tm_mon)) +
           " " + std::to_string(utc.tm_year + 1900) + " " + two(utc.tm_hour) + ":" +
           two(utc.tm_min) + ":" + two(utc.tm_sec) + " +0000";
}

std::string hex_of(char c) {
    constexpr std::string_view k_digits = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    return {'=', k_digits[byte >> 4U], k_digits[byte & 0xFU]};
}

void refuse_broken(const Mail& mail) {
    if (!is_plain_address(mail.from) || !std::ranges::all_of(mail.to, is_plain_address)) {
        throw Error("a mail address that is not plain cannot be written to",
                    "Use dba@example.com: ASCII, without a name or brackets.");
    }
    if (mail.to.empty()) {
        throw Error("a mail without a recipient cannot be sent");
    }
    if (mail.subject.find_first_of("\r\n") != std::string::npos) {
        throw Error("a mail subject with a line end cannot be sent");
    }
}

}  // namespace

bool is_plain_address(std::string_view address) {
    const std::size_t at = address.find('@');
    return at != std::string_view::npos && at > 0 && at + 1 < address.size() &&
           address.find('@', at + 1) == std::string_view::npos &&
           std::ranges::all_of(address, [](char c) {
               return c > ' ' && c <= '~' &&
                      std::string_view("<>()[]\\,;:\"").find(c) == std::string_view::npos;
           });
}

std::string encode_subject(const std::string& subject) {
    if (subject.size() <= k_longest_plain_subject && std::ranges::all_of(subject, is_printable) &&
        subject.find("=?") == std::string::npos) {
        return subject;
    }
    std::string words;
    for (std::size_t begin = 0; begin < subject.size();) {
        std::size_t end = std::min(begin + k_bytes_per_word, subject.size());
        // A character must not be cut in two; what is no UTF-8 may be all continuation.
        while (end < subject.size() && end > begin + k_bytes_per_word - 4 &&
               is_continuation(subject[end])) {
            --end;
        }
        words += (words.empty() ? "" : "\r\n ") + std::string("=?UTF-8?B?") +
                 base64_encode(std::string_view(subject).substr(begin, end - begin)) + "?=";
        begin = end;
    }
    return words;
}

std::string encode_quoted_printable(std::string_view text) {
    std::string out;
    std::size_t column = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (c == '\n') {
            out += "\r\n";
            column = 0;
            continue;
        }
        const bool ends_line = i + 1 == text.size() || text[i + 1] == '\n';
        const bool as_it_is = is_printable(c) && c != '=' && !(c == ' ' && ends_line);
        const std::string piece = as_it_is ? std::string(1, c) : hex_of(c);
        if (column + piece.size() + (ends_line ? 0 : 1) > k_longest_line) {
            out += "=\r\n";
            column = 0;
        }
        out += piece;
        column += piece.size();
    }
    return out;
}

std::string compose_message(const Mail& mail,
                            std::chrono::system_clock::time_point at,
                            std::string_view id) {
    refuse_broken(mail);
    std::string to;
    for (const std::string& address : mail.to) {
        to += (to.empty() ? "" : ",\r\n ") + address;  // a line each: 998 characters are the limit
    }
    // Auto-Submitted: nobody's holiday answer is wanted (RFC 3834).
    return "From: " + mail.from + "\r\nTo: " + to + "\r\nSubject: " + encode_subject(mail.subject) +
           "\r\nDate: " + date_text(at) + "\r\nMessage-ID: <" + std::string(id) +
           mail.from.substr(mail.from.find('@')) +
           ">\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n"
           "Content-Transfer-Encoding: quoted-printable\r\nAuto-Submitted: auto-generated\r\n\r\n" +
           encode_quoted_printable(mail.body) + "\r\n";
}

}  // namespace lockstep
