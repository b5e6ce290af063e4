#include "base/error.hpp"
#include "base/json.hpp"
#include "base/units.hpp"
#include "cluster/pending_restart.hpp"
#include "cluster/setting_value.hpp"
#include "steps/actions/config_patch.hpp"
#include "steps/actions/parameter_value.hpp"
#include "steps/actions/patroni_requests.hpp"
#include "steps/catalog.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using Json = nlohmann::json;
using namespace std::chrono_literals;

constexpr const char* k_parameter_subject = "patroni.set_parameter";
constexpr auto k_parameter_poll = 200ms;
constexpr auto k_parameter_patience = 30s;
constexpr int k_loops_to_take = 4;

/// Lower case, as PostgreSQL and Patroni compare it.
std::string parameter_name(const StepCall& call) {
    std::string name = text_arg(call, "name");
    std::ranges::transform(
        name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const bool fits = !name.empty() && std::ranges::all_of(name, [](unsigned char c) {
        return std::isalnum(c) != 0 || c == '_' || c == '.' || c == '$';
    });
    if (!fits) {
        throw Error(call.id + ": name is no name of a parameter");
    }
    return name;
}

/// nullopt: it is removed.
std::optional<std::string> parameter_value(const StepCall& call) {
    const auto found = call.with.find("value");
    if (found == call.with.end() || found->second.kind() == Value::Kind::null) {
        return std::nullopt;
    }
    const Value& value = found->second;
    if (value.tainted()) {
        throw Error(call.id + ": value holds a secret",
                    "Whoever may read Patroni's REST API can read its dynamic configuration.");
    }
    if (value.is_unknown()) {
        throw Error(call.id + ": value is unknown: " + value.unknown_because());
    }
    if (value.kind() == Value::Kind::list || value.kind() == Value::Kind::map) {
        throw Error(call.id + ": value is " + std::string(value.kind_name()) +
                    ", not one text or number");
    }
    if (value.kind() == Value::Kind::boolean) {
        return value.as_bool() ? "on" : "off";
    }
    return value.to_text();
}

/// A whole number goes as one, as people write it there.
Json value_in_patch(const std::optional<std::string>& value) {
    if (!value) {
        return nullptr;
    }
    const bool digits = !value->empty() && value->size() <= 9 &&
                        value->find_first_not_of("0123456789") == std::string::npos &&
                        (value->size() == 1 || value->front() != '0');
    return digits ? Json(std::stoi(*value)) : Json(*value);
}

Json parameter_patch(const std::string& name, const Json& value) {
    return {{"postgresql", {{"parameters", {{name, value}}}}}};
}

/// What the configuration has for it now; null: nothing.
Json configured_value(const Json& config, const std::string& name) {
    const Json::json_pointer path = Json::json_pointer("/postgresql/parameters") / name;
    return config.is_object() && config.contains(path) ? config.at(path) : Json();
}

struct Rows {
    std::map<std::string, ParameterRow> found;   ///< by member
    std::map<std::string, std::string> missing;  ///< member: why
    bool unknown_name = false;                   ///< a server has no such parameter
};

/// `{"n1": row | null | "why not"}`
Rows rows_of(const Json& probed) {
    Rows rows;
    for (const auto& [member, row] : probed.items()) {
        if (row.is_object()) {
            rows.found.emplace(member, parameter_row(row));
        } else if (row.is_null()) {
            rows.unknown_name = true;
        } else {
            rows.missing[member] = row.is_string() ? row.get<std::string>() : "it is not known";
        }
    }
    return rows;
}

Json ask_for_row(ActionContext& context, const MemberFacts& member, const std::string& name) {
    try {
        const SqlResult answer = context.sql(member, {.text = k_parameter_query, .params = {name}});
        const std::optional<std::string> text = answer.rows.at(0).at(0);
        return text ? read_json(*text).document : Json();
    } catch (const SqlError& error) {
        return std::string(error.what());
    } catch (const TransportError& error) {
        if (error.kind() == TransportError::Kind::cancelled) {
            throw;
        }
        return std::string(error.what());
    }
}

Json ask_for_rows(ActionContext& context, const std::string& name) {
    Json rows = Json::object();
    for (const MemberFacts& member : context.facts.members) {
        rows[member.name] = ask_for_row(context, member, name);
    }
    return rows;
}

Finding parameter_refusal(std::string id,
                          const std::string& member,
                          std::string message,
                          std::string remedy) {
    return {.id = std::move(id),
            .severity = Severity::critical,
            .member = member,
            .subject = k_parameter_subject,
            .message = (member.empty() ? "" : member + ": ") + std::move(message),
            .remedy = std::move(remedy),
            .source = {}};
}

/// Why a member would not run with it although the dynamic configuration says so.
void refuse_overridden(const MemberFacts& member, const ParameterRow& row, Preview& preview) {
    if (row.file.ends_with("postgresql.auto.conf")) {
        preview.blocked_by.push_back(parameter_refusal(
            "parameter.overridden",
            member.name,
            row.name + " is set by ALTER SYSTEM there, which counts more than Patroni's files",
            "ALTER SYSTEM RESET " + row.name + " there first."));
    }
    const bool in_own = member.setup && member.setup->parameters.is_object() &&
                        member.setup->parameters.contains(row.name);
    if (in_own && !must_not_be_below_primary(row.name)) {
        preview.blocked_by.push_back(parameter_refusal(
            "parameter.overridden",
            member.name,
            row.name + " stands in " + member.setup->file + " there, which counts more",
            "Take it out of that file and reload Patroni there first."));
    }
}

/// By what the servers said when the plan was made.
void refuse_by_rows(const StepCall& call, const ClusterFacts& facts, Preview& preview) {
    const Rows rows = rows_of(call.probed);
    const std::string name = parameter_name(call);
    const std::optional<std::string> value = parameter_value(call);
    for (const auto& [member, why] : rows.missing) {
        preview.blocked_by.push_back(
            parameter_refusal("parameter.unread",
                              member,
                              "what it takes for " + name + " is not known: " + why,
                              "Every member is asked before anything is written."));
    }
    if (rows.unknown_name && name.find('.') == std::string::npos) {
        preview.blocked_by.push_back(
            parameter_refusal("parameter.unknown",
                              {},
                              "PostgreSQL there has no parameter " + name,
                              "Patroni would leave it out with a line in its log."));
    } else if (rows.unknown_name) {
        preview.notes.push_back(name +
                                " is of an extension that is not loaded where it was asked "
                                "for: nobody can say what it takes");
    }
    for (const auto& [name_of_member, row] : rows.found) {
        if (row.context == "internal") {
            preview.blocked_by.push_back(parameter_refusal(
                "parameter.fixed", {}, name + " cannot be changed in a running cluster", ""));
            return;
        }
        if (const MemberFacts* member = facts.find(name_of_member)) {
            refuse_overridden(*member, row, preview);
        }
        const NormalValue normal = value ? normal_value(row, *value) : NormalValue{};
        if (!normal.why_not.empty()) {
            preview.blocked_by.push_back(
                parameter_refusal("parameter.value",
                                  name_of_member,
                                  name + " = " + *value + " is " + normal.why_not,
                                  "Patroni would answer 200, and leave it "
                                  "out."));
        }
    }
}

void refuse_by_name(const StepCall& call, const ClusterFacts& facts, Preview& preview) {
    const std::string name = parameter_name(call);
    std::string why = why_patroni_refuses(name, parameter_value(call));
    const bool synchronous = facts.config.is_object() &&
                             facts.config.contains("synchronous_mode") &&
                             (is_on(facts.config.at("synchronous_mode")) ||
                              facts.config.at("synchronous_mode") == "quorum");
    if (name == "synchronous_standby_names" && synchronous) {
        why = "Patroni sets it itself in synchronous_mode";
    }
    if (!why.empty()) {
        preview.blocked_by.push_back(parameter_refusal(
            "parameter.controlled",
            {},
            name + " cannot be set so in the dynamic configuration: " + why,
            "See \"PostgreSQL parameters controlled by Patroni\" in its manual."));
    }
}

/// Restarts that take a parameter back, in the order that its old value needs: by then the
/// direction is the opposite one.
std::vector<Undo> restarts_back(const ClusterFacts& facts, bool leader_first) {
    std::vector<const MemberFacts*> order;
    for (const MemberFacts& member : facts.members) {
        order.push_back(&member);
    }
    std::ranges::stable_sort(order, std::less<>{}, [&](const MemberFacts* member) {
        return member->is_leader() != leader_first;
    });
    std::vector<Undo> restarts;
    const Json with = {{"if_pending", true}};
    for (const MemberFacts* member : order) {
        restarts.push_back({{Operation::Kind::http,
                             "POST " + member->api_url + "/restart {\"restart_pending\":true}"},
                            "patroni.restart",
                            member->name,
                            with});
    }
    return restarts;
}

/// Members as they will wait for the restart.
void as_pending(ClusterFacts& facts, const Rows& rows, const std::string& value) {
    for (MemberFacts& member : facts.members) {
        const auto row = rows.found.find(member.name);
        if (row == rows.found.end() || !row->second.needs_restart() ||
            runs_with(row->second, value)) {
            continue;
        }
        Json reasons = member.pending_restart_reason.is_object() ? member.pending_restart_reason
                                                                 : Json::object();
        reasons[row->second.name] = {{"old_value", row->second.setting}, {"new_value", value}};
        member.pending_restart = true;
        member.pending_restart_reason = reasons;
    }
}

/// What keeps a member from having taken the value, or from waiting for its restart.
std::string not_taken(const MemberFacts& member,
                      const Json& asked,
                      const std::optional<std::string>& value,
                      bool pending_counts) {
    if (!asked.is_object()) {
        return asked.is_string() ? asked.get<std::string>() : "it has no such parameter";
    }
    const ParameterRow row = parameter_row(asked);
    const bool pending = row.pending || member.pending_restart;
    if (row.needs_restart() && pending) {
        return pending_counts ? "" : "it waits for a restart, and runs with " + row.setting;
    }
    if (!row.needs_restart() && !row.file_error.empty()) {
        return "its configuration file is wrong: " + row.file_error;
    }
    return !value || runs_with(row, *value) ? "" : "it runs with " + row.setting;
}

/// Why not all of them have it, or an empty text. Unknown is not taken.
std::string who_has_not(ActionContext& context,
                        const std::string& name,
                        const std::optional<std::string>& value,
                        bool pending_counts) {
    std::string missing;
    const Json rows = ask_for_rows(context, name);
    for (const MemberFacts& member : context.facts.members) {
        const std::string why =
            member.api.failed() ? member.api.error
                                : not_taken(member, rows.at(member.name), value, pending_counts);
        missing += why.empty() ? "" : (missing.empty() ? "" : "; ") + member.name + ": " + why;
    }
    return missing;
}

/// Waits until every member has taken what the dynamic configuration says now. Of a parameter that
/// was removed nobody knows the value: members have had two loops then to say that they wait for a
/// restart.
StepResult await_taken(const StepCall& call, ActionContext& context, bool pending_counts) {
    const std::string name = parameter_name(call);
    const std::optional<std::string> value = parameter_value(call);
    const auto patience = std::max<std::chrono::milliseconds>(
        k_parameter_patience, k_loops_to_take * context.facts.loop_wait());
    const auto begun = context.clock.steady_now();
    const auto wait_for_loops = 2 * context.facts.loop_wait() + 1s;
    if (!value && !context.clock.sleep_for(wait_for_loops, context.stop)) {
        return {.outcome = StepOutcome::failed, .message = "stopped before members had taken it"};
    }
    for (;;) {
        std::string missing = "the cluster could not be looked at";
        if (!context.facts.members.empty() &&
            look_at_member(context, context.facts.members.front().name)) {
            missing = who_has_not(context, name, value, pending_counts);
        }
        if (missing.empty()) {
            StepResult result{.message = "every member has it"};
            result.learned = [seen = context.facts](ClusterFacts& facts) { facts.update(seen); };
            return result;
        }
        if (context.clock.steady_now() - begun > patience || context.deadline.expired() ||
            !context.clock.sleep_for(k_parameter_poll, context.stop)) {
            return {.outcome = StepOutcome::failed,
                    .message = name + " is not taken over: " + missing,
                    .hint = "Patroni's log there may say why it left the value out."};
        }
    }
}

class SetParameter final : public Action {
  public:
    Json probe(const StepCall& call, ActionContext& context) const override {
        return ask_for_rows(context, parameter_name(call));
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const std::string name = parameter_name(call);
        const std::optional<std::string> value = parameter_value(call);
        const Json patch = parameter_patch(name, value_in_patch(value));
        refuse_by_name(call, facts, preview);
        if (call.probed.is_object()) {  // an undo gives back what was there
            refuse_by_rows(call, facts, preview);
        }
        Json after = facts.config;
        if (!facts.config.is_object()) {
            preview.blocked_by.push_back(
                cluster_refusal("config.unknown",
                                k_parameter_subject,
                                "the dynamic configuration could not be read",
                                "Look at it with `patronictl show-config`."));
        } else if (preview.blocked_by.empty() && !apply_config_patch(after, patch)) {
            preview.verdict = Verdict::wont;
            preview.because = "the configuration says so already";
            return preview;
        }
        for (Finding& finding : refuse_unless_writable(facts)) {
            preview.blocked_by.push_back(std::move(finding));
        }
        preview.because = "the configuration says otherwise";
        preview.operations.push_back(config_operation(facts, patch.dump()));
        preview.acts_within = config_acts_within(facts);
        const Rows rows = rows_of(call.probed.is_object() ? call.probed : Json::object());
        const bool restart = std::ranges::any_of(
            rows.found, [](const auto& each) { return each.second.needs_restart(); });
        if (facts.config.is_object()) {
            add_undo(facts, name, value, rows, restart, preview);
            preview.effect = [after, rows, value](ClusterFacts& later) {
                later.config = after;
                if (value) {
                    as_pending(later, rows, *value);
                }
            };
        }
        preview.felt = restart ? "nothing before PostgreSQL is restarted"
                               : "what the parameter changes for them";
        preview.notes.emplace_back(restart ? "it takes effect by a restart of PostgreSQL"
                                           : "it takes effect in each member's next loop");
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const Json patch =
            parameter_patch(parameter_name(call), value_in_patch(parameter_value(call)));
        const Json written = patch_config(context, patch.dump());
        Json again = written;
        if (!written.is_object() || apply_config_patch(again, patch)) {
            return {.outcome = StepOutcome::failed,
                    .message = "PATCH /config succeeded, but its answer does not hold the patch",
                    .hint = "Look at it with `patronictl show-config`."};
        }
        StepResult result = await_taken(call, context, true);
        result.learned = [written, also = result.learned](ClusterFacts& facts) {
            if (also) {
                also(facts);
            }
            facts.config = written;
        };
        return result;
    }

  private:
    static void add_undo(const ClusterFacts& facts,
                         const std::string& name,
                         const std::optional<std::string>& value,
                         const Rows& rows,
                         bool restart,
                         Preview& preview) {
        const Json old = configured_value(facts.config, name);
        if (old.dump().find(k_hidden) != std::string::npos) {
            preview.no_way_back = "what it replaces holds a secret, which is put on no record";
            return;
        }
        preview.undo.push_back({config_operation(facts, parameter_patch(name, old).dump()),
                                "patroni.set_parameter",
                                {},
                                {{"name", name}, {"value", old}}});
        if (!restart) {
            return;
        }
        const auto leader = rows.found.find(facts.leader);
        const NormalValue to = value && leader != rows.found.end()
                                   ? normal_value(leader->second, *value)
                                   : NormalValue{};
        const bool raised =
            must_not_be_below_primary(name) && leader != rows.found.end() &&
            std::atoll(to.text.c_str()) > std::atoll(leader->second.setting.c_str());
        for (Undo& undo : restarts_back(facts, raised)) {
            preview.undo.push_back(std::move(undo));
        }
    }
};

class VerifyParameter final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const std::optional<std::string> value = parameter_value(call);
        for (const MemberFacts& member : facts.members) {
            for (Finding& finding :
                 refuse_unless_reachable(&member, member.name, false, true, true)) {
                preview.blocked_by.push_back(std::move(finding));
            }
        }
        preview.because =
            "every member must run with " + parameter_name(call) +
            (value ? " = " + *value : " as it is without a value in the configuration") +
            (bool_arg(call, "pending", false) ? ", or wait for a restart" : "");
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        return await_taken(call, context, bool_arg(call, "pending", false));
    }
};

}  // namespace

std::unique_ptr<Action> make_patroni_set_parameter() {
    return std::make_unique<SetParameter>();
}

std::unique_ptr<Action> make_patroni_verify_parameter() {
    return std::make_unique<VerifyParameter>();
}

}  // namespace lockstep
