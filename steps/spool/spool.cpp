#include "steps/spool/spool.hpp"

#include "base/error.hpp"
#include "steps/observation/member_script.hpp"
#include "steps/spool/member_folder.hpp"
#include "steps/spool/spool_protocol.hpp"
#include "steps/spool/spool_script.hpp"
#include "transport/exec_trailer.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <sstream>
#include <utility>

namespace lockstep {

namespace {

using Kind = TransportError::Kind;
using std::chrono::milliseconds;

// The member is never silent for longer than a second, but while it waits for others to start
// something.
constexpr milliseconds k_quiet_limit{15'000};
constexpr milliseconds k_between_attempts{500};
// What sudo or a shell has to say when the script does not run.
constexpr std::size_t k_complaint_limit = std::size_t{16} << 10;
// A script that begins and breaks off while the connection holds: killed once, perhaps; not often.
constexpr int k_most_broken_off = 5;

constexpr const char* k_goes_on = "It goes on by itself there: `lockstep resume` follows it.";

/// For one request: of this process and of none before or after it, on whose behalf a start may
/// still be on its way.
SpoolAsker next_asker() {
    static const std::string process = make_nonce();
    static std::atomic<std::uint64_t> number{0};
    return {process, ++number};
}

std::string first_line(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

/// One job from the first attempt to its end.
class Follower {
  public:
    Follower(SshSession& session,
             const SpoolJob& job,
             const std::function<void(const SpoolAccepted&)>& on_accepted)
        : session_(session),
          job_(job),
          on_accepted_(on_accepted),
          out_(job.command.output_limit),
          err_(job.command.output_limit) {}

    SpoolEnd run(Clock& clock, Deadline deadline, const std::stop_token& stop);

  private:
    /// The end, or nothing when it has to be asked for again; then `trouble_` says why.
    std::optional<SpoolEnd> attempt(Deadline deadline, const std::stop_token& stop);
    void take_line(const std::string& line);
    void accept(std::istringstream& words);
    [[nodiscard]] std::optional<SpoolEnd> end_of(const CommandResult& result);
    [[nodiscard]] std::optional<SpoolEnd> verdict();
    [[noreturn]] void refuse(const std::string& why) const;
    [[noreturn]] void give_up() const;

    [[nodiscard]] std::string what() const { return session_.peer() + ": command " + job_.key; }

    SshSession& session_;
    const SpoolJob& job_;
    const std::function<void(const SpoolAccepted&)>& on_accepted_;
    CappedText out_;
    CappedText err_;
    std::size_t out_bytes_ = 0;
    bool accepted_ = false;
    bool adopted_ = false;
    bool may_have_it_ = false;  // since some attempt, the member may have begun it
    bool here_ = false;         // in this attempt, the script ran
    int broken_off_ = 0;
    std::string last_line_;
    std::string trouble_;
};

/// A lost connection is no end: the command goes on there, so it is followed again until it has
/// ended or our time is up.
SpoolEnd Follower::run(Clock& clock, Deadline deadline, const std::stop_token& stop) {
    const Clock::Steady begin = clock.steady_now();
    while (true) {
        if (std::optional<SpoolEnd> end = attempt(deadline, stop)) {
            end->adopted = adopted_;
            end->result.out_truncated = out_.truncated();
            end->result.err_truncated = err_.truncated();
            end->result.out = out_.take();
            end->result.err = err_.take();
            end->result.took = std::chrono::duration_cast<milliseconds>(clock.steady_now() - begin);
            return std::move(*end);
        }
        if (deadline.expired() || broken_off_ >= k_most_broken_off) {
            give_up();
        }
        if (!clock.sleep_for(k_between_attempts, stop)) {
            throw TransportError(
                Kind::cancelled, what() + ": cancelled while connecting again", k_goes_on);
        }
    }
}

/// Starting and following are one request under the same key: whether the command was begun before
/// is found out by the member, not here. What was received already is not sent again.
std::optional<SpoolEnd> Follower::attempt(Deadline deadline, const std::stop_token& stop) {
    const std::string nonce = make_nonce();
    bool fed = false;
    here_ = false;
    last_line_.clear();
    err_ = CappedText(job_.command.output_limit);
    SpoolAnswer answer(nonce,
                       {.line = [this](const std::string& line) { take_line(line); },
                        .out =
                            [this](std::string_view piece) {
                                out_bytes_ += piece.size();
                                out_.append(piece);
                                if (job_.command.on_output) {
                                    job_.command.on_output(piece);
                                }
                            },
                        .err = [this](std::string_view piece) { err_.append(piece); }});
    RemoteCommand sent;
    const SpoolRequest request = make_request(job_, nonce, next_asker(), out_bytes_);
    const std::optional<std::string> within = in_script(request);
    // What sudo logs and ps shows begins with the key.
    sent.script =
        ": lockstep " + job_.key + "\n" + (within ? spool_script(*within) : spool_script());
    sent.stdin_data = within ? "" : on_stdin(request, nonce);
    sent.output_limit = k_complaint_limit;
    sent.quiet_limit = k_quiet_limit;
    sent.on_output = [&answer, &fed](std::string_view piece) {
        fed = true;
        answer.feed(piece);
    };
    CommandResult result;
    try {
        result = session_.run(sent, deadline, stop);
    } catch (const TransportError& error) {
        if (last_line_.starts_with("ended ")) {
            return verdict();  // all was said before it broke
        }
        const bool again =
            error.kind() == Kind::lost || (error.kind() == Kind::connect && may_have_it_);
        if (!again && error.nothing_sent() && may_have_it_) {
            throw TransportError(Kind::lost,
                                 what() + ": cannot be followed any more: " + error.what(),
                                 error.hint() + " " + k_goes_on);
        }
        if (!again) {
            throw;
        }
        may_have_it_ = true;
        trouble_ = error.what();
        return std::nullopt;
    }
    if (!fed) {
        answer.feed(result.out);  // a session that does not stream
    }
    return end_of(result);
}

/// `here` proves that the script ran; without it what came back is sudo's word, or a shell's.
void Follower::take_line(const std::string& line) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    if (word == "here") {
        here_ = true;
    } else if (word == "accepted") {
        accept(words);
    } else if (word != "beat") {
        last_line_ = line;
    }
}

/// Told once, at the first acceptance: later ones are of the same command.
void Follower::accept(std::istringstream& words) {
    SpoolAccepted accepted;
    std::string found;
    words >> accepted.boot_id >> accepted.pid >> found;
    accepted.found_running_or_ended = found != "fresh";
    adopted_ = accepted.found_running_or_ended;
    may_have_it_ = true;
    broken_off_ = 0;
    if (!std::exchange(accepted_, true) && on_accepted_) {
        on_accepted_(accepted);
    }
}

// The script's status says nothing: its last line is the verdict.
std::optional<SpoolEnd> Follower::end_of(const CommandResult& result) {
    if (!here_) {
        const std::string said = first_line(result.err.empty() ? result.out : result.err);
        refuse(said.empty() ? "the shell ended with status " + std::to_string(result.exit_status)
                            : said);
    }
    if (std::optional<SpoolEnd> end = verdict()) {
        return end;
    }
    if (last_line_.starts_with("busy ")) {
        trouble_ = last_line_;
        return std::nullopt;
    }
    may_have_it_ = true;
    ++broken_off_;
    trouble_ = "the script there broke off: " + first_line(result.err);
    return std::nullopt;
}

/// Only a whole last line counts. `fenced` and `absent` are ends: to ask again would come to the
/// same.
std::optional<SpoolEnd> Follower::verdict() {
    std::istringstream words(last_line_);
    std::string word;
    words >> word;
    SpoolEnd end;
    if (word == "ended" && words >> end.result.exit_status) {
        end.kind = SpoolEnd::Kind::ended;
        return end;
    }
    std::string first;
    words >> first >> std::ws;
    std::string rest;
    std::getline(words, rest);
    end.result.exit_status = -1;
    if (word == "died") {
        end.boot_id = rest;
        end.kind = SpoolEnd::Kind::died;
        end.why = first == "boot"   ? "the host was booted anew while it ran"
                  : first == "gone" ? "it was killed before it could report a status"
                                    : "its record is empty: the disk was full or the host crashed";
        return end;
    }
    if (word == "fenced") {
        end.kind = SpoolEnd::Kind::fenced;
        end.why = "the member has seen lock " + first + " of this cluster, and ours is " +
                  std::to_string(job_.fence) + ": another run has taken it over";
        return end;
    }
    if (word == "absent") {
        if (!job_.attach_only) {
            may_have_it_ = false;  // by the member's own word
            refuse(rest);
        }
        end.kind = SpoolEnd::Kind::absent;
        end.boot_id = first;
        end.why = "the member has never begun it: " + rest;
        return end;
    }
    if (word == "failed") {
        refuse(first + " " + rest);
    }
    return std::nullopt;
}

/// Nothing has begun in this attempt. What became of an earlier one is then not known.
void Follower::refuse(const std::string& why) const {
    if (may_have_it_) {
        throw TransportError(
            Kind::lost, what() + ": cannot be followed any more: " + why, k_goes_on);
    }
    throw Error(what() + " could not be " + (job_.attach_only ? "looked for" : "started") +
                    " on the member: " + why,
                std::string(job_.attach_only ? "" : "Nothing of it has begun. ") +
                    (why.find(k_untrusted) != std::string::npos
                         ? k_untrusted_hint
                         : "Check sudo, free space and rights on the member."));
}

/// In doubt unless nothing can have begun: then it is a failure that may be tried again.
void Follower::give_up() const {
    if (!may_have_it_) {
        refuse(trouble_);
    }
    throw TransportError(
        Kind::lost, what() + ": what became of it could not be had: " + trouble_, k_goes_on);
}

}  // namespace

// NOLINTNEXTLINE(readability-function-size): the job is a struct already, the rest is ours
SpoolEnd run_spooled(SshSession& session,
                     const SpoolJob& job,
                     Clock& clock,
                     Deadline deadline,
                     std::stop_token stop,
                     const std::function<void(const SpoolAccepted&)>& on_accepted) {
    return Follower(session, job, on_accepted).run(clock, deadline, stop);
}

}  // namespace lockstep
