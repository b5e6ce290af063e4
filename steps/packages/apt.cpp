#include "base/shell_quote.hpp"
#include "steps/packages/package_tool.hpp"

namespace lockstep {

namespace {

// What apt must never do by itself here: ask, remove a package, replace a configuration file that a
// person edited, or (needrestart, on Ubuntu) restart other services. It waits for another apt.
// --no-remove and DPkg::Lock::Timeout: apt 1.9.11 and later.
constexpr const char* k_install =
    "DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 apt-get -y -q --no-remove "
    "--no-install-recommends --allow-downgrades -o DPkg::Lock::Timeout=60 "
    "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install";

// From inside: a path with `:` in it, as the version of a package with an epoch has, is something
// else to apt, which then does nothing and ends with 0 (seen with 3.0).
const std::string k_install_kept = "{ cd \"$folder\" && " + std::string(k_install) + " \"$@\"; }";

std::string install(const std::vector<std::string>& wanted, Direction /*direction*/) {
    return std::string(k_install) + " " + shell_join(wanted);
}

std::string mark(bool hold, const std::string& package) {
    return std::string("apt-mark ") + (hold ? "hold " : "unhold ") + shell_quote(package);
}

bool names_server_of_apt(std::string_view package) {
    return package.starts_with("postgresql-");
}

constexpr std::string_view k_offered = R"sh(
offered() {
  timeout 20 apt-cache madison "$1" 2>/dev/null |
    package=$1 awk -F'|' '{ gsub(/ /, "", $1); gsub(/ /, "", $2) } $1 == ENVIRON["package"] { print $2 }'
}
)sh";

// /var/lib/dpkg/updates holds numbered files while dpkg works and after it was interrupted
// (apt refuses to do anything then: "dpkg was interrupted, you must manually run"); `dpkg --audit`
// says nothing of them. dpkg's list of a package's files is rewritten when it is unpacked.
//
// Who has a lock: apt and dpkg keep the file open while they have it, and wait for it with an open
// file, too, so that the first ones count. /proc/locks would be exact, but its inodes are not those
// that stat tells on an overlay.
//
// A file in apt's cache has `:` as %3a. What is installed can be made a package again: dpkg has its
// control data, its scripts and its list of files (dpkg-repack does the same; it is not needed).
// Every folder of it gets the mode and the owner that it has here, DEBIAN 755, whatever the umask:
// dpkg-deb takes no other, and a folder that the package brings would be made so. Manuals may have
// been left out when it was installed (path-exclude, dpkg(1)).
//
// `apt-get download` ends well with a file that is cut short, and its head still reads as a
// package (seen on a full disk): so the whole of it is read, and compared with the index.
constexpr std::string_view k_apt_functions = R"sh(
beside=dpkg-dist replaced=dpkg-old
installed() {
  dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null | sed -n 's/^installed //p'
}
unpacked() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null; }
changed() { stat -c %Y "/var/lib/dpkg/info/$1.list" "/var/lib/dpkg/info/$1":*.list 2>/dev/null | head -n 1; }
interrupted() { [ -n "$(dpkg --audit 2>&1)" ] || [ -n "$(ls /var/lib/dpkg/updates 2>/dev/null)" ]; }
trouble() {
  interrupted || return 0
  audit=$(dpkg --audit 2>&1)
  printf '%s\n' "${audit:-it was cut off at work}" | head -c 300 | tr '\n' ' '
}
repair() {
  if interrupted; then
    DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a >&2 </dev/null
  fi
}
holders() {
  find /proc/[0-9]*/fd \( -lname /var/lib/dpkg/lock-frontend -o -lname /var/lib/dpkg/lock \) 2>/dev/null |
    sed 's,^/proc/,,; s,/.*,,' | by_name | head -n 3 | paste -sd,
}
busy() { false; }
can_hold() { command -v apt-mark >/dev/null; }
held() {
  all=$(apt-mark showhold) || return 1
  if printf '%s\n' "$all" | grep -Fxq -e "$1"; then echo yes; else echo no; fi
}
known() { [ -n "$(apt-cache policy "$1")" ]; }
preferred() {
  apt-cache policy "$1" 2>/dev/null | awk '
    $1 == "Candidate:" { print "candidate", $2 }
    /^ (\*\*\*|   ) / { sub(/^ \*\*\*/, ""); if (NF == 2) print $1, $2 }'
}
simulated() {
  apt-get -s -q --no-remove --no-install-recommends --allow-downgrades install "$1" 2>&1 |
    sed -n '/^Inst /p; /^Remv /p; /^E: /p'
}
sizes() {
  items=$(sed -n 's/^Inst \([^ ]*\)[^(]*(\([^ ]*\) .*/\1=\2/p')
  [ -n "$items" ] || return 0
  apt-cache show --no-all-versions $items 2>/dev/null | awk '
    $1 == "Size:" { archive += $2 }
    $1 == "Installed-Size:" { unpacked += $2 * 1024 }
    END { if (unpacked > 0) printf "%.0f %.0f\n", archive, unpacked }'
}
described() { dpkg-deb -f "$1" Package Version | awk '{ print $2 }' | paste -sd' '; }
cached() { ls "/var/cache/apt/archives/$1_$(printf %s "$2" | sed 's/:/%3a/g')"_*.deb 2>/dev/null | head -n 1; }
files_of() {
  dpkg-query -L "$1" | while IFS= read -r path; do
    case $path in /?*) ;; *) continue ;; esac
    if [ -e "$path" ] || [ -h "$path" ]; then printf '%s\n' "$path"; continue; fi
    case $path in
    /usr/share/doc/* | /usr/share/man/* | /usr/share/info/* | /usr/share/locale/* | /usr/share/lintian/*) ;;
    *) printf '%s of %s is missing\n' "$path" "$1" >&2; exit 1 ;;
    esac
  done
}
can_repack() {
  [ "$(installed "$1")" = "$2" ] && command -v dpkg-deb >/dev/null && files_of "$1" >/dev/null 2>&1
}
sources='repository cache installed'
fetch() {
  case $1 in
  repository) offered "$2" | grep -Fxq -e "$3" && apt-get -q download "$2=$3" >&2 </dev/null ;;
  cache) from=$(cached "$2" "$3") && [ -n "$from" ] && cp "$from" . ;;
  installed) can_repack "$2" "$3" && repack "$2" ;;
  esac
}
whole() { dpkg-deb --fsys-tarfile "$1" >/dev/null; }
as_indexed() {
  sums=$(apt-cache show "$2=$3" 2>/dev/null | sed -n 's/^SHA256: *//p')
  [ -n "$sums" ] || return 0
  sum=$(sha256sum <"$1") && printf '%s\n' "$sums" | grep -Fxq -e "${sum%% *}" ||
    { printf 'what was fetched of %s is not what the index says\n' "$2" >&2; return 1; }
}
vouched() { [ -n "$(apt-cache show "$2=$3" 2>/dev/null | grep '^SHA256: ')" ] && as_indexed "$@"; }
against() {
  said=$(apt-get -s -q --reinstall --allow-change-held-packages --no-remove --no-install-recommends --allow-downgrades install ./*.deb 2>&1)
  printf '%s\n' "$said" | sed -n '/^Remv /p; /^E: /p'
  for each; do
    case $said in *"Inst ${each%%=*} "*) ;; *) printf 'apt-get does nothing for %s\n' "$each" ;; esac
  done
}
repack() (
  umask 022
  work=$PWD/repack root=$PWD/repack/root
  rm -rf "$work" && mkdir -m 700 "$work" && mkdir -p "$root/DEBIAN" || return 1
  dpkg-query -s "$1" | awk '
    /^[A-Za-z]/ { skip = /^(Status|Conffiles|Config-Version):/ }
    !skip' >"$root/DEBIAN/control" || return 1
  for part in preinst postinst prerm postrm config templates triggers shlibs conffiles; do
    for file in "/var/lib/dpkg/info/$1.$part" "/var/lib/dpkg/info/$1":*".$part"; do
      if [ -e "$file" ]; then cp -p "$file" "$root/DEBIAN/$part" || return 1; fi
    done
  done
  files_of "$1" >"$work/files" || return 1
  while IFS= read -r path; do
    if [ -d "$path" ] && [ ! -h "$path" ]; then
      mkdir -p "$root$path" && chown --reference="$path" "$root$path" &&
        chmod --reference="$path" "$root$path" || return 1
    else mkdir -p "$root${path%/*}" && cp -dp "$path" "$root$path" || return 1; fi
  done <"$work/files"
  dpkg-deb -b "$root" "${1}_repacked.deb" >&2 && rm -rf "$work"
)
configuration() { dpkg-query -W -f '${Conffiles}\n' "$1" 2>/dev/null | awk '$1 ~ /^\// { print $1 }'; }
)sh";

}  // namespace

const PackageTool k_apt{
    .name = "apt",
    .program = "apt-get",
    .holder = "apt-mark",
    .suffix = ".deb",
    .offered = k_offered,
    .functions = k_apt_functions,
    .install = install,
    .install_kept = k_install_kept,
    .mark = mark,
    .is_server = names_server_of_apt,
    .refresh = "apt-get update",
    .mend = "dpkg --configure -a",
    .holds_by = "apt",
    .log = "/var/log/apt/term.log",
};

}  // namespace lockstep
