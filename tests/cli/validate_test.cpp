#include "base/error.hpp"
#include "cli/commands.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

namespace lockstep {
namespace {

class Validate : public testing::Test {
  protected:
    int validate(const std::vector<std::string>& runbooks,
                 Output output = Output::text,
                 const std::string& inventory = {}) {
        Options options;
        options.runbooks = runbooks;
        options.output = output;
        options.inventory = inventory;
        testing::internal::CaptureStdout();
        int code = -1;
        try {
            code = command_validate(options);
        } catch (const UsageError&) {
            code = 2;
        }
        out_ = testing::internal::GetCapturedStdout();
        return code;
    }

    std::string good() {
        return folder_.write("good.yaml", "runbook: r\nsteps: [{id: a, uses: slots.verify}]\n");
    }

    std::string doubtful() {
        return folder_.write("doubtful.yaml",
                             "runbook: r\nsteps:\n  - {id: a, uses: patroni.pause}\n");
    }

    std::string bad() {
        return folder_.write("bad.yaml", "runbook: r\nsteps:\n  - {id: a, uses: patroni.pasue}\n");
    }

    TempDir folder_;
    std::string out_;
};

TEST_F(Validate, SaysThatAGoodRunbookIsValid) {
    const std::string path = good();
    EXPECT_EQ(validate({path}), 0);
    EXPECT_EQ(out_, path + ": valid\n");
}

TEST_F(Validate, TakesTheNameOfAShippedOne) {
    EXPECT_EQ(validate({"patroni-upgrade"}), 0);
    EXPECT_EQ(out_, "patroni-upgrade: valid\n");
}

TEST_F(Validate, EndsWithNothingForWarnings) {
    const std::string path = doubtful();
    EXPECT_EQ(validate({path}), 0);
    EXPECT_TRUE(out_.starts_with("warning: " + path + ":3:10: "));
    EXPECT_TRUE(out_.ends_with(path + ": valid, 1 warning\n"));
}

TEST_F(Validate, EndsWithThreeForErrorsAndGoesOnWithTheOthers) {
    const std::string path = bad();
    EXPECT_EQ(validate({path, good()}), 3);
    EXPECT_NE(out_.find("error: " + path +
                        ":3:19: \"patroni.pasue\" is no action [runbook.unknown_action]\n"
                        "  3 |   - {id: a, uses: patroni.pasue}\n"
                        "    |                   ^\n"
                        "HINT:  did you mean \"patroni.pause\"?\n" +
                        path + ": not valid, 1 error\n"),
              std::string::npos)
        << out_;
    EXPECT_TRUE(out_.ends_with("good.yaml: valid\n"));
}

TEST_F(Validate, PutsAllFilesIntoOneDocument) {
    EXPECT_EQ(validate({bad(), doubtful()}, Output::json), 3);
    const auto document = nlohmann::json::parse(out_);
    EXPECT_FALSE(document.at("valid"));
    ASSERT_EQ(document.at("errors").size(), 2U);
    EXPECT_EQ(document.at("errors").at(0).at("rule"), "runbook.unknown_action");
    EXPECT_EQ(document.at("errors").at(1).at("severity"), "warning");
}

TEST_F(Validate, WritesSarif) {
    EXPECT_EQ(validate({doubtful()}, Output::sarif), 0);
    EXPECT_EQ(nlohmann::json::parse(out_).at("runs").at(0).at("results").size(), 1U);
}

TEST_F(Validate, ChecksAnInventoryByItself) {
    const std::string path = folder_.write(
        "inventory.yaml", "clusters:\n  o:\n    patroni: {endpoints: ['http://h']}\n");
    EXPECT_EQ(validate({}, Output::text, path), 3);
    EXPECT_NE(out_.find("[inventory.value]\n  3 |     patroni: {endpoints: ['http://h']}\n"),
              std::string::npos)
        << out_;
    EXPECT_EQ(validate({}, Output::text, LOCKSTEP_SOURCE_DIR "/inventory/examples/full.yaml"), 0);
}

TEST_F(Validate, SaysWhatCannotBeRead) {
    EXPECT_EQ(validate({"/no/such.yaml"}), 3);
    EXPECT_TRUE(out_.starts_with("error: /no/such.yaml: no such file [file.unreadable]\n"));
}

TEST_F(Validate, NeedsSomethingToLookAt) {
    EXPECT_EQ(validate({}), 2);
}

TEST_F(Validate, WarnsOfAnInventoryThatGivesSecretsAway) {
    const std::string path =
        folder_.write("lax.yaml",
                      "clusters:\n  o:\n    patroni: {endpoints: ['http://h:8008'], username: u,\n"
                      "              password: {env: X}}\n"
                      "    postgres: {via: direct, dsn: sslmode=require}\n");
    EXPECT_EQ(validate({}, Output::text, path), 0);
    EXPECT_NE(out_.find("[inventory.password_in_clear]"), std::string::npos) << out_;
    EXPECT_NE(out_.find("[inventory.unverified_server]"), std::string::npos) << out_;
    EXPECT_TRUE(out_.ends_with(path + ": valid, 2 warnings\n")) << out_;
}

}  // namespace
}  // namespace lockstep
