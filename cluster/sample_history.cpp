#include "cluster/sample_history.hpp"

#include "base/error.hpp"
#include "base/json.hpp"
#include "base/state_folder.hpp"

#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>

namespace lockstep {

namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

// "lkss": tells our database from any other SQLite file (pragma application_id).
constexpr int k_application_id = 0x6c6b7373;
constexpr int k_schema_version = 1;
constexpr int k_patience_ms = 2000;

constexpr const char* k_schema = R"sql(
CREATE TABLE samples (
    id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, at_ms INTEGER NOT NULL, boot TEXT NOT NULL,
    boot_ms INTEGER NOT NULL, paused_since_ms INTEGER NOT NULL, document TEXT NOT NULL
) STRICT;
CREATE INDEX samples_of_cluster ON samples (cluster, id);
)sql";

std::int64_t to_ms(Clock::Wall at) {
    return std::chrono::floor<milliseconds>(at.time_since_epoch()).count();
}

Clock::Wall from_ms(std::int64_t ms) {
    return Clock::Wall(milliseconds{ms});
}

std::string own_boot_id() {
    std::ifstream file("/proc/sys/kernel/random/boot_id");
    std::string id;
    std::getline(file, id);
    return id;
}

std::string usable_folder(const std::string& folder) {
    std::string path = StateFolder::make(folder).path();
    if (sqlite::is_on_network(path)) {
        throw Error("the state folder " + folder + " is on a network file system");
    }
    return path;
}

}  // namespace

SampleHistory::SampleHistory(const std::string& folder, Clock& clock)
    : clock_(clock), boot_id_(own_boot_id()) {
    try {
        open(usable_folder(folder) + "/samples.db");
    } catch (const Error& error) {
        give_up(error.what());
    }
}

void SampleHistory::open(const std::string& path) {
    const std::filesystem::path file(path);
    if (std::filesystem::exists(file) &&
        !StateFolder(file.parent_path()).is_writable(file.filename())) {
        trouble_ = path + " cannot be written";
        spdlog::info("no history of samples is kept: {}", trouble_);
        db_ = std::make_unique<sqlite::Database>(
            sqlite::Database::to_read(path, k_patience_ms).in_memory());
        refuse_unknown(path);
        return;
    }
    db_ = std::make_unique<sqlite::Database>(path, k_patience_ms);
    db_->execute("PRAGMA journal_mode = WAL");
    db_->execute("PRAGMA synchronous = NORMAL");  // a sample that a power loss takes is no loss
    sqlite::Transaction begin(*db_);
    if (db_->number("SELECT count(*) FROM sqlite_master") == 0) {
        db_->execute("PRAGMA application_id = " + std::to_string(k_application_id));
        db_->execute("PRAGMA user_version = " + std::to_string(k_schema_version));
        db_->execute(k_schema);
    } else {
        refuse_unknown(path);
    }
    begin.commit();
}

void SampleHistory::refuse_unknown(const std::string& path) {
    if (db_->number("PRAGMA application_id") != k_application_id ||
        db_->number("PRAGMA user_version") != k_schema_version) {
        throw Error(path + " is of another program, or of another version of lockstep");
    }
}

void SampleHistory::give_up(const std::string& why) {
    trouble_ = why;
    spdlog::info("no history of samples: {}", why);
    db_ = std::make_unique<sqlite::Database>(":memory:", k_patience_ms);
    db_->execute(k_schema);
}

Moment SampleHistory::moment_of(const ClusterFacts& facts) {
    const auto old =
        std::chrono::duration_cast<milliseconds>(clock_.steady_now() - facts.sampled_at);
    return {facts.observed_at, boot_id_, clock_.since_boot() - old};
}

void SampleHistory::add(const ClusterFacts& facts) {
    const std::lock_guard lock(mutex_);
    const Moment at = moment_of(facts);
    try {
        sqlite::Transaction change(*db_);
        // Carried from sample to sample: those in between may be forgotten.
        const std::int64_t paused =
            facts.paused ? paused_ms(facts.name).value_or(to_ms(at.wall)) : 0;
        sqlite::Statement insert(*db_,
                                 "INSERT INTO samples (cluster, at_ms, boot, boot_ms, "
                                 "paused_since_ms, document) VALUES (?,?,?,?,?,?)");
        insert.bind(facts.name)
            .bind(to_ms(at.wall))
            .bind(at.boot_id)
            .bind(at.since_boot.count())
            .bind(paused)
            .bind(thin(facts).dump(-1, ' ', false, Json::error_handler_t::replace));
        insert.step();
        forget(facts.name, at.wall);
        change.commit();
    } catch (const Error& error) {
        // Nothing is lost but this sample, unless it goes on: then samples in memory are better.
        if (trouble_.empty()) {
            give_up(error.what());
        }
    }
}

void SampleHistory::forget(const std::string& cluster, Clock::Wall now) {
    std::vector<std::int64_t> ids;
    std::vector<Clock::Wall> times;
    sqlite::Statement select(*db_, "SELECT id, at_ms FROM samples WHERE cluster = ? ORDER BY id");
    select.bind(cluster);
    while (select.step()) {
        ids.push_back(select.integer(0));
        times.push_back(from_ms(select.integer(1)));
    }
    for (const std::size_t n : to_forget(times, now)) {
        sqlite::Statement remove(*db_, "DELETE FROM samples WHERE id = ?");
        remove.bind(ids[n]).step();
    }
}

std::vector<Sample> SampleHistory::recent(const ClusterFacts& now, milliseconds within) {
    const std::lock_guard lock(mutex_);
    const Moment to = moment_of(now);
    std::vector<Sample> found;
    try {
        sqlite::Statement select(*db_,
                                 "SELECT at_ms, boot, boot_ms, document FROM samples "
                                 "WHERE cluster = ? ORDER BY id DESC");
        select.bind(now.name);
        while (select.step()) {
            const Clock::Wall at = from_ms(select.integer(0));
            const auto ago = elapsed({at, select.text(1), milliseconds{select.integer(2)}}, to);
            const Json document = read_json(select.text(3), k_own_json).document;
            if (!ago || !document.is_object()) {
                continue;
            }
            found.push_back({at, *ago, ClusterFacts::from_json(document)});
            if (*ago > within) {
                break;
            }
        }
    } catch (const std::exception& error) {  // SQLite's word, or a document of another shape
        spdlog::info("the history of samples cannot be read: {}", error.what());
    }
    std::reverse(found.begin(), found.end());
    return found;
}

std::optional<std::int64_t> SampleHistory::paused_ms(const std::string& cluster) {
    sqlite::Statement select(
        *db_, "SELECT paused_since_ms FROM samples WHERE cluster = ? ORDER BY id DESC LIMIT 1");
    select.bind(cluster);
    return select.step() && select.integer(0) != 0 ? std::optional(select.integer(0))
                                                   : std::nullopt;
}

std::optional<Clock::Wall> SampleHistory::paused_since(const std::string& cluster) {
    const std::lock_guard lock(mutex_);
    try {
        if (const auto since = paused_ms(cluster)) {
            return from_ms(*since);
        }
    } catch (const Error& error) {
        spdlog::info("the history of samples cannot be read: {}", error.what());
    }
    return std::nullopt;
}

}  // namespace lockstep
