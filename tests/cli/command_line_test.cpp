#include "cli/command_line.hpp"

#include "base/error.hpp"
#include "cli/shipped_runbooks.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

bool has_all(const Words& words, const Words& wanted) {
    return std::ranges::all_of(wanted, [&](const std::string& each) {
        return std::ranges::find(words, each) != words.end();
    });
}

const char* const k_inventory = R"(clusters:
  orders:
    patroni: {endpoints: ["https://n1:8008"]}
    members: {n1: {}, n2: {}}
  users:
    patroni: {endpoints: ["https://u1:8008"]}
)";

/// Every command that somebody may type.
std::vector<const CLI::App*> commands(const CommandLine& line) {
    return line.app.get_subcommands([](const CLI::App* command) {
        return !command->get_group().empty() && !command->get_name().empty();
    });
}

TEST(Help, HasAGroupAndAnExampleForEveryCommand) {
    const CommandLine line;
    EXPECT_GT(commands(line).size(), 15U);
    for (const CLI::App* command : commands(line)) {
        EXPECT_NE(command->get_group(), "Subcommands") << command->get_name();
        EXPECT_TRUE(has(command->help(), "Examples:\n  lockstep " + command->get_name()))
            << command->help();
    }
}

TEST(Help, SpeaksOfNoTypesAndValidators) {
    const CommandLine line;
    std::string text = line.app.help();
    for (const CLI::App* command : commands(line)) {
        text += command->help();
    }
    for (const char* jargon : {"ENUM", "TEXT:{", "->", "Excludes:", "SUBCOMMAND", "__"}) {
        EXPECT_FALSE(has(text, jargon)) << jargon;
    }
    EXPECT_TRUE(has(text, "--output text|json|jsonl|prometheus|sarif")) << text;
}

TEST(Help, SaysOfEveryOptionWhatItTakes) {
    const CommandLine line;
    for (const CLI::App* command : commands(line)) {
        for (const CLI::Option* option : command->get_options()) {
            const bool free_text =
                option->check_name("--comment") || option->check_name("--reason");
            EXPECT_TRUE(free_text || value_of(*option) != "TEXT") << option->get_name();
        }
    }
}

class Completion : public testing::Test {
  protected:
    Words complete(Words words) const {
        words.insert(words.begin(), {"-i", inventory_, "--state", folder_.path("none")});
        Words texts;
        for (const std::string& line : completions(words)) {
            texts.push_back(line.substr(0, line.find('\t')));
        }
        return texts;
    }

    TempDir folder_;
    std::string inventory_ = folder_.write("inventory.yaml", k_inventory);
};

TEST_F(Completion, KnowsCommandsAndTheirOptions) {
    EXPECT_TRUE(has_all(complete({"r"}), {"run", "runs", "resume", "rollback"}));
    EXPECT_EQ(complete({"__"}), Words());
    EXPECT_TRUE(has_all(complete({"plan", "--o"}), {"--out", "--output", "--on-failure"}));
    EXPECT_EQ(complete({"unlock", "--lock"}), (Words{"--lock-id"}));
    EXPECT_EQ(complete({"plan", "--on-failure", ""}), (Words{"stop", "rollback"}));
    EXPECT_EQ(complete({"help", "roll"}), (Words{"rollback"}));
}

TEST_F(Completion, KnowsWhatTheInventoryHas) {
    EXPECT_EQ(complete({"check", ""}), (Words{"orders", "users"}));
    EXPECT_EQ(complete({"-c", "o"}), (Words{"orders"}));
    EXPECT_EQ(complete({"check", "orders", ""}), (Words{"n1", "n2"}));
    EXPECT_EQ(complete({"run", "patroni-upgrade", "u"}), (Words{"users"}));
}

TEST_F(Completion, KnowsRunbooksTheirInputsAndFiles) {
    EXPECT_EQ(complete({"plan", "patroni-u"}), (Words{":files", "patroni-upgrade"}));
    EXPECT_EQ(complete({"plan", "patroni-upgrade", "--set", "t"}), (Words{"target="}));
    EXPECT_EQ(complete({"-i", ""}), (Words{":files"}));
    EXPECT_TRUE(has_all(complete({"explain", "step.ret"}), {"step.retry"}));
    EXPECT_TRUE(has_all(complete({"plan", "x", "--accept", "slot.st"}), {"slot.stuck"}));
}

TEST_F(Completion, OffersNothingWhereNothingIsThere) {
    EXPECT_EQ(complete({"show", ""}), Words());
    EXPECT_EQ(complete({"approve", "x", ""}), Words());
    EXPECT_EQ(completions({"-i", "/nowhere", "check", ""}), Words());
    EXPECT_EQ(complete({"plan", "/nowhere.yaml", "--set", ""}), Words());
    EXPECT_EQ(complete({"runs", "x", "y", ""}), Words());
    EXPECT_FALSE(completions({}).empty());
}

TEST(ManPages, AreThereForEveryCommandAndEveryFile) {
    const CommandLine line;
    EXPECT_TRUE(
        has_all(man_page_names(line.app),
                {"lockstep.1", "lockstep-run.1", "lockstep-runbook.5", "lockstep-inventory.5"}));
    for (const std::string& name : man_page_names(line.app)) {
        const std::string page = man_page(line.app, name);
        EXPECT_TRUE(page.starts_with(".TH LOCKSTEP")) << name;
        EXPECT_TRUE(has(page, "\n.SH NAME\n")) << page;
    }
    EXPECT_TRUE(has(man_page(line.app, "lockstep-runbook.5"), "step.retry"))
        << man_page(line.app, "lockstep-runbook.5");
    EXPECT_THROW((void)man_page(line.app, "lockstep-rnu.1"), UsageError);
}

}  // namespace
}  // namespace lockstep
