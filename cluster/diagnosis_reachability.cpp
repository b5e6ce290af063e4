#include "base/units.hpp"
#include "cluster/diagnosis_rules.hpp"
#include "cluster/host_findings.hpp"

namespace lockstep::rules {

namespace {

/// What the connection itself says to do, else what usually helps.
std::string remedy_for(const Access& access, const std::string& otherwise) {
    return access.hint.empty() ? otherwise : access.hint;
}

void unreachable(const MemberFacts& member,
                 const char* subject,
                 const std::string& message,
                 const std::string& remedy,
                 Findings& found) {
    found.push_back(
        {"member.unreachable", Severity::critical, member.name, subject, message, remedy, ""});
}

/// Nothing of it answers, and nothing of it refuses either.
bool is_silent(const MemberFacts& member, const Cluster& expected) {
    const bool sql_says_nothing =
        expected.postgres.via == PostgresSettings::Via::ssh || member.sql.failed();
    return member.api.failed() && !member.api.refused && member.ssh.failed() &&
           !member.ssh.refused && sql_says_nothing;
}

/// Systemd's and PostgreSQL's word is added, because the remedy differs: a stopped daemon is
/// started, one that runs is looked at from the network's side.
void api(const MemberFacts& member, const Cluster& expected, Findings& found) {
    std::string message =
        "Patroni's REST API on " + member.name + " cannot be used: " + member.api.error;
    const bool stopped = member.unit && member.unit->active_state != "active";
    if (member.unit) {
        message +=
            stopped
                ? "; its daemon does not run (systemd: " + member.unit->active_state +
                      (member.unit->restarts > 0
                           ? ", started again " + std::to_string(member.unit->restarts) + " times"
                           : "") +
                      ")"
                : "; its daemon runs";
    }
    if (member.sql.ok()) {
        message += std::string(stopped ? ", and" : "; ") + " PostgreSQL runs " +
                   (stopped ? "without it" : "there");
    }
    std::string remedy = remedy_for(
        member.api, "Check that Patroni runs there and that this host may connect to it.");
    if (stopped) {
        remedy = "Look at `journalctl -u " + expected.patroni_service + "` on " + member.name +
                 ", and start it again.";
    }
    unreachable(member, "api", message, remedy, found);
}

void ssh(const MemberFacts& member, Findings& found) {
    unreachable(member,
                "ssh",
                member.name + " cannot be reached by SSH" +
                    (member.api.ok() ? ", though its Patroni answers" : "") + ": " +
                    member.ssh.error,
                remedy_for(member.ssh,
                           "Try `lockstep doctor`: it shows what works with this member and what "
                           "not."),
                found);
}

void unknown_facts(const MemberFacts& member, Findings& found) {
    const bool no_postgres = postgres_state(member) != PostgresState::runs;
    for (const auto& [what, why] : member.unknown) {
        // Nothing that is done to a cluster depends on the setup; a daemon that is stopped, which
        // is one reason for not having it, is found by itself. So are a folder that is not ours, a
        // unit of another name, and a PostgreSQL that does not run, without which nobody knows its
        // disk and its package.
        if (what == "setup" || what == "folder" ||
            (what == "unit" && unit_is_not_what_runs(member)) ||
            (no_postgres && (what == "disk" || what == "postgres_package"))) {
            continue;
        }
        std::string message = "the " + what + " of " + member.name;
        message += " is unknown: " + why;
        found.push_back({"member.unreachable",
                         Severity::warning,
                         member.name,
                         what,
                         message,
                         "Check patroni_service and patroni_package in the inventory, and what "
                         "the login may see.",
                         ""});
    }
}

/// A host that is down is one finding and not three; that SQL fails where it goes over a broken SSH
/// is no news either.
void ways_to(const MemberFacts& member,
             const ClusterFacts& facts,
             const Cluster& expected,
             Findings& found) {
    const bool useless_url = has_useless_api_url(facts, member);  // patroni.api_address says so
    if (!useless_url && is_silent(member, expected)) {
        unreachable(
            member,
            "member",
            member.name + " does not answer at all: " + member.api.error + "; " + member.ssh.error,
            "Check that the host runs, and the network between it and this host.",
            found);
        return;
    }
    if (member.api.failed() && !useless_url) {
        api(member, expected, found);
    } else if (!member.listed && facts.cluster_error.empty()) {
        unreachable(member,
                    "cluster",
                    member.name + " is not among the members that Patroni lists",
                    "Check that its Patroni reaches the DCS, and that it is of this cluster.",
                    found);
    }
    if (member.ssh.failed()) {
        ssh(member, found);
    }
    const bool follows = member.ssh.failed() && expected.postgres.via == PostgresSettings::Via::ssh;
    if (member.sql.failed() && !follows && postgres_state(member) == PostgresState::runs) {
        unreachable(member,
                    "sql",
                    "PostgreSQL on " + member.name +
                        " cannot be asked about slots and WAL: " + member.sql.error,
                    remedy_for(member.sql, "Check that PostgreSQL runs there and lets us in."),
                    found);
    }
}

// dcs_last_seen is when a member last read the cluster from the DCS, in every loop (Patroni 2.1.2
// to 4.1). Beyond ttl its key and its lock are gone there, and a leader demotes itself.
void lost_dcs(const ClusterFacts& facts, Findings& found) {
    std::vector<std::string> seeing;
    for (const MemberFacts& member : facts.members) {
        if (member.api.ok() && member.dcs_seen_ago &&
            std::chrono::seconds{*member.dcs_seen_ago} <= facts.ttl()) {
            seeing.push_back(member.name);
        }
    }
    for (const MemberFacts& member : facts.members) {
        if (!member.api.ok() || !member.dcs_seen_ago ||
            std::chrono::seconds{*member.dcs_seen_ago} <= facts.ttl()) {
            continue;
        }
        found.push_back(
            {"cluster.dcs_unreachable",
             Severity::critical,
             member.name,
             "",
             "Patroni on " + member.name + " last read the DCS " + ago(*member.dcs_seen_ago) +
                 ", more than ttl (" + format_duration(facts.ttl()) + ")" +
                 (seeing.empty() ? "" : ", while " + join_names(seeing) + " did in time") +
                 ": it knows neither who leads nor what was configured since",
             "Check the network from " + member.name +
                 " to the DCS, and Patroni's log there: its loop may also hang. Do not restart "
                 "Patroni before the DCS is reached: without it there is no REST API.",
             ""});
    }
}

}  // namespace

void reachability(const ClusterFacts& facts, const Cluster& expected, Findings& found) {
    for (const MemberFacts& member : facts.members) {
        ways_to(member, facts, expected, found);
        unknown_facts(member, found);
    }
    // Where nobody can tell about the cluster, cluster.no_leader says that the DCS is down.
    if (facts.cluster_error.empty()) {
        lost_dcs(facts, found);
    }
}

}  // namespace lockstep::rules
