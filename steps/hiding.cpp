#include "steps/hiding.hpp"

#include "base/known_secrets.hpp"
#include "steps/observation/connections.hpp"

#include <utility>

namespace lockstep {

void hide_secrets_in(StepResult& result) {
    result.holds_secret = hide_secrets(result.output) || result.holds_secret;
    for (std::string* text : {&result.message, &result.hint}) {
        hide_secrets(*text);
    }
    for (std::vector<std::string>* lines : {&result.last_lines, &result.unproven}) {
        for (std::string& line : *lines) {
            hide_secrets(line);
        }
    }
    hide_secrets_in(result.findings);
    if (result.learned) {
        result.learned = [learned = std::move(result.learned)](ClusterFacts& facts) {
            learned(facts);
            hide_secrets_in(facts);
        };
    }
}

void hide_secrets_in(std::vector<Finding>& findings) {
    for (Finding& finding : findings) {
        hide_secrets(finding.message);
        hide_secrets(finding.remedy);
    }
}

namespace {

void hide_in_values(std::map<std::string, std::string>& texts) {
    for (auto& [name, text] : texts) {
        hide_secrets(text);
    }
}

void hide_in(Access& access) {
    hide_secrets(access.error);
    hide_secrets(access.hint);
}

}  // namespace

void hide_secrets_in(ClusterFacts& facts) {
    hide_secrets_in_texts(facts.config);
    hide_secrets(facts.cluster_error);
    hide_secrets(facts.patroni_write_error);
    hide_secrets(facts.patroni_write_hint);
    for (EndpointFacts& endpoint : facts.endpoints) {
        hide_secrets(endpoint.error);
    }
    for (MemberFacts& member : facts.members) {
        for (Access* access : {&member.api, &member.ssh, &member.sql, &member.api_write}) {
            hide_in(*access);
        }
        hide_in_values(member.unknown);
        for (auto& [name, value] : member.tags) {
            hide_secrets_in_texts(value);
        }
        hide_in_values(member.postgres.settings);
        hide_secrets_in_texts(member.pending_restart_reason);
        if (member.setup) {
            hide_secrets_in_texts(member.setup->parameters);
        }
    }
}

CommandResult without_secrets(CommandResult result) {
    result.out_truncated ? hide_cut_secrets(result.out) : hide_secrets(result.out);
    result.err_truncated ? hide_cut_secrets(result.err) : hide_secrets(result.err);
    return result;
}

namespace {

void remember_file(const SecretRef& ref, ProcessRunner& processes) {
    if (!std::holds_alternative<SecretRef::File>(ref.source)) {
        return;
    }
    try {
        (void)resolve_secret(ref, processes);
    } catch (const Error&) {
        return;  // told where it is needed
    }
}

void remember_file(const TextOrSecret& text, ProcessRunner& processes) {
    if (const auto* ref = std::get_if<SecretRef>(&text)) {
        remember_file(*ref, processes);
    }
}

}  // namespace

void remember_secrets_of(const Cluster& cluster, const NotifyTargets& targets) {
    const std::unique_ptr<ProcessRunner> processes = make_process_runner();
    std::vector<const std::optional<SecretRef>*> all{
        &cluster.patroni.password, &cluster.ssh.passphrase, &cluster.ssh.become_password};
    for (const MemberSettings& member : cluster.members) {
        all.push_back(&member.ssh.passphrase);
        all.push_back(&member.ssh.become_password);
    }
    for (const auto& [name, target] : targets) {
        if (const auto* webhook = std::get_if<WebhookTarget>(&target)) {
            remember_file(webhook->url, *processes);
            for (const auto& [header, value] : webhook->headers) {
                remember_file(value, *processes);
            }
        } else if (const auto* mail = std::get_if<MailTarget>(&target)) {
            all.push_back(&mail->password);
        }
    }
    for (const std::optional<SecretRef>* ref : all) {
        if (*ref) {
            remember_file(**ref, *processes);
        }
    }
}

}  // namespace lockstep
