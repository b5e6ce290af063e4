#include "transport/curl_transfer.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <mutex>

namespace lockstep::curl {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds k_connect_timeout{3'000};

void init_curl() {
    static std::once_flag once;
    std::call_once(once, [] {
        if (::curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
            throw Error("libcurl cannot be initialised");
        }
    });
}

CURLcode result_of(CURLM* multi) {
    int left = 0;
    const CURLMsg* message = ::curl_multi_info_read(multi, &left);
    if (message == nullptr || message->msg != CURLMSG_DONE) {
        throw Error("libcurl ended a request without a result");
    }
    return message->data.result;
}

}  // namespace

Easy new_easy() {
    init_curl();
    Easy easy(::curl_easy_init());
    if (easy == nullptr) {
        throw Error("libcurl cannot create a handle");
    }
    return easy;
}

Multi new_multi() {
    init_curl();
    Multi multi(::curl_multi_init());
    if (multi == nullptr) {
        throw Error("libcurl cannot create a handle");
    }
    return multi;
}

void append(List& list, const std::string& line) {
    curl_slist* longer = ::curl_slist_append(list.get(), line.c_str());
    if (longer == nullptr) {
        throw Error("libcurl has no memory for a list");
    }
    [[maybe_unused]] const curl_slist* same = list.release();
    list.reset(longer);
}

void set_if(CURL* easy, CURLoption option, const std::string& value) {
    if (!value.empty()) {
        set(easy, option, value.c_str());
    }
}

End run(CURLM* multi, CURL* easy, Deadline deadline, const std::stop_token& stop) {
    set(easy,
        CURLOPT_CONNECTTIMEOUT_MS,
        std::max(1L, static_cast<long>(std::min(k_connect_timeout, deadline.remaining()).count())));
    const std::stop_callback on_stop(stop, [multi]() noexcept { ::curl_multi_wakeup(multi); });
    while (true) {
        int running = 0;
        const CURLMcode code = ::curl_multi_perform(multi, &running);
        if (code != CURLM_OK) {
            throw Error(std::string("libcurl: ") + ::curl_multi_strerror(code));
        }
        if (running == 0) {
            return {End::Kind::done, result_of(multi)};
        }
        if (stop.stop_requested()) {
            return {End::Kind::cancelled, CURLE_OK};
        }
        if (deadline.expired()) {
            return {End::Kind::expired, CURLE_OK};
        }
        const auto left = std::min(deadline.remaining(), milliseconds(60'000));
        ::curl_multi_poll(multi, nullptr, 0, static_cast<int>(left.count()), nullptr);
    }
}

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

TransportError::Kind kind_of(CURLcode code, bool sent) {
    using Kind = TransportError::Kind;
    switch (code) {
        case CURLE_OPERATION_TIMEDOUT:
            return sent ? Kind::timeout : Kind::connect;
        // Also for an answer that is not HTTP/1 ("Received HTTP/0.9 when not allowed").
        case CURLE_UNSUPPORTED_PROTOCOL:
            return sent ? Kind::protocol : Kind::connect;
        case CURLE_WEIRD_SERVER_REPLY:
            return Kind::protocol;
        default:
            return is_before_request(code) ? Kind::connect : Kind::lost;
    }
}

namespace {

bool has(const std::string& text, const char* piece) {
    return text.find(piece) != std::string::npos;
}

// In TLS 1.3 a server looks at the client's certificate after the client has begun to speak: what
// it refuses then looks like a connection that breaks (OpenSSL 3; Patroni just closes it).
std::string certificate_hint(CURLcode code, const std::string& reason, bool shows_certificate) {
    constexpr std::array k_broken{CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_GOT_NOTHING};
    const bool alert = has(reason, "alert") || has(reason, "certificate required");
    const bool broken = std::ranges::find(k_broken, code) != k_broken.end();
    if (!alert && !broken) {
        return {};
    }
    if (!shows_certificate) {
        return "The server may want a client certificate (of Patroni: restapi.verify_client): give "
               "cert_file and key_file.";
    }
    return "The server may not take our certificate: check that cert_file is of the authority that "
           "it knows (of Patroni: restapi.cafile), and not expired.";
}

}  // namespace

std::string hint_for(CURLcode code,
                     const std::string& reason,
                     const std::string& url,
                     bool shows_certificate) {
    const bool https = url.starts_with("https://");
    if (code == CURLE_PEER_FAILED_VERIFICATION) {
        return "Give the authority that signed the server's certificate as ca_file, and the host "
               "by a name or address that the certificate has.";
    }
    if (code == CURLE_SSL_CACERT_BADFILE) {
        return "Check that ca_file is a readable PEM file.";
    }
    if (code == CURLE_SSL_CERTPROBLEM) {
        return "Check cert_file and key_file: PEM, readable, and of each other.";
    }
    if (https && (has(reason, "wrong version number") || has(reason, "packet length too long"))) {
        return "The server speaks http on this port: write http:// in the inventory.";
    }
    if (std::string hint = certificate_hint(code, reason, shows_certificate);
        https && !hint.empty()) {
        return hint;
    }
    if (code == CURLE_SSL_CONNECT_ERROR) {
        return "Check whether the server speaks TLS on this port.";
    }
    // What answers http on a port of TLS: nothing, or an alert in binary.
    if (url.starts_with("http://") && (code == CURLE_GOT_NOTHING || code == CURLE_RECV_ERROR ||
                                       code == CURLE_UNSUPPORTED_PROTOCOL)) {
        return "The server may want TLS on this port: try https:// in the inventory.";
    }
    if (code == CURLE_COULDNT_CONNECT) {
        return "Check that the service runs and that no firewall is between.";
    }
    return {};
}

}  // namespace lockstep::curl
