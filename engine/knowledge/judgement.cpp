#include "engine/knowledge/judgement.hpp"

#include "base/text.hpp"
#include "cluster/diagnosis.hpp"
#include "cluster/diagnosis_rules.hpp"
#include "cluster/setting_value.hpp"
#include "engine/expression/facts_value.hpp"

#include <algorithm>
#include <map>

namespace lockstep {

namespace {

using Json = nlohmann::json;

const Json& entry(const Json& map, const char* key) {
    static const Json k_none;
    const auto found = map.find(key);
    return found == map.end() ? k_none : *found;
}

std::int64_t number(const Json& value, std::int64_t fallback) {
    return value.is_number() ? value.get<std::int64_t>() : fallback;
}

bool has_permanent_logical_slots(const Json& config) {
    const Json& slots = entry(config, "slots");
    return slots.is_object() && std::ranges::any_of(slots, [](const Json& slot) {
               return slot.is_object() && entry(slot, "type") == "logical";
           });
}

/// `quorum`, in whatever case, is of 4.0.0 and later (patroni/global_config.py, 4.1).
const char* synchronous_mode(const Json& value) {
    const bool quorum = value.is_string() && lower(value.get<std::string>()) == "quorum";
    return quorum ? "quorum" : is_on(value) ? "on" : "off";
}

/// The dynamic configuration as rows ask about it, with Patroni's defaults (patroni/config.py,
/// __DEFAULT_CONFIG).
Value config_value(const ClusterFacts& facts) {
    if (!facts.config.is_object()) {
        return Value::unknown("the dynamic configuration is not known");
    }
    const Json& config = facts.config;
    return Value(Value::Map{
        {"synchronous_mode", Value(synchronous_mode(entry(config, "synchronous_mode")))},
        {"failsafe_mode", Value(is_on(entry(config, "failsafe_mode")))},
        {"standby_cluster", Value(entry(config, "standby_cluster").is_object())},
        {"loop_wait", Value(number(entry(config, "loop_wait"), 10))},
        {"ttl", Value(number(entry(config, "ttl"), 30))},
        {"retry_timeout", Value(number(entry(config, "retry_timeout"), 10))},
        {"has_primary_timeouts",
         Value(config.contains("primary_start_timeout") ||
               config.contains("primary_stop_timeout"))},
        {"has_logical_slots", Value(has_permanent_logical_slots(config))},
    });
}

/// Unknown and not false where nobody could look: a row must not be ruled out by blindness.
template <class Slots, class Test>
Value any_slot(const Slots& slots, const Test& test) {
    return slots ? Value(std::ranges::any_of(*slots, test))
                 : Value::unknown("its slots are not known");
}

// The tag itself, else failover_priority of 0 or less (patroni/tags.py, 3.2 to 4.1).
bool is_nofailover(const MemberFacts& member) {
    if (const auto tag = member.tags.find("nofailover"); tag != member.tags.end()) {
        return is_on(tag->second);
    }
    const auto priority = member.tags.find("failover_priority");
    return priority != member.tags.end() && priority->second.is_number() &&
           priority->second.get<double>() <= 0;
}

/// Slots that Patroni makes and moves by itself; rows about its slot management are about these.
bool is_patronis(const SlotFacts& slot) {
    return slot.serves == SlotServes::member || slot.serves == SlotServes::absent ||
           slot.serves == SlotServes::permanent;
}

/// What rows ask of slots is worked out here, so that a `when` stays one short expression.
Value member_value(const MemberFacts& member) {
    Value::Map map = facts_value(member.to_json(), member.name).as_map();
    map.insert_or_assign("nofailover", Value(is_nofailover(member)));
    // Of the slots that Patroni manages. One that was never reserved has no position either.
    map.insert_or_assign("has_lost_slot", any_slot(member.slots, [](const SlotFacts& slot) {
                             return slot.wal_status == "lost" && is_patronis(slot);
                         }));
    map.insert_or_assign("has_slot_without_lsn", any_slot(member.slots, [](const SlotFacts& slot) {
                             return slot.type == "physical" && !slot.restart_lsn &&
                                    is_patronis(slot);
                         }));
    map.insert_or_assign("has_foreign_slot", any_slot(member.slots, [](const SlotFacts& slot) {
                             return !is_patronis(slot);
                         }));
    return Value(std::move(map));
}

/// A cluster at one moment. What expressions see of it is made when the first row asks.
class State {
  public:
    explicit State(const ClusterFacts& facts) : facts_(facts) {}

    [[nodiscard]] const ClusterFacts& facts() const { return facts_; }

    /// `cluster`, `config`, and under the given names the members.
    [[nodiscard]] Scope scope(const std::map<std::string, const MemberFacts*>& members) {
        if (common_.empty()) {
            common_.emplace("config", config_value(facts_));
            common_.emplace(
                "cluster",
                Value(Value::Map{{"keeps_member_slots", Value(keeps_member_slots(facts_))},
                                 {"uses_slots", Value(uses_slots(facts_))},
                                 {"has_permanent_physical_slots",
                                  Value(has_permanent_physical_slots(facts_))}}));
        }
        Scope scope = common_;
        for (const auto& [name, member] : members) {
            const auto known = values_.find(member);
            scope.emplace(name,
                          known != values_.end()
                              ? known->second
                              : values_.emplace(member, member_value(*member)).first->second);
        }
        return scope;
    }

  private:
    const ClusterFacts& facts_;
    Scope common_;
    std::map<const MemberFacts*, Value> values_;
};

enum class Answer { no, yes, unknown };

/// Whether the rest of a row holds, once the versions of Patroni fit.
/// Unknown is an answer of its own: such a row is told and blocks nothing.
Answer holds(const KnowledgeRow& row,
             const MemberFacts& about,
             State& state,
             const std::map<std::string, const MemberFacts*>& members,
             std::string& undecided) {
    Answer answer = Answer::yes;
    if (row.postgres) {
        if (about.postgres.running.empty()) {
            undecided = "the version of its PostgreSQL is not known";
            answer = Answer::unknown;
        } else if (!row.postgres->contains(about.postgres.running)) {
            return Answer::no;
        }
    }
    if (!row.when) {
        return answer;
    }
    const Evaluation evaluated = row.when->evaluate(state.scope(members));
    if (const auto* unknown = std::get_if<Value::Unknown>(&evaluated)) {
        undecided = unknown->because;
        return Answer::unknown;
    }
    if (const auto* error = std::get_if<EvaluationError>(&evaluated)) {
        undecided = error->message;
        return Answer::unknown;
    }
    const Value& value = std::get<Value>(evaluated);
    return value.kind() == Value::Kind::boolean && value.as_bool() ? answer : Answer::no;
}

bool runs(const MemberFacts& member, const VersionRange& range) {
    return range.contains(member.patroni.running);
}

KnownIssue about(const KnowledgeRow& row, const MemberFacts& member) {
    KnownIssue issue;
    issue.row = &row;
    issue.member = member.name;
    issue.version = member.patroni.running;
    return issue;
}

/// A row with `leader` alone is about whoever leads; with `replica` one issue for each replica that
/// fits, because each is mended by itself.
void of_leader_and_replicas(const KnowledgeRow& row, State& state, std::vector<KnownIssue>& found) {
    const MemberFacts* leader = state.facts().leader_member();
    if (leader == nullptr || !runs(*leader, *row.leader)) {
        return;
    }
    if (!row.replica) {
        KnownIssue issue = about(row, *leader);
        if (holds(row, *leader, state, {{"leader", leader}, {"member", leader}}, issue.undecided) !=
            Answer::no) {
            found.push_back(std::move(issue));
        }
        return;
    }
    for (const MemberFacts& replica : state.facts().members) {
        KnownIssue issue = about(row, replica);
        issue.other = leader->name;
        issue.other_version = leader->patroni.running;
        if (&replica != leader && runs(replica, *row.replica) &&
            holds(row,
                  replica,
                  state,
                  {{"leader", leader}, {"replica", &replica}, {"member", &replica}},
                  issue.undecided) != Answer::no) {
            found.push_back(std::move(issue));
        }
    }
}

void of_members(const KnowledgeRow& row, State& state, std::vector<KnownIssue>& found) {
    for (const MemberFacts& member : state.facts().members) {
        if (!runs(member, *row.member)) {
            continue;
        }
        KnownIssue issue = about(row, member);
        if (row.beside) {
            std::vector<std::string> others;
            for (const MemberFacts& other : state.facts().members) {
                if (&other != &member && runs(other, *row.beside)) {
                    others.push_back(other.name);
                    issue.other_version = other.patroni.running;
                }
            }
            // `beside` is about versions side by side: alone there is no such issue.
            if (others.empty()) {
                continue;
            }
            issue.other = rules::join_names(others);
        }
        if (holds(row, member, state, {{"member", &member}}, issue.undecided) != Answer::no) {
            found.push_back(std::move(issue));
        }
    }
}

}  // namespace

std::string KnownIssue::message() const {
    std::string text;
    if (row->of_a_change() && !from.empty()) {
        text = "from Patroni " + from + " to " + version;
    } else if (row->of_a_pair() && row->finding.empty()) {
        text = "Patroni " + version + " on " + member + " does not go with " + other_version +
               " on " + (row->replica ? "the leader " : "") + other;
    } else if (row->of_a_pair()) {
        text = member + " and " + (row->replica ? "the leader " : "") + other;
    } else {
        text = "Patroni " + version + " on " + member;
    }
    text += (row->ask.empty() ? "" : ", if " + row->ask) + ": " + row->symptom;
    return undecided.empty() ? text : text + "; whether that is so here is not known: " + undecided;
}

Finding KnownIssue::to_finding() const {
    const bool sure = undecided.empty() && row->ask.empty();
    return {.id = row->finding_id(),
            .severity = sure ? row->severity : Severity::info,
            .member = member,
            .subject = row->id,
            .message = message(),
            .remedy = row->remedy,
            .source = row->source,
            .acceptable = true};
}

/// A row that asks about what nobody can observe is never found in a state: it is advice about a
/// change.
std::vector<KnownIssue> known_of_state(const Knowledge& knowledge, const ClusterFacts& facts) {
    State state(facts);
    std::vector<KnownIssue> found;
    for (const KnowledgeRow& row : knowledge) {
        if (row.of_a_change() || !row.ask.empty()) {
            continue;
        }
        if (row.leader) {
            of_leader_and_replicas(row, state, found);
        } else {
            of_members(row, state, found);
        }
    }
    return found;
}

/// Once for each row, since the plan makes the same change on every member: one telling is enough.
std::vector<KnownIssue> known_of_changes(const Knowledge& knowledge,
                                         const ClusterFacts& before,
                                         const std::vector<VersionChange>& changes) {
    State state(before);
    std::vector<KnownIssue> found;
    for (const KnowledgeRow& row : knowledge) {
        if (!row.of_a_change()) {
            continue;
        }
        std::optional<KnownIssue> first;  // a member of which it is sure goes before others
        for (const VersionChange& change : changes) {
            const MemberFacts* member = before.find(change.member);
            if (member == nullptr || (row.from && !row.from->contains(change.from)) ||
                (row.to && !row.to->contains(change.to))) {
                continue;
            }
            KnownIssue issue = about(row, *member);
            issue.from = change.from;
            issue.version = change.to;
            const Answer answer = holds(row, *member, state, {{"member", member}}, issue.undecided);
            if (answer == Answer::yes || (answer == Answer::unknown && !first)) {
                first = std::move(issue);
            }
            if (answer == Answer::yes) {
                break;
            }
        }
        if (first) {
            found.push_back(std::move(*first));
        }
    }
    return found;
}

/// A version that no plan is let to is no better where it runs already. Only what is sure, and not
/// what another row says of the member in its state.
std::vector<KnownIssue> known_of_running(const Knowledge& knowledge,
                                         const ClusterFacts& facts,
                                         const std::vector<KnownIssue>& of_state) {
    State state(facts);
    std::vector<KnownIssue> found;
    for (const KnowledgeRow& row : knowledge) {
        if (!row.to || row.from || !row.ask.empty() || row.severity != Severity::critical) {
            continue;
        }
        for (const MemberFacts& member : facts.members) {
            KnownIssue issue = about(row, member);
            const bool said = std::ranges::any_of(of_state, [&](const KnownIssue& other) {
                return other.member == member.name && other.row->source == row.source;
            });
            if (!said && runs(member, *row.to) &&
                holds(row, member, state, {{"member", &member}}, issue.undecided) == Answer::yes) {
                found.push_back(std::move(issue));
            }
        }
    }
    return found;
}

/// Of rows that cannot be decided only critical ones are told here: a check that cries about maybes
/// is not read.
std::vector<Finding> examine(const ClusterFacts& facts, const Cluster& expected) {
    std::vector<Finding> findings = diagnose(facts, expected);
    const std::vector<KnownIssue> of_state = known_of_state(shipped_knowledge(), facts);
    for (const KnownIssue& issue : of_state) {
        if (!issue.undecided.empty() && issue.row->severity != Severity::critical) {
            continue;
        }
        findings.push_back(issue.to_finding());
        findings.back().acceptable = false;  // of what is there already nobody needs to be asked
    }
    for (const KnownIssue& issue : known_of_running(shipped_knowledge(), facts, of_state)) {
        findings.push_back(issue.to_finding());
        findings.back().severity = Severity::warning;  // what it does shows by itself
        findings.back().acceptable = false;
    }
    sort_worst_first(findings);
    return findings;
}

}  // namespace lockstep
