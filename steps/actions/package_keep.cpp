#include "base/error.hpp"
#include "base/shell_quote.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"
#include "steps/packages/package_tool.hpp"

#include <algorithm>

namespace lockstep {

namespace {

std::string variables(const PackageTool& tool, const StepCall& call) {
    return package_functions(tool) +
           "folder=" + shell_quote(kept_folder(package_name(call), text_arg(call, "version"))) +
           " suffix=" + std::string(tool.suffix) + "\nset -- " + shell_join(packages_of(call)) +
           "\n";
}

std::string sources_script(const PackageTool& tool, const StepCall& call) {
    return variables(tool, call) + R"sh(if [ -e "$folder/complete" ]; then echo kept=1; exit 0; fi
for each; do
  if from=$(source_of "${each%%=*}" "${each#*=}"); then printf 'from=%s\n' "$from"
  else printf 'missing=%s\n' "$each"; fi
done
)sh";
}

std::string keep_script(const PackageTool& tool, const StepCall& call) {
    return variables(tool, call) + R"sh(
umask 077
if [ -e "$folder/complete" ]; then ls "$folder"; exit 0; fi
work=$folder.new
rm -rf "$work" && mkdir -p "$work" && chmod 755 "$work" && cd "$work" || exit 1
is_there() {
  for file in ./*"$suffix"; do [ "$(described "$file")" != "$1 $2" ] || return 0; done
  return 1
}
for each; do
  name=${each%%=*} version=${each#*=}
  fetch "$name" "$version" || { printf '%s cannot be had\n' "$each" >&2; exit 1; }
  is_there "$name" "$version" || { printf 'what was fetched is not %s\n' "$each" >&2; exit 1; }
done
: >complete && sync && rm -rf "$folder" && mv "$work" "$folder" && ls "$folder"
)sh";
}

/// A way back is prepared: the package as it is now, and what would change with it, kept as files
/// on the member.
class PackageKeep final : public Action {
  public:
    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const PackageTool* tool = tool_to_probe(call, context.facts);
        if (tool == nullptr) {
            return nullptr;  // the preview refuses by the facts
        }
        const ReportLines lines(context.ssh(context.member(call), sources_script(*tool, call)).out);
        return {{"kept", lines.last("kept") == "1"},
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
        const std::string what = text_arg(call, "package") + " " + text_arg(call, "version");
        if (call.probed.at("kept").get<bool>()) {
            preview.verdict = Verdict::wont;
            preview.because = what + " is kept there already";
            return preview;
        }
        const auto missing = call.probed.at("missing").get<std::vector<std::string>>();
        const auto from = call.probed.at("from").get<std::vector<std::string>>();
        for (const std::string& item : missing) {
            preview.blocked_by.push_back(no_way_back(call, item, *tool));
        }
        if (missing.empty() && from.size() != packages_of(call).size()) {
            preview.blocked_by.push_back(no_way_back(call, what, *tool));
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
            result.hint = "Nothing was changed. See its last lines.";
            result.last_lines = last_lines(done);
            return result;
        }
        result.message = text_arg(call, "package") + " " + text_arg(call, "version") + " is kept";
        return result;
    }

  private:
    static Finding no_way_back(const StepCall& call,
                               const std::string& item,
                               const PackageTool& tool) {
        const std::string name(tool.name);
        Finding refused = member_refusal(
            call,
            "package.no_way_back",
            item,
            "there is no way back: " + item + " is in no repository" +
                (tool.name == k_apt.name ? ", not in apt's cache and not installed"
                                         : " and not in " + name + "'s cache"),
            "Put the package where " + name +
                " finds it. To go without a way back: --accept package.no_way_back@" + call.member +
                " --reason \"…\".");
        refused.acceptable = true;
        return refused;
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
