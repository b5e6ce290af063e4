#include "base/error.hpp"
#include "transport/curl_transfer.hpp"
#include "transport/encoding.hpp"
#include "transport/mail_message.hpp"
#include "transport/mailer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <string_view>

namespace lockstep {

namespace {

using curl::set;
using curl::set_if;
using Kind = TransportError::Kind;

/// What the read callback gives away.
struct Unsent {
    std::string_view text;
};

std::size_t give_message(char* to, std::size_t size, std::size_t count, void* from) noexcept {
    auto* unsent = static_cast<Unsent*>(from);
    const std::size_t length = std::min(size * count, unsent->text.size());
    std::memcpy(to, unsent->text.data(), length);
    unsent->text.remove_prefix(length);
    return length;
}

/// What a server says is not for us to read, and not for curl to print.
std::size_t drop(char* /*data*/, std::size_t size, std::size_t count, void* /*to*/) noexcept {
    return size * count;
}

/// One mail on its way.
class Delivery {
  public:
    Delivery(CURLM* multi, const MailSettings& settings, const Mail& mail)
        : multi_(multi),
          settings_(settings),
          message_(compose_message(mail, std::chrono::system_clock::now(), random_hex(16))),
          unsent_{message_},
          easy_(curl::new_easy()) {
        set_connection();
        set_envelope(mail);
        ::curl_multi_add_handle(multi_, easy_.get());
    }

    ~Delivery() { ::curl_multi_remove_handle(multi_, easy_.get()); }

    Delivery(const Delivery&) = delete;
    Delivery& operator=(const Delivery&) = delete;
    Delivery(Delivery&&) = delete;
    Delivery& operator=(Delivery&&) = delete;

    MailResult run(Deadline deadline, const std::stop_token& stop) {
        // Also how long libcurl waits for the answer to its QUIT; whole seconds.
        const auto patience = std::chrono::ceil<std::chrono::seconds>(deadline.remaining());
        set(easy_.get(),
            CURLOPT_SERVER_RESPONSE_TIMEOUT,
            std::max(1L, static_cast<long>(patience.count())));
        const curl::End end = curl::run(multi_, easy_.get(), deadline, stop);
        if (end.kind == curl::End::Kind::cancelled) {
            fail(Kind::cancelled, "cancelled");
        }
        if (end.kind == curl::End::Kind::expired) {
            fail(is_connected() ? Kind::timeout : Kind::connect, "no answer in time");
        }
        return end.code == CURLE_OK ? MailResult{} : result_of(end.code);
    }

  private:
    void set_connection() {
        CURL* easy = easy_.get();
        set(easy, CURLOPT_NOSIGNAL, 1L);
        set(easy, CURLOPT_NOPROXY, "*");
        set(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
        set(easy, CURLOPT_FRESH_CONNECT, 1L);
        set(easy, CURLOPT_FORBID_REUSE, 1L);
        set(easy, CURLOPT_ERRORBUFFER, error_.data());
        set(easy, CURLOPT_WRITEFUNCTION, &drop);
        set(easy, CURLOPT_URL, settings_.url.c_str());
        // ALL and not TRY: a server that offers no STARTTLS, or somebody in between who takes the
        // offer out, gets neither login nor mail.
        set(easy,
            CURLOPT_USE_SSL,
            static_cast<long>(settings_.tls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
        set(easy, CURLOPT_SSL_VERIFYPEER, 1L);
        set(easy, CURLOPT_SSL_VERIFYHOST, 2L);
        set_if(easy, CURLOPT_CAINFO, settings_.ca_file);
        if (!settings_.username.empty()) {
            set(easy, CURLOPT_USERNAME, settings_.username.c_str());
            set(easy,
                CURLOPT_PASSWORD,
                settings_.password ? settings_.password->reveal().c_str() : "");
        }
    }

    void set_envelope(const Mail& mail) {
        CURL* easy = easy_.get();
        set(easy, CURLOPT_MAIL_FROM, ("<" + mail.from + ">").c_str());
        for (const std::string& address : mail.to) {
            curl::append(recipients_, "<" + address + ">");
        }
        set(easy, CURLOPT_MAIL_RCPT, recipients_.get());
        set(easy, CURLOPT_UPLOAD, 1L);
        set(easy, CURLOPT_READFUNCTION, &give_message);
        set(easy, CURLOPT_READDATA, static_cast<void*>(&unsent_));
        set(easy, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(message_.size()));
    }

    [[nodiscard]] bool is_connected() const {
        curl_off_t after = 0;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_CONNECT_TIME_T, &after);
        return after > 0;
    }

    /// A reply that says no is a result; all else is an exception.
    [[nodiscard]] MailResult result_of(CURLcode code) const {
        const std::string reason =
            error_.front() == '\0' ? ::curl_easy_strerror(code) : error_.data();
        if (code == CURLE_USE_SSL_FAILED) {
            fail(Kind::connect,
                 "the server offers no STARTTLS",
                 "Use smtps:// where the server speaks TLS from the start, or say tls: none.");
        }
        if (curl::is_before_request(code)) {
            fail(Kind::connect, reason, curl::hint_for(code, reason, {}, false));
        }
        if (code == CURLE_OPERATION_TIMEDOUT) {
            fail(is_connected() ? Kind::timeout : Kind::connect, reason);
        }
        long reply = 0;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &reply);
        if (reply >= 400) {
            return {reply, reason};
        }
        fail(code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_LOGIN_DENIED ? Kind::protocol
                                                                            : Kind::lost,
             reason);
    }

    [[noreturn]] void fail(Kind kind, const std::string& reason, std::string hint = {}) const {
        throw TransportError(kind, settings_.url + ": " + reason, std::move(hint));
    }

    CURLM* multi_;
    const MailSettings& settings_;
    const std::string message_;
    Unsent unsent_;
    std::array<char, CURL_ERROR_SIZE> error_{};
    curl::List recipients_;
    curl::Easy easy_;
};

class CurlMailer final : public Mailer {
  public:
    explicit CurlMailer(MailSettings settings)
        : settings_(std::move(settings)), multi_(curl::new_multi()) {}

    MailResult send(const Mail& mail, Deadline deadline, std::stop_token stop) override {
        return Delivery(multi_.get(), settings_, mail).run(deadline, stop);
    }

  private:
    MailSettings settings_;
    curl::Multi multi_;
};

}  // namespace

std::unique_ptr<Mailer> make_curl_mailer(MailSettings settings) {
    return std::make_unique<CurlMailer>(std::move(settings));
}

}  // namespace lockstep
