#include "cluster/diagnosis_rules.hpp"

#include <algorithm>
#include <iterator>

namespace lockstep {

namespace {

/// What one does not tell is no difference.
bool names_another(const std::string& said, const std::string& expected) {
    return !said.empty() && !expected.empty() && said != expected;
}

/// Why the host that SSH reached for it is another one; empty: nothing says so.
std::string why_not_itself(const ClusterFacts& facts, const MemberFacts& member) {
    if (member.setup && names_another(member.setup->name, member.name)) {
        return "its Patroni is configured as " + member.setup->name;
    }
    if (member.setup && names_another(member.setup->scope, facts.scope)) {
        return "its Patroni is configured for the scope " + member.setup->scope + ", not " +
               facts.scope;
    }
    const std::string& system = member.identity.system_identifier;
    if (names_another(system, member.system_identifier)) {
        return "its PostgreSQL has the system identifier " + system + ", and REST says " +
               member.system_identifier;
    }
    const MemberFacts* leader = facts.leader_member();
    if (leader != nullptr && names_another(system, leader->identity.system_identifier)) {
        return "its PostgreSQL has the system identifier " + system + ", and that of " +
               leader->name + " has " + leader->identity.system_identifier;
    }
    return {};
}

/// A slot of a primary that somebody streams from, and that is neither a listed member's nor named
/// by the configuration. Patroni drops every other that it can (slots.py, 2.1 to 4.1), so it is a
/// member's that REST does not list. Weaker than the daemon's word, and asked only without that.
std::vector<std::string> unlisted_readers(const ClusterFacts& facts) {
    std::vector<std::string> found;
    const bool vouched = std::ranges::any_of(
        facts.endpoints, [](const EndpointFacts& each) { return each.over_ssh && each.tells(); });
    for (const MemberFacts& member : facts.members) {
        if (vouched || !facts.rest_unproven || !uses_slots(facts) || !member.sql.ok() ||
            member.in_recovery || !member.slots) {
            continue;
        }
        for (const SlotFacts& slot : *member.slots) {
            if (slot.active && slot.type == "physical" && slot.serves == SlotServes::consumer &&
                !rules::is_ignored_slot(facts, slot)) {
                found.push_back(slot.name + " on " + member.name);
            }
        }
    }
    return found;
}

Finding unlisted_reader_finding(const std::vector<std::string>& readers) {
    return {"cluster.members_disagree",
            Severity::critical,
            "",
            "",
            "somebody streams by the slot " + rules::join_names(readers) +
                ", which is nobody's whom Patroni's REST API lists, nor in the configuration; no "
                "daemon could be asked over SSH who is in the cluster",
            "Look on the leader's host who the members are: `patronictl list`. A member that REST "
            "does not tell of would be left out, and not be paused. If a standby of another kind "
            "reads there, name its slot in `ignore_slots` of the dynamic configuration.",
            ""};
}

/// One running system has one process of a number. By boot id and pid namespace, for a machine id
/// is often that of a template from which hosts were cloned.
bool answer_for_both(const MemberFacts& a, const MemberFacts& b) {
    return !a.identity.host.empty() && a.identity.host == b.identity.host && a.on_host &&
           b.on_host && a.on_host->daemon_pid > 0 && a.on_host->daemon_pid == b.on_host->daemon_pid;
}

Finding mistaken_member(const MemberFacts& member, const std::string& why) {
    return {
        "member.identity",
        Severity::critical,
        member.name,
        "",
        "who answers by SSH for " + member.name + ", on " + member.host + ", is not " +
            member.name + ": " + why,
        "Change nothing before this is clear: what is meant for " + member.name +
            " would be done elsewhere. Where its host is, Patroni's REST API said, and http is "
            "not authenticated: give ssh: {host: …} under members: in the inventory, and ask by "
            "https with ca_file, or by patroni.via: ssh. If `name` or `scope` were edited in "
            "Patroni's configuration there since its daemon was started, take that back first.",
        ""};
}

}  // namespace

std::vector<Finding> mistaken_members(const ClusterFacts& facts) {
    std::vector<Finding> found;
    for (auto member = facts.members.begin(); member != facts.members.end(); ++member) {
        std::string why = why_not_itself(facts, *member);
        for (auto other = facts.members.begin(); other != member && why.empty(); ++other) {
            why = answer_for_both(*other, *member)
                      ? "the same daemon, pid " + std::to_string(member->on_host->daemon_pid) +
                            ", answers for " + other->name
                      : "";
        }
        if (!why.empty()) {
            found.push_back(mistaken_member(*member, why));
        }
        if (!member->odd_address.empty()) {
            found.push_back(
                {"member.odd_address",
                 Severity::critical,
                 member->name,
                 "",
                 "Patroni publishes as an address of " + member->name +
                     " what is neither a host name nor an IP address: `" + member->odd_address +
                     "`; it is not connected to",
                 "Look at postgresql.connect_address and restapi.connect_address in Patroni's "
                 "configuration of " +
                     member->name + ", and at who can write to the DCS, or answers for Patroni.",
                 ""});
        }
    }
    return found;
}

std::vector<Finding> contradictions(const ClusterFacts& facts) {
    std::vector<Finding> found = mistaken_members(facts);
    if (const auto readers = unlisted_readers(facts); !readers.empty()) {
        found.push_back(unlisted_reader_finding(readers));
    }
    if (auto contradiction = contradiction_of(facts)) {
        found.insert(found.begin(), std::move(*contradiction));
    }
    return found;
}

void rules::identities(const ClusterFacts& facts, Findings& found) {
    std::vector<Finding> mistaken = mistaken_members(facts);
    std::move(mistaken.begin(), mistaken.end(), std::back_inserter(found));
    if (const auto readers = unlisted_readers(facts); !readers.empty()) {
        found.push_back(unlisted_reader_finding(readers));
    }
}

}  // namespace lockstep
