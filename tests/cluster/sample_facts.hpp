#pragma once

#include "cluster/diagnosis.hpp"

#include <string>

namespace lockstep {

/// Three healthy members, n1 leading, in full depth. With Patroni 4 every replica has the inactive
/// slots that are fine there.
inline MemberFacts healthy_member(const std::string& name,
                                  bool leader,
                                  const std::string& patroni) {
    MemberFacts member;
    member.name = name;
    member.host = "10.0.0.1" + name.substr(1);
    member.pg_host = member.host;
    member.api_url = "http://" + member.host + ":8008";
    member.role = leader ? "leader" : "replica";
    member.state = leader ? "running" : "streaming";
    member.listed = true;
    member.timeline = 3;
    member.lag_bytes = 0;
    member.position = 0x20000000;
    member.in_recovery = !leader;
    member.patroni.running = patroni;
    member.patroni.installed = patroni + "-1";
    member.postgres.running = "17.12";
    member.postgres.installed = "17.12-0+deb13u1";
    member.wal = WalFacts{};
    member.wal->segment_bytes = 16 << 20;
    member.wal->oldest = 0x1F000000;
    member.wal->redo = 0x1F000028;
    member.wal->max_wal_size = 64 << 20;
    member.wal->bytes = 4 * (16 << 20);
    member.wal->files = 4;
    member.disk = DiskFacts{"/var/lib/postgresql", 60, 100};
    member.slots.emplace();
    member.api.asked = member.ssh.asked = member.sql.asked = true;
    return member;
}

inline SlotFacts sample_slot(const std::string& name, bool active, Lsn restart_lsn) {
    SlotFacts slot;
    slot.name = name;
    slot.type = "physical";
    slot.active = active;
    slot.restart_lsn = restart_lsn;
    slot.retained_bytes = 0x20000000 - static_cast<std::int64_t>(restart_lsn);
    slot.wal_status = "reserved";
    return slot;
}

inline ClusterFacts healthy_cluster(const std::string& patroni) {
    ClusterFacts facts;
    facts.name = "orders";
    facts.scope = "orders";
    facts.leader = "n1";
    facts.timeline = 3;
    facts.config = {{"loop_wait", 10}, {"ttl", 30}};
    for (const char* name : {"n1", "n2", "n3"}) {
        facts.members.push_back(healthy_member(name, std::string(name) == "n1", patroni));
    }
    const bool slots_on_replicas = patroni.starts_with("4.");
    for (MemberFacts& member : facts.members) {
        for (const char* other : {"n1", "n2", "n3"}) {
            const bool leader = member.name == "n1";
            if (other == member.name || (leader ? false : !slots_on_replicas)) {
                continue;
            }
            member.slots->push_back(sample_slot(other, leader, 0x20000000));
        }
    }
    classify_slots(facts);
    return facts;
}

}  // namespace lockstep
