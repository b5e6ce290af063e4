#include "steps/observation/discovery.hpp"

#include "base/error.hpp"
#include "steps/observation/json_fields.hpp"
#include "steps/observation/patroni_api.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

namespace lockstep {

namespace {

using Json = nlohmann::json;

// How long one endpoint may be silent before the next one is asked as well.
constexpr std::chrono::milliseconds k_head_start{250};

// What /config gets after /cluster failed: served from memory it is there at once, and with the DCS
// down it hangs like /cluster.
constexpr std::chrono::milliseconds k_config_patience{1000};

struct Answer {
    std::optional<Json> cluster;
    std::optional<Json> config;
    std::optional<Json> status;  // GET /patroni, asked only when /cluster gave nothing
    std::string error;
    std::string hint;
};

struct Fetched {
    std::optional<Json> body;
    std::string error;
    std::string hint;
    bool alive = false;
};

Fetched fetch(HttpClient& http, const std::string& url, Deadline deadline, std::stop_token stop) {
    Fetched fetched;
    try {
        HttpRequest request;
        request.url = url;
        const HttpResponse response = http.send(request, deadline, stop);
        fetched.alive = true;
        if (!response.ok()) {
            fetched.error = "GET " + url + ": HTTP status " + std::to_string(response.status);
            return fetched;
        }
        ReadJson body = patroni_api::read_answer(url, response.body);
        if (!body.ok() || !body.document.is_object()) {
            fetched.error =
                "GET " + url + ": the answer " + (body.ok() ? "is no JSON object" : body.trouble);
            fetched.hint = "Check that the endpoint is Patroni's REST API (restapi.listen).";
        } else {
            fetched.body = std::move(body.document);
        }
    } catch (const Error& error) {
        fetched.error = error.what();
        fetched.hint = error.hint();
        // A request that was sent reached something: a member whose DCS is down hangs in /cluster.
        const auto* transport = dynamic_cast<const TransportError*>(&error);
        fetched.alive = transport != nullptr && !transport->nothing_sent();
    }
    return fetched;
}

/// The endpoints' threads, one each, and what they share.
class Race {
  public:
    Race(Connections& connections, Deadline deadline, std::stop_token stop)
        : connections_(connections), deadline_(deadline), stop_(std::move(stop)) {}

    /// The index of the endpoint that won; 0 where none did.
    std::size_t run(std::vector<Answer>& answers) {
        const std::vector<std::string>& endpoints = connections_.cluster().patroni.endpoints;
        std::vector<std::unique_ptr<HttpClient>> clients;
        for (std::size_t n = 0; n < endpoints.size(); ++n) {
            clients.push_back(connections_.lend_endpoint(endpoints[n]));
        }
        // The caller's stop request stops the race as well.
        const std::stop_callback stop_all(stop_, [this] { decided_.request_stop(); });
        std::vector<std::jthread> threads;
        for (std::size_t n = 0; n < endpoints.size(); ++n) {
            threads.emplace_back(
                [this, &client = *clients[n], &endpoint = endpoints[n], &answer = answers[n], n] {
                    if (wait_for_turn(n)) {
                        ask(client, patroni_api::base_url(endpoint), answer);
                    }
                    ended(answer);
                });
        }
        threads.clear();  // joins them
        for (std::size_t n = 0; n < endpoints.size(); ++n) {
            connections_.give_back(endpoints[n], std::move(clients[n]));
        }
        const auto winner = std::ranges::find_if(
            answers, [](const Answer& answer) { return answer.cluster.has_value(); });
        return winner == answers.end() ? 0 : static_cast<std::size_t>(winner - answers.begin());
    }

  private:
    bool wait_for_turn(std::size_t n) {
        std::unique_lock lock(mutex_);
        const auto turn = [&] { return failed_ >= n; };
        changed_.wait_for(lock, decided_.get_token(), k_head_start * static_cast<int>(n), turn);
        return !decided_.stop_requested();
    }

    void ask(HttpClient& http, const std::string& url, Answer& answer) {
        const std::stop_token stop = decided_.get_token();
        // Half of the time for /cluster: with a DCS that is down the rest is for /patroni.
        const auto half = deadline_.remaining() / 2;
        Fetched cluster = fetch(http, url + "/cluster", deadline_.within(half), stop);
        if (cluster.body && json_fields::at(*cluster.body, "members").is_array()) {
            answer.cluster = std::move(cluster.body);
            return;
        }
        answer.error = cluster.error.empty() ? url + "/cluster lists no members" : cluster.error;
        answer.hint = cluster.hint;
        if (cluster.alive && !stop.stop_requested()) {
            answer.status = fetch(http, url + "/patroni", deadline_, stop).body;
            const Deadline soon = deadline_.within(k_config_patience);
            answer.config = fetch(http, url + "/config", soon, stop).body;
        }
    }

    void ended(const Answer& answer) {
        {
            const std::lock_guard lock(mutex_);
            failed_ += answer.cluster ? 0U : 1U;
        }
        if (answer.cluster) {
            decided_.request_stop();
        }
        changed_.notify_all();
    }

    Connections& connections_;
    Deadline deadline_;
    std::stop_token stop_;
    std::stop_source decided_;
    std::mutex mutex_;
    std::condition_variable_any changed_;
    std::size_t failed_ = 0;
};

[[noreturn]] void throw_nobody(const std::vector<std::string>& endpoints,
                               const std::vector<Answer>& answers) {
    std::string text = "no endpoint of the cluster answers";
    std::string hint;
    for (std::size_t n = 0; n < endpoints.size(); ++n) {
        text += (n == 0 ? ": " : "; ") + answers[n].error;
        if (hint.empty()) {
            hint = answers[n].hint;
        }
    }
    throw TransportError(TransportError::Kind::connect,
                         text,
                         hint.empty() ? "Check patroni.endpoints in the inventory, and that this "
                                        "host may reach Patroni's REST API."
                                      : hint);
}

}  // namespace

Discovery discover(Connections& connections, Deadline deadline, std::stop_token stop) {
    const std::vector<std::string>& endpoints = connections.cluster().patroni.endpoints;
    if (endpoints.empty()) {
        throw Error("the cluster " + connections.cluster().name + " has no patroni.endpoints");
    }
    std::vector<Answer> answers(endpoints.size());
    const std::size_t winner = Race(connections, deadline, stop).run(answers);
    if (stop.stop_requested()) {
        throw TransportError(TransportError::Kind::cancelled, "the observation was cancelled");
    }
    Discovery found;
    if (answers[winner].cluster) {
        found.cluster = std::move(answers[winner].cluster);
        found.endpoint = endpoints[winner];
        return found;
    }
    bool alive = false;
    for (std::size_t n = 0; n < endpoints.size(); ++n) {
        if (!answers[n].status) {
            continue;
        }
        alive = true;
        const Json& patroni = json_fields::at(*answers[n].status, "patroni");
        const std::string name = json_fields::text(patroni, "name");
        found.names_of_urls[patroni_api::base_url(endpoints[n])] = name;
        found.cluster_error = answers[n].error;
        if (!found.config) {
            found.config = std::move(answers[n].config);
        }
    }
    if (!alive) {
        throw_nobody(endpoints, answers);
    }
    return found;
}

std::optional<Json> ask_config(Connections& connections,
                               const Discovery& found,
                               Deadline deadline,
                               std::stop_token stop) {
    std::unique_ptr<HttpClient> client = connections.lend_endpoint(found.endpoint);
    const std::string url = patroni_api::base_url(found.endpoint) + "/config";
    std::optional<Json> config = fetch(*client, url, deadline, std::move(stop)).body;
    connections.give_back(found.endpoint, std::move(client));
    return config;
}

}  // namespace lockstep
