#include "base/error.hpp"
#include "base/or_null.hpp"
#include "cli/commands.hpp"
#include "cli/identity.hpp"
#include "cli/signals.hpp"
#include "cli/terminal.hpp"
#include "cli/texts.hpp"
#include "cli/unlock.hpp"
#include "cli/version.hpp"

#include <unistd.h>

#include <algorithm>
#include <iostream>

namespace lockstep {

namespace {

using Json = nlohmann::json;

RunHeader header_for(const Options& options, const Inventory& inventory, const Cluster& cluster) {
    RunHeader header;
    const auto now = std::chrono::system_clock::now();
    header.id = make_run_id(now);
    header.cluster = cluster.name;
    header.runbook = "unlock";
    header.started_at = to_iso8601(now);
    header.started_by = operator_identity();
    header.reason = options.reason;
    header.engine_version = k_version;
    header.inventory_text = inventory.text;
    header.inputs =
        options.reset_fence ? Json{{"reset_fence", true}} : Json{{"lock_id", options.lock_id}};
    header.plan = {{"steps", Json::array()}};
    return header;
}

std::string result_text(const FoundLock& lock, bool fences) {
    if (!lock.error.empty()) {
        return "not asked: " + lock.error;
    }
    if (fences) {
        return lock.removed ? "put back: " + lock.found : "left alone";
    }
    return (lock.removed  ? "removed: "
            : lock.has_it ? "gone meanwhile: "
                          : "left alone: ") +
           lock.found;
}

class Record {
  public:
    Record(const Unlock& unlock, std::string run)
        : journal_(unlock.journal), clock_(unlock.clock), run_(std::move(run)) {}

    void add(RecordKind kind, Json payload) {
        journal_.append(run_,
                        {.seq = ++seq_,
                         .at = to_iso8601(clock_.wall_now()),
                         .kind = kind,
                         .step = {},
                         .member = {},
                         .payload = std::move(payload)});
    }

    void end(const char* state, int exit_code, const std::string& message) {
        add(RecordKind::run_ended,
            {{"state", state},
             {"exit_code", exit_code},
             {"message", message},
             {"hint", ""},
             {"measured", Json::object()}});
    }

  private:
    JournalStore& journal_;
    Clock& clock_;
    std::string run_;
    std::int64_t seq_ = 0;
};

void print(const Options& options,
           const RunHeader& header,
           const std::vector<FoundLock>& locks,
           const Terminal& terminal) {
    if (options.output == Output::text) {
        Table table({"MEMBER", options.reset_fence ? "FENCE" : "LOCK"});
        for (const FoundLock& lock : locks) {
            table.add({lock.member, result_text(lock, options.reset_fence)},
                      {Tone::strong, lock.error.empty() ? Tone::plain : Tone::warn});
        }
        std::cout << table.text(terminal);
        return;
    }
    Json members = Json::array();
    for (const FoundLock& lock : locks) {
        members.push_back({{"member", lock.member},
                           {"found", or_null(lock.found)},
                           {"removed", lock.removed},
                           {"error", or_null(lock.error)}});
    }
    const Json document = {{"run", header.id},
                           {"cluster", header.cluster},
                           {"lock_id", or_null(options.lock_id)},
                           {"members", members}};
    std::cout << json_text(document, options.output);
}

}  // namespace

std::vector<FoundLock> unlock_on_record(const Unlock& unlock,
                                        const RunHeader& header,
                                        std::stop_token stop) {
    const std::string& scope = unlock.facts.scope;
    if (scope.empty()) {
        throw Error("the scope of " + unlock.facts.name + " is not known, and so is not its lock",
                    "Patroni's REST API says it: see that it answers on some member.");
    }
    const bool fences = unlock.lock_id.empty();
    static_cast<void>(
        fences
            ? find_odd_fences(unlock.connections, unlock.facts, scope, std::move(stop))
            : find_lock(unlock.connections, unlock.facts, scope, unlock.lock_id, std::move(stop)));
    unlock.journal.create(header);
    Record record(unlock, header.id);
    record.add(RecordKind::run_started, {{"plan_hash", header.plan_hash}});
    try {
        // Not to be stopped half way: it is short.
        std::vector<FoundLock> locks =
            fences ? reset_odd_fences(unlock.connections, unlock.facts, scope, {})
                   : break_lock(unlock.connections, unlock.facts, scope, unlock.lock_id, {});
        for (const FoundLock& lock : locks) {
            record.add(RecordKind::note,
                       {{"message", lock.member + ": " + result_text(lock, fences)}});
        }
        record.end("succeeded", 0, "");
        return locks;
    } catch (const JournalError&) {
        throw;
    } catch (const Error& error) {
        record.end("failed", 10, error.what());
        throw;
    }
}

int command_unlock(const Options& options, Interrupts& interrupts) {
    const Inventory inventory = load_inventory(inventory_path(options));
    const Cluster& cluster = inventory.cluster(options.cluster);
    const std::unique_ptr<JournalStore> journal = open_sqlite_journal(state_folder(options));
    SystemClock clock;
    Connections connections(cluster, ConnectionFactory{});
    const ClusterFacts facts =
        Observer(connections, clock)
            .observe(Depth::quick, std::chrono::seconds{15}, interrupts.token());
    const RunHeader header = header_for(options, inventory, cluster);
    const std::vector<FoundLock> locks = unlock_on_record(
        {connections, clock, *journal, facts, options.lock_id}, header, interrupts.token());
    print(options, header, locks, Terminal::on(STDOUT_FILENO));
    if (std::ranges::any_of(locks, [](const FoundLock& lock) { return !lock.error.empty(); })) {
        std::cerr << "where nobody could be asked, the lock may still be there: it expires by "
                     "itself within a minute\n";
    }
    return 0;
}

}  // namespace lockstep
