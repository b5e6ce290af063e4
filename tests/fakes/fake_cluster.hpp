#pragma once

#include "steps/catalog.hpp"
#include "steps/observation/member_query.hpp"
#include "tests/fakes/fake_clock.hpp"
#include "tests/fakes/fake_http.hpp"
#include "tests/fakes/fake_processes.hpp"
#include "tests/fakes/fake_sql.hpp"
#include "tests/fakes/fake_ssh.hpp"
#include "tests/steps/recorded_text.hpp"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace lockstep {

/// Three members on fakes, n1 leading, all well with Patroni 4.0.7: what actions look at and act
/// on. It pauses as Patroni does: the PATCH is written at once, and each member says so only after
/// its next loops. Tests break what they are about.
class FakeCluster {
  public:
    using Json = nlohmann::json;

    struct Member {
        std::string host;
        std::string role = "replica";  ///< as /cluster lists it
        Json status;                   ///< of /patroni, without `pause`
        Json sql;                      ///< the document of the observation's query
        std::string installed = "4.0.7-3~deb13u1";
        std::string unit_state = "active";
        std::string package_tool = "apt";
        std::map<std::string, std::string> seen;  ///< other lines of the observation: old -> new
        bool listed = true;                       ///< Patroni still has it as a member
        bool says_paused = false;
        std::string own_refusal;  ///< why it does not say, on its host, that it is paused and leads
        std::string own_cluster;  ///< a line of the observation: what it says there of the cluster
        int loops_until_it_knows = 2;  ///< how often it is asked before it says what was written
        bool never_knows = false;
        std::optional<TransportError> api_error;
        std::optional<TransportError> ssh_error;
        std::function<CommandResult(const std::string& script)> commands;  ///< other than looking
        std::function<SqlResult(const SqlStatement&)> statements;          ///< other than looking

        int asked_since_patch = 0;
    };

    FakeCluster() {
        cluster.name = "orders";
        cluster.postgres.via = PostgresSettings::Via::direct;
        for (const char* name : {"n1", "n2", "n3"}) {
            add(name);
        }
        Member& leader = members.at("n1");
        leader.role = "leader";
        leader.status["role"] = "primary";
        leader.status["xlog"] = {{"location", 83887680}};
        leader.status["replication"] = {{{"application_name", "n2"}, {"state", "streaming"}},
                                        {{"application_name", "n3"}, {"state", "streaming"}}};
        leader.status.erase("replication_state");
        leader.sql["in_recovery"] = false;
    }

    [[nodiscard]] static std::string url(const std::string& member, const std::string& path) {
        return "http://10.0.0.1" + member.substr(1) + ":8008" + path;
    }

    /// The version that runs and is installed.
    void has_version(const std::string& member, const std::string& package) {
        members.at(member).installed = package;
        members.at(member).status["patroni"]["version"] = package.substr(0, package.find('-'));
    }

    void is_dead(const std::string& member) {
        members.at(member).api_error = TransportError(
            TransportError::Kind::connect, "GET " + url(member, "/patroni") + ": refused");
    }

    void is_paused(bool paused = true) {
        config["pause"] = paused;
        for (auto& [name, member] : members) {
            member.says_paused = paused;
        }
    }

    /// One more slot on a member, that nothing uses.
    void has_slot(const std::string& member, const std::string& name, const Json& fields = {}) {
        Json slot = members.at("n2").sql["slots"][0];
        slot["slot_name"] = name;
        slot.update(fields.is_object() ? fields : Json::object());
        members.at(member).sql["slots"].push_back(slot);
    }

    Connections& connections() {
        if (!connections_) {
            ConnectionFactory factory;
            factory.http = http.factory();
            factory.ssh = ssh.factory();
            factory.pq = sql.factory();
            factory.process = processes.factory();
            connections_.emplace(cluster, std::move(factory));
        }
        return *connections_;
    }

    ConnectionFactory factory() {
        ConnectionFactory factory;
        factory.http = http.factory();
        factory.ssh = ssh.factory();
        factory.pq = sql.factory();
        factory.process = processes.factory();
        return factory;
    }

    Observer& observer() {
        if (!observer_) {
            observer_.emplace(connections(), clock);
        }
        return *observer_;
    }

    ClusterFacts observe(Depth depth = Depth::full) {
        return observer().observe(depth, std::chrono::seconds{20}, {});
    }

    ActionContext context(ClusterFacts facts, std::stop_token stop = {}) {
        return {connections(),
                observer(),
                clock,
                cluster,
                std::move(facts),
                std::move(stop),
                Deadline::after(std::chrono::seconds{60})};
    }

    Preview preview(const StepCall& call, const ClusterFacts& facts) {
        return find_action_code(call.uses).preview(call, facts, cluster);
    }

    Preview preview(const StepCall& call) { return preview(call, observe()); }

    Json probe(const StepCall& call) {
        ActionContext on = context(observe());
        return find_action_code(call.uses).probe(call, on);
    }

    StepResult run(const StepCall& call, ClusterFacts facts, std::stop_token stop = {}) {
        ActionContext on = context(std::move(facts), std::move(stop));
        return find_action_code(call.uses).run(call, on);
    }

    StepResult run(const StepCall& call) { return run(call, observe()); }

    /// The PATCH requests that were sent, as their bodies.
    std::vector<std::string> patches() {
        std::vector<std::string> bodies;
        for (const HttpRequest& request : http.seen()) {
            if (request.method == "PATCH") {
                bodies.push_back(request.body.value_or(""));
            }
        }
        return bodies;
    }

    /// What was sent to a member by SSH, other than the observation.
    std::vector<std::string> commands_on(const std::string& member) {
        std::vector<std::string> scripts;
        for (const auto& [host, script] : ssh.seen()) {
            if (host == members.at(member).host && !is_observation(script)) {
                scripts.push_back(script);
            }
        }
        return scripts;
    }

    Cluster cluster;
    FakeHttp http;
    FakeSsh ssh;
    FakeSql sql;
    FakeProcesses processes;
    FakeClock clock;
    std::map<std::string, Member> members;
    Json config = {{"loop_wait", 3},
                   {"ttl", 20},
                   {"ignore_slots", {{{"name", "legacy"}, {"type", "physical"}}}}};
    std::vector<long> patch_statuses;  ///< what the next PATCHes are answered with; then 200
    std::function<void()> on_patch;    ///< called once a PATCH is written
    std::function<void()> on_look;     ///< called before /cluster is answered
    std::function<HttpResponse(const Json&)> on_switchover;  ///< what comes of POST /switchover

    /// The lead moves, as Patroni moves it: the old leader streams from the new one.
    void moves_leader_to(const std::string& name) {
        for (auto& [other, member] : members) {
            const bool leads = other == name;
            const bool led = member.role == "leader";
            member.role = leads ? "leader" : "replica";
            member.status["role"] = leads ? "primary" : "replica";
            member.status["timeline"] = member.status["timeline"].get<int>() + 1;
            member.sql["in_recovery"] = !leads;
            if (leads) {
                member.status["xlog"] = {{"location", 83887680}};
                member.status.erase("replication_state");
            } else {
                member.status["replication_state"] = "streaming";
                member.status["xlog"] = {{"received_location", 83887680},
                                         {"replayed_location", 83887616}};
                member.status.erase("replication");
            }
            if (led && !leads) {
                member.status["postmaster_start_time"] = "2026-11-30 23:00:00.000000+00:00";
            }
        }
    }

  private:
    void add(const std::string& name) {
        Member& member = members[name];
        member.host = "10.0.0.1" + name.substr(1);
        member.status = {
            {"state", "running"},
            {"role", "replica"},
            {"replication_state", "streaming"},
            {"server_version", 170011},
            {"postmaster_start_time", "2026-11-23 09:11:44.846968+00:00"},
            {"xlog", {{"received_location", 83887680}, {"replayed_location", 83887616}}},
            {"timeline", 4},
            {"database_system_identifier", "7711291720471441498"},
            {"patroni", {{"version", "4.0.7"}, {"scope", "orders"}, {"name", name}}}};
        member.sql = recorded_document();
        Json& slots = member.sql["slots"];
        const Json slot = slots[0];
        slots = Json::array();
        for (const char* other : {"n1", "n2", "n3"}) {
            if (other != name) {
                slots.push_back(slot);
                slots.back()["slot_name"] = other;
                slots.back()["active"] = name == "n1";
            }
        }
        cluster.patroni.endpoints.push_back(url(name, ""));
        http.compute("GET " + url(name, "/cluster"), [this, name](const HttpRequest&) {
            if (on_look) {
                on_look();
            }
            return answer(name, [this] { return listing(); });
        });
        http.compute("GET " + url(name, "/config"), [this, name](const HttpRequest&) {
            return answer(name, [this] { return config; });
        });
        http.compute("GET " + url(name, "/patroni"), [this, name](const HttpRequest&) {
            return answer(name, [this, name] { return status(members.at(name)); });
        });
        http.compute("POST " + url(name, "/switchover"), [this, name](const HttpRequest& request) {
            if (members.at(name).api_error) {
                throw TransportError(*members.at(name).api_error);
            }
            if (!on_switchover) {
                ADD_FAILURE() << "no switchover was expected";
                return HttpResponse{500, "", ""};
            }
            return on_switchover(Json::parse(request.body.value_or("{}")));
        });
        http.compute("PATCH " + url(name, "/config"),
                     [this, name](const HttpRequest& request) { return patch(name, request); });
        ssh.on(member.host, [this, name](const RemoteCommand& command) {
            const Member& on = members.at(name);
            if (on.ssh_error) {
                throw TransportError(*on.ssh_error);
            }
            if (is_observation(command.script)) {
                return observation(name, on, command.script);
            }
            if (command.script.starts_with("daemon_must=lead")) {
                return own_word(on, command.script.starts_with("daemon_must=lead\n"));
            }
            if (!on.commands) {
                ADD_FAILURE() << "no command was expected on " << name << ": " << command.script;
                return CommandResult{};
            }
            return on.commands(command.script);
        });
        sql.on(member.host, [this, name](const SqlStatement& statement) {
            const Member& on = members.at(name);
            // Of a member whose daemon is dead the version is not known before.
            if (statement.text == observation_query(17) || statement.text == observation_query(0)) {
                return SqlResult{{"document"}, {{on.sql.dump()}}};
            }
            if (!on.statements) {
                ADD_FAILURE() << "no SQL was expected on " << name << ": " << statement.text;
                return SqlResult{};
            }
            return on.statements(statement);
        });
    }

    template <typename Body>
    HttpResponse answer(const std::string& name, const Body& body) {
        const Member& member = members.at(name);
        if (member.api_error) {
            throw TransportError(*member.api_error);
        }
        return {200, body().dump(), "application/json"};
    }

    [[nodiscard]] Json listing() const {
        Json list = Json::array();
        for (const auto& [name, member] : members) {
            if (!member.listed) {
                continue;
            }
            const bool replica = member.role == "replica";
            list.push_back({{"name", name},
                            {"role", member.role},
                            {"state", replica ? "streaming" : "running"},
                            {"api_url", url(name, "/patroni")},
                            {"host", member.host},
                            {"port", 5432},
                            {"timeline", member.status.value("timeline", 0)}});
        }
        return {{"members", list}, {"scope", "orders"}};
    }

    [[nodiscard]] bool written_pause() const {
        const auto pause = config.find("pause");
        return pause != config.end() && *pause == true;
    }

    Json status(Member& member) {
        if (member.says_paused != written_pause() && !member.never_knows &&
            ++member.asked_since_patch > member.loops_until_it_knows) {
            member.says_paused = written_pause();
        }
        Json body = member.status;
        if (member.says_paused) {
            body["pause"] = true;  // present only when true (patroni/api.py)
        }
        return body;
    }

    HttpResponse patch(const std::string& name, const HttpRequest& request) {
        if (members.at(name).api_error) {
            throw TransportError(*members.at(name).api_error);
        }
        const Json body = Json::parse(request.body.value_or(""));
        if (body.empty()) {
            return {400, "", ""};
        }
        if (!patch_statuses.empty()) {
            const long status = patch_statuses.front();
            patch_statuses.erase(patch_statuses.begin());
            if (status != 200) {
                return {status, "not now", "text/plain"};
            }
        }
        config.merge_patch(body);
        for (auto& [other, member] : members) {
            member.asked_since_patch = 0;
        }
        if (on_patch) {
            on_patch();
        }
        return {200, config.dump(), "application/json"};
    }

    static bool is_observation(const std::string& script) {
        return script.find("marker=@") != std::string::npos;
    }

    /// What the daemon says on its own host to whoever wants to lift the pause, or to move the
    /// lead.
    static CommandResult own_word(const Member& member, bool in_pause) {
        const std::string why = member.api_error                  ? "it does not answer"
                                : in_pause && !member.says_paused ? "it is not paused"
                                : member.role != "leader"    ? "it does not hold the leader lock"
                                : member.own_refusal.empty() ? ""
                                                             : member.own_refusal;
        CommandResult result;
        result.exit_status = why.empty() ? 0 : 77;
        result.out = why.empty() ? "" : "refused=" + why + "\n";
        return result;
    }

    /// What the recorded member printed, with the nonce that this script asks for.
    static CommandResult observation(const std::string& name,
                                     const Member& member,
                                     const std::string& script) {
        std::string text = recorded_text("member_debian.txt");
        text = replaced(text,
                        "\"by_members\": false}",
                        "\"by_members\": false, \"name\": \"" + name +
                            "\", \"scope\": \"orders\"}" + member.own_cluster);
        text = replaced(text, "\ndaemon=69", "\nnamespace=pid:[" + member.host + "]\ndaemon=69");
        text = replaced(text, "4.0.7-3~deb13u1\nchanged", member.installed + "\nchanged");
        text = replaced(text, "ActiveState=active", "ActiveState=" + member.unit_state);
        text = replaced(text, "package_tool=apt", "package_tool=" + member.package_tool);
        for (const auto& [old_line, new_line] : member.seen) {
            text = replaced(text, old_line, new_line);
        }
        const std::size_t nonce = script.find("marker=@") + 8;
        CommandResult result;
        result.out = replaced(text, k_recorded_nonce, script.substr(nonce, 32));
        return result;
    }

    static Json recorded_document() {
        const std::string text = recorded_text("member_debian.txt");
        const std::size_t begin = text.find("{\"wal\"");
        return Json::parse(text.substr(begin, text.find('\n', begin) - begin));
    }

    std::optional<Connections> connections_;
    std::optional<Observer> observer_;
};

/// A call as the engine makes it, on a member or (empty) on the cluster.
inline StepCall step_call(const std::string& uses,
                          const std::string& member = "",
                          Value::Map with = {}) {
    StepCall call;
    call.id = "step";
    call.uses = uses;
    call.member = member;
    call.with = std::move(with);
    return call;
}

inline CommandResult command_result(int exit_status, std::string out, std::string err = "") {
    CommandResult result;
    result.exit_status = exit_status;
    result.out = std::move(out);
    result.err = std::move(err);
    return result;
}

/// The ids of findings, in order.
inline std::vector<std::string> ids_of(const std::vector<Finding>& findings) {
    std::vector<std::string> ids;
    for (const Finding& finding : findings) {
        ids.push_back(finding.id);
    }
    return ids;
}

using Names = std::vector<std::string>;

}  // namespace lockstep
