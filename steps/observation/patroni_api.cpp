#include "steps/observation/patroni_api.hpp"

#include "base/error.hpp"
#include "base/package_version.hpp"
#include "cluster/setting_value.hpp"
#include "steps/observation/json_fields.hpp"
#include "steps/observation/observed_time.hpp"

#include <algorithm>

namespace lockstep::patroni_api {

namespace {

using Json = nlohmann::json;
using namespace json_fields;

// `master` up to Patroni 3.3, `primary` from 4.0 (docs/releases.rst 4.0.0); `promoted` is what a
// member calls itself between pg_promote() and its next loop.
bool says_primary(const Json& status) {
    const std::string role = text(status, "role");
    return role == "master" || role == "primary" || role == "promoted";
}

// replication_state is told from Patroni 3.0.4 on; before it, its absence means nothing.
bool tells_replication_state(const std::string& version) {
    if (version.empty()) {
        return false;
    }
    try {
        return PackageVersion(version) >= PackageVersion("3.0.4");
    } catch (const Error&) {
        return false;
    }
}

// Patroni sets application_name in primary_conninfo to the member's name
// (patroni/postgresql/config.py, primary_conninfo_params, 2.1 to 4.1). All members are asked: the
// upstream of a cascading replica is not the leader.
bool somebody_streams_to(const std::string& member, const std::vector<Json>& statuses) {
    return std::ranges::any_of(statuses, [&](const Json& status) {
        const Json& senders = at(status, "replication");
        return senders.is_array() && std::ranges::any_of(senders, [&](const Json& sender) {
                   return text(sender, "application_name") == member &&
                          text(sender, "state") == "streaming";
               });
    });
}

void settle_role(MemberFacts& member, const Json& status, bool cluster_known) {
    // PostgreSQL's own word counts where Patroni's daemon is dead: the old primary that goes on
    // without it is what makes two of them.
    if (member.sql.ok() && !member.in_recovery && !member.is_leader()) {
        member.role = "primary";
        member.state = "running";
        return;
    }
    if (status.is_null()) {
        return;
    }
    if (says_primary(status)) {
        if (!member.is_leader() && member.state == "running") {
            member.role = "primary";
        }
        return;
    }
    if (!member.role.empty()) {
        return;
    }
    const std::string role = text(status, "role");
    if (role == "standby_leader" && !cluster_known) {
        member.role = role;
    } else if (flag(status, "sync_standby")) {
        member.role = "sync_standby";
    } else if (flag(status, "quorum_standby")) {
        member.role = "quorum_standby";
    } else {
        member.role = "replica";
    }
}

void settle_state(MemberFacts& member, const Json& status, const std::vector<Json>& statuses) {
    if (status.is_null() || member.state != "running" || member.is_leader() ||
        says_primary(status)) {
        return;
    }
    const std::string replication = text(status, "replication_state");
    if (!replication.empty()) {
        member.state = replication;
    } else if (!tells_replication_state(member.patroni.running) &&
               somebody_streams_to(member.name, statuses)) {
        member.state = "streaming";
    }
}

void settle_lag(MemberFacts& member, const MemberFacts* leader) {
    if (leader == &member) {
        member.lag_bytes = 0;
    } else if (leader != nullptr && leader->position && member.position) {
        // Both were asked within milliseconds of each other, but not at once: never below zero.
        member.lag_bytes = *leader->position > *member.position
                               ? static_cast<std::int64_t>(*leader->position - *member.position)
                               : 0;
    }
}

void read_scheduled_restart(const Json& body, MemberFacts& member) {
    const Json& restart = at(body, "scheduled_restart");
    member.scheduled_restart = restart.is_object();
    member.scheduled_restart_at = text(restart, "schedule");
}

MemberFacts listed_member(const Json& entry) {
    MemberFacts member;
    member.listed = true;
    member.name = text(entry, "name");
    member.host = text(entry, "host");
    member.pg_host = member.host;
    member.pg_port = static_cast<std::uint16_t>(integer(entry, "port").value_or(5432));
    member.api_url = base_url(text(entry, "api_url"));
    member.role = text(entry, "role");
    member.state = text(entry, "state");
    if (const auto timeline = integer(entry, "timeline")) {
        member.timeline = static_cast<int>(*timeline);
    }
    member.lag_bytes = integer(entry, "lag");  // a text, "unknown", when Patroni cannot tell
    member.pending_restart = flag(entry, "pending_restart");
    member.pending_restart_reason = at(entry, "pending_restart_reason");
    read_scheduled_restart(entry, member);
    if (const Json& tags = at(entry, "tags"); tags.is_object()) {
        member.tags = tags.get<std::map<std::string, Json>>();
    }
    return member;
}

}  // namespace

ReadJson read_answer(std::string_view url, std::string_view body) {
    return read_json(body, url.ends_with("/config") ? JsonLimits{} : k_status_json);
}

void read_cluster(const Json& body, ClusterFacts& facts) {
    const Json& members = at(body, "members");
    if (members.is_array()) {
        for (const Json& entry : members) {
            MemberFacts member = listed_member(entry);
            if (member.name.empty()) {
                continue;
            }
            if (member.is_leader()) {
                facts.leader = member.name;
            }
            facts.members.push_back(std::move(member));
        }
    }
    facts.scope = text(body, "scope");
    facts.paused = flag(body, "pause");
    const Json& switchover = at(body, "scheduled_switchover");
    facts.scheduled_switchover = switchover.is_object();
    facts.switchover = {text(switchover, "at"), text(switchover, "from"), text(switchover, "to")};
}

void read_config(const Json& body, ClusterFacts& facts) {
    facts.config = body;
    facts.paused = is_on(at(body, "pause"));
}

void read_status(const Json& body, MemberFacts& member) {
    member.state = text(body, "state");
    const Json& xlog = at(body, "xlog");
    member.in_recovery = !says_primary(body);
    const char* position = member.in_recovery ? "replayed_location" : "location";
    if (const auto bytes = integer(xlog, position)) {
        member.position = static_cast<Lsn>(*bytes);
        // What comes from an archive is replayed and never received, which is 0 or old then.
        const auto received = integer(xlog, "received_location").value_or(0);
        member.received = static_cast<Lsn>(std::max(*bytes, received));
    }
    if (const auto timeline = integer(body, "timeline")) {
        member.timeline = static_cast<int>(*timeline);
    }
    member.paused = flag(body, "pause");
    const auto seen = integer(body, "dcs_last_seen");
    constexpr std::int64_t k_no_such_time = std::int64_t{1} << 40;
    member.dcs_last_seen = seen && *seen >= 0 && *seen < k_no_such_time ? seen : std::nullopt;
    member.cluster_unlocked = flag(body, "cluster_unlocked");
    member.pending_restart = flag(body, "pending_restart");
    member.pending_restart_reason = at(body, "pending_restart_reason");
    read_scheduled_restart(body, member);
    member.system_identifier = text(body, "database_system_identifier");
    if (const Json& tags = at(body, "tags"); tags.is_object()) {
        member.tags = tags.get<std::map<std::string, Json>>();
    }
    member.patroni.running = text(at(body, "patroni"), "version");
    member.postgres.started_at = to_utc(text(body, "postmaster_start_time"));
    if (const auto number = integer(body, "server_version")) {
        member.postgres.running = server_version_text(*number);
    }
}

void combine(ClusterFacts& facts, const std::vector<Json>& statuses) {
    for (std::size_t n = 0; n < facts.members.size(); ++n) {
        settle_role(facts.members[n], statuses[n], facts.cluster_error.empty());
        if (facts.scope.empty()) {
            facts.scope = text(at(statuses[n], "patroni"), "scope");
        }
    }
    const MemberFacts* leader = facts.leader_member();
    for (std::size_t n = 0; n < facts.members.size(); ++n) {
        settle_state(facts.members[n], statuses[n], statuses);
        settle_lag(facts.members[n], leader);
    }
    if (leader != nullptr) {
        facts.timeline = leader->timeline;
    }
}

std::string base_url(std::string_view api_url) {
    const std::size_t scheme = api_url.find("://");
    if (scheme == std::string_view::npos) {
        return std::string(api_url);
    }
    return std::string(api_url.substr(0, api_url.find('/', scheme + 3)));
}

std::string refusal_hint(long status, std::string_view body) {
    constexpr long k_unauthorized = 401;
    constexpr long k_forbidden = 403;
    if (status == k_unauthorized) {
        return "Set patroni.username and patroni.password in the inventory to those of "
               "restapi.authentication in Patroni's configuration.";
    }
    if (status != k_forbidden) {
        return {};
    }
    if (body.find("certificate") != std::string_view::npos) {
        return "Patroni wants a certificate of the authority in its restapi.cafile "
               "(restapi.verify_client): give patroni.cert_file and patroni.key_file in the "
               "inventory.";
    }
    return "Add this host's address to restapi.allowlist in Patroni's configuration; or set "
           "patroni.via: ssh in the inventory: then the member itself asks, which "
           "restapi.allowlist_include_members lets in.";
}

std::string server_version_text(std::int64_t number) {
    if (number < 100000) {
        return {};
    }
    return std::to_string(number / 10000) + "." + std::to_string(number % 10000);
}

}  // namespace lockstep::patroni_api
