#include "base/shell_quote.hpp"
#include "steps/packages/package_tool.hpp"

namespace lockstep {

namespace {

// What dnf must never do by itself here: ask, remove what nothing needs any more, or wait without
// end for another dnf, as it does by default (dnf.conf(5), exit_on_lock; it ends with 200 then,
// dnf/cli/main.py of 4.23, and yummain.py of 3.4). --allowerasing stays away, so a conflict is an
// error. rpm never asks about configuration: what a person edited stays, or is saved beside.
constexpr const char* k_settings =
    " -y --setopt=exit_on_lock=True --setopt=clean_requirements_on_remove=False ";

// dnf(8) of 4: a version in full is what is installed, from above or below. yum 3 would say that
// something newer is there, and do nothing.
std::string command(const char* program, const char* verb, const std::vector<std::string>& wanted) {
    std::vector<std::string> items;
    for (std::string item : wanted) {
        if (const auto equals = item.find('=');
            !item.starts_with('/') && equals != std::string::npos) {
            item[equals] = '-';
        }
        items.push_back(std::move(item));
    }
    return program + std::string(k_settings) + verb + " " + shell_join(items);
}

std::string install_by_dnf(const std::vector<std::string>& wanted, Direction /*direction*/) {
    return command("dnf", "install", wanted);
}

std::string install_by_yum(const std::vector<std::string>& wanted, Direction direction) {
    return command("yum", direction == Direction::up ? "install" : "downgrade", wanted);
}

std::string mark(const char* program, bool hold, const std::string& package) {
    return std::string(program) + " -q -C --setopt=exit_on_lock=True versionlock " +
           (hold ? "add " : "delete ") + shell_quote(package);
}

std::string mark_by_dnf(bool hold, const std::string& package) {
    return mark("dnf", hold, package);
}

std::string mark_by_yum(bool hold, const std::string& package) {
    return mark("yum", hold, package);
}

// PGDG's postgresql17-server, the distribution's postgresql-server; what is of the server, too, has
// its version in step: -contrib, -llvmjit, -plperl.
bool names_server_of_dnf(std::string_view package) {
    if (!package.starts_with("postgresql")) {
        return false;
    }
    const std::string_view part = package.substr(std::min(package.find('-'), package.size()));
    return part == "-server" || part == "-contrib" || part == "-llvmjit" || part.starts_with("-pl");
}

// A version that is locked shuts the others out of every list; so the lock is looked at by itself.
constexpr std::string_view k_offered_by_dnf = R"sh(
offered() {
  timeout 30 dnf -q -C --setopt=exit_on_lock=True --disableplugin=versionlock repoquery --qf '%{name} %{evr}' "$1" 2>/dev/null |
    package=$1 awk '$1 == ENVIRON["package"] && NF == 2 { sub(/^0:/, "", $2); print $2 }' | sort -u
}
)sh";

// `patroni.noarch  4.0.7-1  pgdg` under "Available Packages".
constexpr std::string_view k_offered_by_yum = R"sh(
offered() {
  timeout 30 yum -q -C --disableplugin=versionlock --showduplicates list available "$1" 2>/dev/null |
    package=$1 awk '{ sub(/\.[^.]*$/, "", $1) } $1 == ENVIRON["package"] && NF == 3 { print $2 }' | sort -u
}
)sh";

// The name of an RPM's file says nothing for sure: what it is, is asked of rpm.
//
// An rpm that was killed leaves the old and the new version of a package in its database.
//
// Who has a lock: dnf's are files with a process id (dnf/lock.py); rpm's own is open as long as a
// transaction of anybody has it, and dnf fails at once with 1 where that is another program's.
//
// sizes: rpm looks at the free space by itself, before it touches anything.
//
// simulated: --assumeno prints the table of the transaction and gives up. A row begins with one
// blank; where a name is longer than its column the rest of it is on the next line, further in. A
// table that is not there is an error, for then nothing is known.
constexpr std::string_view k_dnf_functions = R"sh(
beside=rpmnew replaced=rpmsave
evr='%|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}'
item() { case $1 in /*) printf %s "$1" ;; *) printf '%s-%s' "${1%%=*}" "${1#*=}" ;; esac; }
installed() {
  found=$(rpm -q --qf "$evr\n" -- "$1" 2>/dev/null) || return 0
  printf '%s\n' "$found" | sed 's/^0://' | paste -sd' '
}
unpacked() { installed "$1"; }
changed() { rpm -q --qf '%{INSTALLTIME}\n' -- "$1" 2>/dev/null | sort -n | tail -n 1; }
trouble() {
  found=$(rpm -q --qf "$evr\n" -- "$1" 2>&1)
  case $found in
  *error:*) printf '%s\n' "$found" | head -c 300 | tr '\n' ' ' ;;
  *"
"*) printf 'several versions of %s are installed: %s\n' "$1" "$(printf '%s\n' "$found" | paste -sd' ')" ;;
  esac
}
repair() { :; }
holders() {
  {
    for file in /var/lib/dnf/rpmdb_lock.pid /var/cache/dnf/*_lock.pid /run/yum.pid; do
      if [ -s "$file" ]; then head -n 1 "$file"; echo; fi
    done
    find /proc/[0-9]*/fd -lname '*/rpm/.rpm.lock' 2>/dev/null | sed 's,^/proc/,,; s,/.*,,'
  } | by_name | paste -sd,
}
busy() { [ "$1" = 200 ] || { [ "$1" != 0 ] && [ -n "$(holders)" ]; }; }
can_hold() { "$dnf" -q -C versionlock list >/dev/null 2>&1; }
held() {
  all=$("$dnf" -q -C versionlock list 2>/dev/null) || return 1
  printf '%s\n' "$all" | package=$1 awk '
    { line = $0; sub(/^!/, "", line); sub(/^[0-9]+:/, "", line); name = ENVIRON["package"] }
    line == name || (index(line, name "-") == 1 && substr(line, length(name) + 2) ~ /^[0-9*]/) { found = 1 }
    END { print found ? "yes" : "no" }'
}
known() { [ -n "$(installed "$1")$(offered "$1")" ]; }
preferred() { :; }
simulated() {
  "$dnf" -C --assumeno --setopt=exit_on_lock=True --disableplugin=versionlock install "$(item "$1")" 2>&1 </dev/null |
    awk '
      function row() { if (n > 2) { print verb, field[1]; seen = 1 } n = 0 }
      /^Transaction Summary/ { row(); done = 1 }
      done { next }
      /^[A-Z][a-z ]*:$/ {
        row()
        verb = /^Removing/ ? "Remv" : /^(Installing|Upgrading|Updating|Downgrading|Reinstalling)/ ? "Inst" : ""
        if (verb == "" && /^Skipping/) { print "E:", $0; seen = 1 }
        next
      }
      /^ +replacing / { print "Remv", $2; next }
      verb != "" && /^ [^ ]/ { row() }
      verb != "" && /^ / { for (i = 1; i <= NF; ++i) field[++n] = $i; next }
      /^Nothing to do/ { seen = 1 }
      /^Error: ?$/ { next }
      /^(Error|No match|All matches|Unable to (find|resolve)| *Problem|  - |[^:]*lock)/ { print "E:", $0; seen = 1 }
      { last = $0 }
      END { row(); if (!seen) print "E: it printed no plan:", last }' |
    while read -r verb name more; do
      old=
      [ "$verb" != Inst ] || old=$(installed "$name")
      printf '%s %s%s%s\n' "$verb" "$name" "${old:+ [$old]}" "${more:+ $more}"
    done
}
sizes() { :; }
described() { rpm -qp --nosignature --qf "%{NAME} $evr\n" -- "$1" 2>/dev/null | sed 's/ 0:/ /'; }
cached() {
  find /var/cache/dnf /var/cache/yum -name "$1-*.rpm" 2>/dev/null | while IFS= read -r file; do
    if [ "$(described "$file")" = "$1 $2" ]; then printf '%s\n' "$file"; break; fi
  done
}
can_repack() { false; }
sources='cache repository'
whole() { rpm -K --nosignature "$1" >/dev/null; }
as_indexed() { :; }
vouched() { case $(rpm -K -- "$1" 2>/dev/null) in *NOT*) false ;; *'signatures OK' | *'pgp md5 OK') ;; *) false ;; esac; }
against() { said=$(rpm -U --test --oldpackage --replacepkgs --nosignature ./*.rpm 2>&1) || printf '%s\n' "$said"; }
# Three ways to the same file: the command for it is in a package of its own.
fetch() {
  source=$1 && shift
  arch=$(rpm -q --qf '.%{ARCH}' -- "$1" 2>/dev/null) || arch=
  label=$1-$2$arch
  if [ "$source" = cache ]; then from=$(cached "$1" "$2") && [ -n "$from" ] && cp "$from" .; return; fi
  {
    if [ "$dnf" = dnf ]; then
      dnf -q -y --setopt=exit_on_lock=True --disableplugin=versionlock download --destdir=. "$label" ||
        dnf -q -y --setopt=exit_on_lock=True --disableplugin=versionlock reinstall --downloadonly --destdir=. "$label"
    else
      yumdownloader --destdir=. "$label" || yum -q -y reinstall --downloadonly --downloaddir=. "$label"
    fi
  } >&2 </dev/null
  ls ./*.rpm >/dev/null 2>&1
}
configuration() { rpm -qc -- "$1" 2>/dev/null | grep '^/'; }
)sh";

const std::string k_kept_by_rpm = "{ cd \"$folder\" && rpm -U --oldpackage \"$@\"; }";
const std::string k_kept_by_dnf = "{ cd \"$folder\" && { dnf" + std::string(k_settings) +
                                  "--disablerepo='*' install \"$@\" || "
                                  "rpm -U --oldpackage \"$@\"; }; }";

const std::string k_functions_of_dnf = "dnf=dnf" + std::string(k_dnf_functions);
const std::string k_functions_of_yum = "dnf=yum" + std::string(k_dnf_functions);

}  // namespace

const PackageTool k_dnf{
    .name = "dnf",
    .program = "dnf",
    .holder = "dnf versionlock",
    .suffix = ".rpm",
    .offered = k_offered_by_dnf,
    .functions = k_functions_of_dnf,
    .install = install_by_dnf,
    .install_kept = k_kept_by_dnf,
    .mark = mark_by_dnf,
    .is_server = names_server_of_dnf,
    .refresh = "dnf makecache",
    .mend = "dnf remove --duplicates",
    .holds_by = "python3-dnf-plugin-versionlock",
    .log = "/var/log/dnf.rpm.log",
};

// By its manual: yum 3 is of EL 7; from EL 8 on `yum` is dnf, which is there under its own name.
const PackageTool k_yum{
    .name = "yum",
    .program = "yum",
    .holder = "yum versionlock",
    .suffix = ".rpm",
    .offered = k_offered_by_yum,
    .functions = k_functions_of_yum,
    .install = install_by_yum,
    .install_kept = k_kept_by_rpm,
    .mark = mark_by_yum,
    .is_server = names_server_of_dnf,
    .refresh = "yum makecache",
    .mend = "package-cleanup --cleandupes",
    .holds_by = "yum-plugin-versionlock",
    .log = "/var/log/yum.log",
};

}  // namespace lockstep
