#pragma once

#include "steps/actions/parameter_value.hpp"
#include "tests/fakes/fake_cluster.hpp"

#include <map>
#include <string>
#include <vector>

namespace lockstep {

/// Three members whose PostgreSQL restarts through Patroni, with a few parameters. As seen with
/// Patroni 4.0.7 and PostgreSQL 17: a PATCH is answered with 200 whatever it says; what needs a
/// restart is pending until then; a replica keeps a larger max_connections until its leader runs
/// with the smaller one, and the answer is "restarted successfully" all the same.
class RestartingCluster : public FakeCluster {
  public:
    RestartingCluster() {
        for (auto& [name, member] : members) {
            member.sql["parameters"]["max_connections"] = "100";
            // The recorded member's own file has two parameters, which would count more.
            member.seen["\"parameters\": {\"work_mem\": \"8MB\", \"jit\": false}"] =
                "\"parameters\": {}";
            http.compute(
                "POST " + url(name, "/restart"),
                [this, name = name](const HttpRequest& request) { return restart(name, request); });
            member.statements = [this, name = name](const SqlStatement& statement) {
                return answer_sql(name, statement);
            };
        }
        on_patch = [this] { reload(); };
    }

    /// Everybody waits for a restart with this.
    void is_pending(const std::string& name, const std::string& value) {
        config["postgresql"]["parameters"][name] = value;
        reload();
    }

    [[nodiscard]] std::string runs_with(const std::string& member, const std::string& name) {
        return members.at(member).sql["parameters"].value(name, "");
    }

    std::vector<std::string> restarted;  ///< members, in order
    std::vector<std::string> fell;       ///< replicas that ended for too small a value
    bool stays_as_it_is = false;         ///< a restart is told, and nothing is done
    std::string breaks;                  ///< the member whose PostgreSQL does not start again
    std::map<std::string, std::string>
        shadowed;  ///< parameters that keep their value: ALTER SYSTEM

  private:
    static Json row_of(const std::string& name) {
        if (name == "max_connections") {
            return {{"name", name},
                    {"unit", nullptr},
                    {"context", "postmaster"},
                    {"type", "integer"},
                    {"least", "1"},
                    {"most", "262143"}};
        }
        if (name == "work_mem") {
            return {{"name", name},
                    {"unit", "kB"},
                    {"context", "user"},
                    {"type", "integer"},
                    {"least", "64"},
                    {"most", "2147483647"}};
        }
        return nullptr;
    }

    [[nodiscard]] Json wanted(const std::string& name) const {
        const auto path = Json::json_pointer("/postgresql/parameters") / name;
        return config.contains(path) ? config.at(path) : Json();
    }

    static std::string text_of(const Json& value) {
        return value.is_string() ? value.get<std::string>() : value.dump();
    }

    void reload() {
        const Json connections = wanted("max_connections");
        for (auto& [name, member] : members) {
            if (!wanted("work_mem").is_null()) {
                member.sql["parameters"]["work_mem"] = text_of(wanted("work_mem"));
            }
            const std::string to = connections.is_null() ? "100" : text_of(connections);
            const std::string from = member.sql["parameters"]["max_connections"];
            member.status.erase("pending_restart");
            member.status.erase("pending_restart_reason");
            if (from != to) {
                member.status["pending_restart"] = true;
                member.status["pending_restart_reason"] = {
                    {"max_connections", {{"old_value", from}, {"new_value", to}}}};
            }
        }
    }

    HttpResponse restart(const std::string& name, const HttpRequest& request) {
        Member& member = members.at(name);
        const Json body = Json::parse(request.body.value_or("{}"));
        if (body.value("restart_pending", false) && !member.status.contains("pending_restart")) {
            return {503, "restart conditions are not satisfied", "text/plain"};
        }
        if (name == breaks) {
            member.status["state"] = "start failed";
            member.status.erase("replication_state");
            return {503, "restart failed", "text/plain"};
        }
        restarted.push_back(name);
        if (stays_as_it_is) {
            return {200, "restarted successfully", "text/plain"};
        }
        member.status["postmaster_start_time"] =
            "2026-11-24 10:00:0" + std::to_string(restarted.size()) + "+00:00";
        take_over(name, member);
        reload();
        return {200, "restarted successfully", "text/plain"};
    }

    void take_over(const std::string& name, Member& member) {
        const Json connections = wanted("max_connections");
        const long to = connections.is_null() ? 100 : std::stol(text_of(connections));
        const long leads = std::stol(runs_with("n1", "max_connections"));
        const bool replica = name != "n1";
        member.sql["parameters"]["max_connections"] =
            shadowed.contains("max_connections") ? shadowed.at("max_connections")
            : replica                            ? std::to_string(std::max(to, leads))
                                                 : std::to_string(to);
        for (const char* other : {"n2", "n3"}) {
            if (!replica && std::stol(runs_with(other, "max_connections")) < to) {
                fell.emplace_back(other);
            }
        }
    }

    SqlResult answer_sql(const std::string& name, const SqlStatement& statement) {
        if (statement.text == k_parameter_query) {
            Json row = row_of(statement.params.at(0));
            if (row.is_null()) {
                return {{"parameter"}, {{std::nullopt}}};
            }
            row["setting"] = in_unit(runs_with(name, statement.params.at(0)));
            row["pending"] = members.at(name).status.contains("pending_restart") &&
                             row["context"] == "postmaster";
            return {{"parameter"}, {{row.dump()}}};
        }
        if (statement.text == "SELECT pg_catalog.current_setting($1::pg_catalog.text)") {
            return {{"current_setting"}, {{runs_with(name, statement.params.at(0))}}};
        }
        ADD_FAILURE() << "no SQL was expected on " << name << ": " << statement.text;
        return {};
    }

    /// As pg_settings has it: of `8MB` the kB.
    static std::string in_unit(const std::string& shown) {
        const std::size_t megabytes = shown.find("MB");
        return megabytes == std::string::npos
                   ? shown
                   : std::to_string(std::stol(shown.substr(0, megabytes)) * 1024);
    }
};

}  // namespace lockstep
