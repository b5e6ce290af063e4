#include "base/canonical_json.hpp"
#include "base/utf8.hpp"
#include "cli/texts.hpp"
#include "engine/plan/plan_document.hpp"
#include "engine/run/run.hpp"
#include "tests/scenarios/story.hpp"
#include "tests/transport/temp_dir.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lockstep {
namespace {

/// What a member's name, a version, a path, an input or the output of a program could hold.
const std::vector<std::string>& hostile() {
    static const std::vector<std::string> k_values{"it's",
                                                   "a\"b",
                                                   "two\nlines",
                                                   "$(touch /tmp/owned)",
                                                   "; rm -rf /",
                                                   "`id`",
                                                   "back\\slash",
                                                   std::string("nul\0byte", 8),
                                                   "bad \xff\xfe utf-8 \xc3",
                                                   "\x1b[31mred\x1b]0;title\x07",
                                                   "\xc2\x9b"
                                                   "31m",
                                                   "${{ inputs.text }}",
                                                   "%s%n",
                                                   "größe …",
                                                   std::string(1 << 20, 'x')};
    return k_values;
}

/// Fit for a terminal: UTF-8 without control characters.
void expect_plain(const std::string& text, const std::string& what) {
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = decode_utf8(text, at);
        const bool control =
            (c.value < 0x20 && c.value != '\n') || (c.value >= 0x7f && c.value <= 0x9f);
        if (c.length == 0 || control) {
            FAIL() << what << " has at " << at << ": "
                   << nlohmann::json(text.substr(at, 20))
                          .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
        }
        at += c.length;
    }
}

void expect_json(const std::string& text, const std::string& what) {
    EXPECT_TRUE(nlohmann::json::accept(text)) << what;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = decode_utf8(text, at);
        ASSERT_NE(c.length, 0U) << what;
        at += c.length;
    }
}

/// One run in which a value stands wherever one can: the members, their versions and paths, an
/// input, what a step prints, and what a failure says.
class HostileValues : public Story {
  protected:
    void go_through(const std::string& output) {
        const std::string value = output.substr(0, 10000);  // only an output is longer
        for (MemberFacts& member : runner.facts.members) {
            member.patroni.installed = member.patroni.running = value;
            member.postgres.data_directory = "/var/" + value;
            member.host = value;
        }
        // A name comes from JSON or YAML, which hold nothing but UTF-8.
        runner.facts.members.at(1).name = as_utf8(value);
        runner.findings = {{.id = "slot.stuck",
                            .severity = Severity::warning,
                            .member = value,
                            .subject = value,
                            .message = "a slot " + value,
                            .remedy = value,
                            .source = {}}};
        runner.previews["change"] = [&](const StepCall& call, const ClusterFacts&) {
            Preview preview;
            preview.because = value;
            preview.notes = {value};
            preview.operations = {{Operation::Kind::ssh, call.with.at("text").to_text()}};
            preview.undo = {{preview.operations[0], "revert", call.member, {{"what", value}}}};
            return preview;
        };
        runner.workers["change"] = [&](const StepCall& call, ClusterFacts&) {
            EXPECT_EQ(call.with.at("text").to_text(), "say " + value);
            return StepResult{.message = value,
                              .output = {{"stdout", output}, {"stderr", output}, {"exit", 0}}};
        };
        runner.workers["fragile"] = [&](const StepCall&, ClusterFacts&) {
            return StepResult{.outcome = StepOutcome::failed,
                              .message = value,
                              .hint = value,
                              .last_lines = {output}};
        };
        Plan planned = plan_of(value);
        ASSERT_TRUE(planned.ready());
        look_at(planned);
        const auto record = open_sqlite_journal(folder.path("state"));
        RunHeader header = header_of(planned);
        header.reason = value;
        const RunEnd end = start_run(
            {planned, cluster, actions(), runner, *record, clock, {}, {}, {}}, header, {});
        EXPECT_EQ(end.exit_code, 10);
        look_at_record();
    }

    Plan plan_of(const std::string& value) {
        PlanRequest request;
        const std::string text =
            "runbook: story\ninputs: {text: {type: string}}\nsteps:\n"
            "- {id: work, on: members, uses: change, register: said, with: {text: \"say ${{ "
            "inputs.text }}\"}}\n"
            "- {id: end, uses: fragile}\n";
        runbook = std::make_shared<const Runbook>(
            parse_runbook(text, "story.yaml", {actions(), guard_catalog(), {"slot.stuck"}, {}}));
        request.runbook = runbook;
        request.inventory = &inventory;
        request.cluster = &cluster;
        request.actions = &actions();
        request.given = {{"text", value}};
        request.inputs = read_inputs(*runbook, request.given);
        return make_plan(request, runner, {});
    }

    static void look_at(const Plan& planned) {
        expect_plain(plan_text(planned, Terminal(false, false)), "the plan");
        expect_json(json_text(planned.to_json(), Output::json), "the plan");
        EXPECT_EQ(canonical(nlohmann::json::parse(canonical(planned.to_json()))),
                  canonical(planned.to_json()));
    }

    /// By another process, from the file alone.
    void look_at_record() const {
        const auto record = open_sqlite_journal(folder.path("state"), JournalUse::as_it_is);
        const auto header = record->find("run");
        ASSERT_TRUE(header);
        RunState replayed(header->plan);
        for (const JournalRecord& entry : record->records("run")) {
            replayed.apply(entry);
        }
        const Terminal terminal(false, false);
        expect_plain(show_text(*header, replayed, terminal), "show");
        expect_plain(summary_text(*header, replayed, terminal), "the summary");
        expect_json(json_text(to_json(*header, replayed), Output::json), "show");
    }

    TempDir folder;
};

TEST_F(HostileValues, AreDataInPlanRecordAndEveryText) {
    for (const std::string& value : hostile()) {
        HostileValues::go_through(value);
        if (HasFailure()) {
            FAIL() << "with "
                   << nlohmann::json(value.substr(0, 40))
                          .dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
        }
        std::filesystem::remove_all(folder.path("state"));
        runner.forget_events();
        runner.spool.clear();
    }
}

}  // namespace
}  // namespace lockstep
