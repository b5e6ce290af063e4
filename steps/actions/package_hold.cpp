#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "steps/actions/probe_stamp.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"

namespace lockstep {

namespace {

/// The package, checked: a name with a dash in front would be an option, one with * several.
std::string package_of(const StepCall& call) {
    std::string name = text_arg(call, "package");
    constexpr std::string_view k_allowed = "abcdefghijklmnopqrstuvwxyz0123456789+-.:";
    const bool sound = !name.empty() && name.find_first_not_of(k_allowed) == std::string::npos &&
                       name.find_first_of("+-.:") != 0;
    if (!sound) {
        throw Error(call.id + ": `" + name + "` is no name of a package");
    }
    return name;
}

std::string mark_command(const std::string& verb, const std::string& package) {
    return "apt-mark " + verb + " " + shell_quote(package);
}

/// Shell text for a function that says `yes` or `no`, and fails where apt cannot tell.
std::string define_held(const std::string& package) {
    return "held() {\n"
           "  all=$(apt-mark showhold) || return 1\n"
           "  if printf '%s\\n' \"$all\" | grep -Fxq -e " +
           shell_quote(package) + "; then echo yes; else echo no; fi\n}\n";
}

std::string probe_script(const std::string& package) {
    return "export LC_ALL=C\n"
           "command -v apt-mark >/dev/null || { echo no_apt=1; exit 0; }\n" +
           define_held(package) +
           "now=$(held) || exit 1\n"
           "printf 'held=%s\\n' \"$now\"\n"
           "[ -n \"$(apt-cache policy " +
           shell_quote(package) + ")\" ] || echo unknown=1\n";
}

/// `package.hold` and `package.unhold`: the same but for the direction.
class PackageMark final : public Action {
  public:
    explicit PackageMark(bool hold) : hold_(hold) {}

    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const MemberFacts* member = context.facts.find(call.member);
        if (member == nullptr || member->ssh.failed()) {
            return nullptr;  // the preview refuses by the facts
        }
        const CommandResult result = context.ssh(*member, probe_script(package_of(call)));
        if (!result.ok()) {
            return nullptr;
        }
        const ReportLines lines(result.out);
        return stamped({{"no_apt", lines.last("no_apt") == "1"},
                        {"unknown", lines.last("unknown") == "1"},
                        {"held", lines.last("held")}},
                       context.facts);
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const std::string package = package_of(call);
        const MemberFacts* member = facts.find(call.member);
        preview.blocked_by = refuse_unless_reachable(member, call.member, true, false, false);
        if (!preview.blocked_by.empty()) {
            preview.verdict = Verdict::may;
            preview.because = "the member could not be asked";
            return preview;
        }
        judge(call, facts, *member, preview);
        if (preview.verdict == Verdict::wont) {
            return preview;
        }
        preview.operations.push_back({Operation::Kind::ssh, mark_command(verb(hold_), package)});
        preview.undo.push_back({{Operation::Kind::ssh, mark_command(verb(!hold_), package)},
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
        const std::string package = package_of(call);
        const CommandResult done =
            context.spooled(call, context.member(call), {.script = run_script(package)});
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
                             ? "apt-mark succeeded, but " + package +
                                   (hold_ ? " is not on hold" : " is still on hold")
                             : "apt-mark ended with status " + std::to_string(done.exit_status);
        result.last_lines = last_lines(done);
        return result;
    }

  private:
    static std::string verb(bool hold) { return hold ? "hold" : "unhold"; }

    static std::string key_of(const std::string& package) { return "hold " + package; }

    [[nodiscard]] std::string wanted() const { return hold_ ? "yes" : "no"; }

    /// What it is now: as the steps before will leave it, else as probe() saw it.
    void judge(const StepCall& call,
               const ClusterFacts& facts,
               const MemberFacts& member,
               Preview& preview) const {
        const std::string package = package_of(call);
        const nlohmann::json* probed = probed_with(facts, call);
        if (probed != nullptr) {
            refuse_unfit(call, *probed, preview);
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

    static void refuse_unfit(const StepCall& call, const nlohmann::json& probed, Preview& preview) {
        const bool no_apt = probed.at("no_apt");
        if (!no_apt && !probed.at("unknown").get<bool>()) {
            return;
        }
        const std::string package = text_arg(call, "package");
        preview.blocked_by.push_back(
            {.id = "package.unavailable",
             .severity = Severity::critical,
             .member = call.member,
             .subject = package,
             .message = call.member + ": " +
                        (no_apt ? "there is no apt-mark" : "apt knows no package " + package),
             .remedy = no_apt ? "This version of lockstep holds packages with apt alone."
                              : "Check the package's name and the member's repositories "
                                "(`apt-get update`).",
             .source = {}});
    }

    [[nodiscard]] std::string run_script(const std::string& package) const {
        return "export LC_ALL=C\n" + define_held(package) +
               "before=$(held) || exit 1\n"
               "printf 'before=%s\\n' \"$before\"\n"
               "if [ \"$before\" != " +
               wanted() + " ]; then " + mark_command(verb(hold_), package) +
               " >&2 </dev/null || exit \"$?\"; fi\n"
               "after=$(held) || exit 1\n"
               "printf 'after=%s\\n' \"$after\"\n";
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
