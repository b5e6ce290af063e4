#include "steps/observation/observer.hpp"

#include "base/error.hpp"
#include "base/host_name.hpp"
#include "base/url.hpp"
#include "cluster/diagnosis.hpp"
#include "steps/observation/discovery.hpp"
#include "steps/observation/endpoints.hpp"
#include "steps/observation/json_fields.hpp"
#include "steps/observation/member_query.hpp"
#include "steps/observation/member_script.hpp"
#include "steps/observation/observed_time.hpp"
#include "steps/observation/patroni_api.hpp"

#include <algorithm>
#include <atomic>
#include <thread>
#include <utility>

namespace lockstep {

namespace {

using Json = nlohmann::json;

// Beyond this nobody waits for a REST answer: /patroni is served from memory and one query.
constexpr std::chrono::seconds k_api_patience{5};
// What differs for longer is said.
constexpr std::chrono::seconds k_moment{1};
constexpr std::size_t k_most_threads = 32;

/// Runs `work(0)` to `work(count - 1)` on a bounded number of threads and waits for all.
template <typename Work>
void in_parallel(std::size_t count, const Work& work) {
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> threads;
    for (std::size_t n = 0; n < std::min(count, k_most_threads); ++n) {
        threads.emplace_back([&] {
            for (std::size_t task = next++; task < count; task = next++) {
                work(task);
            }
        });
    }
}

/// Whether it refuses or is silent makes two findings with two remedies, so the kind of the error
/// is kept.
void note(Access& access, const std::exception& problem) {
    access.asked = true;
    access.error = problem.what();
    if (const auto* error = dynamic_cast<const Error*>(&problem)) {
        access.hint = error->hint();
    }
    if (const auto* error = dynamic_cast<const TransportError*>(&problem)) {
        access.refused = error->kind() == TransportError::Kind::auth ||
                         error->kind() == TransportError::Kind::host_key;
    }
}

/// Where the REST API of a member is that Patroni does not list: the endpoint on its host.
/// Patroni lists no member that has lost its DCS for longer than ttl; its REST API still answers.
std::string guess_api_url(const Cluster& cluster, const std::string& ssh_host) {
    for (const std::string& endpoint : cluster.patroni.endpoints) {
        if (!ssh_host.empty() && url_host(endpoint) == ssh_host) {
            return patroni_api::base_url(endpoint);
        }
    }
    return {};
}

void add_member(ClusterFacts& facts, const std::string& name, const std::string& api_url) {
    if (facts.find(name) != nullptr) {
        return;
    }
    MemberFacts member;
    member.name = name;
    member.api_url = api_url;
    member.host = url_host(api_url);
    member.pg_host = member.host;
    facts.members.push_back(std::move(member));
}

/// The endpoints that are no member's own address: names for one, a load balancer, a member that is
/// away, another cluster.
std::vector<std::string> endpoints_beside(const Cluster& cluster, const ClusterFacts& facts) {
    std::vector<std::string> urls;
    for (const std::string& endpoint : cluster.patroni.endpoints) {
        const std::string url = patroni_api::base_url(endpoint);
        if (std::ranges::find(facts.members, url, &MemberFacts::api_url) == facts.members.end() &&
            std::ranges::find(urls, url) == urls.end()) {
            urls.push_back(url);
        }
    }
    return urls;
}

/// Where a member is, is somebody else's word: what is no host goes into no argv, no ProxyCommand
/// and no URL, and a member that has it is reached by what the inventory says alone.
void refuse_odd_addresses(MemberFacts& member) {
    const auto take_away = [&](std::string& text, bool good) {
        if (!text.empty() && !good) {
            member.odd_address = std::exchange(text, "");
        }
    };
    take_away(member.host, is_host_name(member.host));
    take_away(member.pg_host, is_host_name(member.pg_host));
    take_away(member.api_url, is_plain_base_url(member.api_url));
}

/// The members that there are by anybody's word: Patroni's, the inventory's, and those that
/// answered themselves.
void collect_members(const Discovery& found,
                     const Cluster& cluster,
                     const std::vector<MemberFacts>& remembered,
                     ClusterFacts& facts) {
    if (found.cluster) {
        patroni_api::read_cluster(*found.cluster, facts);
        std::ranges::for_each(facts.members, refuse_odd_addresses);
    }
    facts.cluster_error = found.cluster_error;
    for (const auto& [url, name] : found.names_of_urls) {
        // Before Patroni 3.2 a member does not tell its name: an inventory that gives SSH hosts
        // does.
        if (!name.empty()) {
            add_member(facts, name, url);
        }
    }
    for (const MemberSettings& expected : cluster.members) {
        add_member(facts, expected.name, guess_api_url(cluster, expected.ssh.host));
    }
    for (const MemberFacts& member : remembered) {
        if (facts.find(member.name) == nullptr) {
            facts.members.push_back(member);
        }
    }
    for (MemberFacts& member : facts.members) {
        const std::string ssh_host = cluster.ssh_of(member.name).host;
        if (!ssh_host.empty()) {
            member.host = ssh_host;
        }
        if (member.pg_host.empty()) {
            member.pg_host = member.host;
        }
    }
    std::ranges::sort(facts.members, {}, &MemberFacts::name);
}

/// One member's worth of an observation, done by one thread.
class MemberVisit {
  public:
    MemberVisit(const Cluster& cluster,
                std::string scope,
                MemberConnections& link,
                MemberFacts& member,
                std::stop_token stop)
        : cluster_(cluster),
          scope_(std::move(scope)),
          link_(link),
          member_(member),
          stop_(std::move(stop)) {}

    /// The body of GET /patroni, null when there was none.
    Json ask_api(Deadline deadline) {
        if (member_.api_url.empty()) {
            member_.api.asked = true;
            member_.api.error = nowhere();
            member_.api.hint =
                "Check that Patroni runs there, and the name under members: in the inventory.";
            return nullptr;
        }
        try {
            return ask_api_or_throw(deadline.within(k_api_patience));
        } catch (const std::exception& problem) {
            note(member_.api, problem);
        }
        if (is_loopback_url(member_.api_url) &&
            cluster_.patroni.via == PatroniSettings::Via::direct) {
            member_.api.hint =
                "Patroni publishes " + member_.api_url +
                ", where only its own host can ask it: set restapi.connect_address there; until "
                "then patroni.via: ssh in the inventory asks each member on its own host.";
        }
        return nullptr;
    }

    /// What the member's own API says of the whole; after ask_api().
    EndpointFacts ask_cluster(const Json& status, Deadline deadline) {
        const std::lock_guard lock(link_.http_use);
        return ask_about_cluster(
            *link_.http, member_.api_url, status, deadline.within(k_api_patience), stop_);
    }

    /// One script for everything over SSH, because a round trip is what an observation costs.
    void ask_host(Deadline deadline) {
        const bool direct = cluster_.postgres.via == PostgresSettings::Via::direct;
        const std::lock_guard lock(link_.ssh_use);
        try {
            run_script(deadline, !direct);
        } catch (const std::exception& problem) {
            note(member_.ssh, problem);
        }
        if (direct) {
            ask_sql(deadline);
        } else if (!member_.sql.asked) {
            member_.sql.asked = true;
            member_.sql.error = "not asked, because SSH did not work";
        }
    }

  private:
    /// Why nobody knows where it is.
    [[nodiscard]] std::string nowhere() const {
        return member_.odd_address.empty() ? "Patroni does not list this member"
                                           : "what Patroni publishes is no address";
    }

    /// What answers must be Patroni, and of this member: behind a proxy, or an address that was
    /// reused, is somebody else.
    Json ask_api_or_throw(Deadline deadline) {
        HttpRequest request;
        request.url = member_.api_url + "/patroni";
        HttpResponse response;
        {
            const std::lock_guard lock(link_.http_use);
            response = link_.http->send(request, deadline, stop_);
        }
        member_.api.asked = true;
        ReadJson read = patroni_api::read_answer(request.url, response.body);
        Json& body = read.document;
        if (!body.is_object() || json_fields::text(body, "state").empty()) {
            throw Error("GET " + request.url + " answered HTTP status " +
                            std::to_string(response.status) + " without Patroni's JSON" +
                            (read.ok() ? "" : ": the answer " + read.trouble),
                        "Check that this is the address of Patroni's REST API.");
        }
        const std::string name = json_fields::text(json_fields::at(body, "patroni"), "name");
        if (!name.empty() && name != member_.name) {
            throw Error(member_.api_url + " is the REST API of the member " + name,
                        "Check the address of " + member_.name + ".");
        }
        patroni_api::read_status(body, member_);
        if (member_.dcs_last_seen && response.date > 0) {
            member_.dcs_seen_ago =
                std::max<std::int64_t>(response.date - *member_.dcs_last_seen, 0);
        }
        const auto replayed =
            seconds_of_utc(json_fields::text(json_fields::at(body, "xlog"), "replayed_timestamp"));
        if (replayed && response.date > 0) {
            member_.replayed_ago = std::max<std::int64_t>(response.date - *replayed, 0);
        }
        if (scope_.empty()) {  // before Patroni 3.2 /cluster does not have it
            scope_ = json_fields::text(json_fields::at(body, "patroni"), "scope");
        }
        return std::move(body);
    }

    void run_script(Deadline deadline, bool with_sql) {
        MemberScript script;
        script.nonce = make_nonce();
        script.unit = cluster_.patroni_service;
        script.package = cluster_.patroni_package;
        script.os_user = with_sql ? cluster_.postgres.os_user : std::string();
        script.port = member_.pg_port;
        script.api_port = url_port(member_.api_url);
        script.role = cluster_.postgres.user;
        script.database = cluster_.postgres.database;
        script.scope = scope_;
        script.patience = std::chrono::ceil<std::chrono::seconds>(deadline.remaining());
        if (link_.ssh_settings.host.empty()) {
            throw Error("the host is not known: " + nowhere(),
                        "Give ssh: {host: …} under members: in the inventory.");
        }
        RemoteCommand command;
        command.script = render(script);
        read_output(script, link_.root().run(command, deadline, stop_), member_);
    }

    void ask_sql(Deadline deadline) {
        member_.sql.asked = true;
        try {
            if (member_.pg_host.empty()) {  // libpq would take a socket of this machine
                throw Error("the host is not known: " + nowhere());
            }
            SqlStatement statement;
            // Before anybody has told its version: what every server understands.
            statement.text = observation_query(std::atoi(member_.postgres.running.c_str()));
            const SqlResult result = link_.sql->query(statement, deadline, stop_);
            if (result.rows.size() != 1 || result.rows[0].size() != 1 || !result.rows[0][0]) {
                throw Error("the observation's query gave no document");
            }
            read_observation(*result.rows[0][0], member_);
        } catch (const std::exception& problem) {
            note(member_.sql, problem);
        }
    }

    const Cluster& cluster_;
    std::string scope_;
    MemberConnections& link_;
    MemberFacts& member_;
    std::stop_token stop_;
};

/// What the member's own daemon says of the cluster counts beside what all addresses say.
void take_own_word(MemberFacts& member, ClusterFacts& facts) {
    if (member.own_word) {
        EndpointFacts said = *std::exchange(member.own_word, std::nullopt);
        said.scope = said.scope.empty() && member.setup ? member.setup->scope : said.scope;
        said.system_identifier = member.identity.system_identifier;
        facts.endpoints.push_back(std::move(said));
    }
}

/// What the endpoints said of the cluster, and each daemon on its own host.
void take_words(std::vector<EndpointFacts> said, ClusterFacts& facts) {
    std::erase_if(said, [](const EndpointFacts& each) { return each.url.empty(); });
    facts.endpoints = std::move(said);
    for (MemberFacts& member : facts.members) {
        take_own_word(member, facts);
    }
}

/// Asked after the threads: half an observation would look like members that do not answer.
void refuse_cancelled(const std::stop_token& stop) {
    if (stop.stop_requested()) {
        throw TransportError(TransportError::Kind::cancelled, "the observation was cancelled");
    }
}

}  // namespace

void Observer::remember(const ClusterFacts& known) {
    for (const MemberFacts& member : known.members) {
        if (std::ranges::find(remembered_, member.name, &MemberFacts::name) != remembered_.end()) {
            continue;
        }
        MemberFacts& place = remembered_.emplace_back();
        place.name = member.name;
        place.host = member.host;
        place.api_url = member.api_url;
        place.pg_host = member.pg_host;
        place.pg_port = member.pg_port;
    }
}

/// /cluster comes first, because it says who the members are; then all members and /config are
/// asked side by side. The dynamic configuration decides about the pause where it is known, else
/// what the members say.
ClusterFacts Observer::observe(Depth depth,
                               std::chrono::milliseconds timeout,
                               std::stop_token stop) {
    const Cluster& cluster = connections_.cluster();
    ClusterFacts facts;
    facts.name = cluster.name;
    facts.rest_unproven = !cluster.patroni.is_authenticated();
    const auto patience = std::min<std::chrono::milliseconds>(timeout, 2 * k_api_patience);
    const Deadline soon = Deadline::after(patience);
    const Discovery found = discover(connections_, soon, stop);
    collect_members(found, cluster, remembered_, facts);

    // Made here and not in the threads: a secret that cannot be resolved is nobody's network
    // problem.
    std::vector<MemberConnections*> connections;
    for (const MemberFacts& member : facts.members) {
        connections.push_back(&connections_.of(member));
    }
    facts.observed_at = clock_.wall_now();
    facts.sampled_at = clock_.steady_now();
    std::optional<Json> config = found.config;
    std::vector<Json> statuses(facts.members.size());
    const bool compare = depth == Depth::full && found.cluster;
    const std::vector<std::string> beside =
        compare ? endpoints_beside(cluster, facts) : std::vector<std::string>();
    std::vector<EndpointFacts> said(facts.members.size() + beside.size());
    in_parallel(1 + said.size(), [&](std::size_t task) {
        if (task == 0) {
            config = found.cluster ? ask_config(connections_, found, soon, stop) : config;
            return;
        }
        const std::size_t n = task - 1;
        if (n >= facts.members.size()) {
            said[n] = ask_beside(beside[n - facts.members.size()], timeout, stop);
            return;
        }
        MemberVisit visit(cluster, facts.scope, *connections[n], facts.members[n], stop);
        const Deadline deadline = Deadline::after(timeout);
        statuses[n] = visit.ask_api(deadline);
        std::jthread whole;  // beside the host's script, which takes longer
        if (compare && facts.members[n].api.ok()) {
            whole = std::jthread([&] { said[n] = visit.ask_cluster(statuses[n], deadline); });
        }
        if (depth == Depth::full) {
            visit.ask_host(deadline);
        }
    });
    refuse_cancelled(stop);
    if (compare) {
        take_words(std::move(said), facts);
        ask_again_where_they_differ(facts, timeout, stop);
    }
    if (config) {
        patroni_api::read_config(*config, facts);
    }
    patroni_api::combine(facts, statuses);
    classify_slots(facts);
    if (facts.config.is_null()) {
        facts.paused = facts.paused || std::ranges::any_of(facts.members, &MemberFacts::paused);
    }
    return facts;
}

EndpointFacts Observer::ask_beside(const std::string& url,
                                   std::chrono::milliseconds timeout,
                                   std::stop_token stop) {
    std::unique_ptr<HttpClient> client = connections_.lend_endpoint(url);
    const Deadline deadline =
        Deadline::after(std::min<std::chrono::milliseconds>(timeout, k_api_patience));
    EndpointFacts said = ask_endpoint(*client, url, deadline, std::move(stop));
    said.given = true;
    connections_.give_back(url, std::move(client));
    return said;
}

/// All read one DCS, within milliseconds of each other: what they differ in for longer than a
/// moment is no member that joins, nor a failover.
void Observer::ask_again_where_they_differ(ClusterFacts& facts,
                                           std::chrono::milliseconds timeout,
                                           std::stop_token stop) {
    if (!endpoints_disagree(facts)) {
        return;
    }
    if (!clock_.sleep_for(k_moment, stop)) {
        refuse_cancelled(stop);
    }
    const auto asked_over_ssh = [](const EndpointFacts& each) { return each.over_ssh; };
    std::vector<MemberFacts> again = facts.members;
    const bool over_ssh = std::ranges::any_of(facts.endpoints, asked_over_ssh);
    std::erase_if(facts.endpoints, asked_over_ssh);
    in_parallel(facts.endpoints.size() + (over_ssh ? again.size() : 0), [&](std::size_t n) {
        if (n >= facts.endpoints.size()) {
            MemberFacts& member = again[n - facts.endpoints.size()];
            MemberVisit visit(
                connections_.cluster(), facts.scope, connections_.of(member), member, stop);
            visit.ask_host(Deadline::after(timeout));
            return;
        }
        EndpointFacts& said = facts.endpoints[n];
        if (said.answers) {
            const bool given = said.given;
            said = ask_beside(said.url, timeout, stop);
            said.given = given;
        }
    });
    refuse_cancelled(stop);
    for (MemberFacts& member : again) {
        take_own_word(member, facts);
    }
}

// The probe goes to every member that answers: each has its own restapi.authentication and
// allowlist.
void Observer::probe_write_access(ClusterFacts& facts, std::stop_token stop) {
    in_parallel(facts.members.size(), [&](std::size_t n) {
        MemberFacts& member = facts.members[n];
        if (!member.api.ok()) {
            return;
        }
        HttpRequest request;
        request.method = "PATCH";
        request.url = member.api_url + "/config";
        request.body = "{}";
        try {
            MemberConnections& link = connections_.of(member);
            const std::lock_guard lock(link.http_use);
            const HttpResponse response =
                link.http->send(request, Deadline::after(k_api_patience), stop);
            member.api_write.asked = true;
            const std::string said =
                member.name + " answers HTTP status " + std::to_string(response.status);
            if (response.status == 401 || response.status == 403) {
                member.api_write.refused = true;
                member.api_write.error =
                    said + ": " + response.body.substr(0, response.body.find('\n'));
                member.api_write.hint = patroni_api::refusal_hint(response.status, response.body);
            } else if (response.status != 400) {
                member.api_write.error = said;
            }
        } catch (const Error& error) {
            note(member.api_write, error);
            member.api_write.error = member.name + ": " + error.what();
        }
    });
    refuse_cancelled(stop);
    auto worst = std::ranges::find_if(
        facts.members, [](const MemberFacts& member) { return member.api_write.refused; });
    facts.patroni_write_refused = worst != facts.members.end();
    if (!facts.patroni_write_refused) {
        worst = std::ranges::find_if(
            facts.members, [](const MemberFacts& member) { return member.api_write.failed(); });
    }
    if (worst != facts.members.end()) {
        facts.patroni_write_error = worst->api_write.error;
        facts.patroni_write_hint = worst->api_write.hint;
    }
}

/// The second sample replaces the first altogether, so that all facts are of one moment; what only
/// the first look asked is carried over.
void settle_slots(ClusterFacts& facts,
                  const ClusterFacts* earlier,
                  Observer& observer,
                  Clock& clock,
                  std::stop_token stop,
                  std::chrono::milliseconds timeout) {
    if (!has_suspicious_slots(facts) || (earlier != nullptr && mark_stuck_slots(facts, *earlier))) {
        return;
    }
    const auto due = facts.sampled_at + stuck_interval(facts);
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - clock.steady_now());
    if (left.count() > 0 && !clock.sleep_for(left, stop)) {
        throw TransportError(TransportError::Kind::cancelled, "the observation was cancelled");
    }
    ClusterFacts later = observer.observe(Depth::full, timeout, stop);
    later.patroni_write_refused = facts.patroni_write_refused;
    later.patroni_write_error = facts.patroni_write_error;
    later.patroni_write_hint = facts.patroni_write_hint;
    later.missing = facts.missing;
    classify_slots(later);
    later.paused_since = later.paused ? facts.paused_since : std::nullopt;
    mark_stuck_slots(later, facts);
    facts = std::move(later);
}

}  // namespace lockstep
