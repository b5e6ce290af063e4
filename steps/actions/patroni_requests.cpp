#include "steps/actions/patroni_requests.hpp"

#include "base/error.hpp"

#include <thread>

namespace lockstep {

MemberStatus ask_member(ActionContext& context, const MemberFacts& member) {
    MemberStatus status;
    status.member = member.name;
    try {
        const HttpResponse response = context.rest(member, {.url = "/patroni"});
        const nlohmann::json body = nlohmann::json::parse(response.body, nullptr, false);
        if (!body.is_object()) {
            status.error = "its answer to /patroni is not JSON";
            return status;
        }
        // Present only when true (patroni/api.py, 2.1 to 4.1).
        status.paused = body.contains("pause") && body["pause"] == true;
    } catch (const TransportError& error) {
        status.error = error.what();
        status.nobody_listens = error.kind() == TransportError::Kind::connect;
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

}  // namespace lockstep
