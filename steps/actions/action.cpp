#include "steps/actions/action.hpp"

#include "base/error.hpp"
#include "base/units.hpp"
#include "steps/hiding.hpp"
#include "steps/spool/spool.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <sstream>

namespace lockstep {

std::chrono::milliseconds sql_answers_within(const StepCall& call) {
    return call.timeout.count() > 0 ? call.timeout : k_default_step_timeout;
}

const MemberFacts& ActionContext::member(const StepCall& call) const {
    const MemberFacts* found = facts.find(call.member);
    if (found == nullptr) {
        throw TransportError(TransportError::Kind::connect,
                             "member " + call.member + " is no longer part of the cluster",
                             "Look at it with `lockstep check`.");
    }
    return *found;
}

CommandResult ActionContext::ssh(const MemberFacts& member, const std::string& script) {
    return ssh(member, RemoteCommand{.script = script});
}

CommandResult ActionContext::ssh(const MemberFacts& member, const RemoteCommand& command) {
    MemberConnections& link = connections.of(member);
    const std::lock_guard lock(link.ssh_use);
    spdlog::debug("ssh {}, as root: {}", member.name, command.script);
    return link.root().run(command, deadline, stop);
}

CommandResult ActionContext::spooled(const StepCall& call,
                                     const MemberFacts& member,
                                     const RemoteCommand& command,
                                     bool as_root) {
    if (call.key.empty()) {  // not of a run: nobody could come back to it
        return as_root ? ssh(member, command) : ssh_as_login(member, command);
    }
    MemberConnections& link = connections.of(member);
    const std::lock_guard lock(link.ssh_use);
    spdlog::debug("spool {}: {}: {}", member.name, call.key, command.script);
    const SpoolJob job{.key = call.key,
                       .scope = scope,
                       .fence = fence,
                       .command = command,
                       .attach_only = call.attach_only};
    SshSession& session = as_root ? link.root() : *link.ssh;
    SpoolEnd end =
        run_spooled(session, job, clock, deadline, stop, [this](const SpoolAccepted& by) {
            if (accepted) {
                accepted({{"boot_id", by.boot_id}, {"pid", by.pid}});
            }
        });
    switch (end.kind) {
        case SpoolEnd::Kind::ended:
            return std::move(end.result);
        case SpoolEnd::Kind::absent:
            throw NeverReached(member.name + " knows nothing of it");
        case SpoolEnd::Kind::fenced:
            throw Error(member.name + " refuses it: " + end.why,
                        "Another run has the cluster, or has had it since.");
        case SpoolEnd::Kind::died:
            break;
    }
    throw EndedUnseen(TransportError::Kind::lost,
                      "it began on " + member.name + " and ended without a status: " + end.why,
                      "It may have done a part of its work.");
}

CommandResult ActionContext::ssh_as_login(const MemberFacts& member, const RemoteCommand& command) {
    MemberConnections& link = connections.of(member);
    const std::lock_guard lock(link.ssh_use);
    spdlog::debug("ssh {}: {}", member.name, command.script);
    return link.ssh->run(command, deadline, stop);
}

/// Right before each message that acts: an engine that was frozen for longer than its lock lasts
/// wakes up here. Spooled commands are refused by the member itself, which knows the fence.
void ActionContext::refuse_when_not_ours(const std::string& whom) const {
    if (const std::string trouble = lock_trouble ? lock_trouble() : ""; !trouble.empty()) {
        throw Error("nothing was sent to " + whom + ": " + trouble,
                    "Another run has the cluster, or has had it since.");
    }
}

HttpResponse ActionContext::rest(const MemberFacts& member,
                                 const HttpRequest& request,
                                 std::chrono::milliseconds at_most) {
    MemberConnections& link = connections.of(member);
    HttpRequest full = request;
    full.url = member.api_url + request.url;
    if (full.method != "GET") {
        refuse_when_not_ours(member.name);
    }
    const std::lock_guard lock(link.http_use);
    spdlog::debug("http {}: {} {}", member.name, full.method, full.url);
    return link.http->send(full, deadline.within(at_most), stop);
}

SqlResult ActionContext::sql(const MemberFacts& member, const SqlStatement& statement) {
    MemberConnections& link = connections.of(member);
    if (!statement.read_only) {
        refuse_when_not_ours(member.name);
    }
    const std::lock_guard lock(link.ssh_use);
    spdlog::debug("sql {}: {}", member.name, statement.text);
    return link.sql->query(statement, deadline, stop);
}

void ActionContext::refresh(Depth depth) {
    const auto timeout = std::min(deadline.remaining(), std::chrono::milliseconds{10000});
    const ClusterFacts now = observer.observe(depth, timeout, stop);
    if (depth == Depth::full) {
        facts = now;
    } else {
        facts.update(now);
    }
}

nlohmann::json Action::probe(const StepCall& /*call*/, ActionContext& /*context*/) const {
    return nullptr;
}

std::vector<Finding> refuse_unless_reachable(const MemberFacts* member,
                                             const std::string& name,
                                             bool needs_ssh,
                                             bool needs_api,
                                             bool needs_sql) {
    std::vector<Finding> findings;
    const auto refuse = [&](const char* subject, const std::string& why, const std::string& hint) {
        findings.push_back({.id = "member.unreachable",
                            .severity = Severity::critical,
                            .member = name,
                            .subject = subject,
                            .message = name + ": " + why,
                            .remedy = hint,
                            .source = {}});
    };
    if (member == nullptr) {
        refuse("member", "is not part of the cluster", "Look at it with `lockstep check`.");
        return findings;
    }
    // SQL that goes through SSH fails with it: the cause is enough.
    const bool ssh_counts = needs_ssh || (needs_sql && member->sql.failed());
    if (ssh_counts && member->ssh.failed()) {
        refuse("ssh", member->ssh.error, member->ssh.hint);
    } else if (needs_sql && member->sql.failed()) {
        refuse("sql", member->sql.error, member->sql.hint);
    }
    if (needs_api && member->api.failed()) {
        refuse("api", member->api.error, member->api.hint);
    }
    return findings;
}

const MemberFacts* member_over_ssh(const StepCall& call,
                                   const ClusterFacts& facts,
                                   Preview& preview) {
    const MemberFacts* member = facts.find(call.member);
    preview.blocked_by = refuse_unless_reachable(member, call.member, true, false, false);
    if (preview.blocked_by.empty()) {
        return member;
    }
    call_unasked(preview);
    return nullptr;
}

const MemberFacts* member_to_probe(const StepCall& call, const ClusterFacts& facts) {
    const MemberFacts* member = facts.find(call.member);
    return member == nullptr || member->ssh.failed() ? nullptr : member;
}

void call_unasked(Preview& preview) {
    preview.verdict = Verdict::may;
    preview.because = "the member could not be asked";
}

Finding member_refusal(const StepCall& call,
                       std::string id,
                       std::string subject,
                       const std::string& message,
                       std::string remedy) {
    return {.id = std::move(id),
            .severity = Severity::critical,
            .member = call.member,
            .subject = std::move(subject),
            .message = call.member + ": " + message,
            .remedy = std::move(remedy),
            .source = {}};
}

Finding cluster_refusal(std::string id,
                        std::string subject,
                        std::string message,
                        std::string remedy) {
    return {.id = std::move(id),
            .severity = Severity::critical,
            .member = {},
            .subject = std::move(subject),
            .message = std::move(message),
            .remedy = std::move(remedy),
            .source = {}};
}

std::vector<std::string> last_lines(const CommandResult& result, std::size_t count) {
    const CommandResult shown = without_secrets(result);
    std::istringstream stream(shown.err.empty() ? shown.out : shown.err);
    std::vector<std::string> lines;
    for (std::string line; std::getline(stream, line);) {
        if (!line.empty()) {
            lines.push_back(line);
        }
    }
    if (lines.size() > count) {
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(count));
    }
    return lines;
}

// The last thing that apt says is that dpkg failed; why, dpkg has said some lines before.
std::string telling_line(const CommandResult& result) {
    constexpr std::size_t k_far_enough = 40;
    const CommandResult only_err{.out = {}, .err = result.err};
    const std::vector<std::string> lines = last_lines(only_err, k_far_enough);
    for (const char* sign : {"No space left", "needs ", "dpkg: error", "cannot ", "E: ", "rror:"}) {
        const auto found = std::ranges::find_if(
            lines, [&](const std::string& line) { return line.find(sign) != std::string::npos; });
        if (found != lines.end()) {
            const std::size_t text = found->find_first_not_of(" \t");
            return text == std::string::npos ? *found : found->substr(text);
        }
    }
    return lines.empty() ? std::string() : lines.back();
}

std::string text_arg(const StepCall& call, std::string_view name, std::string otherwise) {
    const auto found = call.with.find(name);
    if (found == call.with.end()) {
        return otherwise;
    }
    if (found->second.tainted()) {
        throw Error(call.id + ": " + std::string(name) + " holds a secret",
                    "Pass secrets by `stdin`: a command line is public on its host.");
    }
    return found->second.to_text();
}

bool bool_arg(const StepCall& call, std::string_view name, bool otherwise) {
    const auto found = call.with.find(name);
    if (found == call.with.end()) {
        return otherwise;
    }
    if (found->second.kind() != Value::Kind::boolean) {
        throw Error(call.id + ": " + std::string(name) + " is " +
                    std::string(found->second.kind_name()) + ", not true or false");
    }
    return found->second.as_bool();
}

std::chrono::milliseconds duration_arg(const StepCall& call,
                                       std::string_view name,
                                       std::chrono::milliseconds otherwise) {
    const auto found = call.with.find(name);
    if (found == call.with.end()) {
        return otherwise;
    }
    if (found->second.kind() == Value::Kind::duration) {
        return found->second.as_duration();
    }
    if (const auto parsed = parse_duration(found->second.to_text())) {
        return *parsed;
    }
    throw Error(call.id + ": " + std::string(name) + " is not a length of time such as `30s`");
}

std::vector<std::string> list_arg(const StepCall& call, std::string_view name) {
    std::vector<std::string> list;
    const auto found = call.with.find(name);
    if (found == call.with.end()) {
        return list;
    }
    if (found->second.kind() != Value::Kind::list) {
        throw Error(call.id + ": " + std::string(name) + " is " +
                    std::string(found->second.kind_name()) + ", not a list");
    }
    for (const Value& element : found->second.as_list()) {
        if (element.tainted()) {
            throw Error(call.id + ": " + std::string(name) + " holds a secret",
                        "Pass secrets by `stdin`: a command line is public on its host.");
        }
        list.push_back(element.to_text());
    }
    return list;
}

}  // namespace lockstep
