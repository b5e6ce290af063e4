#pragma once

#include "base/deadline.hpp"
#include "base/error.hpp"

#include <curl/curl.h>

#include <memory>
#include <stop_token>
#include <string>

/// What the clients on libcurl share: handles that free themselves, and one transfer that a
/// deadline or a stop ends. Only for the sources of this folder.
namespace lockstep::curl {

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

[[nodiscard]] Easy new_easy();
[[nodiscard]] Multi new_multi();
void append(List& list, const std::string& line);

/// setopt is variadic and unchecked: the types here are exactly those that the options want.
template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
    const CURLcode code = ::curl_easy_setopt(easy, option, value);
    if (code != CURLE_OK) {
        throw Error("libcurl does not accept option " + std::to_string(option) + ": " +
                    ::curl_easy_strerror(code));
    }
}

void set_if(CURL* easy, CURLoption option, const std::string& value);

/// How a transfer ended.
struct End {
    enum class Kind { done, cancelled, expired };

    Kind kind = Kind::done;
    CURLcode code = CURLE_OK;  ///< of one that is done
};

/// Works on the one transfer that `multi` has. curl's own timeouts bound the connecting; the rest
/// is the loop here, because only curl_multi_poll() can be woken.
[[nodiscard]] End run(CURLM* multi, CURL* easy, Deadline deadline, const std::stop_token& stop);

/// Failures that come before the first byte of a request, whatever it is.
[[nodiscard]] bool is_before_request(CURLcode code);
/// What a failed request is; `sent`: some of it went out.
[[nodiscard]] TransportError::Kind kind_of(CURLcode code, bool sent);
/// `shows_certificate`: we have one of our own.
[[nodiscard]] std::string hint_for(CURLcode code,
                                   const std::string& reason,
                                   const std::string& url,
                                   bool shows_certificate);

}  // namespace lockstep::curl
