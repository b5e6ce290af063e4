#include "steps/packages/package_tool.hpp"

#include "base/error.hpp"
#include "base/package_version.hpp"
#include "base/shell_quote.hpp"
#include "steps/spool/member_folder.hpp"

#include <array>

namespace lockstep {

namespace {

Finding without_tool(const StepCall& call) {
    return member_refusal(call,
                          "package.no_tool",
                          text_arg(call, "package"),
                          "there is neither apt-get nor dnf nor yum",
                          "Packages are installed by these; for anything else there is "
                          "`ssh.run`.");
}

constexpr const char* k_kept = "/var/lib/lockstep/kept/";

// `by_name` reads process ids, one a line: those that are there as `apt-get (pid 12)`.
constexpr const char* k_of_every_tool = R"sh(
by_name() {
  sort -un | while read -r pid; do
    case $pid in '' | *[!0-9]*) continue ;; esac
    read -r comm <"/proc/$pid/comm" && printf '%s (pid %s)\n' "$comm" "$pid"
  done 2>/dev/null
}
source_of() {
  if offered "$1" | grep -Fxq -e "$2"; then echo repository
  elif [ -n "$(cached "$1" "$2")" ]; then echo cache
  elif can_repack "$1" "$2"; then echo installed
  else return 1; fi
}
is_there() {
  for file in "$1"/*"$suffix"; do [ "$(described "$file" 2>/dev/null)" != "$2 $3" ] || return 0; done
  return 1
}
get() {
  for source in $sources; do
    rm -f ./*"$suffix"
    if fetch "$source" "$1" "$2" && is_there . "$1" "$2" && whole "$file" &&
      { [ "$source" = installed ] || as_indexed "$file" "$1" "$2"; }; then return 0; fi
  done
  return 1
}
is_kept() {
  [ -s "$1/complete" ] || return 1
  kept_here=$1 count=0 && shift
  for file in "$kept_here"/*"$suffix"; do count=$((count + 1)); done
  [ "$count" = $# ] || return 1
  (cd "$kept_here" && sha256sum -c --status complete 2>/dev/null) || return 1
  for item; do is_there "$kept_here" "${item%%=*}" "${item#*=}" || return 1; done
}
are_vouched() {
  kept_here=$1 && shift
  for item; do
    is_there "$kept_here" "${item%%=*}" "${item#*=}" && vouched "$file" "${item%%=*}" "${item#*=}" || return 1
  done
}
)sh";

}  // namespace

const std::string_view k_find_package_tool = R"sh(
family=
while IFS== read -r key value; do
  case $key in ID|ID_LIKE) family="$family $value" ;; esac
done <"$( [ -r /etc/os-release ] && echo /etc/os-release || echo /usr/lib/os-release )"
case $family in
*rhel*|*fedora*|*centos*|*suse*) family='dnf yum apt-get' ;;
*) family='apt-get dnf yum' ;;
esac
tool=
for name in $family; do
  if [ -z "$tool" ] && command -v "$name" >/dev/null; then tool=${name%-get}; fi
done
)sh";

const PackageTool* package_tool(const MemberFacts& member) {
    static const std::array<const PackageTool*, 3> k_all{&k_apt, &k_dnf, &k_yum};
    for (const PackageTool* tool : k_all) {
        if (member.os && member.os->package_tool == tool->name) {
            return tool;
        }
    }
    return nullptr;
}

const PackageTool* tool_to_probe(const StepCall& call, const ClusterFacts& facts) {
    const MemberFacts* member = member_to_probe(call, facts);
    return member == nullptr ? nullptr : package_tool(*member);
}

const PackageTool* tool_for_preview(const StepCall& call,
                                    const ClusterFacts& facts,
                                    Preview& preview) {
    const MemberFacts* member = member_over_ssh(call, facts, preview);
    if (member == nullptr) {
        return nullptr;
    }
    const PackageTool* tool = package_tool(*member);
    if (tool == nullptr) {
        preview.blocked_by.push_back(without_tool(call));
        call_unasked(preview);
    }
    return tool;
}

const PackageTool& package_tool(const MemberFacts& member, const StepCall& call) {
    const PackageTool* tool = package_tool(member);
    if (tool == nullptr) {
        const Finding refused = without_tool(call);
        throw Error(refused.message, refused.remedy);
    }
    return *tool;
}

std::string package_functions(const PackageTool& tool) {
    return "export LC_ALL=C\nsuffix=" + std::string(tool.suffix) + "\n" +
           std::string(tool.offered) + std::string(tool.functions) + k_of_every_tool + k_trust;
}

std::string patiently(const std::string& command) {
    // The tool's own chatter goes to stderr: stdout is for reports.
    return "begun=$(date +%s)\nwhile :; do\n  " + command +
           " >&2 </dev/null\n  status=$?\n"
           "  busy \"$status\" && [ $(($(date +%s) - begun)) -lt 60 ] || break\n"
           "  sleep 1\ndone\n";
}

std::string package_report(const std::string& package) {
    return "touched() {\n"
           "  configuration " +
           shell_quote(package) +
           " | while IFS= read -r path; do\n"
           "    at=$(stat -c %Z -- \"$path.$1\" 2>/dev/null) && [ \"$at\" -ge \"$begun\" ] && "
           "printf '%s=%s\\n' \"$2\" \"$path.$1\"\n"
           "  done\n}\n"
           "if [ \"$status\" -ne 0 ]; then printf 'busy=%s\\n' \"$(holders)\"\n"
           "else touched \"$beside\" kept; touched \"$replaced\" replaced; fi\n";
}

Direction direction(const PackageTool& tool, const std::string& from, const std::string& to) {
    try {
        const PackageVersion old_version(from);
        const PackageVersion new_version(to);
        const auto order = tool.name == k_apt.name ? new_version <=> old_version
                                                   : compare_as_rpm(new_version, old_version);
        return std::is_lt(order) ? Direction::down : Direction::up;
    } catch (const Error&) {
        return Direction::up;
    }
}

std::string package_name(const StepCall& call) {
    std::string name = text_arg(call, "package");
    constexpr std::string_view k_allowed =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.:_";
    const bool sound = !name.empty() && name.find_first_not_of(k_allowed) == std::string::npos &&
                       name.find_first_of("+-.:_") != 0;
    if (!sound) {
        throw Error(call.id + ": `" + name + "` is no name of a package");
    }
    return name;
}

/// A `:` is written as apt writes it in its cache: in a path it is something else to some.
std::string kept_folder(const std::string& package, const std::string& version) {
    std::string folder = std::string(k_kept) + package + "=";
    for (const char c : version) {
        folder += c == ':' ? "%3a" : c == '/' ? "_" : std::string(1, c);
    }
    return folder;
}

/// Earlier versions kept under the version as it is. Of what root is to install as a file, where it
/// lies says nothing but who can write there, and that is asked first.
std::string find_kept(const StepCall& call, const std::string& counts) {
    const std::string package = package_name(call);
    const std::string version = text_arg(call, "version");
    const std::string folder = kept_folder(package, version);
    const std::string earlier = k_kept + package + "=" + version;
    return "kept=\nfor folder in " +
           (earlier == folder ? std::string() : shell_quote(earlier) + " ") + shell_quote(folder) +
           "; do\n"
           "  trust \"${folder%/kept/*}\" \"${folder%/*}\" \"$folder\" \"$folder\"/* "
           "\"$folder\".new || refuse \"$untrusted\"\n  set -- " +
           shell_join(packages_of(call)) + "\n  if " + counts + "; then kept=1; break; fi\ndone\n";
}

std::vector<std::string> packages_of(const StepCall& call) {
    std::vector<std::string> wanted{package_name(call) + "=" + text_arg(call, "version")};
    for (const std::string& also : list_arg(call, "also")) {
        wanted.push_back(also);
    }
    return wanted;
}

}  // namespace lockstep
