#pragma once

/// base/: what two folders or more need and nobody else provides: errors with hints, deadlines,
/// clocks, secrets, strict YAML, versions, units, quoting. It knows nothing of clusters, runbooks
/// or runs. Read this file first, then yaml.hpp and clock.hpp; the rest stands by itself.

#include "base/known_secrets.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

/// Outcomes are values, inability is an exception. Messages are lowercase without a final dot and
/// name what and where; the hint is a sentence that says what to do about it. Exceptions are
/// caught where they become a value (a step's result, a finding, the end of a run) and in main.
namespace lockstep {

/// A place in a file that a person wrote. Lines and columns count from 1; 0 is "the file".
struct SourceLocation {
    std::string file;
    int line = 0;
    int column = 0;

    /// `file:line:column`, or just `file` where there is no line.
    [[nodiscard]] std::string text() const;
};

/// Something could not be done. Base of every exception that is not a bug. What it says often is
/// what a command or a server said: secrets are hidden in it.
class Error : public std::runtime_error {
  public:
    explicit Error(const std::string& message, std::string hint = {})
        : std::runtime_error(without_secrets(message)), hint_(without_secrets(std::move(hint))) {}

    /// What the operator should check or do; may be empty.
    [[nodiscard]] const std::string& hint() const noexcept { return hint_; }

  private:
    std::string hint_;
};

/// The command line asks for something that does not exist (exit 2).
class UsageError : public Error {
    using Error::Error;
};

/// A runbook, inventory or plan file is not valid (exit 3). what() starts with the location.
class InputError : public Error {
  public:
    InputError(const SourceLocation& where,
               const std::string& message,
               std::string hint = {},
               std::string rule = "input.invalid")
        : Error(where.text() + ": " + message, std::move(hint)),
          where_(where),
          rule_(std::move(rule)) {}

    [[nodiscard]] const SourceLocation& where() const noexcept { return where_; }

    /// The rule that is broken, the same in every version: `runbook.unknown_key`. One of what all
    /// files have in common is `input.…` until a loader calls it its own.
    [[nodiscard]] const std::string& rule() const noexcept { return rule_; }

    /// The same error, with `input.…` as `family.…`.
    [[nodiscard]] InputError of(const std::string& family) const;

    /// what() without the location.
    [[nodiscard]] std::string message() const;

    /// The same error, with the text of its file.
    [[nodiscard]] InputError in(std::shared_ptr<const std::string> source) const;

    /// The text of the file, for showing the line; nullptr where nobody gave it.
    [[nodiscard]] const std::string* source() const noexcept { return source_.get(); }

  private:
    SourceLocation where_;
    std::string rule_;
    std::shared_ptr<const std::string> source_;
};

/// The other side could not be reached, or the answer was lost on the way.
class TransportError : public Error {
  public:
    enum class Kind {
        connect,    ///< no connection: nothing was sent
        auth,       ///< the other side does not let us in: nothing was sent
        host_key,   ///< the other side is not who we expect: nothing was sent
        timeout,    ///< the deadline passed; what was sent may still take effect
        lost,       ///< the connection broke after something was sent: the outcome is unknown
        cancelled,  ///< we were told to stop waiting; what was sent may still take effect
        protocol,   ///< the answer makes no sense
    };

    TransportError(Kind kind, const std::string& message, std::string hint = {})
        : Error(message, std::move(hint)), kind_(kind) {}

    [[nodiscard]] Kind kind() const noexcept { return kind_; }

    /// Whether the other side cannot have acted on anything: a repetition is harmless.
    [[nodiscard]] bool nothing_sent() const noexcept {
        return kind_ == Kind::connect || kind_ == Kind::auth || kind_ == Kind::host_key;
    }

  private:
    Kind kind_;
};

/// Another run holds the cluster (exit 15). The message names it, its owner, where it was seen and
/// when its lock expires.
class LockHeldError : public Error {
    using Error::Error;
};

/// The record cannot be written or trusted. Always stops the run before the next change.
class JournalError : public Error {
    using Error::Error;
};

}  // namespace lockstep
