#include "base/error.hpp"
#include "steps/actions/config_patch.hpp"
#include "steps/actions/patroni_requests.hpp"
#include "steps/catalog.hpp"
#include "steps/observation/patroni_api.hpp"

#include <algorithm>

namespace lockstep {

namespace {

using Json = nlohmann::json;

constexpr const char* k_config_subject = "patroni.config";

/// What would not arrive as it was meant: a secret would be "***", something unknown a null, which
/// deletes.
void refuse_unsound(const StepCall& call, const Value& value) {
    if (value.tainted()) {
        throw Error(call.id + ": patch holds a secret",
                    "Whoever may read Patroni's REST API can read its dynamic configuration.");
    }
    if (value.is_unknown()) {
        throw Error(call.id + ": patch holds something unknown: " + value.unknown_because());
    }
    if (value.kind() == Value::Kind::list) {
        for (const Value& element : value.as_list()) {
            refuse_unsound(call, element);
        }
    } else if (value.kind() == Value::Kind::map) {
        for (const auto& [key, element] : value.as_map()) {
            refuse_unsound(call, element);
        }
    }
}

Json patch_of(const StepCall& call) {
    const Value& given = call.with.at("patch");
    if (given.kind() != Value::Kind::map || given.as_map().empty()) {
        throw Error(call.id + ": patch must be a map of what is to be changed",
                    "patch: {ttl: 30, postgresql: {parameters: {work_mem: 8MB}}}; null removes.");
    }
    refuse_unsound(call, given);
    return given.to_json();
}

std::string body_of(const StepCall& call, const Json& patch) {
    try {
        return patch.dump();
    } catch (const Json::exception&) {
        throw Error(call.id + ": patch holds a text that is not UTF-8");
    }
}

class PatroniConfig final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const Json patch = patch_of(call);
        const std::string body = body_of(call, patch);
        if (patch.contains("pause")) {
            preview.blocked_by.push_back(
                cluster_refusal("config.pause",
                                k_config_subject,
                                "patroni.config does not pause: nobody would wait for the members",
                                "Use patroni.pause and patroni.resume."));
        }
        Json after = facts.config;
        if (!facts.config.is_object()) {
            // There would be no way back.
            preview.blocked_by.push_back(
                cluster_refusal("config.unknown",
                                k_config_subject,
                                "the dynamic configuration could not be read",
                                "Look at it with `patronictl show-config`."));
        } else if (!apply_config_patch(after, patch)) {
            preview.verdict = Verdict::wont;
            preview.because = "the configuration says so already";
            return preview;
        }
        const std::vector<Finding> refused = refuse_unless_writable(facts);
        preview.blocked_by.insert(preview.blocked_by.end(), refused.begin(), refused.end());
        preview.because = "the configuration says otherwise";
        preview.operations.push_back(config_operation(facts, body));
        preview.acts_within = config_acts_within(facts);
        if (facts.config.is_object()) {
            const nlohmann::json inverse = inverse_config_patch(facts.config, patch);
            if (inverse.dump().find(k_hidden) != std::string::npos) {
                preview.no_way_back = "what it replaces holds a secret, which is put on no record";
            } else {
                preview.undo.push_back({config_operation(facts, inverse.dump()),
                                        "patroni.config",
                                        {},
                                        {{"patch", inverse}}});
            }
            preview.effect = [after](ClusterFacts& later) { later.config = after; };
        }
        preview.notes.emplace_back(
            "members take it over in their next loop; what needs a restart of PostgreSQL waits for "
            "one");
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const Json patch = patch_of(call);
        const Json written = patch_config(context, body_of(call, patch));
        // The answer is the whole configuration: the patch is in it when it changes nothing there.
        Json again = written;
        StepResult result;
        if (!written.is_object() || apply_config_patch(again, patch)) {
            result.outcome = StepOutcome::failed;
            result.message = "PATCH /config succeeded, but its answer does not hold the patch";
            result.hint = "Look at it with `patronictl show-config`.";
            return result;
        }
        result.message = "written";
        result.learned = [written](ClusterFacts& facts) { facts.config = written; };
        return result;
    }
};

class PatroniReload final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const MemberFacts* member = facts.find(call.member);
        preview.blocked_by = refuse_unless_reachable(member, call.member, false, true, false);
        for (Finding& finding : refuse_unless_let_in(facts, k_config_subject)) {
            preview.blocked_by.push_back(std::move(finding));
        }
        preview.because = "always";
        preview.needs_no_undo = true;
        preview.operations.push_back(
            {Operation::Kind::http,
             "POST " + (member == nullptr ? "" : member->api_url) + "/reload"});
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        // 202: it has sent itself SIGHUP and reads its file in its next loop (patroni/api.py, 2.1
        // to 4.1).
        constexpr long k_accepted = 202;
        const HttpResponse response =
            context.rest(context.member(call), {.method = "POST", .url = "/reload"});
        if (response.status != k_accepted) {
            return {.outcome = StepOutcome::failed,
                    .message =
                        "POST /reload was answered with status " + std::to_string(response.status),
                    .hint = patroni_api::refusal_hint(response.status, response.body),
                    .last_lines = {without_secrets(response.body).substr(0, 200)}};
        }
        return {.message = "it reads its configuration in its next loop"};
    }
};

}  // namespace

std::unique_ptr<Action> make_patroni_config() {
    return std::make_unique<PatroniConfig>();
}

std::unique_ptr<Action> make_patroni_reload() {
    return std::make_unique<PatroniReload>();
}

}  // namespace lockstep
