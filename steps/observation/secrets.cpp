#include "base/error.hpp"
#include "base/trusted_file.hpp"
#include "steps/observation/connections.hpp"

#include <cstdlib>
#include <string_view>

namespace lockstep {

namespace {

constexpr std::chrono::seconds k_command_timeout{10};

template <typename... Cases>
struct Overloaded : Cases... {
    using Cases::operator()...;
};

template <typename... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

// The location tells which of several references it was.
std::string at(const SourceLocation& where) {
    return where.file.empty() ? std::string() : where.text() + ": ";
}

// A password may hold any character but a line's end; the file or command ends its line with one.
std::string first_line(const std::string& text) {
    std::string line = text.substr(0, text.find('\n'));
    if (line.ends_with('\r')) {
        line.pop_back();
    }
    return line;
}

std::string from_env(const SecretRef::Env& env, const SourceLocation& where) {
    // Read before any thread of a run changes the environment: nothing here calls setenv.
    const char* value = std::getenv(env.name.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (value == nullptr) {
        throw Error(at(where) + "the environment variable " + env.name + " is not set",
                    "Export it before the start, or name another source for this secret.");
    }
    return value;
}

std::string from_file(const SecretRef::File& file, const SourceLocation& where) {
    return read_secret_line(file.path, at(where) + "the secret");
}

std::string from_command(const SecretRef::Command& command,
                         const SourceLocation& where,
                         ProcessRunner& processes) {
    if (command.argv.empty()) {
        throw Error(at(where) + "the secret's command is empty");
    }
    LocalCommand local;
    local.argv = command.argv;
    const CommandResult result = processes.run(local, Deadline::after(k_command_timeout), {});
    const std::string name = "the secret's command " + command.argv.front();
    if (!result.ok()) {
        // stdout may hold the secret, so it is never quoted.
        const std::string said = first_line(result.err);
        throw Error(at(where) + name + " ended with exit status " +
                    std::to_string(result.exit_status) + (said.empty() ? "" : ": " + said));
    }
    std::string line = first_line(result.out);
    if (line.empty()) {
        throw Error(at(where) + name + " printed nothing on its first line");
    }
    return line;
}

}  // namespace

Secret resolve_secret(const SecretRef& ref, ProcessRunner& processes) {
    std::string text =
        std::visit(Overloaded{
                       [&](const SecretRef::Env& env) { return from_env(env, ref.where); },
                       [&](const SecretRef::File& file) { return from_file(file, ref.where); },
                       [&](const SecretRef::Command& command) {
                           return from_command(command, ref.where, processes);
                       },
                   },
                   ref.source);
    remember_secret(text);
    return Secret(std::move(text));
}

}  // namespace lockstep
