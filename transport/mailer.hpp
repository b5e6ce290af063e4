#pragma once

#include "base/deadline.hpp"
#include "base/secret.hpp"

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace lockstep {

/// How one mail server is spoken to. Certificates are verified, always.
struct MailSettings {
    std::string url;                 ///< `smtp://host[:port]` or `smtps://host[:port]`
    bool tls = true;                 ///< of smtp://: STARTTLS, or nothing is sent
    std::string username;            ///< empty: no login
    std::optional<Secret> password;  ///< for username
    std::string ca_file;             ///< empty: the system's authorities
};

struct Mail {
    std::string from;             ///< as those in `to` a plain address of ASCII
    std::vector<std::string> to;  ///< one at least
    std::string subject;          ///< one line of UTF-8
    std::string body;             ///< UTF-8; lines end with \n
};

/// What became of a mail, by the server's last reply (RFC 5321, 4.2.1).
struct MailResult {
    long reply = 250;    ///< 4xx: not now, 5xx: not this way, of the login, too (535)
    std::string reason;  ///< what was refused: "RCPT failed: 550"; empty where it was taken

    [[nodiscard]] bool ok() const { return reason.empty(); }
};

/// Hands mails to a server, one at a time. It is taken by the server for all recipients, or it is
/// not sent at all.
class Mailer {
  public:
    virtual ~Mailer() = default;

    /// Throws TransportError: connect when nothing was sent, also where TLS could not be had;
    /// timeout, lost or cancelled later. Error for a mail that cannot be put into a message: see
    /// mail_message.hpp.
    virtual MailResult send(const Mail& mail, Deadline deadline, std::stop_token stop) = 0;
};

/// The real one, by libcurl. No proxy of the environment is used. A server that has taken a mail
/// and does not answer QUIT may hold the caller for as long as the deadline gave, once more:
/// libcurl says goodbye without looking at anything else (7.88, smtp_disconnect).
[[nodiscard]] std::unique_ptr<Mailer> make_curl_mailer(MailSettings settings);

}  // namespace lockstep
