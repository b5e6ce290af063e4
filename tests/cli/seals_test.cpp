#include "cli/seals.hpp"

#include "base/error.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>
#include <sqlite3.h>

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace lockstep {
namespace {

using State = SealView::State;

/// A state folder that people share, and who is at work in it.
class Seals : public testing::Test {
  protected:
    Seals() {
        std::filesystem::create_directory(temp.path("state"));
        ::chmod(temp.path("state").c_str(), 02770);
        options.state = temp.path("state");
        be("anna");
    }

    ~Seals() override {
        ::unsetenv("XDG_CONFIG_HOME");  // NOLINT(concurrency-mt-unsafe)
    }

    /// Another person has another configuration.
    void be(const std::string& name) const {
        ::setenv("XDG_CONFIG_HOME", temp.path(name).c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
        std::filesystem::create_directories(temp.path(name + "/lockstep"));
    }

    void trust(const std::string& name, const std::string& key) const {
        const std::string file = config_folder() + "/trusted_keys";
        std::filesystem::remove(file);
        temp.write(std::filesystem::relative(file, temp.path("")).string(),
                   "# who starts runs\n" + name + " " + key + "\n");
        ::chmod(file.c_str(), 0644);
    }

    void start_run() const {
        const auto journal = journal_to_write(options);
        RunHeader run;
        run.id = "one";
        run.cluster = "orders";
        run.runbook_text = "touch reviewed";
        run.inputs = nlohmann::json::object();
        run.plan = {{"steps", nlohmann::json::array()}};
        journal->create(run);
        journal->append("one", note(1));
    }

    [[nodiscard]] static JournalRecord note(std::int64_t seq) {
        return {seq, "2026-11-23T08:00:01.000Z", RecordKind::note, "", "", {}};
    }

    [[nodiscard]] SealView look() const {
        const auto journal = open_sqlite_journal(options.state);
        const RunHeader run = journal->find("one").value();
        return look_at_seal(*journal, run, journal->records("one"));
    }

    /// Everything that a file can say made anew, as whoever may write to it can.
    void forge(const std::string& seal) const {
        RunHeader run;
        std::vector<JournalRecord> records;
        {
            const auto journal = open_sqlite_journal(options.state);
            run = journal->find("one").value();
            records = journal->records("one");
        }
        run.runbook_text = "touch EVIL";
        std::string link = header_digest(run);
        sql("UPDATE runs SET runbook_text = 'touch EVIL'" + seal);
        for (const JournalRecord& record : records) {
            link = next_link(link, run.id, record, record.payload.dump());
            sql("UPDATE records SET hash = '" + link +
                "' WHERE seq = " + std::to_string(record.seq));
        }
        sql("UPDATE runs SET head = '" + link + "'");
    }

    void sql(const std::string& text) const {
        sqlite3* db = nullptr;
        ASSERT_EQ(sqlite3_open((options.state + "/journal.db").c_str(), &db), SQLITE_OK);
        EXPECT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK) << text;
        sqlite3_close(db);
    }

    TempDir temp;
    Options options;
};

TEST_F(Seals, AreOfWhoeverWroteAndBelievedOnlyOfTrustedKeys) {
    start_run();
    EXPECT_EQ(look().state, State::sealed);
    const std::string key = own_public_key();

    struct stat about {};

    ASSERT_EQ(::stat(own_key_file().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777U, 0600U);
    be("bert");
    EXPECT_EQ(look().state, State::stranger);
    EXPECT_EQ(look().by, key);
    trust("anna", key);
    EXPECT_EQ(look().state, State::sealed);
    EXPECT_EQ(look().by, "anna");
}

TEST_F(Seals, AreNotOfARecordThatWasMadeAnew) {
    start_run();
    forge("");
    EXPECT_EQ(open_sqlite_journal(options.state)->records("one").size(), 1U) << "the chain holds";
    EXPECT_EQ(look().state, State::broken);
    forge(", seal = ''");
    EXPECT_EQ(look().state, State::missing);
    forge(", seal = 'x'");
    EXPECT_EQ(look().state, State::broken);
}

TEST_F(Seals, ByAnothersKeyMakeNoRecordTheirs) {
    start_run();
    forge("");
    be("mallory");
    const auto journal = journal_to_write(options);
    (void)journal->records("one");
    journal->append("one", note(2));
    EXPECT_EQ(look().state, State::sealed) << "to mallory";
    be("anna");
    EXPECT_EQ(look().state, State::stranger);
    RunHeader run;
    run.id = "one";
    testing::internal::CaptureStderr();
    EXPECT_EQ(refuse_unsealed(options, look(), run), 4);
    EXPECT_NE(testing::internal::GetCapturedStderr().find("a key that you do not trust"),
              std::string::npos);
    options.unsealed = true;
    EXPECT_EQ(refuse_unsealed(options, look(), run), std::nullopt);
}

/// Else whoever can write to the file would get their text sealed by the engine that is at work.
TEST_F(Seals, AreNotPutUnderWhatOthersMadeOfTheRecordMeanwhile) {
    start_run();
    const auto journal = journal_to_write(options);
    EXPECT_THROW(journal->append("one", note(2)), JournalError) << "it was not even read";
    (void)journal->records("one");
    forge("");
    EXPECT_THROW(journal->append("one", note(2)), JournalError);
    (void)journal->records("one");
    EXPECT_THROW(journal->append("one", note(2)), JournalError) << "the first look counts";
    EXPECT_EQ(look().state, State::broken);
}

TEST_F(Seals, AreNotNeededWhereNobodyElseWrites) {
    ::chmod(options.state.c_str(), 0700);
    start_run();
    EXPECT_EQ(look().state, State::not_needed);
    EXPECT_FALSE(std::filesystem::exists(own_key_file()));
}

TEST_F(Seals, TrustNoFileThatOthersMayWriteTo) {
    start_run();
    const std::string key = own_public_key();
    be("bert");
    trust("anna", key);
    ::chmod((config_folder() + "/trusted_keys").c_str(), 0666);
    EXPECT_THROW((void)look(), InputError);
    trust("anna", key.substr(1));
    EXPECT_THROW((void)look(), InputError);
    be("anna");
    ::chmod(own_key_file().c_str(), 0644);
    EXPECT_THROW((void)journal_to_write(options), Error);
}

}  // namespace
}  // namespace lockstep
