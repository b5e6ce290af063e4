#include "base/error.hpp"
#include "transport/curl_transfer.hpp"
#include "transport/http_client.hpp"

#include <algorithm>
#include <array>

namespace lockstep {

namespace {

using curl::set;
using curl::set_if;
using Kind = TransportError::Kind;

constexpr std::size_t k_longest_body = std::size_t{8} << 20;

/// Where the write callback puts the body.
struct Body {
    std::string text;
    bool too_long = false;
};

std::size_t keep_body(char* data, std::size_t size, std::size_t count, void* to) noexcept {
    auto* body = static_cast<Body*>(to);
    const std::size_t length = size * count;
    if (body->text.size() + length > k_longest_body) {
        body->too_long = true;
        return 0;  // makes curl give up with CURLE_WRITE_ERROR
    }
    body->text.append(data, length);
    return length;
}

/// A URL fit for a message: without `user:password@`.
std::string without_userinfo(const std::string& url) {
    const std::size_t scheme = url.find("://");
    const std::size_t begin = scheme == std::string::npos ? 0 : scheme + 3;
    const std::size_t at = url.substr(0, url.find('/', begin)).rfind('@');
    return at == std::string::npos || at < begin ? url : url.substr(0, begin) + url.substr(at + 1);
}

/// One request on its way.
class Transfer {
  public:
    Transfer(CURLM* multi, const HttpSettings& settings, const HttpRequest& request)
        : multi_(multi),
          request_(request),
          shows_certificate_(!settings.cert_file.empty()),
          easy_(curl::new_easy()) {
        set_connection(settings, request.anonymous);
        set_request(request);
        ::curl_multi_add_handle(multi_, easy_.get());
    }

    ~Transfer() { ::curl_multi_remove_handle(multi_, easy_.get()); }

    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    Transfer(Transfer&&) = delete;
    Transfer& operator=(Transfer&&) = delete;

    HttpResponse run(Deadline deadline, const std::stop_token& stop) {
        const curl::End end = curl::run(multi_, easy_.get(), deadline, stop);
        if (end.kind == curl::End::Kind::cancelled) {
            fail(Kind::cancelled, "cancelled");
        }
        if (end.kind == curl::End::Kind::expired) {
            fail(sent_anything() ? Kind::timeout : Kind::connect, "no answer in time");
        }
        if (end.code != CURLE_OK) {
            fail_for(end.code);
        }
        return finish();
    }

  private:
    void set_connection(const HttpSettings& settings, bool anonymous) {
        CURL* easy = easy_.get();
        set(easy, CURLOPT_NOSIGNAL, 1L);
        set(easy, CURLOPT_NOPROXY, "*");
        set(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        set(easy, CURLOPT_FOLLOWLOCATION, 0L);
        // On a kept connection that was closed meanwhile curl sends the request again by itself:
        // not for us to allow. Patroni closes after each answer anyway.
        set(easy, CURLOPT_FRESH_CONNECT, 1L);
        set(easy, CURLOPT_FORBID_REUSE, 1L);
        set(easy, CURLOPT_ERRORBUFFER, error_.data());
        set(easy, CURLOPT_WRITEFUNCTION, &keep_body);
        set(easy, CURLOPT_WRITEDATA, static_cast<void*>(&body_));
        set(easy, CURLOPT_SSL_VERIFYPEER, settings.verify ? 1L : 0L);
        set(easy, CURLOPT_SSL_VERIFYHOST, settings.verify ? 2L : 0L);
        set_if(easy, CURLOPT_CAINFO, settings.ca_file);
        set_if(easy, CURLOPT_SSLCERT, settings.cert_file);
        set_if(easy, CURLOPT_SSLKEY, settings.key_file);
        if (!settings.username.empty() && !anonymous) {
            set(easy, CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BASIC));
            set(easy, CURLOPT_USERNAME, settings.username.c_str());
            set(easy,
                CURLOPT_PASSWORD,
                settings.password ? settings.password->reveal().c_str() : "");
        }
    }

    void set_request(const HttpRequest& request) {
        CURL* easy = easy_.get();
        set(easy, CURLOPT_URL, request.url.c_str());
        const bool has_body = request.body || request.method == "POST" || request.method == "PUT" ||
                              request.method == "PATCH";
        if (has_body) {
            // An empty body still sends Content-Length: 0, without which Patroni answers 411.
            const std::string body = request.body.value_or("");
            set(easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
            set(easy, CURLOPT_COPYPOSTFIELDS, body.c_str());
        }
        if (request.method == "HEAD") {
            set(easy, CURLOPT_NOBODY, 1L);
        } else {
            set(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
        }
        add_header("Expect:");  // an HTTP/1.0 server never says "100 Continue"
        if (has_body && !request.has_header("Content-Type")) {
            add_header("Content-Type: application/json");
        }
        for (const auto& [name, value] : request.headers) {
            std::string line = name;
            line += ": ";
            line += value;
            add_header(line);
        }
        set(easy, CURLOPT_HTTPHEADER, headers_.get());
    }

    void add_header(const std::string& line) {
        if (line.find_first_of("\r\n") != std::string::npos) {
            throw Error("an HTTP header with a line end cannot be sent");
        }
        curl::append(headers_, line);
    }

    [[nodiscard]] bool sent_anything() const {
        long bytes = 0;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &bytes);
        return bytes > 0;
    }

    HttpResponse finish() {
        HttpResponse response;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &response.status);
        if (response.status == 0) {
            fail(Kind::protocol, "the answer has no status");
        }
        const char* type = nullptr;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_CONTENT_TYPE, &type);
        response.content_type = type == nullptr ? "" : type;
        curl_header* date = nullptr;
        if (::curl_easy_header(easy_.get(), "Date", 0, CURLH_HEADER, -1, &date) == CURLHE_OK) {
            response.date =
                std::max<std::int64_t>(::curl_getdate(date->value, nullptr), 0);  // -1: none
        }
        response.body = std::move(body_.text);
        return response;
    }

    [[noreturn]] void fail_for(CURLcode code) const {
        const std::string reason =
            error_.front() == '\0' ? ::curl_easy_strerror(code) : error_.data();
        if (body_.too_long) {
            fail(Kind::protocol,
                 "the answer is longer than " + std::to_string(k_longest_body) + " bytes");
        }
        fail(curl::kind_of(code, sent_anything()),
             reason,
             curl::hint_for(code, reason, request_.url, shows_certificate_));
    }

    [[noreturn]] void fail(Kind kind, const std::string& reason, std::string hint = {}) const {
        throw TransportError(kind,
                             request_.method + " " + without_userinfo(request_.url) + ": " + reason,
                             std::move(hint));
    }

    CURLM* multi_;
    const HttpRequest& request_;
    bool shows_certificate_;
    std::array<char, CURL_ERROR_SIZE> error_{};
    Body body_;
    curl::List headers_;
    curl::Easy easy_;
};

/// The multi interface for one request at a time: see curl::run().
class CurlHttpClient final : public HttpClient {
  public:
    explicit CurlHttpClient(HttpSettings settings)
        : settings_(std::move(settings)), multi_(curl::new_multi()) {}

    HttpResponse send(const HttpRequest& request,
                      Deadline deadline,
                      std::stop_token stop) override {
        return Transfer(multi_.get(), settings_, request).run(deadline, stop);
    }

  private:
    HttpSettings settings_;
    curl::Multi multi_;
};

}  // namespace

std::unique_ptr<HttpClient> make_curl_client(HttpSettings settings) {
    return std::make_unique<CurlHttpClient>(std::move(settings));
}

}  // namespace lockstep
