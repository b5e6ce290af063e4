#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "steps/actions/probe_stamp.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"
#include "steps/packages/package_tool.hpp"

namespace lockstep {

namespace {

std::string probe_script(const PackageTool& tool, const std::string& package) {
    return package_functions(tool) + "package=" + shell_quote(package) + R"sh(
can_hold || { echo cannot_hold=1; exit 0; }
now=$(held "$package") || exit 1
printf 'held=%s\n' "$now"
known "$package" || echo unknown=1
)sh";
}

/// `package.hold` and `package.unhold`: the same but for the direction.
class PackageMark final : public Action {
  public:
    explicit PackageMark(bool hold) : hold_(hold) {}

    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const PackageTool* tool = tool_to_probe(call, context.facts);
        if (tool == nullptr) {
            return nullptr;  // the preview refuses by the facts
        }
        const CommandResult result =
            context.ssh(context.member(call), probe_script(*tool, package_name(call)));
        if (!result.ok()) {
            return nullptr;
        }
        const ReportLines lines(result.out);
        return stamped({{"cannot_hold", lines.last("cannot_hold") == "1"},
                        {"unknown", lines.last("unknown") == "1"},
                        {"held", lines.last("held")}},
                       context.facts);
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const std::string package = package_name(call);
        const PackageTool* tool = tool_for_preview(call, facts, preview);
        if (tool == nullptr) {
            return preview;
        }
        compare_hold(call, facts, *facts.find(call.member), *tool, preview);
        if (preview.verdict == Verdict::wont) {
            return preview;
        }
        preview.operations.push_back({Operation::Kind::ssh, tool->mark(hold_, package)});
        preview.undo.push_back({{Operation::Kind::ssh, tool->mark(!hold_, package)},
                                hold_ ? "package.unhold" : "package.hold",
                                call.member,
                                {{"package", package}}});
        preview.effect =
            [name = call.member, key = key_of(package), held = wanted()](ClusterFacts& later) {
                if (MemberFacts* changed = later.find(name)) {
                    changed->foreseen[key] = held;
                }
            };
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const std::string package = package_name(call);
        const MemberFacts& member = context.member(call);
        const PackageTool& tool = package_tool(member, call);
        const CommandResult done =
            context.spooled(call, member, {.script = run_script(tool, package)});
        const std::string holder(tool.holder);
        const ReportLines lines(done.out);
        StepResult result;
        result.message = package + (hold_ ? " is on hold" : " is not on hold");
        if (done.ok() && lines.last("after") == wanted()) {
            result.outcome = lines.last("before") == wanted() ? StepOutcome::already_done
                                                              : StepOutcome::succeeded;
            return result;
        }
        result.outcome = StepOutcome::failed;
        result.message = done.ok()
                             ? holder + " succeeded, but " + package +
                                   (hold_ ? " is not on hold" : " is still on hold")
                             : holder + " ended with status " + std::to_string(done.exit_status);
        result.last_lines = last_lines(done);
        return result;
    }

  private:
    static std::string key_of(const std::string& package) { return "hold " + package; }

    [[nodiscard]] std::string wanted() const { return hold_ ? "yes" : "no"; }

    /// What it is now: as the steps before will leave it, else as probe() saw it.
    void compare_hold(const StepCall& call,
                      const ClusterFacts& facts,
                      const MemberFacts& member,
                      const PackageTool& tool,
                      Preview& preview) const {
        const std::string package = package_name(call);
        const nlohmann::json* probed = probed_with(facts, call);
        if (probed != nullptr) {
            refuse_unfit(call, *probed, tool, preview);
        }
        const auto foreseen = member.foreseen.find(key_of(package));
        std::string held;
        if (foreseen != member.foreseen.end()) {
            held = foreseen->second;
        } else if (probed != nullptr) {
            held = probed->at("held");
        }
        if (held == wanted() && preview.blocked_by.empty()) {
            preview.verdict = Verdict::wont;
        } else if (held.empty()) {
            preview.verdict = Verdict::may;
        }
        preview.because = held.empty()
                              ? (hold_ ? "only if it is not on hold" : "only if it is on hold")
                          : held == "yes" ? package + " is on hold"
                                          : package + " is not on hold";
    }

    static void refuse_unfit(const StepCall& call,
                             const nlohmann::json& probed,
                             const PackageTool& tool,
                             Preview& preview) {
        const bool cannot_hold = probed.at("cannot_hold");
        if (!cannot_hold && !probed.at("unknown").get<bool>()) {
            return;
        }
        const std::string package = package_name(call);
        const std::string name(tool.name);
        preview.blocked_by.push_back(member_refusal(
            call,
            "package.unavailable",
            package,
            cannot_hold ? "there is no `" + std::string(tool.holder) + "`"
                        : name + " knows no package " + package,
            cannot_hold ? "It is in the package " + std::string(tool.holds_by) + "."
                        : "Check the package's name and the member's repositories (`" +
                              std::string(tool.refresh) + "`)."));
    }

    [[nodiscard]] std::string run_script(const PackageTool& tool,
                                         const std::string& package) const {
        return package_functions(tool) + "package=" + shell_quote(package) + R"sh(
before=$(held "$package") || exit 1
printf 'before=%s\n' "$before"
)sh" +
               "if [ \"$before\" != " + wanted() + " ]; then\n" +
               patiently(tool.mark(hold_, package)) +
               "  [ \"$status\" -eq 0 ] || exit \"$status\"\nfi\n" +
               R"sh(after=$(held "$package") || exit 1
printf 'after=%s\n' "$after"
)sh";
    }

    bool hold_;
};

}  // namespace

std::unique_ptr<Action> make_package_hold() {
    return std::make_unique<PackageMark>(true);
}

std::unique_ptr<Action> make_package_unhold() {
    return std::make_unique<PackageMark>(false);
}

}  // namespace lockstep
