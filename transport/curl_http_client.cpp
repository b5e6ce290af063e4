#include "base/error.hpp"
#include "transport/http_client.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>
#include <string_view>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;
using std::chrono::milliseconds;

constexpr std::size_t k_longest_body = std::size_t{8} << 20;
constexpr milliseconds k_connect_timeout{3'000};

struct FreeEasy {
    void operator()(CURL* easy) const noexcept { ::curl_easy_cleanup(easy); }
};

struct FreeMulti {
    void operator()(CURLM* multi) const noexcept { ::curl_multi_cleanup(multi); }
};

struct FreeList {
    void operator()(curl_slist* list) const noexcept { ::curl_slist_free_all(list); }
};

using Easy = std::unique_ptr<CURL, FreeEasy>;
using Multi = std::unique_ptr<CURLM, FreeMulti>;
using List = std::unique_ptr<curl_slist, FreeList>;

void init_curl() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (::curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
            throw Error("libcurl cannot be initialised");
        }
    });
}

Multi new_multi() {
    init_curl();
    Multi multi(::curl_multi_init());
    if (multi == nullptr) {
        throw Error("libcurl cannot create a handle");
    }
    return multi;
}

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

/// Failures that come before the first byte of a request, whatever it is.
bool is_before_request(CURLcode code) {
    constexpr std::array k_codes{CURLE_COULDNT_CONNECT,
                                 CURLE_COULDNT_RESOLVE_HOST,
                                 CURLE_SSL_CONNECT_ERROR,
                                 CURLE_SSL_CERTPROBLEM,
                                 CURLE_PEER_FAILED_VERIFICATION,
                                 CURLE_SSL_CACERT_BADFILE,
                                 CURLE_SSL_ISSUER_ERROR,
                                 CURLE_SSL_CIPHER,
                                 CURLE_URL_MALFORMAT};
    return std::find(k_codes.begin(), k_codes.end(), code) != k_codes.end();
}

std::string hint_for(CURLcode code, const std::string& reason) {
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        return "Give the authority that signed the server's certificate as ca_file, and the host "
               "by a name or address that the certificate has.";
    }
    if (code == CURLE_SSL_CACERT_BADFILE) {
        return "Check that ca_file is a readable PEM file.";
    }
    if (code == CURLE_SSL_CERTPROBLEM || reason.find("certificate required") != std::string::npos) {
        return "The server wants a client certificate: check cert_file and key_file.";
    }
    if (code == CURLE_SSL_CONNECT_ERROR) {
        return "Check whether the server speaks https on this port.";
    }
    if (code == CURLE_COULDNT_CONNECT) {
        return "Check that the service runs and that no firewall is between.";
    }
    return {};
}

/// setopt is variadic and unchecked: the types here are exactly those that the options want.
template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
    const CURLcode code = ::curl_easy_setopt(easy, option, value);
    if (code != CURLE_OK) {
        throw Error("libcurl does not accept option " + std::to_string(option) + ": " +
                    ::curl_easy_strerror(code));
    }
}

void set_if(CURL* easy, CURLoption option, const std::string& value) {
    if (!value.empty()) {
        set(easy, option, value.c_str());
    }
}

/// One request on its way.
class Transfer {
  public:
    Transfer(CURLM* multi, const HttpSettings& settings, const HttpRequest& request)
        : multi_(multi), request_(request), easy_(::curl_easy_init()) {
        if (easy_ == nullptr) {
            throw Error("libcurl cannot create a handle");
        }
        set_connection(settings);
        set_request(request);
        ::curl_multi_add_handle(multi_, easy_.get());
    }

    ~Transfer() { ::curl_multi_remove_handle(multi_, easy_.get()); }

    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;
    Transfer(Transfer&&) = delete;
    Transfer& operator=(Transfer&&) = delete;

    HttpResponse run(Deadline deadline, const std::stop_token& stop) {
        // curl's own timeouts bound the connecting; ours is the loop below.
        set(easy_.get(),
            CURLOPT_CONNECTTIMEOUT_MS,
            std::max(1L,
                     static_cast<long>(std::min(k_connect_timeout, deadline.remaining()).count())));
        const std::stop_callback on_stop(stop, [this]() noexcept { ::curl_multi_wakeup(multi_); });
        while (true) {
            int running = 0;
            const CURLMcode code = ::curl_multi_perform(multi_, &running);
            if (code != CURLM_OK) {
                throw Error(std::string("libcurl: ") + ::curl_multi_strerror(code));
            }
            if (running == 0) {
                return finish();
            }
            if (stop.stop_requested()) {
                fail(Kind::cancelled, "cancelled");
            }
            if (deadline.expired()) {
                fail(sent_anything() ? Kind::timeout : Kind::connect, "no answer in time");
            }
            const auto left = std::min(deadline.remaining(), milliseconds(60'000));
            ::curl_multi_poll(multi_, nullptr, 0, static_cast<int>(left.count()), nullptr);
        }
    }

  private:
    void set_connection(const HttpSettings& settings) {
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
        if (!settings.username.empty()) {
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
        if (has_body) {
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
        curl_slist* longer = ::curl_slist_append(headers_.get(), line.c_str());
        if (longer == nullptr) {
            throw Error("libcurl has no memory for a header");
        }
        [[maybe_unused]] const curl_slist* same = headers_.release();
        headers_.reset(longer);
    }

    [[nodiscard]] bool sent_anything() const {
        long bytes = 0;
        ::curl_easy_getinfo(easy_.get(), CURLINFO_REQUEST_SIZE, &bytes);
        return bytes > 0;
    }

    HttpResponse finish() {
        int left = 0;
        const CURLMsg* message = ::curl_multi_info_read(multi_, &left);
        if (message == nullptr || message->msg != CURLMSG_DONE) {
            throw Error("libcurl ended a request without a result");
        }
        const CURLcode code = message->data.result;  // dies with the next call
        if (code != CURLE_OK) {
            fail_for(code);
        }
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

    [[nodiscard]] Kind kind_of(CURLcode code) const {
        switch (code) {
            case CURLE_OPERATION_TIMEDOUT:
                return sent_anything() ? Kind::timeout : Kind::connect;
            // Also for an answer that is not HTTP/1 ("Received HTTP/0.9 when not allowed").
            case CURLE_UNSUPPORTED_PROTOCOL:
                return sent_anything() ? Kind::protocol : Kind::connect;
            case CURLE_WEIRD_SERVER_REPLY:
                return Kind::protocol;
            default:
                return is_before_request(code) ? Kind::connect : Kind::lost;
        }
    }

    [[noreturn]] void fail_for(CURLcode code) const {
        const std::string reason =
            error_.front() == '\0' ? ::curl_easy_strerror(code) : error_.data();
        if (body_.too_long) {
            fail(Kind::protocol,
                 "the answer is longer than " + std::to_string(k_longest_body) + " bytes");
        }
        fail(kind_of(code), reason, hint_for(code, reason));
    }

    [[noreturn]] void fail(Kind kind, const std::string& reason, std::string hint = {}) const {
        throw TransportError(kind,
                             request_.method + " " + without_userinfo(request_.url) + ": " + reason,
                             std::move(hint));
    }

    CURLM* multi_;
    const HttpRequest& request_;
    std::array<char, CURL_ERROR_SIZE> error_{};
    Body body_;
    List headers_;
    Easy easy_;
};

/// The multi interface for one request at a time, because only curl_multi_poll() can be woken.
class CurlHttpClient final : public HttpClient {
  public:
    explicit CurlHttpClient(HttpSettings settings)
        : settings_(std::move(settings)), multi_(new_multi()) {}

    HttpResponse send(const HttpRequest& request,
                      Deadline deadline,
                      std::stop_token stop) override {
        return Transfer(multi_.get(), settings_, request).run(deadline, stop);
    }

  private:
    HttpSettings settings_;
    Multi multi_;
};

}  // namespace

std::unique_ptr<HttpClient> make_curl_client(HttpSettings settings) {
    return std::make_unique<CurlHttpClient>(std::move(settings));
}

}  // namespace lockstep
