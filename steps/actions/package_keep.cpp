#include "base/error.hpp"
#include "base/join.hpp"
#include "base/shell_quote.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"
#include "steps/packages/package_tool.hpp"
#include "steps/spool/member_folder.hpp"

#include <algorithm>

namespace lockstep {

namespace {

std::string variables(const PackageTool& tool, const StepCall& call, const char* refuse) {
    return package_functions(tool) + refuse + find_kept(call);
}

// What a restore installs are these very files.
constexpr const char* k_sums = R"sh(
sums() { sha256sum ./*"$suffix" | sed 's/^/sum=/'; }
)sh";

std::string sources_script(const PackageTool& tool, const StepCall& call) {
    return variables(tool, call, "refuse() { printf 'untrusted=%s\\n' \"$1\"; exit 0; }\n") +
           k_sums +
           R"sh(
if [ -n "$kept" ]; then
  cd "$folder" && against "$@" | sed 's/^/against=/'
  sums
  echo kept=1
  exit 0
fi
for each; do
  if from=$(source_of "${each%%=*}" "${each#*=}"); then printf 'from=%s\n' "$from"
  else printf 'missing=%s\n' "$each"; fi
done
)sh";
}

// What is there already counts only where somebody vouches for it; else it is made anew. What
// cannot be had whole leaves nothing behind. That it can be installed is asked before anything is
// changed.
std::string keep_script(const PackageTool& tool, const StepCall& call) {
    return variables(tool, call, "refuse() { printf '%s\\n' \"$1\" >&2; exit 1; }\n") + k_sums +
           R"sh(
umask 077
work=$folder.new
give_up() { printf '%s\n' "$1" >&2; cd / && rm -rf "$work"; exit 1; }
if [ -z "$kept" ]; then
  rm -rf "$work" && mkdir -p "$work/one" && chmod 755 "$work" "$work/one" && cd "$work/one" || give_up "no folder for it"
  for each; do
    get "${each%%=*}" "${each#*=}" || give_up "$each cannot be had"
    mv ./*"$suffix" .. || give_up "$each cannot be kept"
  done
  cd .. && rmdir one && sha256sum ./*"$suffix" >complete && sync || give_up "it cannot be kept"
  is_kept . "$@" || give_up "what was kept is not whole"
  rm -rf "$folder" && mv "$work" "$folder" || give_up "it cannot be kept"
fi
cd "$folder" || exit 1
why=$(against "$@")
if [ -n "$why" ]; then printf '%s\n' "$why" >&2; exit 1; fi
sums
)sh";
}

/// A way back is prepared: the package as it is now, and what would change with it, kept as files
/// on the member. Their digests go on record, in the result or in what the plan has probed; they
/// are what the way back goes by.
class PackageKeep final : public Action {
  public:
    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const PackageTool* tool = tool_to_probe(call, context.facts);
        if (tool == nullptr) {
            return nullptr;  // the preview refuses by the facts
        }
        const ReportLines lines(context.ssh(context.member(call), sources_script(*tool, call)).out);
        return {{"kept", lines.last("kept") == "1"},
                {"sums", lines.all("sum")},
                {"untrusted", lines.last("untrusted")},
                {"against", lines.all("against")},
                {"from", lines.all("from")},
                {"missing", lines.all("missing")}};
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        const PackageTool* tool = tool_for_preview(call, facts, preview);
        if (tool == nullptr || call.probed.is_null()) {
            call_unasked(preview);
            return preview;
        }
        if (const std::string why = call.probed.value("untrusted", ""); !why.empty()) {
            preview.because = "what is kept there may be somebody else's";
            preview.blocked_by.push_back(
                member_refusal(call, "host.foreign_folder", "", why, k_untrusted_hint));
            return preview;
        }
        const std::string what = text_arg(call, "package") + " " + text_arg(call, "version");
        const auto against = call.probed.value("against", std::vector<std::string>());
        if (!against.empty()) {
            preview.because = what + " is kept there, and cannot be installed from there";
            preview.blocked_by.push_back(
                no_way_back(call,
                            what,
                            what + " is kept there, but " + std::string(tool->program) +
                                " says: " + join(against, "; "),
                            "Repair what " + std::string(tool->program) + " complains of."));
            return preview;
        }
        if (call.probed.at("kept").get<bool>()) {
            preview.verdict = Verdict::wont;
            preview.because = what + " is kept there already";
            return preview;
        }
        const auto missing = call.probed.at("missing").get<std::vector<std::string>>();
        const auto from = call.probed.at("from").get<std::vector<std::string>>();
        for (const std::string& item : missing) {
            preview.blocked_by.push_back(cannot_be_had(call, item, *tool));
        }
        if (missing.empty() && from.size() != packages_of(call).size()) {
            preview.blocked_by.push_back(cannot_be_had(call, what, *tool));
        }
        preview.because = "the way back: " + what + ", " + source_of(from, *tool);
        preview.operations.push_back(
            {Operation::Kind::ssh,
             "keep " + shell_join(packages_of(call)) + " in " +
                 kept_folder(package_name(call), text_arg(call, "version"))});
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const MemberFacts& member = context.member(call);
        const PackageTool& tool = package_tool(member, call);
        context.refuse_when_not_ours(member.name);
        const CommandResult done = context.ssh(member, keep_script(tool, call));
        StepResult result;
        if (!done.ok()) {
            result.outcome = StepOutcome::failed;
            const std::string said = telling_line(done);
            result.message = "the way back cannot be prepared" + (said.empty() ? "" : ": " + said);
            result.hint = said.find(k_untrusted) != std::string::npos
                              ? k_untrusted_hint
                              : "Nothing was changed. See its last lines; plan again once that is "
                                "mended. " +
                                    go_without(call);
            result.last_lines = last_lines(done);
            return result;
        }
        result.output = {{"sums", ReportLines(done.out).all("sum")}};
        result.message = text_arg(call, "package") + " " + text_arg(call, "version") + " is kept";
        return result;
    }

  private:
    static std::string go_without(const StepCall& call) {
        return "To go without a way back: --accept package.no_way_back@" + call.member +
               " --reason \"…\".";
    }

    static Finding no_way_back(const StepCall& call,
                               const std::string& item,
                               const std::string& message,
                               const std::string& remedy) {
        Finding refused = member_refusal(
            call, "package.no_way_back", item, message, remedy + " " + go_without(call));
        refused.acceptable = true;
        return refused;
    }

    static Finding cannot_be_had(const StepCall& call,
                                 const std::string& item,
                                 const PackageTool& tool) {
        const std::string name(tool.name);
        const bool repacks = tool.name == k_apt.name;
        return no_way_back(
            call,
            item,
            "there is no way back: " + item + " is in no repository" +
                (repacks ? ", not in apt's cache, and cannot be made from what is installed"
                         : " and not in " + name + "'s cache"),
            "Put the package where " + name + " finds it.");
    }

    static std::string source_of(const std::vector<std::string>& from, const PackageTool& tool) {
        const auto has = [&](const char* what) {
            return std::ranges::find(from, what) != from.end();
        };
        return has("installed")    ? "made from what is installed"
               : has("cache")      ? "from " + std::string(tool.name) + "'s cache"
               : has("repository") ? "from its repository"
                                   : "from nowhere";
    }
};

}  // namespace

std::unique_ptr<Action> make_package_keep() {
    return std::make_unique<PackageKeep>();
}

}  // namespace lockstep
