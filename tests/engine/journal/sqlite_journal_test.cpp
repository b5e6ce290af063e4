#include "base/error.hpp"
#include "engine/journal/journal.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace lockstep {
namespace {

class SqliteJournal : public testing::Test {
  protected:
    SqliteJournal() {
        std::string pattern = testing::TempDir() + "lockstep-journal-XXXXXX";
        folder = mkdtemp(pattern.data());
    }

    ~SqliteJournal() override { std::filesystem::remove_all(folder); }

    static RunHeader header(const std::string& id) {
        RunHeader run;
        run.id = id;
        run.cluster = "orders";
        run.runbook = "patroni-upgrade";
        run.started_at = "2026-11-23T08:00:00.000Z";
        run.plan = {{"steps", nlohmann::json::array()}};
        run.inputs = nlohmann::json::object();
        return run;
    }

    static JournalRecord note(std::int64_t seq, const std::string& text) {
        return {seq, "2026-11-23T08:00:01.000Z", RecordKind::note, "a", "n1", {{"message", text}}};
    }

    void tamper(const std::string& sql) const {
        sqlite3* db = nullptr;
        ASSERT_EQ(sqlite3_open((folder + "/journal.db").c_str(), &db), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
        sqlite3_close(db);
    }

    std::string folder;
};

TEST_F(SqliteJournal, KeepsWhatWasWrittenAcrossAnEnd) {
    {
        const auto journal = open_sqlite_journal(folder);
        journal->create(header("one"));
        journal->append("one", note(1, "first"));
        journal->append("one", note(2, "second"));
    }
    const auto journal = open_sqlite_journal(folder);
    const auto records = journal->records("one");
    ASSERT_EQ(records.size(), 2U);
    EXPECT_EQ(records[1].payload.at("message"), "second");
    EXPECT_EQ(records[1].member, "n1");
    EXPECT_EQ(journal->runs().front().runbook, "patroni-upgrade");
}

TEST_F(SqliteJournal, KeepsRecordsThatComeTogetherInOneChainWithTheOthers) {
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("one"));
    journal->append("one", note(1, "first"));
    journal->append_all("one", {note(2, "second"), note(3, "third")});
    journal->append("one", note(4, "fourth"));
    journal->append_all("one", {});
    EXPECT_EQ(open_sqlite_journal(folder)->records("one").size(), 4U);  // or the chain is broken
}

TEST_F(SqliteJournal, KeepsNoneOfSeveralRecordsWhereOneOfThemCannotBe) {
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("one"));
    journal->append("one", note(1, "first"));
    EXPECT_THROW(journal->append_all("one", {note(2, "second"), note(2, "again")}), JournalError);
    EXPECT_EQ(open_sqlite_journal(folder)->records("one").size(), 1U);
    journal->append_all("one", {note(2, "second"), note(3, "third")});
    EXPECT_EQ(open_sqlite_journal(folder)->records("one").size(), 3U);
}

TEST_F(SqliteJournal, KeepsAnswersBesideTheRecord) {
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("one"));
    journal->answer("one", {0, "go@n2", true, "anna@jump1", "then", "yes", "hash", "proof"});
    journal->answer("one", {0, "go@n2", false, "bert@jump1", "later", "no", "hash", ""});
    const std::vector<Answer> answers = open_sqlite_journal(folder)->answers("one");
    ASSERT_EQ(answers.size(), 2U);
    EXPECT_LT(answers[0].number, answers[1].number);
    EXPECT_EQ(answers[0].gate, "go@n2");
    EXPECT_TRUE(answers[0].yes);
    EXPECT_EQ(answers[0].by, "anna@jump1");
    EXPECT_EQ(answers[0].comment, "yes");
    EXPECT_EQ(answers[0].proof, "proof");
    EXPECT_FALSE(answers[1].yes);
    EXPECT_TRUE(journal->records("one").empty());
}

TEST_F(SqliteJournal, OfTheVersionBeforeIsBroughtUpToOursByWhoWritesAlone) {
    {
        const auto journal = open_sqlite_journal(folder);
        journal->create(header("one"));
        journal->append("one", note(1, "first"));
    }
    tamper(
        "DROP TABLE answers; ALTER TABLE runs DROP COLUMN head; "
        "ALTER TABLE runs DROP COLUMN seal; PRAGMA user_version = 2");
    for (int looks = 0; looks < 2; ++looks) {
        EXPECT_EQ(open_sqlite_journal(folder, JournalUse::as_it_is)->records("one").size(), 1U);
    }
    const auto journal = open_sqlite_journal(folder);
    EXPECT_EQ(journal->records("one").size(), 1U);
    EXPECT_TRUE(journal->answers("one").empty());
    EXPECT_NO_THROW((void)open_sqlite_journal(folder, JournalUse::as_it_is));
}

TEST_F(SqliteJournal, TellsHowLongStepsTookAtTheirFirstAttempt) {
    const auto journal = open_sqlite_journal(folder);
    const auto record = [&](const std::string& run,
                            std::int64_t seq,
                            bool intent,
                            const char* step,
                            const nlohmann::json& payload) {
        journal->append(run,
                        {seq,
                         "2026-11-23T08:00:0" + std::to_string(seq) + ".000Z",
                         intent ? RecordKind::step_intent : RecordKind::step_result,
                         step,
                         "n1",
                         payload});
    };
    journal->create(header("one"));
    record("one", 1, true, "a", {{"uses", "x"}, {"attempt", 1}});
    record("one", 2, true, "b", {{"uses", "y"}, {"attempt", 1}});
    record("one", 3, false, "a", {{"outcome", "succeeded"}, {"retry", false}});
    record("one", 4, false, "b", {{"outcome", "failed"}, {"retry", true}});
    record("one", 5, true, "b", {{"uses", "y"}, {"attempt", 2}});
    record("one", 6, false, "b", {{"outcome", "succeeded"}, {"retry", false}});
    RunHeader other = header("two");
    other.cluster = "billing";
    journal->create(other);
    record("two", 1, true, "a", {{"uses", "x"}, {"attempt", 1}});
    record("two", 2, false, "a", {{"outcome", "succeeded"}, {"retry", false}});
    const std::vector<StepLength> lengths = journal->step_lengths("orders", 20);
    ASSERT_EQ(lengths.size(), 1U);
    EXPECT_EQ(lengths[0].runbook, "patroni-upgrade");
    EXPECT_EQ(lengths[0].step, "a");
    EXPECT_EQ(lengths[0].uses, "x");
    EXPECT_EQ(lengths[0].from, "2026-11-23T08:00:01.000Z");
    EXPECT_EQ(lengths[0].to, "2026-11-23T08:00:03.000Z");
}

TEST_F(SqliteJournal, IsForItsOwnerAlone) {
    (void)open_sqlite_journal(folder + "/state");

    struct stat about {};

    ASSERT_EQ(::stat((folder + "/state/journal.db").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0600U);
    ASSERT_EQ(::stat((folder + "/state").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0700U);
}

TEST_F(SqliteJournal, IsForTheGroupOfAFolderThatPeopleShare) {
    ASSERT_EQ(::chmod(folder.c_str(), 02770), 0);
    const mode_t before = ::umask(077);
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("one"));
    ::umask(before);

    struct stat about {};

    for (const char* file : {"/journal.db", "/journal.db-wal", "/journal.db-shm"}) {
        ASSERT_EQ(::stat((folder + file).c_str(), &about), 0) << file;
        EXPECT_EQ(about.st_mode & 0777U, 0660U) << file;
    }
    ASSERT_EQ(::stat(folder.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777U, 02770U);
}

TEST_F(SqliteJournal, OfVersionFourIsBroughtUpToOursAndHasNoSeals) {
    {
        const auto journal = open_sqlite_journal(folder);
        journal->create(header("one"));
        journal->append("one", note(1, "first"));
    }
    tamper("ALTER TABLE runs DROP COLUMN seal; PRAGMA user_version = 4");
    const auto journal = open_sqlite_journal(folder);
    EXPECT_EQ(journal->records("one").size(), 1U);
    EXPECT_EQ(journal->seal_of("one"), "");
}

TEST_F(SqliteJournal, SealsEachCommitWithTheEndOfItsChain) {
    const auto journal = open_sqlite_journal(folder);
    EXPECT_FALSE(journal->is_shared());
    journal->seal_with([](const std::string& end) { return "sealed " + end; });
    const RunHeader run = header("one");
    journal->create(run);
    EXPECT_EQ(journal->seal_of("one"), "sealed " + header_digest(run));
    journal->append_all("one", {note(1, "first"), note(2, "second")});
    EXPECT_EQ(journal->seal_of("one"), "sealed " + chain_end(run, journal->records("one")));
    open_sqlite_journal(folder)->append("one", note(3, "third"));
    EXPECT_EQ(journal->seal_of("one"), "") << "whoever wrote last vouches for it, or nobody";
}

TEST_F(SqliteJournal, HasAnotherEndWhateverOfItIsChanged) {
    const RunHeader run = header("one");
    const std::string end = chain_end(run, {note(1, "first")});
    RunHeader other = run;
    other.inventory_text = "clusters: {}";
    EXPECT_NE(chain_end(other, {note(1, "first")}), end);
    other = run;
    other.plan["steps"].push_back(1);
    EXPECT_NE(chain_end(other, {note(1, "first")}), end);
    other = run;
    other.given["target"] = "file:/tmp/x";
    EXPECT_NE(chain_end(other, {note(1, "first")}), end);
    EXPECT_NE(chain_end(run, {note(1, "worst")}), end);
    EXPECT_NE(chain_end(run, {}), end);
}

/// A colleague puts something of the name there: what it leads to is neither read nor changed.
TEST_F(SqliteJournal, TouchesNoFileThatSomebodyPutInItsPlace) {
    const std::string victim = folder + "/victim";
    std::ofstream(victim) << "secret";
    ASSERT_EQ(::chmod(victim.c_str(), 0600), 0);
    const std::string state = folder + "/state";
    const auto put = [&](const std::string& name, auto how) {
        std::filesystem::remove_all(state);
        ASSERT_EQ(::mkdir(state.c_str(), 0700), 0);
        ASSERT_EQ(::chmod(state.c_str(), 02770), 0);
        how(state + "/" + name);
        EXPECT_THROW((void)open_sqlite_journal(state), JournalError) << name;

        struct stat about {};

        ASSERT_EQ(::stat(victim.c_str(), &about), 0);
        EXPECT_EQ(about.st_mode & 0777U, 0600U) << name;
        EXPECT_EQ(about.st_size, 6) << name;
    };
    for (const char* name :
         {"journal.db", "journal.db-wal", "journal.db-shm", "journal.db-journal"}) {
        put(name, [&](const std::string& at) { std::filesystem::create_symlink(victim, at); });
        put(name, [&](const std::string& at) { std::filesystem::create_hard_link(victim, at); });
        std::filesystem::remove_all(state);
        put(name, [&](const std::string& at) { ASSERT_EQ(::mkfifo(at.c_str(), 0666), 0); });
    }
}

TEST_F(SqliteJournal, LeavesAFileAsItIsWhoseFolderIsSharedLater) {
    (void)open_sqlite_journal(folder);
    ASSERT_EQ(::chmod(folder.c_str(), 02770), 0);
    EXPECT_TRUE(open_sqlite_journal(folder)->is_shared());

    struct stat about {};

    ASSERT_EQ(::stat((folder + "/journal.db").c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0600U);
}

TEST_F(SqliteJournal, TakesAFolderThatOthersCanReadForItsOwnerAlone) {
    ASSERT_EQ(::chmod(folder.c_str(), 0755), 0);
    (void)open_sqlite_journal(folder);

    struct stat about {};

    ASSERT_EQ(::stat(folder.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0700U);
}

TEST_F(SqliteJournal, RefusesAFolderThatEverybodyMayWriteToAndLeavesItAlone) {
    ASSERT_EQ(::chmod(folder.c_str(), 01777), 0);
    EXPECT_THROW((void)open_sqlite_journal(folder), JournalError);

    struct stat about {};

    ASSERT_EQ(::stat(folder.c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 07777U, 01777U);
    EXPECT_FALSE(std::filesystem::exists(folder + "/journal.db"));
}

TEST_F(SqliteJournal, FindsARunByTheStartOfItsIdWhenThatIsUnique) {
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("20261123-aaaa"));
    journal->create(header("20261123-bbbb"));
    EXPECT_EQ(journal->find("20261123-b")->id, "20261123-bbbb");
    EXPECT_FALSE(journal->find("nope"));
    EXPECT_THROW((void)journal->find("2026"), UsageError);
}

TEST_F(SqliteJournal, RefusesARecordThatWasChangedAfterwards) {
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("one"));
    journal->append("one", note(1, "first"));
    journal->append("one", note(2, "second"));
    tamper("UPDATE records SET payload = replace(payload, 'first', 'worst')");
    EXPECT_THROW((void)journal->records("one"), JournalError);
}

TEST_F(SqliteJournal, RefusesARunWithAMissingRecord) {
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("one"));
    for (int i = 1; i <= 3; ++i) {
        journal->append("one", note(i, "x"));
    }
    tamper("DELETE FROM records WHERE seq = 2");
    EXPECT_THROW((void)journal->records("one"), JournalError);
}

TEST_F(SqliteJournal, RefusesARunWhoseEndWasCutOff) {
    constexpr int k_records = 20;
    for (int left = 0; left < k_records; ++left) {
        std::filesystem::remove_all(folder);
        {
            const auto journal = open_sqlite_journal(folder);
            journal->create(header("one"));
            for (int seq = 1; seq <= k_records; ++seq) {
                journal->append("one", note(seq, "text"));
            }
        }
        tamper("DELETE FROM records WHERE seq > " + std::to_string(left));
        EXPECT_THROW((void)open_sqlite_journal(folder)->records("one"), JournalError) << left;
    }
}

TEST_F(SqliteJournal, RefusesALastRecordWithAnyOfItsBytesChanged) {
    const std::string text = "what was done";
    for (std::size_t at = 0; at < text.size(); ++at) {
        std::filesystem::remove_all(folder);
        {
            const auto journal = open_sqlite_journal(folder);
            journal->create(header("one"));
            journal->append("one", note(1, text));
        }
        std::string other = text;
        other[at] = 'X';
        tamper("UPDATE records SET payload = replace(payload, '" + text + "', '" + other + "')");
        EXPECT_THROW((void)open_sqlite_journal(folder)->records("one"), JournalError) << at;
    }
}

TEST_F(SqliteJournal, RefusesAPlanThatWasChangedAfterwards) {
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("one"));
    journal->append("one", note(1, "x"));
    tamper("UPDATE runs SET plan = '{\"steps\":[1]}'");
    EXPECT_THROW((void)journal->records("one"), JournalError);
}

TEST_F(SqliteJournal, RefusesADatabaseOfAnotherProgram) {
    tamper("CREATE TABLE theirs (x)");
    EXPECT_THROW((void)open_sqlite_journal(folder), JournalError);
}

TEST_F(SqliteJournal, RefusesAFileThatIsNoDatabase) {
    std::ofstream(folder + "/journal.db")
        << "these are not the records you are looking for, at all";
    EXPECT_THROW((void)open_sqlite_journal(folder), JournalError);
}

TEST_F(SqliteJournal, RefusesARecordOfARunThatItDoesNotHave) {
    const auto journal = open_sqlite_journal(folder);
    EXPECT_ANY_THROW(journal->append("ghost", note(1, "x")));
}

TEST_F(SqliteJournal, RefusesTheSameRecordTwice) {
    const auto journal = open_sqlite_journal(folder);
    journal->create(header("one"));
    journal->append("one", note(1, "x"));
    EXPECT_THROW(journal->append("one", note(1, "y")), JournalError);
}

TEST_F(SqliteJournal, SaysWhenItsFolderCannotBeMade) {
    std::ofstream(folder + "/file") << "x";
    EXPECT_THROW((void)open_sqlite_journal(folder + "/file/state"), JournalError);
}

}  // namespace
}  // namespace lockstep
