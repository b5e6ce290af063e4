#include "steps/actions/patroni_requests.hpp"

#include "base/error.hpp"
#include "base/json.hpp"
#include "steps/observation/patroni_api.hpp"

#include <thread>

namespace lockstep {

namespace {

using namespace std::chrono_literals;

constexpr auto k_between_conflicts = 50ms;
constexpr int k_conflict_attempts = 10;

HttpRequest config_request(const std::string& body) {
    return {.method = "PATCH", .url = "/config", .body = body};
}

}  // namespace

MemberStatus ask_member(ActionContext& context, const MemberFacts& member) {
    MemberStatus status;
    status.member = member.name;
    try {
        const HttpResponse response = context.rest(member, {.url = "/patroni"});
        const ReadJson read = read_json(response.body, k_status_json);
        const nlohmann::json& body = read.document;
        if (!body.is_object()) {
            status.error =
                "its answer to /patroni " + (read.ok() ? "is no JSON object" : read.trouble);
            return status;
        }
        // Of every Patroni (api.py, 2.1 to 4.1). Without it somebody else answered, a proxy
        // perhaps, whose silence about a pause says nothing.
        if (!body.contains("patroni")) {
            status.error = "what answers /patroni there is no Patroni: HTTP " +
                           std::to_string(response.status) + " " +
                           without_secrets(response.body).substr(0, 100);
            return status;
        }
        // Present only when true (patroni/api.py, 2.1 to 4.1).
        status.paused = body.contains("pause") && body["pause"] == true;
    } catch (const TransportError& error) {
        status.error = error.what();
    }
    return status;
}

std::vector<MemberStatus> ask_members(ActionContext& context) {
    std::vector<MemberStatus> statuses(context.facts.members.size());
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < statuses.size(); ++i) {
        threads.emplace_back([&context, &statuses, i] {
            statuses[i] = ask_member(context, context.facts.members[i]);
        });
    }
    threads.clear();
    return statuses;
}

std::optional<MemberFacts> look_at_member(ActionContext& context, const std::string& name) {
    const std::string wanted = name;  // it may be of the facts that the look replaces
    try {
        context.refresh(Depth::quick);
    } catch (const TransportError& error) {
        return std::nullopt;  // of a look: who acts goes by what it does not see
    }
    const MemberFacts* member = context.facts.find(wanted);
    return member == nullptr || member->api.failed() ? std::nullopt : std::optional(*member);
}

bool is_up(const MemberFacts& member) {
    return member.state == "running" || member.state == "streaming" ||
           member.state == "in archive recovery";
}

/// States of patroni/postgresql/__init__.py and ha.py, 2.1 to 4.1.
bool is_busy(const MemberFacts& member) {
    return member.state == "starting" || member.state == "restarting" ||
           member.state == "stopping" || member.state.starts_with("creating replica") ||
           member.state.starts_with("running custom bootstrap") ||
           member.state == "starting after custom bootstrap" ||
           member.state == "initializing new cluster";
}

std::vector<Finding> refuse_unless_writable(const ClusterFacts& facts) {
    constexpr const char* k_subject = "patroni.config";
    std::vector<Finding> refused;
    if (facts.leader_member() == nullptr) {
        refused.push_back(without_leader(k_subject));
    } else {
        refused = refuse_unless_reachable(facts.leader_member(), facts.leader, false, true, false);
    }
    for (Finding& finding : refuse_unless_let_in(facts, k_subject)) {
        refused.push_back(std::move(finding));
    }
    return refused;
}

std::vector<Finding> refuse_unless_let_in(const ClusterFacts& facts, const char* subject) {
    if (!facts.patroni_write_refused) {
        return {};
    }
    return {cluster_refusal(
        "patroni.write_refused",
        subject,
        "the REST API does not accept changes from us: " + facts.patroni_write_error,
        facts.patroni_write_hint)};
}

Finding without_leader(const char* subject) {
    return cluster_refusal("cluster.no_leader",
                           subject,
                           "nobody holds the leader lock",
                           "Find out why with `lockstep check` first.");
}

std::chrono::milliseconds config_acts_within(const ClusterFacts& facts) {
    return std::max(facts.retry_timeout(), facts.loop_wait());
}

Operation config_operation(const ClusterFacts& facts, const std::string& body) {
    const MemberFacts* leader = facts.leader_member();
    return {Operation::Kind::http,
            "PATCH " + (leader == nullptr ? "" : leader->api_url) + "/config " + body};
}

nlohmann::json patch_config(ActionContext& context, const std::string& body) {
    const MemberFacts* leader = context.facts.leader_member();
    if (leader == nullptr) {
        throw TransportError(TransportError::Kind::connect, "nobody holds the leader lock");
    }
    HttpResponse response = context.rest(*leader, config_request(body));
    // 409: somebody else wrote the configuration at the same moment, which a healthy cluster does
    // by itself now and then (seen with 4.1.5). Nothing was written: once more is safe.
    for (int attempt = 1; response.status == 409 && attempt < k_conflict_attempts; ++attempt) {
        context.clock.sleep_for(k_between_conflicts, context.stop);
        response = context.rest(*leader, config_request(body));
    }
    if (!response.ok()) {
        throw Error("PATCH /config on " + leader->name + " was refused with status " +
                        std::to_string(response.status) + ": " +
                        without_secrets(response.body).substr(0, 200),
                    patroni_api::refusal_hint(response.status, response.body));
    }
    return read_json(response.body).document;
}

}  // namespace lockstep
