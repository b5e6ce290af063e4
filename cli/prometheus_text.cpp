#include "base/utf8.hpp"
#include "cli/texts.hpp"

#include <array>
#include <charconv>
#include <map>
#include <set>
#include <utility>
#include <vector>

namespace lockstep {

namespace {

using Labels = std::vector<std::pair<std::string, std::string>>;

// In a label's value backslash, double quote and line feed are escaped (Prometheus text format
// 0.0.4). What is no UTF-8 would make a collector refuse the whole file, and whoever reads it on a
// terminal sees what a terminal shows.
std::string escaped(const std::string& text) {
    std::string value;
    for (const char c : without_hidden(as_utf8(text, k_unreadable), "\n")) {
        value += c == '\\' ? "\\\\" : c == '"' ? "\\\"" : c == '\n' ? "\\n" : std::string(1, c);
    }
    return value;
}

std::string number(double value) {
    std::array<char, 64> text{};
    const auto end = std::to_chars(text.data(), text.data() + text.size(), value);
    return {text.data(), end.ptr};
}

std::string number(std::int64_t value) {
    return std::to_string(value);
}

/// Samples by family: those of one family stand together, under one HELP and TYPE, and no two have
/// the same labels.
class Exposition {
  public:
    void declare(const std::string& name, const std::string& help) {
        families_.push_back({name, help, {}, {}});
    }

    void add(const std::string& name, const Labels& labels, const std::string& value) {
        for (Family& family : families_) {
            if (family.name == name) {
                const std::string series = render(labels);
                if (family.seen.insert(series).second) {
                    family.lines += "lockstep_" + name + series + " " + value + "\n";
                }
            }
        }
    }

    [[nodiscard]] std::string text() const {
        std::string all;
        for (const Family& family : families_) {
            if (!family.lines.empty()) {
                all += "# HELP lockstep_" + family.name + " " + family.help + "\n";
                all += "# TYPE lockstep_" + family.name + " gauge\n" + family.lines;
            }
        }
        return all;
    }

  private:
    struct Family {
        std::string name;
        std::string help;
        std::string lines;
        std::set<std::string> seen;
    };

    static std::string render(const Labels& labels) {
        std::string text;
        for (const auto& [name, value] : labels) {
            text += (text.empty() ? "{" : ",") + name + "=\"" + escaped(value) + "\"";
        }
        return text + "}";
    }

    std::vector<Family> families_;
};

Exposition declared() {
    Exposition all;
    all.declare("check_status", "Result of the check: 0 ok, 1 warning, 2 critical, 3 unknown.");
    all.declare("check_timestamp_seconds", "When the check ended, in seconds since the epoch.");
    all.declare("check_duration_seconds", "How long the check took.");
    all.declare("finding", "One finding of the check; absent when there is none.");
    all.declare("paused", "1 while the cluster is paused (no failover happens).");
    all.declare("member_up", "1 when the member answered this way: api, ssh or sql.");
    all.declare("patroni_info",
                "Versions of Patroni: the daemon that runs, the package installed.");
    all.declare("replication_lag_bytes", "How far a replica is behind the leader.");
    all.declare("wal_bytes", "Size of pg_wal.");
    all.declare("wal_held_bytes", "WAL that is kept although a restart would not need it.");
    all.declare("wal_growth_bytes_per_second",
                "By how much pg_wal has grown over the last hour; negative: it shrank.");
    all.declare("disk_free_bytes", "Free bytes of the file system where pg_wal is.");
    all.declare("disk_total_bytes", "Size of the file system where pg_wal is.");
    all.declare("slot_retained_bytes", "WAL that a replication slot holds.");
    all.declare("slot_stuck", "1 when a replication slot does not advance and nothing uses it.");
    return all;
}

void add_slots(const MemberFacts& member, const Labels& of_member, Exposition& all) {
    if (!member.slots) {
        return;
    }
    for (const SlotFacts& slot : *member.slots) {
        Labels labels = of_member;
        labels.emplace_back("slot", slot.name);
        all.add("slot_stuck", labels, slot.stuck ? "1" : "0");
        if (slot.retained_bytes) {
            labels.emplace_back("serves", to_text(slot.serves));
            labels.emplace_back("active", slot.active ? "true" : "false");
            all.add("slot_retained_bytes", labels, number(*slot.retained_bytes));
        }
    }
}

void add_member(const std::string& cluster, const MemberFacts& member, Exposition& all) {
    const Labels of_member{{"cluster", cluster}, {"member", member.name}};
    for (const auto& [way, access] : {std::pair{"api", &member.api},
                                      std::pair{"ssh", &member.ssh},
                                      std::pair{"sql", &member.sql}}) {
        if (access->asked) {
            Labels labels = of_member;
            labels.emplace_back("way", way);
            all.add("member_up", labels, access->ok() ? "1" : "0");
        }
    }
    if (!member.patroni.running.empty() || !member.patroni.installed.empty()) {
        Labels labels = of_member;
        labels.emplace_back("version", member.patroni.running);
        labels.emplace_back("installed", member.patroni.installed);
        all.add("patroni_info", labels, "1");
    }
    if (member.lag_bytes && !member.is_leader()) {
        all.add("replication_lag_bytes", of_member, number(*member.lag_bytes));
    }
    if (member.wal) {
        all.add("wal_bytes", of_member, number(member.wal->bytes));
        if (const auto held = member.wal->held_bytes()) {
            all.add("wal_held_bytes", of_member, number(*held));
        }
        if (member.wal->growth_per_second) {
            all.add(
                "wal_growth_bytes_per_second", of_member, number(*member.wal->growth_per_second));
        }
    }
    if (member.disk) {
        Labels labels = of_member;
        labels.emplace_back("mount", member.disk->mount);
        all.add("disk_free_bytes", labels, number(member.disk->free_bytes));
        all.add("disk_total_bytes", labels, number(member.disk->total_bytes));
    }
    add_slots(member, of_member, all);
}

}  // namespace

std::string prometheus_text(const std::vector<CheckResult>& results) {
    Exposition all = declared();
    for (const CheckResult& result : results) {
        const Labels of_cluster{{"cluster", result.cluster}};
        const double at =
            std::chrono::duration<double>(
                std::chrono::floor<std::chrono::milliseconds>(result.at.time_since_epoch()))
                .count();
        all.add("check_status", of_cluster, number(static_cast<std::int64_t>(result.status())));
        all.add("check_timestamp_seconds", of_cluster, number(at));
        all.add("check_duration_seconds",
                of_cluster,
                number(std::chrono::duration<double>(result.took).count()));
        if (!result.observed()) {
            continue;
        }
        all.add("paused", of_cluster, result.facts.paused ? "1" : "0");
        for (const Finding& finding : result.findings) {
            all.add("finding",
                    {{"cluster", result.cluster},
                     {"id", finding.id},
                     {"member", finding.member},
                     {"subject", finding.subject},
                     {"severity", std::string(to_text(finding.severity))}},
                    "1");
        }
        for (const MemberFacts& member : result.facts.members) {
            add_member(result.cluster, member, all);
        }
    }
    return all.text();
}

}  // namespace lockstep
