#include "base/account.hpp"
#include "base/error.hpp"
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
        return key;
    }
    const char* key = std::getenv("LOCKSTEP_APPROVAL_KEY");  // NOLINT(concurrency-mt-unsafe)
    return key == nullptr ? "" : key;
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
    refuse_changed(header.plan, header.plan_hash, header.runbook_text, header.inventory_text);
    const SealView seal = look_at_seal(*journal, header, records);
    if (seal.state == SealView::State::broken) {
        std::cerr << "error: not taken: the record is sealed " << to_text(seal) << "\n";
        return 4;
    }
    if (seal.state != SealView::State::sealed && seal.state != SealView::State::not_needed) {
        std::cerr << "note: the record is sealed " << printable(to_text(seal)) << "\n";
    }
    const Inventory inventory = inventory_on_record(header);
    // Keys are the engine's to look up: whoever approves has their own, and no other.
    const People people{.inventory = &inventory, .key_of = {}};

    Answer answer;
    answer.gate = asked.gate;
    answer.yes = !options.reject;
    answer.by = operator_identity();
    answer.at = to_iso8601(std::chrono::system_clock::now());
    answer.comment = options.comment.empty() ? options.reason : options.comment;
    answer.plan_hash = header.plan_hash;
    if (const std::string key = read_key(options); !key.empty()) {
        answer.proof = proof_of(header, answer, key);
    }
    const ApprovalProgress now =
        with_answers(asked, journal->answers(header.id), state.answers_taken(), header, people);
    std::string why_not = why_not_counted(header, now, answer, people);
    if (answer.proof.empty() && in_user_namespace()) {
        why_not =
            "in a user namespace you are whom you like: give your key by --key-file, or "
            "answer from outside of it";
    }
    if (why_not.empty() && answer.proof.empty() &&
        inventory.approvers.contains(user_of(answer.by))) {
        why_not = "the inventory asks for a proof from " + std::string(user_of(answer.by)) +
                  ": give your key by --key-file";
    }
    if (now.state != ApprovalProgress::State::open) {
        why_not = "it is " + std::string(to_text(now.state)) + " already";
    } else if (!asked.expires_at.empty() && answer.at > asked.expires_at) {
        why_not = "it expired at " + asked.expires_at;
    }
    if (!why_not.empty()) {
        std::cerr << "error: not taken: " << printable(why_not) << "\n";
        return 4;
    }
    journal->answer(header.id, answer);
    const ApprovalProgress after =
        with_answers(asked, journal->answers(header.id), state.answers_taken(), header, people);
    const bool waits = state.phase() == RunPhase::waiting;
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
    } else if (waits) {
        std::cout << "next: lockstep resume " << header.id << "\n";
    }
    return 0;
}

}  // namespace lockstep
