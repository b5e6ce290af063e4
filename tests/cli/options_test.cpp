#include "cli/options.hpp"

#include "base/error.hpp"
#include "cli/command_shipped.hpp"
#include "cli/runbooks.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace lockstep {
namespace {

using Words = std::vector<std::string>;

struct Result {
    Parsed parsed;
    std::string out;
    std::string err;
};

Result parse(Words words) {
    words.insert(words.begin(), "lockstep");
    std::vector<char*> argv;
    for (std::string& word : words) {
        argv.push_back(word.data());
    }
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Result result;
    result.parsed = parse_options(static_cast<int>(argv.size()), argv.data());
    result.out = testing::internal::GetCapturedStdout();
    result.err = testing::internal::GetCapturedStderr();
    return result;
}

Options options(const Words& words) {
    const Result result = parse(words);
    EXPECT_FALSE(result.parsed.exit_code) << result.err;
    return result.parsed.options;
}

TEST(Options, ReadTheCommandAndWhatItTakes) {
    const Options plan = options({"plan", "patroni-upgrade", "-i", "lab.yaml", "-c", "orders"});
    EXPECT_EQ(plan.command, "plan");
    EXPECT_EQ(plan.runbooks, (Words{"patroni-upgrade"}));
    EXPECT_EQ(plan.inventory, "lab.yaml");
    EXPECT_EQ(plan.cluster, "orders");
    EXPECT_EQ(options({"check", "orders"}).cluster, "orders");
    EXPECT_EQ(options({"show", "20261123"}).run, "20261123");
    EXPECT_EQ(options({"show"}).run, "");
    EXPECT_EQ(options({"explain", "step.retry"}).topic, "step.retry");
    EXPECT_TRUE(options({"explain", "--markdown"}).markdown);
    EXPECT_EQ(options({"schema"}).topic, "");
    EXPECT_EQ(options({"schema", "inventory"}).topic, "inventory");
    EXPECT_EQ(options({"validate", "a.yaml", "--output", "sarif"}).output, Output::sarif);
    EXPECT_EQ(options({"validate", "a.yaml", "b.yaml"}).runbooks.size(), 2U);
    EXPECT_TRUE(options({"run", "x", "-y", "--reason", "planned"}).yes);
}

TEST(Options, OfACommandThatIsAShippedRunbookAreItsInputs) {
    const Options one = options({"switchover", "orders", "--to", "n2", "--no-checkpoint", "-y"});
    EXPECT_EQ(one.command, "switchover");
    EXPECT_EQ(one.cluster, "orders");
    EXPECT_TRUE(one.yes);
    EXPECT_EQ(one.set, (std::map<std::string, std::string>{{"to", "n2"}, {"checkpoint", "false"}}));
    EXPECT_TRUE(options({"switchover", "-c", "orders"}).set.empty());
    EXPECT_EQ(parse({"switchover", "orders", "--to", "n2", "--set", "to=n3"}).parsed.exit_code, 2);
    EXPECT_EQ(parse({"switchover", "orders", "n2"}).parsed.exit_code, 2);
}

// Each is a row, which has to fit the runbook that it stands for.
TEST(Options, OfThoseFitTheirRunbooks) {
    for (const ShippedCommand& command : shipped_commands()) {
        const auto runbook = find_runbook(std::string(command.runbook));
        std::map<std::string, std::string> given;
        for (const ShippedOption& option : command.options) {
            given.emplace(option.input, option.value.empty() ? "x" : option.value);
        }
        EXPECT_NO_THROW((void)read_inputs(*runbook, given)) << command.name;
    }
}

TEST(Options, OfCheckNameATopicAndAMember) {
    const Options all = options({"check", "orders", "--explain", "wal"});
    EXPECT_EQ(all.cluster, "orders");
    EXPECT_EQ(all.explain, "wal");
    EXPECT_EQ(all.member, "");
    EXPECT_EQ(options({"check", "orders", "n2", "--explain", "wal"}).member, "n2");
    EXPECT_EQ(options({"check", "--explain", "wal", "orders", "n2"}).member, "n2");
}

TEST(Options, OfCheckSayHowOftenAndOfWhat) {
    const Options watch = options({"check", "orders", "--watch", "30s", "--timeout", "4s"});
    EXPECT_EQ(watch.watch, std::chrono::seconds{30});
    EXPECT_EQ(watch.member_timeout, std::chrono::seconds{4});
    EXPECT_TRUE(options({"check", "--all"}).all);
    EXPECT_FALSE(options({"check"}).watch);
    EXPECT_EQ(options({"check"}).member_timeout, std::chrono::seconds{15});
    const Options file = options({"check", "--output", "prometheus", "--output-file", "a.prom"});
    EXPECT_EQ(file.output, Output::prometheus);
    EXPECT_EQ(file.output_file, "a.prom");
}

TEST(Options, OfCheckThatDoNotFitAreRefused) {
    EXPECT_EQ(parse({"check", "--watch", "500ms"}).parsed.exit_code, 3);
    EXPECT_EQ(parse({"check", "--watch", "30"}).parsed.exit_code, 3);
    EXPECT_EQ(parse({"check", "--all", "orders"}).parsed.exit_code, 3);
    EXPECT_THROW(refuse_what_does_not_fit(options({"check", "--all", "-c", "orders"})), UsageError);
    for (const char* with : {"--all", "--watch=30s", "--output=prometheus"}) {
        EXPECT_THROW(refuse_what_does_not_fit(options({"check", "--explain", "wal", with})),
                     UsageError)
            << with;
    }
    EXPECT_THROW(refuse_what_does_not_fit(options({"check", "orders", "n2"})), UsageError);
    EXPECT_THROW(refuse_what_does_not_fit(options({"check", "--explain", "wall"})), UsageError);
    EXPECT_THROW(refuse_what_does_not_fit(options({"plan", "x", "--output", "prometheus"})),
                 UsageError);
    EXPECT_THROW(
        refuse_what_does_not_fit(options({"check", "--watch", "30s", "--output", "prometheus"})),
        UsageError);
    EXPECT_THROW(
        refuse_what_does_not_fit(options({"check", "--watch", "30s", "--output-file", "x"})),
        UsageError);
}

TEST(Options, OfPlanSaveItOrCompareWithASavedOne) {
    EXPECT_EQ(options({"plan", "x", "--out", "p.json"}).out, "p.json");
    EXPECT_EQ(options({"plan", "--diff", "p.json"}).diff, "p.json");
    EXPECT_NO_THROW(refuse_what_does_not_fit(options({"plan", "--diff", "p.json"})));
    EXPECT_THROW(refuse_what_does_not_fit(options({"plan", "x", "--diff", "p.json"})), UsageError);
    EXPECT_THROW(refuse_what_does_not_fit(options({"plan"})), UsageError);
    EXPECT_EQ(parse({"run"}).parsed.exit_code, 2);
}

TEST(Options, OfUnlockNameTheLock) {
    const Options unlock =
        options({"unlock", "orders", "--lock-id", "0123456789abcdef", "--reason", "laptop died"});
    EXPECT_EQ(unlock.command, "unlock");
    EXPECT_EQ(unlock.cluster, "orders");
    EXPECT_EQ(unlock.lock_id, "0123456789abcdef");
    EXPECT_EQ(unlock.reason, "laptop died");
    EXPECT_EQ(parse({"unlock", "orders"}).parsed.exit_code, 2);
    EXPECT_EQ(parse({"unlock", "orders", "--lock-id", ""}).parsed.exit_code, 2);
    EXPECT_EQ(parse({"check", "--lock-id", "1"}).parsed.exit_code, 3);
    EXPECT_TRUE(options({"unlock", "orders", "--reset-fence"}).reset_fence);
    EXPECT_EQ(parse({"unlock", "--reset-fence", "--lock-id", "1"}).parsed.exit_code, 2);
}

TEST(Options, MayStandBeforeAndBehindTheCommand) {
    EXPECT_EQ(options({"-i", "a.yaml", "check"}).inventory, "a.yaml");
    EXPECT_EQ(options({"check", "-i", "a.yaml"}).inventory, "a.yaml");
    EXPECT_EQ(options({"--output", "json", "check"}).output, Output::json);
    EXPECT_EQ(options({"check", "--output", "jsonl"}).output, Output::jsonl);
}

TEST(Options, NameTheClusterAsAWordToo) {
    for (const char* command : {"plan", "run", "windows"}) {
        const Options given = options({command, "patroni-upgrade", "orders"});
        EXPECT_EQ(given.runbooks, Words{"patroni-upgrade"}) << command;
        EXPECT_EQ(given.cluster, "orders") << command;
    }
}

TEST(Options, ReadInputs) {
    const Options read = options({"plan",
                                  "x",
                                  "--set",
                                  "target=4.0.7-3~deb13u1",
                                  "--set",
                                  "where=a=b",
                                  "--set",
                                  "empty=",
                                  "--set",
                                  "text=two words"});
    EXPECT_EQ(read.set.at("target"), "4.0.7-3~deb13u1");
    EXPECT_EQ(read.set.at("where"), "a=b");
    EXPECT_EQ(read.set.at("empty"), "");
    EXPECT_EQ(read.set.at("text"), "two words");
}

TEST(Options, AnInputDoesNotSwallowTheRunbook) {
    EXPECT_EQ(options({"plan", "--set", "a=b", "x"}).runbooks, (Words{"x"}));
}

struct Mistake {
    Words words;
    const char* says;
};

// `check` is a monitoring plugin: there 2 means CRITICAL, and 3 UNKNOWN.
TEST(Options, CallAMistakeByItsExitCode) {
    const std::vector<Mistake> mistakes{
        {{}, "a command is missing"},
        {{"upgrade"}, "there is no command \"upgrade\""},
        {{"rnu", "patroni-upgrade"}, "did you mean \"run\"?"},
        {{"help", "rollbak"}, "did you mean \"rollback\"?"},
        {{"run"}, "RUNBOOK"},
        {{"plan", "a", "b", "c"}, "plan does not take \"c\""},
        {{"plan", "x", "--nonsense"}, "plan has no option --nonsense"},
        {{"plan", "x", "--acept=y"}, "did you mean \"--accept\"?"},
        {{"--inventroy", "x", "plan"}, "did you mean \"--inventory\"?"},
        {{"unlock", "--look-id", "x"}, "did you mean \"--lock-id\"?"},
        {{"plan", "x", "--output", "xml"}, "xml"},
        {{"plan", "x", "--log-level", "loud"}, "loud"},
        {{"plan", "x", "--set"}, "--set"},
        {{"plan", "x", "--set", "target"}, "name=value"},
        {{"plan", "x", "--set", "=1"}, "name=value"},
        {{"plan", "x", "--set", "a=1", "--set", "a=2"}, "given twice"},
    };
    for (const Mistake& mistake : mistakes) {
        const Result result = parse(mistake.words);
        EXPECT_EQ(result.parsed.exit_code, 2) << mistake.says;
        EXPECT_NE(result.err.find(mistake.says), std::string::npos) << result.err;
        EXPECT_EQ(result.out, "");
    }
    const std::vector<Mistake> mistakes_of_check{
        {{"check", "--nonsense"}, "--nonsense"},
        {{"--nonsense", "check"}, "--nonsense"},
        {{"check", "a", "n1", "b"}, "b"},
        {{"check", "--output", "xml"}, "xml"},
        {{"check", "--output"}, "--output"},
        {{"--output", "xml", "check"}, "xml"},
        {{"check", "--set", "target"}, "name=value"},
        {{"check", "--set", "a=1", "--set", "a=2"}, "given twice"},
    };
    for (const Mistake& mistake : mistakes_of_check) {
        const Result result = parse(mistake.words);
        EXPECT_EQ(result.parsed.exit_code, 3) << mistake.words.front() << " " << mistake.says;
        EXPECT_NE(result.err.find(mistake.says), std::string::npos) << result.err;
    }
}

TEST(Options, HelpAndVersionAreNoMistakes) {
    for (const Words& words : {Words{"--help"},
                               Words{"--version"},
                               Words{"check", "--help"},
                               Words{"help"},
                               Words{"help", "run"},
                               Words{"version", "--output", "json"}}) {
        const Result result = parse(words);
        EXPECT_EQ(result.parsed.exit_code, 0) << words.front();
        EXPECT_FALSE(result.out.empty());
        EXPECT_TRUE(result.err.empty()) << result.err;
    }
}

/// Sets a variable of the environment as long as it lives.
class WithVariable {
  public:
    WithVariable(const char* name, const char* value) : name_(name) {
        ::setenv(name, value, 1);  // NOLINT(concurrency-mt-unsafe)
    }

    WithVariable(const WithVariable&) = delete;
    WithVariable& operator=(const WithVariable&) = delete;

    ~WithVariable() { ::unsetenv(name_); }  // NOLINT(concurrency-mt-unsafe)

  private:
    const char* name_;
};

TEST(Options, NameWhatOthersMayWriteTo) {
    const Options run = options({"run", "x", "--allow-shared-inventory", "--allow-shared-runbook"});
    EXPECT_TRUE(run.allow_shared_inventory);
    EXPECT_TRUE(run.allow_shared_runbook);
    EXPECT_TRUE(options({"check", "orders", "--allow-shared-inventory"}).allow_shared_inventory);
    EXPECT_EQ(parse({"resume", "--allow-shared-runbook"}).parsed.exit_code, 2) << "it is on record";
    EXPECT_EQ(options({"keys"}).command, "keys");
    for (const char* command : {"resume", "rollback"}) {
        EXPECT_THROW(refuse_what_does_not_fit(options({command, "--unsealed"})), UsageError);
        EXPECT_NO_THROW(
            refuse_what_does_not_fit(options({command, "--unsealed", "--reason", "of before"})));
    }
    EXPECT_EQ(parse({"approve", "x", "--unsealed"}).parsed.exit_code, 2);
}

TEST(Options, NameTheRunThatIsCancelled) {
    EXPECT_EQ(options({"cancel", "20261130"}).run, "20261130");
    EXPECT_EQ(parse({"cancel"}).parsed.exit_code, 2) << "never the newest by itself";
}

TEST(InventoryPath, IsTheOptionThenTheVariable) {
    const WithVariable variable("LOCKSTEP_INVENTORY", "/from/variable.yaml");
    Options given;
    EXPECT_EQ(inventory_place(given).path, "/from/variable.yaml");
    given.inventory = "/from/option.yaml";
    EXPECT_EQ(inventory_place(given).path, "/from/option.yaml");
}

TEST(StateFolder, IsTheOptionThenTheVariableThenTheUsualPlace) {
    const WithVariable place("XDG_STATE_HOME", "/xdg");
    Options given;
    EXPECT_EQ(state_folder(given), "/xdg/lockstep");
    const WithVariable variable("LOCKSTEP_STATE", "/from/variable");
    EXPECT_EQ(state_folder(given), "/from/variable");
    given.state = "/from/option";
    EXPECT_EQ(state_folder(given), "/from/option");
    given.state = "postgresql://db/journal";
    EXPECT_THROW((void)state_folder(given), UsageError);
}

}  // namespace
}  // namespace lockstep
