#include "engine/runbook/runbook.hpp"
#include "tests/engine/runbook/runbook_vocabulary.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace lockstep {
namespace {

using namespace std::chrono_literals;

Runbook parse(const std::string& text) {
    return parse_runbook(text, "f", testing_vocabulary::vocabulary());
}

/// A runbook with these steps, each line of the text as it stands.
Runbook with_steps(const std::string& steps) {
    return parse("runbook: r\nsteps:\n" + steps);
}

/// The first step of a runbook with this one step, in YAML's braces.
StepSpec step(const std::string& content) {
    return with_steps("  - {id: s, " + content + "}\n").steps.front();
}

const Argument& argument(const StepSpec& spec, const std::string& name) {
    return spec.with.at(name);
}

std::string text_of(const Argument& argument) {
    return std::get<Template>(argument.content).text();
}

Value value_of(const Argument& argument) {
    return std::get<Value>(argument.content);
}

const std::string k_upgrade = R"(runbook: patroni-upgrade
summary: One Patroni version on every member; PostgreSQL keeps running
inputs:
  target: {type: version, required: true, description: Package version}
heals: [patroni.mixed_versions, "slot.stuck:legacy"]
guards: [leader_unchanged, disk_above: {free: 10%}]
steps:
  - id: preflight
    uses: check
    with: {refuse_on: critical}
  - id: pause
    uses: patroni.pause
  - id: replicas
    on: replicas
    strategy: {batch: 1, order: lag_desc}
    steps:
      - {id: install, uses: package.install, with: {package: "${{ cluster.patroni_package }}", version: "${{ inputs.target }}"}}
      - {id: verify, uses: wait_for, with: {that: member.patroni.running == version(inputs.target).upstream and member.state == 'streaming'}, timeout: 2m}
  - id: resume
    uses: patroni.resume
)";

TEST(RunbookLoader, ReadsTheRunbookOfTheManual) {
    const Runbook runbook = parse(k_upgrade);
    EXPECT_EQ(runbook.name, "patroni-upgrade");
    EXPECT_EQ(runbook.path, "f");
    EXPECT_EQ(runbook.text, k_upgrade);
    ASSERT_EQ(runbook.inputs.size(), 1U);
    EXPECT_EQ(runbook.inputs[0].type, InputType::version);
    EXPECT_TRUE(runbook.inputs[0].required);
    EXPECT_EQ(runbook.heals,
              (std::vector<std::string>{"patroni.mixed_versions", "slot.stuck:legacy"}));
    ASSERT_EQ(runbook.guards.size(), 2U);
    EXPECT_EQ(text_of(runbook.guards[1].with.at("free")), "10%");
    ASSERT_EQ(runbook.steps.size(), 4U);
    const StepSpec& replicas = runbook.steps[2];
    EXPECT_EQ(replicas.on, "replicas");
    EXPECT_EQ(replicas.strategy.order, "lag_desc");
    ASSERT_EQ(replicas.steps.size(), 2U);
    EXPECT_EQ(text_of(argument(replicas.steps[0], "version")), "${{ inputs.target }}");
    EXPECT_EQ(replicas.steps[1].timeout, 2min);
    EXPECT_TRUE(std::holds_alternative<Expression>(argument(replicas.steps[1], "that").content));
}

TEST(RunbookLoader, ReportsEveryErrorInTheOrderOfTheFile) {
    try {
        static_cast<void>(with_steps("  - {id: A, uses: chek}\n  - {uses: wal.verify, on: all}\n"));
        FAIL();
    } catch (const InputErrors& errors) {
        EXPECT_EQ(errors.errors().size(), 4U);
        EXPECT_STREQ(errors.what(),
                     "f:3:10: \"A\" is no id for a step\n"
                     "    hint: Lower case letters, digits, _ and -, a letter first.\n"
                     "f:3:19: \"chek\" is no action\n"
                     "    hint: did you mean \"check\"?\n"
                     "f:4:5: this step has no id\n"
                     "    hint: It is what plans, records and a resume know the step by.\n"
                     "f:4:28: \"all\" is not a word of `on`\n"
                     "    hint: did you mean \"members\"? A member of that name is member.name == "
                     "'all'.");
    }
}

TEST(RunbookLoader, SaysWhatIsWrongWithAFileThatCannotBeRead) {
    EXPECT_THROW(static_cast<void>(load_runbook("/no/such.yaml", testing_vocabulary::vocabulary())),
                 InputErrors);
}

TEST(RunbookLoader, LoadsAFile) {
    const auto path = std::filesystem::path(testing::TempDir()) / "lockstep_runbook_test.yaml";
    std::ofstream(path) << k_upgrade;
    const Runbook runbook = load_runbook(path.string(), testing_vocabulary::vocabulary());
    EXPECT_EQ(runbook.path, path.string());
    EXPECT_EQ(runbook.steps[0].where.file, path.string());
    std::filesystem::remove(path);
}

TEST(RunbookLoader, TellsWordsNamesAndExpressionsOfOnApart) {
    EXPECT_EQ(step("uses: wal.verify, on: leader").on, "leader");
    EXPECT_EQ(step("uses: wal.verify, on: pg-01_a").on, "pg-01_a");
    for (const char* on : {"member.name in ['a']", "member.role == 'replica'", "!member.paused"}) {
        const StepSpec spec = step("uses: wal.verify, on: \"" + std::string(on) + "\"");
        EXPECT_FALSE(spec.on.has_value());
        ASSERT_TRUE(spec.on_that.has_value());
        EXPECT_EQ(spec.on_that->text(), on);
    }
}

TEST(RunbookLoader, ReadsBatches) {
    const auto batches = [](const std::string& text) {
        return step("uses: wal.verify, on: members, strategy: {batch: " + text + "}")
            .strategy.batch;
    };
    EXPECT_EQ(batches("3").front().count, 3);
    EXPECT_TRUE(batches("all").front().all);
    const auto list = batches("[1, 50%, \"all\"]");
    ASSERT_EQ(list.size(), 3U);
    EXPECT_EQ(list[1].count, 50);
    EXPECT_TRUE(list[1].percent);
    EXPECT_TRUE(list[2].all);
}

TEST(RunbookLoader, ReadsTheRestOfAStrategy) {
    const StepSpec spec = step(
        "uses: wal.verify, on: members, strategy: {order: leader_last, max_failed: 1, "
        "max_unreachable: 2}");
    EXPECT_EQ(spec.strategy.order, "leader_last");
    EXPECT_EQ(spec.strategy.max_failed, 1);
    EXPECT_EQ(spec.strategy.max_unreachable, 2);
}

TEST(RunbookLoader, LetsAnActionOfMembersHaveAStrategyOfItsOwn) {
    const StepSpec spec = step("uses: ssh.run, with: {argv: [ls]}, strategy: {batch: all}");
    EXPECT_TRUE(spec.strategy.batch.front().all);
}

TEST(RunbookLoader, GivesStepsTheDefaultsTheyDoNotReplace) {
    const Runbook runbook = parse(
        "runbook: r\n"
        "defaults: {timeout: 5m, retry: {attempts: 3, delay: 2s, backoff: 1.5}}\n"
        "steps:\n"
        "  - {id: a, uses: wal.verify}\n"
        "  - {id: b, uses: wal.verify, timeout: 10s, retry: {attempts: 1}}\n");
    EXPECT_EQ(runbook.steps[0].timeout, 5min);
    EXPECT_EQ(runbook.steps[0].retry.attempts, 3);
    EXPECT_EQ(runbook.steps[1].timeout, 10s);
    EXPECT_EQ(runbook.steps[1].retry.attempts, 1);
    EXPECT_EQ(runbook.steps[1].retry.delay, 2s);
    EXPECT_EQ(runbook.steps[1].retry.backoff, 1.5);
}

TEST(RunbookLoader, LetsLaterStepsUseWhatEarlierOnesRegister) {
    const Runbook runbook = with_steps(
        "  - {id: a, uses: http.request, with: {url: x}, register: probe}\n"
        "  - {id: b, uses: wal.verify, when: steps.probe.status == 200}\n");
    EXPECT_EQ(runbook.steps[0].register_as, "probe");
    EXPECT_TRUE(runbook.steps[1].when.has_value());
}

TEST(RunbookLoader, LetsExpressionsReadAnyFieldOfWhatAStepRegistersInItsOwnWay) {
    const Runbook runbook = with_steps(
        "  - {id: a, uses: sql.query, with: {query: x}, register: {name: one, select: "
        "'result.rows[0]'}}\n"
        "  - {id: b, uses: sql.query, with: {query: x}, register: {name: all, as: json}}\n"
        "  - {id: c, uses: wal.verify, when: steps.one.column == steps.all.anything}\n");
    EXPECT_TRUE(runbook.steps[2].when.has_value());
}

TEST(RunbookLoader, MakesTheItemVisibleInsideForEach) {
    const StepSpec spec = with_steps(
                              "  - id: s\n"
                              "    for_each: \"['a', 'b']\"\n"
                              "    steps:\n"
                              "      - {id: t, uses: http.request, with: {url: \"${{ item }}\"}}\n")
                              .steps.front();
    EXPECT_TRUE(spec.for_each.has_value());
    EXPECT_EQ(text_of(argument(spec.steps[0], "url")), "${{ item }}");
}

TEST(RunbookLoader, KeepsTextsAsTextsWhateverTheyLookLike) {
    const StepSpec spec = step("uses: package.install, with: {package: 15, version: 15.10}");
    EXPECT_EQ(text_of(argument(spec, "package")), "15");
    EXPECT_EQ(text_of(argument(spec, "version")), "15.10");
}

TEST(RunbookLoader, GivesIntegersAndBooleansTheirKind) {
    const StepSpec spec = step("uses: http.request, with: {url: x, expect_status: 201}");
    EXPECT_EQ(value_of(argument(spec, "expect_status")), Value(201));
    const StepSpec late =
        step("uses: http.request, with: {url: x, expect_status: \"${{ 200 + 1 }}\"}");
    EXPECT_EQ(text_of(argument(late, "expect_status")), "${{ 200 + 1 }}");
}

TEST(RunbookLoader, KeepsAnyYamlAsItIs) {
    const StepSpec spec =
        step("uses: http.request, with: {url: x, json: {a: [1, true, ~, 0.5, \"2\", yes]}}");
    const auto& map = std::get<Argument::Map>(argument(spec, "json").content);
    ASSERT_EQ(map.size(), 1U);
    const auto& list = std::get<Argument::List>(map[0].second.content);
    ASSERT_EQ(list.size(), 6U);
    EXPECT_EQ(value_of(list[0]), Value(1));
    EXPECT_EQ(value_of(list[1]), Value(true));
    EXPECT_EQ(value_of(list[2]), Value());
    EXPECT_EQ(value_of(list[3]), Value(0.5));
    EXPECT_EQ(text_of(list[4]), "2");
    EXPECT_EQ(text_of(list[5]), "yes");
}

TEST(RunbookLoader, ReadsListsAndMapsOfTexts) {
    const StepSpec spec = step("uses: ssh.run, with: {argv: [ls, 1], env: {PORT: 8008}}");
    EXPECT_EQ(text_of(std::get<Argument::List>(argument(spec, "argv").content)[1]), "1");
    const auto& env = std::get<Argument::Map>(argument(spec, "env").content);
    EXPECT_EQ(env[0].first, "PORT");
    EXPECT_EQ(text_of(env[0].second), "8008");
    const StepSpec whole = step("uses: ssh.run, with: {argv: \"${{ ['ls', '-l'] }}\"}");
    EXPECT_EQ(text_of(argument(whole, "argv")), "${{ ['ls', '-l'] }}");
}

TEST(RunbookLoader, ReadsVariablesInTheirOrder) {
    const Runbook runbook = parse(
        "runbook: r\n"
        "vars: {a: 1, b: \"${{ vars.a + 1 }}\"}\n"
        "steps: [{id: s, uses: http.request, with: {url: \"${{ vars.b }}\"}}]\n");
    ASSERT_EQ(runbook.vars.size(), 2U);
    EXPECT_EQ(runbook.vars[0].first, "a");
    EXPECT_EQ(value_of(runbook.vars[0].second), Value(1));
}

TEST(RunbookLoader, ReadsInputsOfEveryType) {
    const Runbook runbook = parse(
        "runbook: r\n"
        "inputs:\n"
        "  s: {default: a, pattern: \"[a-z]\"}\n"
        "  i: {type: int, default: 3}\n"
        "  b: {type: bool, default: true}\n"
        "  v: {type: version, default: 4.10}\n"
        "  d: {type: duration, default: 90s}\n"
        "  y: {type: bytes, default: 1GB}\n"
        "  e: {type: enum, values: [fast, slow], default: fast}\n"
        "  l: {type: list, default: [a, b]}\n"
        "  x: {type: secret, description: a token}\n"
        "steps: [{id: s, uses: wal.verify}]\n");
    ASSERT_EQ(runbook.inputs.size(), 9U);
    const auto value = [&](std::size_t i) { return runbook.inputs[i].default_value.value(); };
    EXPECT_EQ(value(0), Value("a"));
    EXPECT_EQ(value(1), Value(3));
    EXPECT_EQ(value(2), Value(true));
    EXPECT_EQ(value(3), Value("4.10"));
    EXPECT_EQ(value(4), Value(Value::Duration(90s)));
    EXPECT_EQ(value(5), Value(std::int64_t{1} << 30));
    EXPECT_EQ(value(6), Value("fast"));
    EXPECT_EQ(value(7), Value(Value::List{"a", "b"}));
    EXPECT_FALSE(runbook.inputs[8].default_value.has_value());
}

TEST(RunbookLoader, KnowsThePlaceOfAnErrorInsideAnExpression) {
    const auto where = [](const std::string& steps) {
        try {
            static_cast<void>(with_steps(steps));
        } catch (const InputErrors& errors) {
            return errors.errors().front().where().text();
        }
        return std::string("no error");
    };
    EXPECT_EQ(where("  - id: s\n    uses: wal.verify\n    when: cluster.x == nope\n"), "f:5:24");
    EXPECT_EQ(where("  - id: s\n    uses: wal.verify\n    when: \"cluster.x == nope\"\n"),
              "f:5:25");
    EXPECT_EQ(where("  - id: s\n    uses: wal.verify\n    when: |\n      true &&\n      nope\n"),
              "f:7:7");
    EXPECT_EQ(where("  - {id: s, uses: http.request, with: {url: \"a${{ nope }}\"}}\n"), "f:3:51");
}

TEST(RunbookLoader, LetsExpressionsSeeWhatWasSoAtTheStart) {
    const StepSpec spec = step("uses: wal.verify, when: \"members.all(m, m.position >= run.lsn)\"");
    EXPECT_TRUE(spec.when->reads().contains("run.lsn"));
}

const char* const k_reboot = "uses: ssh.run, with: {argv: [reboot]}, ";

TEST(RunbookLoader, ReadsWhatTakesAStepBackInItsOrder) {
    const StepSpec spec =
        step(std::string(k_reboot) +
             "undo: [{uses: ssh.run, with: {argv: [a, \"${{ member.name }}\"]}}, "
             "{uses: package.install, with: {package: p, version: \"${{ run.lsn }}\"}}, "
             "{uses: sql.query, with: {query: DROP TABLE t, read_only: false}}]");
    ASSERT_EQ(spec.undo.size(), 3U);
    EXPECT_EQ(spec.undo[0].uses, "ssh.run");
    EXPECT_EQ(text_of(std::get<Argument::List>(spec.undo[0].with.at("argv").content)[1]),
              "${{ member.name }}");
    EXPECT_EQ(spec.undo[1].uses, "package.install");
    EXPECT_EQ(spec.undo[1].where.text(), "f:3:124");
    EXPECT_EQ(value_of(spec.undo[2].with.at("read_only")), Value(false));
    EXPECT_FALSE(spec.no_undo);
}

TEST(RunbookLoader, TellsNoUndoFromTheActionsOwn) {
    EXPECT_FALSE(step("uses: ssh.run, with: {argv: [ls]}").no_undo);
    const StepSpec none = step(std::string(k_reboot) + "undo: none");
    EXPECT_TRUE(none.no_undo);
    EXPECT_TRUE(none.undo.empty());
}

TEST(RunbookLoader, LetsAnUndoThatMayLookBe) {
    const StepSpec spec =
        step(std::string(k_reboot) +
             "undo: [{uses: ssh.run, with: {argv: [ls], read_only: \"${{ member.paused }}\"}}]");
    EXPECT_EQ(spec.undo.size(), 1U);
}

TEST(RunbookLoader, ReadsAVerifyingExpressionAsAnAssertion) {
    const StepSpec spec = step(std::string(k_reboot) + "verify: member.state == 'running'");
    ASSERT_TRUE(spec.verify.has_value());
    EXPECT_EQ(spec.verify->uses, "assert");
    EXPECT_EQ(std::get<Expression>(spec.verify->with.at("that").content).text(),
              "member.state == 'running'");
}

TEST(RunbookLoader, LetsWhatOnlyLooksVerify) {
    for (const char* call : {"uses: wal.verify",
                             "uses: assert, with: {that: member.paused}",
                             "uses: ssh.run, with: {argv: [ls], read_only: true}",
                             "uses: http.request, with: {url: x}",
                             "uses: http.request, with: {url: x, method: HEAD}",
                             "uses: http.request, with: {url: x, method: POST, read_only: true}",
                             "uses: sql.query, with: {query: SELECT 1}"}) {
        const StepSpec spec = step(std::string(k_reboot) + "verify: {" + call + "}");
        ASSERT_TRUE(spec.verify.has_value()) << call;
        EXPECT_TRUE(std::string(call).starts_with("uses: " + spec.verify->uses)) << call;
    }
}

TEST(RunbookLoader, LetsVerifyAndUndoUseWhatTheirStepSees) {
    const Runbook runbook = with_steps(
        "  - {id: a, uses: http.request, with: {url: x}, register: probe}\n"
        "  - id: b\n"
        "    on: members\n"
        "    for_each: \"['x']\"\n"
        "    uses: ssh.run\n"
        "    with: {argv: [ls]}\n"
        "    verify: member.name == item and steps.probe.status == 200\n"
        "    undo: [{uses: ssh.run, with: {shell: \"rm ${{ item + steps.probe.body }}\"}}]\n");
    EXPECT_TRUE(runbook.steps[1].verify.has_value());
    EXPECT_EQ(runbook.steps[1].undo.size(), 1U);
}

TEST(RunbookLoader, ReadsWhatIsDoneInDoubt) {
    EXPECT_EQ(step("uses: wal.verify").in_doubt, InDoubt::verify);
    EXPECT_EQ(step(std::string(k_reboot) + "in_doubt: verify").in_doubt, InDoubt::verify);
    EXPECT_EQ(step(std::string(k_reboot) + "in_doubt: retry").in_doubt, InDoubt::retry);
    EXPECT_EQ(step(std::string(k_reboot) + "in_doubt: ask").in_doubt, InDoubt::ask);
    EXPECT_EQ(step(std::string(k_reboot) + "in_doubt: fail").in_doubt, InDoubt::fail);
}

TEST(RunbookLoader, ReadsThePointOfNoReturnWithItsReason) {
    const auto reason = [](const std::string& given) {
        return step(k_reboot + given).point_of_no_return;
    };
    EXPECT_EQ(reason("retry: {attempts: 1}"), "");
    EXPECT_EQ(reason("point_of_no_return: false"), "");
    EXPECT_EQ(reason("point_of_no_return: true"), "there is no way back after step \"s\"");
    EXPECT_EQ(reason("point_of_no_return: \" the old cluster's files are gone \""),
              "the old cluster's files are gone");
}

TEST(RunbookLoader, KeepsApartWhatARunbookAndWhatAStepSaysOfAFailure) {
    const std::string steps =
        "steps:\n"
        "  - {id: a, uses: wal.verify}\n"
        "  - {id: b, uses: wal.verify, on_failure: stop}\n"
        "  - {id: c, uses: wal.verify, on_failure: continue}\n"
        "  - {id: d, uses: wal.verify, on_failure: rollback}\n"
        "  - {id: e, steps: [{id: f, uses: wal.verify}]}\n";
    const Runbook back = parse("runbook: r\n" + steps + "on_failure: rollback\n");
    EXPECT_EQ(back.on_failure, OnFailure::rollback);
    EXPECT_EQ(back.steps[0].on_failure, std::nullopt);
    EXPECT_EQ(back.steps[1].on_failure, OnFailure::stop);
    EXPECT_EQ(back.steps[2].on_failure, OnFailure::carry_on);
    EXPECT_EQ(back.steps[4].steps[0].on_failure, std::nullopt);
    const Runbook stop = parse("runbook: r\n" + steps);
    EXPECT_EQ(stop.on_failure, OnFailure::stop);
    EXPECT_EQ(stop.steps[0].on_failure, std::nullopt);
    EXPECT_EQ(stop.steps[3].on_failure, OnFailure::rollback);
}

TEST(RunbookLoader, CannotBeBroughtDownByDepth) {
    std::string steps;
    for (int i = 0; i < 30; ++i) {
        steps += "{id: s, steps: [";
    }
    steps += "{id: s, uses: wal.verify}";
    for (int i = 0; i < 30; ++i) {
        steps += "]}";
    }
    EXPECT_EQ(parse("runbook: r\nsteps: [" + steps + "]").steps.size(), 1U);
}

}  // namespace
}  // namespace lockstep
