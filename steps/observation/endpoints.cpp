#include "steps/observation/endpoints.hpp"

#include "base/error.hpp"
#include "steps/observation/json_fields.hpp"
#include "steps/observation/patroni_api.hpp"

#include <utility>

namespace lockstep {

namespace {

using Json = nlohmann::json;

/// Throws Error for what is no JSON object.
Json get_object(HttpClient& http, const std::string& url, Deadline deadline, std::stop_token stop) {
    HttpRequest request;
    request.url = url;
    const HttpResponse response = http.send(request, deadline, std::move(stop));
    ReadJson body = patroni_api::read_answer(url, response.body);
    if (!body.document.is_object()) {
        throw Error("GET " + url + ": HTTP status " + std::to_string(response.status) +
                    " without Patroni's JSON" + (body.ok() ? "" : ": the answer " + body.trouble));
    }
    return std::move(body.document);
}

}  // namespace

EndpointFacts ask_about_cluster(HttpClient& http,
                                const std::string& url,
                                const Json& status,
                                Deadline deadline,
                                std::stop_token stop) {
    EndpointFacts endpoint;
    endpoint.url = url;
    endpoint.answers = status.is_object();
    const Json& patroni = json_fields::at(status, "patroni");
    endpoint.member = json_fields::text(patroni, "name");
    endpoint.scope = json_fields::text(patroni, "scope");
    endpoint.system_identifier = json_fields::text(status, "database_system_identifier");
    try {
        const Json body = get_object(http, url + "/cluster", deadline, std::move(stop));
        if (!json_fields::at(body, "members").is_array()) {
            throw Error("GET " + url + "/cluster lists no members");
        }
        ClusterFacts listed;
        patroni_api::read_cluster(body, listed);
        endpoint.take(listed);
    } catch (const std::exception& error) {
        endpoint.error = error.what();
    }
    return endpoint;
}

EndpointFacts ask_endpoint(HttpClient& http,
                           const std::string& url,
                           Deadline deadline,
                           std::stop_token stop) {
    try {
        const Json status = get_object(http, url + "/patroni", deadline, stop);
        return ask_about_cluster(http, url, status, deadline, std::move(stop));
    } catch (const std::exception& error) {
        EndpointFacts silent;
        silent.url = url;
        silent.error = error.what();
        return silent;
    }
}

}  // namespace lockstep
