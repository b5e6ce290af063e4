#include "base/account.hpp"
#include "base/error.hpp"
#include "base/known_secrets.hpp"
#include "base/trusted_file.hpp"
#include "cli/commands.hpp"
#include "cli/identity.hpp"
#include "cli/seals.hpp"
#include "cli/texts.hpp"
#include "engine/plan/plan_document.hpp"
#include "engine/run/approval.hpp"

#include <cstdlib>
#include <iostream>

namespace lockstep {

namespace {

/// As the engine will see it once it takes up what is there.
ApprovalProgress with_answers(ApprovalProgress asked,
                              const std::vector<Answer>& answers,
                              std::int64_t taken,
                              const RunHeader& run,
                              const People& people) {
    for (const Answer& answer : answers) {
        if (answer.number > taken && answer.gate == asked.gate) {
            const std::string why_not = why_not_counted(run, asked, answer, people);
            asked.answers.push_back({answer.yes, answer.by, answer.at, answer.comment, why_not});
        }
    }
    asked.state = decided_by_answers(asked).value_or(asked.state);
    return asked;
}

/// The step that is meant, or the only one that asks.
const ApprovalProgress& find_gate(const Options& options,
                                  const std::string& run,
                                  const RunState& state) {
    std::vector<const ApprovalProgress*> open;
    std::string names;
    for (const ApprovalProgress& asked : state.approvals()) {
        if (asked.state == ApprovalProgress::State::open) {
            open.push_back(&asked);
            names += (names.empty() ? "" : ", ") + asked.gate;
        }
    }
    if (!options.step.empty()) {
        for (const ApprovalProgress* asked : open) {
            if (asked->gate == options.step) {
                return *asked;
            }
        }
        throw UsageError("step " + options.step + " of run " + run + " does not ask for anything",
                         names.empty() ? "`lockstep show " + run + "` shows how it stands."
                                       : "These do: " + names + ".");
    }
    if (open.size() == 1) {
        return *open.front();
    }
    throw UsageError(open.empty() ? "nothing of run " + run + " asks for an approval"
                                  : "several steps of run " + run + " ask: " + names,
                     open.empty() ? "`lockstep show " + run + "` shows how it stands."
                                  : "Say which: lockstep approve " + run + " STEP.");
}

std::string read_key(const Options& options) {
    if (!options.key_file.empty()) {
        std::string key = read_secret_line(options.key_file, "the key");
        if (key.empty()) {
            throw UsageError("no key in the first line of " + options.key_file);
        }
        remember_secret(key);
        return key;
    }
    const char* key = std::getenv("LOCKSTEP_APPROVAL_KEY");  // NOLINT(concurrency-mt-unsafe)
    return key == nullptr ? "" : key;
}

/// Why no answer is taken at all: what it would be about may be somebody else's making. Empty where
/// it may be; a doubt that does not stop it is said.
std::string doubt_of_record(JournalStore& journal,
                            const RunHeader& header,
                            const std::vector<JournalRecord>& records) {
    refuse_changed(header.plan, header.plan_hash, header.runbook_text, header.inventory_text);
    const SealView seal = look_at_seal(journal, header, records);
    const std::string how = "the record is sealed " + to_text(seal);
    if (seal.state == SealView::State::broken) {
        return how;
    }
    if (seal.state != SealView::State::sealed && seal.state != SealView::State::not_needed) {
        std::cerr << "note: " << printable(how) << "\n";
    }
    return "";
}

Answer answer_of(const Options& options, const RunHeader& header, const std::string& gate) {
    Answer answer;
    answer.gate = gate;
    answer.yes = !options.reject;
    answer.by = operator_identity();
    answer.at = to_iso8601(std::chrono::system_clock::now());
    answer.comment = options.comment.empty() ? options.reason : options.comment;
    answer.plan_hash = header.plan_hash;
    if (const std::string key = read_key(options); !key.empty()) {
        answer.proof = proof_of(header, answer, key);
    }
    return answer;
}

/// Empty where it counts.
std::string why_not_taken(const RunHeader& header,
                          const ApprovalProgress& now,
                          const Answer& answer,
                          const People& people) {
    if (now.state != ApprovalProgress::State::open) {
        return "it is " + std::string(to_text(now.state)) + " already";
    }
    if (!now.expires_at.empty() && answer.at > now.expires_at) {
        return "it expired at " + now.expires_at;
    }
    if (answer.proof.empty() && in_user_namespace()) {
        return "in a user namespace you are whom you like: give your key by --key-file, or "
               "answer from outside of it";
    }
    if (std::string why_not = why_not_counted(header, now, answer, people); !why_not.empty()) {
        return why_not;
    }
    const std::string user(user_of(answer.by));
    return answer.proof.empty() && people.inventory->approvers.contains(user)
               ? "the inventory asks for a proof from " + user + ": give your key by --key-file"
               : "";
}

}  // namespace

int command_approve(const Options& options) {
    const std::unique_ptr<JournalStore> journal = open_sqlite_journal(state_folder(options));
    const RunHeader header = named_run(*journal, options.run);
    const std::vector<JournalRecord> records = journal->records(header.id);
    const RunState state = replay(header, records);
    if (state.phase() == RunPhase::cancelled) {
        throw UsageError("run " + header.id + " was cancelled: nothing of it can go on any more",
                         "`lockstep show " + header.id + "` says by whom.");
    }
    const ApprovalProgress& asked = find_gate(options, header.id, state);
    const Inventory inventory = inventory_on_record(header);
    // Keys are the engine's to look up: whoever approves has their own, and no other.
    const People people{.inventory = &inventory, .key_of = {}};
    const auto with_all = [&] {
        return with_answers(
            asked, journal->answers(header.id), state.answers_taken(), header, people);
    };
    std::string why_not = doubt_of_record(*journal, header, records);
    Answer answer;
    if (why_not.empty()) {
        answer = answer_of(options, header, asked.gate);
        why_not = why_not_taken(header, with_all(), answer, people);
    }
    if (!why_not.empty()) {
        std::cerr << "error: not taken: " << printable(why_not) << "\n";
        return 4;
    }
    journal->answer(header.id, answer);
    const ApprovalProgress after = with_all();
    if (options.output != Output::text) {
        std::cout << json_text({{"run", header.id},
                                {"step", asked.gate},
                                {"answer", answer.yes ? "approved" : "rejected"},
                                {"by", answer.by},
                                {"state", to_text(after.state)}},
                               options.output);
        return 0;
    }
    std::cout << (answer.yes ? "approved" : "rejected") << ": " << printable(asked.gate)
              << " of run " << header.id << ", by " << printable(answer.by) << "\n";
    if (after.state == ApprovalProgress::State::open) {
        std::cout << "it still waits for " << printable(waits_for(after)) << "\n";
    } else if (state.phase() == RunPhase::waiting) {
        std::cout << "next: lockstep resume " << header.id << "\n";
    }
    return 0;
}

}  // namespace lockstep
