#include "base/shell_quote.hpp"
#include "steps/actions/apt.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/catalog.hpp"

#include <algorithm>

namespace lockstep {

namespace {

/// The package and its dependencies that would change with it, each as `name=version`.
std::vector<std::string> wanted_of(const StepCall& call) {
    std::vector<std::string> wanted{text_arg(call, "package") + "=" + text_arg(call, "version")};
    for (const std::string& also : list_arg(call, "also")) {
        wanted.push_back(also);
    }
    return wanted;
}

// Where a version of a package can be had. Its file in apt's cache has `:` as %3a. What is
// installed can be made a package again: dpkg has its control data, its scripts and its list of
// files (dpkg-repack does the same; it is not needed for this).
constexpr const char* k_functions = R"sh(export LC_ALL=C
cached() { ls "/var/cache/apt/archives/$1_$(printf %s "$2" | sed 's/:/%3a/g')"_*.deb 2>/dev/null | head -n 1; }
offered() { apt-cache madison "$1" 2>/dev/null | awk -F'|' '{gsub(/ /,"",$2); print $2}' | grep -Fxq -- "$2"; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null)" = "installed $2" ]; }
)sh";

constexpr const char* k_repack = R"sh(
repack() {
  name=$1 root=$PWD/root
  rm -rf "$root" && mkdir -p "$root/DEBIAN" || return 1
  dpkg-query -s "$name" | awk '
    /^[A-Za-z]/ { skip = /^(Status|Conffiles|Config-Version):/ }
    !skip' >"$root/DEBIAN/control" || return 1
  for part in preinst postinst prerm postrm config templates triggers shlibs conffiles; do
    for file in "/var/lib/dpkg/info/$name.$part" "/var/lib/dpkg/info/$name":*".$part"; do
      if [ -e "$file" ]; then cp -p "$file" "$root/DEBIAN/$part" || return 1; fi
    done
  done
  dpkg-query -L "$name" | while IFS= read -r path; do
    case $path in /?*) ;; *) continue ;; esac
    if [ -d "$path" ] && [ ! -h "$path" ]; then mkdir -p "$root$path" || exit 1
    elif [ -e "$path" ] || [ -h "$path" ]; then
      mkdir -p "$root${path%/*}" && cp -dp "$path" "$root$path" || exit 1
    else echo "$path of $name is missing" >&2; exit 1; fi
  done || return 1
  dpkg-deb -b "$root" "${name}_repacked.deb" >&2 && rm -rf "$root"
}
)sh";

std::string variables(const StepCall& call) {
    return "folder=" +
           shell_quote(apt::kept_folder(text_arg(call, "package"), text_arg(call, "version"))) +
           "\nset -- " + shell_join(wanted_of(call)) + "\n" + k_functions;
}

std::string probe_script(const StepCall& call) {
    return variables(call) + R"sh(if [ -e "$folder/complete" ]; then echo kept=1; exit 0; fi
for item; do
  name=${item%%=*} version=${item#*=}
  if offered "$name" "$version"; then echo "from=repository"
  elif [ -n "$(cached "$name" "$version")" ]; then echo "from=cache"
  elif installed "$name" "$version"; then echo "from=installed"
  else echo "missing=$item"; fi
done
)sh";
}

std::string keep_script(const StepCall& call) {
    return variables(call) + k_repack + R"sh(
umask 077
if [ -e "$folder/complete" ]; then ls "$folder"; exit 0; fi
work=$folder.new
rm -rf "$work" && mkdir -p "$work" && chmod 755 "$work" && cd "$work" || exit 1
for item; do
  name=${item%%=*} version=${item#*=}
  { offered "$name" "$version" && apt-get -q download "$name=$version" >&2 </dev/null; } ||
    { file=$(cached "$name" "$version") && [ -n "$file" ] && cp "$file" .; } ||
    { installed "$name" "$version" && repack "$name"; } ||
    { echo "$item cannot be had" >&2; exit 1; }
  file=$(ls "${name}"_*.deb | head -n 1)
  [ "$(dpkg-deb -f "$file" Package Version | awk '{print $2}' | paste -sd=)" = "$item" ] ||
    { echo "$file is not $item" >&2; exit 1; }
done
: >complete && sync && rm -rf "$folder" && mv "$work" "$folder" && ls "$folder"
)sh";
}

/// A way back is prepared: the package as it is now, and what would change with it, kept as files
/// on the member.
class PackageKeep final : public Action {
  public:
    nlohmann::json probe(const StepCall& call, ActionContext& context) const override {
        const MemberFacts* member = context.facts.find(call.member);
        if (member == nullptr || member->ssh.failed()) {
            return nullptr;
        }
        const ReportLines lines(context.ssh(*member, probe_script(call)).out);
        return {{"kept", lines.last("kept") == "1"},
                {"from", lines.all("from")},
                {"missing", lines.all("missing")}};
    }

    Preview preview(const StepCall& call,
                    const ClusterFacts& facts,
                    const Cluster& /*cluster*/) const override {
        Preview preview;
        preview.blocked_by =
            refuse_unless_reachable(facts.find(call.member), call.member, true, false, false);
        if (!preview.blocked_by.empty() || call.probed.is_null()) {
            preview.verdict = Verdict::may;
            preview.because = "the member could not be asked";
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
            preview.blocked_by.push_back(no_way_back(call, item));
        }
        if (missing.empty() && from.size() != wanted_of(call).size()) {
            preview.blocked_by.push_back(no_way_back(call, what));
        }
        preview.because = "the way back: " + what + ", " + source_of(from);
        preview.operations.push_back(
            {Operation::Kind::ssh,
             "keep " + shell_join(wanted_of(call)) + " in " +
                 apt::kept_folder(text_arg(call, "package"), text_arg(call, "version"))});
        return preview;
    }

    StepResult run(const StepCall& call, ActionContext& context) const override {
        const CommandResult done = context.ssh(context.member(call), keep_script(call));
        StepResult result;
        if (!done.ok()) {
            result.outcome = StepOutcome::failed;
            result.message = "the way back cannot be prepared";
            result.hint = "Nothing was changed. See its last lines.";
            result.last_lines = last_lines(done);
            return result;
        }
        result.message = text_arg(call, "package") + " " + text_arg(call, "version") + " is kept";
        return result;
    }

  private:
    static Finding no_way_back(const StepCall& call, const std::string& item) {
        return {.id = "package.no_way_back",
                .severity = Severity::critical,
                .member = call.member,
                .subject = item,
                .message = call.member + ": there is no way back: " + item +
                           " is in no repository, not in apt's cache and not installed",
                .remedy =
                    "Put the package where apt finds it. To go without a way back: --accept "
                    "package.no_way_back@" +
                    call.member + " --reason \"…\".",
                .source = {},
                .needs_decision = false,
                .acceptable = true};
    }

    static std::string source_of(const std::vector<std::string>& from) {
        const auto has = [&](const char* what) {
            return std::ranges::find(from, what) != from.end();
        };
        return has("installed")    ? "made from what is installed"
               : has("cache")      ? "from apt's cache"
               : has("repository") ? "from its repository"
                                   : "from nowhere";
    }
};

}  // namespace

std::unique_ptr<Action> make_package_keep() {
    return std::make_unique<PackageKeep>();
}

}  // namespace lockstep
