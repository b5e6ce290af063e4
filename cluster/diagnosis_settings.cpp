#include "base/units.hpp"
#include "cluster/diagnosis_rules.hpp"
#include "cluster/pending_restart.hpp"
#include "cluster/setting_value.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace lockstep::rules {

namespace {

using Json = nlohmann::json;

constexpr std::array k_alike{"max_replication_slots",
                             "wal_level",
                             "track_commit_timestamp",
                             "hot_standby",
                             "wal_log_hints",
                             "shared_preload_libraries"};

// Patroni passes these to the postmaster itself, by the dynamic configuration alone; in a member's
// own file it ignores them (patroni/postgresql/config.py, CMDLINE_OPTIONS, 2.1 to 4.1).
constexpr std::array k_from_dynamic_configuration{"max_connections",
                                                  "max_prepared_transactions",
                                                  "max_locks_per_transaction",
                                                  "max_worker_processes",
                                                  "max_wal_senders",
                                                  "max_replication_slots",
                                                  "wal_keep_segments",
                                                  "wal_keep_size",
                                                  "track_commit_timestamp",
                                                  "hot_standby",
                                                  "wal_log_hints"};

template <typename Names>
bool is_one_of(const Names& names, const std::string& name) {
    return std::ranges::find(names, name) != names.end();
}

/// Empty: not known.
std::string setting_of(const MemberFacts& member, const std::string& name) {
    const auto found = member.postgres.settings.find(name);
    return found == member.postgres.settings.end() ? std::string() : found->second;
}

/// `50 -> 60`, as Patroni 3.3.0 and later tell it.
std::string change_text(const Json& change) {
    const auto text = [&](const char* key) {
        const auto value = change.find(key);
        if (value == change.end() || value->is_null()) {
            return std::string();
        }
        return value->is_string() ? value->get<std::string>() : value->dump();
    };
    if (!change.is_object() || (text("old_value").empty() && text("new_value").empty())) {
        return {};
    }
    return " (" + text("old_value") + " -> " + text("new_value") + ")";
}

long long number_at(const Json& change, const char* key) {
    const auto value = change.find(key);
    return value != change.end() && value->is_string()
               ? std::atoll(value->get<std::string>().c_str())
               : 0;
}

/// In which order restarts are safe: a replica must never have less than the leader.
std::string order_of(const Json& reasons) {
    bool raised = false;
    bool lowered = false;
    for (const auto& [name, change] : reasons.items()) {
        if (!must_not_be_below_primary(name) || !change.is_object()) {
            continue;
        }
        const long long before = number_at(change, "old_value");
        const long long after = number_at(change, "new_value");
        raised = raised || after > before;
        lowered = lowered || after < before;
    }
    if (raised == lowered) {
        return {};
    }
    return raised ? " Replicas first, because a value is raised that a replica needs as well."
                  : " The leader first, because a value is lowered that replicas need as long as "
                    "the leader has it.";
}

/// In which order members may be restarted depends on the direction of the change; only Patroni
/// 3.3.0 and later tell it.
void pending_restart(const ClusterFacts& facts, const MemberFacts& member, Findings& found) {
    if (!member.pending_restart) {
        return;
    }
    std::vector<std::string> parameters;
    const Json& reasons = member.pending_restart_reason;
    if (reasons.is_object()) {
        for (const auto& [parameter, change] : reasons.items()) {
            parameters.push_back(parameter + change_text(change));
        }
    }
    found.push_back({"postgres.pending_restart",
                     Severity::warning,
                     member.name,
                     "",
                     "PostgreSQL on " + member.name + " waits for a restart" +
                         (parameters.empty() ? "" : " for " + join_names(parameters)),
                     "Restart it through Patroni when it suits: `patronictl restart " +
                         facts.scope + " " + member.name + " --pending`." +
                         (reasons.is_object() ? order_of(reasons) : ""),
                     ""});
}

Finding drift(const MemberFacts& member,
              const std::string& name,
              Severity severity,
              const std::string& message,
              const std::string& remedy) {
    return {"config.drift", severity, member.name, name, message, remedy, ""};
}

/// Only a replica that has less than the leader is a warning, because only that stops its replay.
void compare_with_leader(const ClusterFacts& facts,
                         const MemberFacts& leader,
                         const MemberFacts& member,
                         Findings& found) {
    const auto differs = [&](const std::string& name) {
        const std::string here = setting_of(member, name);
        const std::string there = setting_of(leader, name);
        return !here.empty() && !there.empty() && here != there;
    };
    const auto values = [&](const std::string& name) {
        return name + " is " + setting_of(member, name) + " on " + member.name + " and " +
               setting_of(leader, name) + " on the leader " + leader.name;
    };
    const std::string restart = "`patronictl restart " + facts.scope + " " + member.name + "`";
    for (const std::string_view each : k_not_below_primary) {
        const std::string name(each);
        if (!differs(name)) {
            continue;
        }
        if (std::atoll(setting_of(member, name).c_str()) >
            std::atoll(setting_of(leader, name).c_str())) {
            found.push_back(drift(member,
                                  name,
                                  Severity::info,
                                  values(name) + "; a replica may have more",
                                  "Restart PostgreSQL where the value is old, through Patroni."));
            continue;
        }
        const bool pauses = std::atoi(member.postgres.running.c_str()) >= 14;
        Finding less = drift(
            member,
            name,
            Severity::warning,
            values(name) + ": a replica with less than the leader " +
                (pauses ? "pauses its replay, and ends when it is started like that"
                        : "shuts down, and does not start like that"),
            "Set it in the dynamic configuration (`patronictl edit-config`) if it is not there, "
            "and restart PostgreSQL on " +
                member.name + ": " + restart + ".");
        less.source = "PostgreSQL: Hot Standby, Administrator's Overview";
        found.push_back(std::move(less));
    }
    for (const std::string name : k_alike) {
        if (differs(name)) {
            found.push_back(
                drift(member,
                      name,
                      Severity::warning,
                      values(name) + ": after a failover the cluster would run with other settings",
                      "Set it alike everywhere, best in the dynamic configuration (`patronictl "
                      "edit-config`), and restart PostgreSQL where it is old: " +
                          restart + "."));
        }
    }
}

/// Such a difference is found by itself, with its remedy: told once is enough.
bool waits_for_restart(const MemberFacts& member, const std::string& name) {
    return member.pending_restart && (!member.pending_restart_reason.is_object() ||
                                      member.pending_restart_reason.contains(name));
}

/// What cannot be compared counts as equal: units and spellings that we do not know would cry for
/// nothing.
void compare_with_file(const ClusterFacts& facts, const MemberFacts& member, Findings& found) {
    if (!member.setup || !member.setup->parameters.is_object()) {
        return;
    }
    std::vector<std::string> differing;
    std::vector<std::string> ignored;
    for (const auto& [name, value] : member.setup->parameters.items()) {
        if (same_setting(name, value, setting_of(member, name)).value_or(true) ||
            waits_for_restart(member, name)) {
            continue;
        }
        const std::string wanted = value.is_string()    ? value.get<std::string>()
                                   : value.is_boolean() ? value.get<bool>() ? "on" : "off"
                                                        : value.dump();
        (is_one_of(k_from_dynamic_configuration, name) ? ignored : differing)
            .push_back(name + " is " + setting_of(member, name) + " (the file says " + wanted +
                       ")");
    }
    const std::string where =
        "in " + (member.setup->file.empty() ? "its configuration" : member.setup->file) + " of " +
        member.name;
    if (!differing.empty()) {
        const bool changed = member.unit && member.unit->started_at > 0 &&
                             member.setup->changed_at > member.unit->started_at;
        found.push_back(
            {"config.drift",
             Severity::warning,
             member.name,
             "parameters",
             "PostgreSQL does not run with what postgresql.parameters " + where +
                 " says: " + join_names(differing) +
                 (changed ? "; the file changed after the daemon's start" : ""),
             "If the file is right: `patronictl reload " + facts.scope + " " + member.name +
                 "`. If that changes nothing, ALTER SYSTEM or another file overrides it: see "
                 "pg_settings.sourcefile.",
             ""});
    }
    if (!ignored.empty()) {
        found.push_back({"config.drift",
                         Severity::info,
                         member.name,
                         "ignored",
                         "postgresql.parameters " + where + " sets what Patroni takes from the " +
                             "dynamic configuration alone: " + join_names(ignored),
                         "Set it with `patronictl edit-config`, and take it out of the file.",
                         "patroni: docs/patroni_configuration.rst"});
    }
}

}  // namespace

void settings(const ClusterFacts& facts, Findings& found) {
    const MemberFacts* leader = facts.leader_member();
    for (const MemberFacts& member : facts.members) {
        pending_restart(facts, member, found);
        if (leader != nullptr && leader != &member) {
            compare_with_leader(facts, *leader, member, found);
        }
        compare_with_file(facts, member, found);
    }
}

}  // namespace lockstep::rules
