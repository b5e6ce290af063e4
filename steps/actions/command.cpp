#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "steps/actions/command_batch.hpp"
#include "steps/catalog.hpp"
#include "steps/hiding.hpp"
#include "steps/observation/member_script.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace lockstep {

namespace {

std::vector<int> ok_exits(const StepCall& call) {
    std::vector<int> codes;
    for (const std::string& code : list_arg(call, "ok_exit")) {
        int number = -1;
        const auto [end, error] = std::from_chars(code.data(), code.data() + code.size(), number);
        if (error != std::errc{} || end != code.data() + code.size() || number < 0 ||
            number > 255) {
            throw Error(call.id + ": ok_exit holds `" + code + "`, which is no exit status",
                        "Exit statuses are numbers from 0 to 255.");
        }
        codes.push_back(number);
    }
    return codes.empty() ? std::vector<int>{0} : codes;
}

/// Secrets are hidden here already: of one at the place where a long output was cut, the engine
/// could not know any more.
StepResult result_of(const CommandResult& said, const std::vector<int>& good) {
    const CommandResult result = without_secrets(said);
    StepResult step;
    step.holds_secret = result.out != said.out || result.err != said.err;
    step.output = {{"stdout", result.out},
                   {"stderr", result.err},
                   {"exit", result.exit_status},
                   {"truncated", result.out_truncated || result.err_truncated}};
    step.message = "exit status " + std::to_string(result.exit_status);
    if (std::ranges::find(good, result.exit_status) == good.end()) {
        step.outcome = StepOutcome::failed;
        step.last_lines = last_lines(result);
    }
    return step;
}

std::string secret_or_text(const StepCall& call, std::string_view name) {
    const auto found = call.with.find(name);
    return found == call.with.end() ? "" : found->second.to_text();
}

bool is_variable_name(std::string_view name) {
    constexpr std::string_view k_letters =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    return !name.empty() && (name.front() < '0' || name.front() > '9') &&
           name.find_first_not_of(k_letters) == std::string_view::npos;
}

/// The variables of `env`, for a shell. A secret is refused: this is a command line, too.
std::string env_prefix(const StepCall& call) {
    std::string prefix;
    const auto env = call.with.find("env");
    if (env == call.with.end()) {
        return prefix;
    }
    for (const auto& [name, value] : env->second.as_map()) {
        if (!is_variable_name(name)) {
            throw Error(call.id + ": env has `" + name + "`, which is no name of a variable");
        }
        if (value.tainted()) {
            throw Error(call.id + ": env." + name + " holds a secret",
                        "Pass it by `stdin`: the environment of a remote command is set on its "
                        "command line.");
        }
        prefix += name + "=" + shell_quote(value.to_text()) + " ";
    }
    return prefix;
}

/// Whether a shell takes a first word as it is for the name of a command. A bare `A=b` would be an
/// assignment, and what follows it the command; and some words are of the shell's own language.
bool is_command_in_itself(const std::string& word) {
    constexpr std::array<std::string_view, 17> k_reserved{"case",
                                                          "coproc",
                                                          "do",
                                                          "done",
                                                          "elif",
                                                          "else",
                                                          "esac",
                                                          "fi",
                                                          "for",
                                                          "function",
                                                          "if",
                                                          "in",
                                                          "select",
                                                          "then",
                                                          "time",
                                                          "until",
                                                          "while"};
    const bool bare = shell_quote(word) == word;
    return !bare || (word.find('=') == std::string::npos &&
                     std::ranges::find(k_reserved, word) == k_reserved.end());
}

std::string remote_script(const StepCall& call) {
    if (call.with.contains("shell")) {
        const std::string env = env_prefix(call);
        return (env.empty() ? "" : "export " + env + "; ") + text_arg(call, "shell");
    }
    const std::vector<std::string> argv = list_arg(call, "argv");
    const std::string line = shell_join(argv);
    const bool in_quotes = argv.empty() || is_command_in_itself(argv.front());
    return env_prefix(call) +
           (in_quotes ? line : "'" + argv.front() + "'" + line.substr(argv.front().size()));
}

class SshRun final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        preview.read_only = bool_arg(call, "read_only", false);
        (void)ok_exits(call);  // a mistake there is one of the plan, not of the run
        preview.blocked_by =
            refuse_unless_reachable(facts.find(call.member), call.member, true, false, false);
        preview.operations.push_back({Operation::Kind::ssh, remote_script(call)});
        preview.because = preview.read_only ? "it only looks" : "always";
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::vector<int> good = ok_exits(call);
        RemoteCommand command{.script = remote_script(call),
                              .stdin_data = secret_or_text(call, "stdin")};
        const MemberFacts& member = context.member(call);
        const bool as_root = bool_arg(call, "become", true);
        if (const std::vector<BatchedCommand> batch = batch_of(call, context); batch.size() > 1) {
            if (run_together(call, batch, context)) {
                return {};
            }
        }
        if (!bool_arg(call, "read_only", false)) {
            return result_of(context.spooled(call, member, command, as_root), good);
        }
        return result_of(
            as_root ? context.ssh(member, command) : context.ssh_as_login(member, command), good);
    }

  private:
    /// The call, and those of `read_ahead` that fit into one round trip with it.
    static std::vector<BatchedCommand> batch_of(const StepCall& call,
                                                const ActionContext& context) {
        std::vector<BatchedCommand> batch;
        if (call.read_ahead.empty() || !context.early || call.verify || !fits(call, call)) {
            return batch;
        }
        std::size_t length = batched(call, batch);
        for (const auto& next : call.read_ahead) {
            if (!fits(call, *next) || (length += batched(*next, batch)) > k_longest_batch) {
                break;
            }
        }
        if (length > k_longest_batch) {
            batch.pop_back();
        }
        return batch;
    }

    static bool fits(const StepCall& call, const StepCall& next) {
        return next.uses == call.uses && next.member == call.member && !next.attach_only &&
               bool_arg(next, "read_only", false) && secret_or_text(next, "stdin").empty() &&
               bool_arg(next, "become", true) == bool_arg(call, "become", true);
    }

    /// Appends it; how much of a command line it takes at most.
    static std::size_t batched(const StepCall& call, std::vector<BatchedCommand>& batch) {
        batch.push_back({remote_script(call), ok_exits(call), call.goes_on});
        const std::string& script = batch.back().script;
        const auto quotes = static_cast<std::size_t>(std::ranges::count_if(
            script, [](char c) { return c == '\'' || c == '\\' || c == '!'; }));
        return script.size() + quotes * k_longest_quote + k_around_batched;
    }

    /// False: nothing came of it, and the call is to be run alone.
    static bool run_together(const StepCall& call,
                             const std::vector<BatchedCommand>& batch,
                             ActionContext& context) {
        const std::string nonce = make_nonce();
        bool any = false;
        BatchReader reader(nonce, [&](std::size_t number, const CommandResult& result) {
            any = true;
            context.early(number, result_of(result, batch[number].good));
        });
        bool streams = false;
        RemoteCommand command{.script = render(batch, nonce),
                              .output_limit = 2 * k_default_output_limit,
                              .on_output = [&](std::string_view piece) {
                                  streams = true;
                                  reader.feed(piece);
                              }};
        const MemberFacts& member = context.member(call);
        const CommandResult result = bool_arg(call, "become", true)
                                         ? context.ssh(member, command)
                                         : context.ssh_as_login(member, command);
        if (!streams) {
            reader.feed(result.out);
        }
        return any;
    }

    // What is sent is one packet of SSH. A quote is put in quotes up to three times: for the shell
    // of its own, for sudo's, and for the login shell.
    static constexpr std::size_t k_longest_batch = 28'000;
    static constexpr std::size_t k_longest_quote = 64;
    static constexpr std::size_t k_around_batched = 200;
};

class LocalRun final : public Action {
  public:
    Preview preview(const StepCall& call,
                    const ClusterFacts& /*facts*/,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        preview.read_only = bool_arg(call, "read_only", false);
        (void)ok_exits(call);  // a mistake there is one of the plan, not of the run
        preview.operations.push_back({Operation::Kind::local, shell_join(list_arg(call, "argv"))});
        preview.because = preview.read_only ? "it only looks" : "always";
        preview.acts_within.reset();  // of a program that an engine left behind when it died
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::vector<int> good = ok_exits(call);
        LocalCommand command{.argv = list_arg(call, "argv"),
                             .stdin_data = secret_or_text(call, "stdin")};
        const auto env = call.with.find("env");
        if (env != call.with.end()) {
            for (const auto& [name, value] : env->second.as_map()) {
                command.env.emplace(name, value.to_text());
            }
        }
        if (!bool_arg(call, "read_only", false)) {
            context.refuse_when_not_ours("this machine");
        }
        try {
            return result_of(
                context.connections.process().run(command, context.deadline, context.stop), good);
        } catch (const TransportError& error) {
            if (error.nothing_sent()) {  // no member is needed for it: a failure as any other
                throw Error(error.what(), error.hint());
            }
            throw EndedUnseen(error.kind(), error.what(), error.hint());  // it was killed
        }
    }
};

}  // namespace

std::unique_ptr<Action> make_ssh_run() {
    return std::make_unique<SshRun>();
}

std::unique_ptr<Action> make_local_run() {
    return std::make_unique<LocalRun>();
}

}  // namespace lockstep
