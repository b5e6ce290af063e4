#pragma once

#include "transport/mailer.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace lockstep {

/// The message of a mail as SMTP carries it: header and body with CRLF (RFC 5322), the body
/// quoted-printable UTF-8 (RFC 2045, 6.7), in lines of 76 characters at most. `id` makes its
/// Message-ID, with the sender's domain. Throws Error where an address or the subject could become
/// a header field of its own, or more than one address.
[[nodiscard]] std::string compose_message(const Mail& mail,
                                          std::chrono::system_clock::time_point at,
                                          std::string_view id);

/// A subject as it is, where that is short ASCII, else as encoded words (RFC 2047).
[[nodiscard]] std::string encode_subject(const std::string& subject);
[[nodiscard]] std::string encode_quoted_printable(std::string_view text);

/// An address without a name, brackets, white space, or anything that is not ASCII.
[[nodiscard]] bool is_plain_address(std::string_view address);

}  // namespace lockstep
