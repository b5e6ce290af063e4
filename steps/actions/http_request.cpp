#include "base/error.hpp"
#include "base/json.hpp"
#include "base/known_secrets.hpp"
#include "base/url.hpp"
#include "steps/catalog.hpp"

#include <algorithm>

namespace lockstep {

namespace {

HttpRequest request_of(const StepCall& call) {
    HttpRequest request;
    request.url = text_arg(call, "url");
    request.method = text_arg(call, "method", "GET");
    const auto headers = call.with.find("headers");
    if (headers != call.with.end()) {
        for (const auto& [name, value] : headers->second.as_map()) {
            request.headers.emplace_back(name, value.to_text());
        }
    }
    const auto json = call.with.find("json");
    if (json != call.with.end()) {
        request.body = json->second.kind() == Value::Kind::string ? json->second.as_string()
                                                                  : json->second.to_json().dump();
    }
    return request;
}

bool reads_only(const StepCall& call) {
    const std::string method = text_arg(call, "method", "GET");
    return bool_arg(call, "read_only", method == "GET" || method == "HEAD");
}

/// Why a URL cannot be asked, whoever answers there; empty: nothing speaks against it.
std::string url_trouble(const std::string& url) {
    const bool known = url.starts_with("http://") || url.starts_with("https://");
    if (!known) {
        return "it begins with neither http:// nor https://";
    }
    if (url_host(url).empty()) {
        return "it names no host";
    }
    const bool blank = std::ranges::any_of(url, [](char c) {
        return static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f;
    });
    return blank ? "it holds a blank, or what is no printable ASCII: write that as %20" : "";
}

class HttpRequestAction final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& /*facts*/,
                    const Cluster& /*cluster*/) const override {
        const HttpRequest request = request_of(call);
        Preview preview;
        preview.read_only = reads_only(call);
        preview.because = preview.read_only ? "it only looks" : "always";
        preview.acts_within.reset();  // of a server that nobody knows
        if (const std::string why = url_trouble(request.url); !why.empty()) {
            preview.blocked_by.push_back(
                cluster_refusal("http.bad_url",
                                call.id,
                                call.id + ": the URL " + request.url + " cannot be asked: " + why,
                                "Mend `url` of the step."));
        }
        preview.operations.push_back(
            {Operation::Kind::http,
             request.method + " " + request.url + (request.body ? " " + *request.body : "")});
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        // A client without the cluster's credentials: this may be anybody's server.
        if (!reads_only(call)) {
            context.refuse_when_not_ours(text_arg(call, "url"));
        }
        const std::unique_ptr<HttpClient> client = make_curl_client({});
        const HttpResponse response =
            client->send(request_of(call), context.deadline, context.stop);
        StepResult result;
        result.message = "HTTP status " + std::to_string(response.status);
        result.output = {{"status", response.status}, {"body", response.body}};
        ReadJson read = read_json(response.body);
        const std::size_t first = response.body.find_first_not_of(" \t\r\n");
        const bool meant = first != std::string::npos &&
                           (response.body[first] == '{' || response.body[first] == '[');
        result.message += read.ok() || !meant ? "" : "; its body " + read.trouble;
        result.output["json"] = read.ok() ? std::move(read.document) : nlohmann::json(nullptr);
        const std::string expected = text_arg(call, "expect_status");
        const bool good =
            expected.empty() ? response.ok() : expected == std::to_string(response.status);
        if (!good) {
            result.outcome = StepOutcome::failed;
            result.last_lines = {without_secrets(response.body).substr(0, 300)};
        }
        return result;
    }
};

}  // namespace

std::unique_ptr<Action> make_http_request() {
    return std::make_unique<HttpRequestAction>();
}

}  // namespace lockstep
