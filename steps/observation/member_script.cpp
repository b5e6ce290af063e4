#include "steps/observation/member_script.hpp"

#include "base/shell_quote.hpp"
#include "steps/lock/cluster_lock_script.hpp"
#include "steps/observation/member_query.hpp"
#include "steps/observation/setup_program.hpp"
#include "steps/packages/package_tool.hpp"
#include "steps/spool/member_folder.hpp"
#include "transport/psql_script.hpp"

#include <array>
#include <cstdio>
#include <random>

namespace lockstep {

namespace {

// LC_ALL and TZ make the output of every program the same everywhere; under TZ=UTC systemctl prints
// times in UTC on every version (its --timestamp=unix is of systemd 251). stderr joins stdout, so
// that a section that fails carries its reason; the readers skip lines that they do not know.
//
// What is in this text everybody on the host can read in /proc/PID/cmdline. So sections are marked
// by a word that this shell takes from the kernel, and tells first, while nobody else can write to
// its output; it is in no argument and in no environment but of what runs as we do.
//
// `watch` ends all of it, and what hangs of it, also where nobody waits any more: sshd gives each
// command a session of its own.
//
// `aside SECONDS COMMAND...` runs what is not ours: each of its lines gets a blank in front, so
// that none passes for one of ours, what it says has an end, and what it leaves behind with the
// pipe open is not waited for: the word behind its output ends it.
constexpr const char* k_prelude = R"sh(exec 2>&1
export LC_ALL=C TZ=UTC PGCONNECT_TIMEOUT=5 PGAPPNAME=lockstep PGCLIENTENCODING=UTF8
PATH=$PATH:/usr/sbin:/sbin
unset PGOPTIONS PGSERVICE PGHOST PGHOSTADDR PGUSER PGDATABASE PGPASSWORD
cd /
read -r secret </proc/sys/kernel/random/uuid && printf "\n%s secret %s\n" "$marker" "$secret" && marker=@$secret
{
  sleep "$patience" & nap=$!
  trap "kill $nap; exit" TERM
  wait "$nap"
  read -r stat </proc/self/stat
  set -- ${stat##*") "}
  if [ "$3" = "$4" ]; then kill -KILL 0; else kill -KILL "$$"; fi
} >/dev/null 2>&1 </dev/null &
watch=$!
begin() { printf "\n%s begin %s\n" "$marker" "$1"; }
end() { printf "\n%s end %s\n" "$marker" "$?"; }
aside() {
  { bounded "$@" 2>&1; printf "\n%s ended %s\n" "$marker" "$?"; } | marker=$marker awk "
    index(\$0, ENVIRON[\"marker\"] \" ended \") == 1 { status = \$3; ended = 1; exit }
    /^\$/ { next }
    (size += length(\$0)) > 800000 { print \"it says too much\"; exit }
    { gsub(/\036/, \"?\"); print \" \" \$0 }
    END { exit (ended ? status : 1) }"
}
)sh";

// One call for our unit and all that are named like it; the units are set apart by `--`.
constexpr const char* k_units = R"sh(
begin boot
read -r boot </proc/sys/kernel/random/boot_id && printf "%s\n" "$boot"
end
begin unit
gap="

"
shown=$(systemctl show -p Id -p LoadState -p ActiveState -p SubState -p MainPID -p ExecMainStartTimestamp -p NRestarts -p KillMode -- "$unit" "patroni*.service")
result=$? rest=$shown main=${shown%%"$gap"*}
while
  part=${rest%%"$gap"*}
  printf "%s\n" "$part"
  [ "$part" != "$rest" ]
do
  echo --
  rest=${rest#*"$gap"}
done
daemon=
case $main in *MainPID=*) daemon=${main#*MainPID=}; daemon=${daemon%%[!0-9]*} ;; esac
(exit "$result")
end
)sh";

// A postmaster is a process whose working directory is a data directory with its pid in
// postmaster.pid; line 4 of that is the port, line 5 the socket's directory (PostgreSQL 11 to 18,
// utils/pidfile.h). One for each directory, and never a backend, whose parent it is: that may have
// ended before it is looked at again, and PostgreSQL would pass for gone. Only where the
// file is PostgreSQL's own or that of a unit named like ours: anybody may call a process
// `postgres`, and keep a FIFO or somebody else's file under that name.
//
// A Patroni is a Python whose program is called so; in another pid namespace it is a container's.
// Which one is this cluster's, where that is not plain, says the socket that listens on the port of
// its REST API. The memory in which arguments are may be somebody's who lets nobody read it: those
// of other accounts are asked last, and may be silent.
//
// Builtins wherever they do: a fork is what a busy host has least of.
constexpr const char* k_host = R"sh(
begin host
groups() {
  while read -r row; do printf " %s" "$row"; done <"/proc/$1/cgroup"
  echo
}
uid=$(id -u) mains=
for word in $shown; do
  case $word in MainPID=[1-9]*) mains="$mains /proc/${word#*=}/." ;; esac
done
ours= owners=" root $os_user "
set -- $(stat -L -c "%U %i %n" /proc/self/. /proc/self/ns/pid $mains 2>/dev/null)
while [ $# -gt 2 ]; do
  case $3 in
  /proc/self/.) me=$1 ;;
  /proc/self/ns/pid) ours="pid:[$2]" ;;
  *) owners="$owners$1 " ;;
  esac
  shift 3
done
printf "namespace=%s\n" "$ours"
asked= servers= etcd=
for proc in /proc/[0-9]*; do
  read -r comm <"$proc/comm" || continue
  case $comm in
  etcd) etcd=yes ;;
  patroni | python*) asked="$asked $proc/. $proc/ns/pid" ;;
  postgres | postmaster)
    file=$proc/cwd/postmaster.pid
    [ -f "$file" ] && [ ! -h "$file" ] || continue
    read -r row <"$proc/stat" || continue
    set -- ${row##*") "}
    if read -r comm <"/proc/$2/comm"; then
      case $comm in
      postgres | postmaster) [ "/proc/$2/cwd/." -ef "$proc/cwd/." ] && continue ;;
      esac
    fi
    for other in $servers; do [ "$other/cwd/." -ef "$proc/cwd/." ] && continue 2; done
    servers="$servers $proc" asked="$asked $file" ;;
  esac
done 2>/dev/null
known= others= elsewhere= servers= found= socket=
if [ -n "$asked" ]; then set -- $(stat -L -c "%U %i %n" $asked 2>/dev/null); else set --; fi
while [ $# -gt 2 ]; do
  case $3 in
  */ns/pid) [ "pid:[$2]" = "$ours" ] || elsewhere="$elsewhere $3" ;;
  *) case $owners in
    *" $1 "*)
      case $3 in */.) known="$known ${3%.}cmdline" ;; *) servers="$servers $3" ;; esac ;;
    *) case $3 in */.) others="$others ${3%.}cmdline" ;; esac ;;
    esac ;;
  esac
  shift 3
done
for file in $servers; do
  { read -r pid; read -r its_data; read -r its_start; read -r its_port; read -r its_socket; } <"$file"
  case $pid in "" | *[!0-9]*) continue ;; esac
  case $its_port in "" | *[!0-9]*) continue ;; esac
  read -r comm <"/proc/$pid/comm" && [ "/proc/$pid/cwd/." -ef "${file%postmaster.pid}." ] || continue
  case $comm in postgres | postmaster) ;; *) continue ;; esac
  if [ "$its_port" = "$port" ] && [ -z "$found" ]; then found=/proc/$pid socket=$its_socket; fi
  printf "postmaster=%s %s" "$pid" "$its_port"
  groups "$pid"
  printf "data=%s %s\n" "$pid" "$its_data"
done 2>/dev/null
files= of_patroni="(^|/)patroni\$|patroni\\.py\$|/patroni/__main__\\.py\$"
[ -z "$known" ] || files=$(bounded 5 grep -lasz -E "$of_patroni" /dev/null $known)
[ -z "$others" ] || files="$files $(bounded 2 grep -lasz -E "$of_patroni" /dev/null $others)"
patronis=
for file in $files; do
  pid=${file#/proc/} pid=${pid%%/*}
  patronis="$patronis $pid"
  printf "patroni=%s" "$pid"
  case "$elsewhere " in *"/proc/$pid/ns/pid "*) printf " pid-namespace" ;; esac
  groups "$pid"
done 2>/dev/null
if [ -n "$patronis" ] && [ "$patronis" != " $daemon" ]; then
  sockets=$(port=$(printf %04X "$api_port") awk "\$4 == \"0A\" && substr(\$2, length(\$2) - 3) == ENVIRON[\"port\"] { print \$10 }" /proc/net/tcp /proc/net/tcp6)
  for pid in $patronis; do
    open=$(ls -l "/proc/$pid/fd")
    for inode in $sockets; do
      case $open in *"socket:[$inode]"*) patronis=$pid; break 2 ;; esac
    done
  done
  case $patronis in *\ *) ;; *) daemon=$patronis; printf "daemon=%s\n" "$daemon" ;; esac
elif [ -n "$patronis" ]; then
  printf "daemon=%s\n" "$daemon"
fi 2>/dev/null
true
end
)sh";

constexpr const char* k_os = R"sh(
begin os
release=/etc/os-release
[ -r "$release" ] || release=/usr/lib/os-release
while IFS== read -r key value; do
  case $key in ID|VERSION_ID) printf '%s=%s\n' "$key" "$value" ;; esac
done <"$release"
printf 'libc=%s\n' "$(getconf GNU_LIBC_VERSION 2>/dev/null)"
printf 'package_tool=%s\n' "$tool"
if [ -d /run/systemd/system ]; then echo systemd=yes; else echo systemd=no; fi
end
)sh";

// By the files of needrestart (3.5 and 3.6), of apt's daily timer and of unattended-upgrades, and
// by policy-rc.d, which is read and not run. Where neither program is there no awk is started.
constexpr const char* k_upkeep = R"sh(
if [ "$tool" = apt ]; then
  begin upkeep
  set --
  if [ -x /usr/sbin/needrestart ] || [ -x /usr/bin/unattended-upgrade ]; then
    for file in /etc/needrestart/needrestart.conf /etc/needrestart/conf.d/*.conf /etc/apt/apt.conf.d/*; do
      [ ! -f "$file" ] || [ ! -r "$file" ] || set -- "$@" "$file"
    done
  fi
  [ ! -x /usr/sbin/needrestart ] || echo needrestart=yes
  if [ -x /usr/bin/unattended-upgrade ] && [ -h /etc/systemd/system/timers.target.wants/apt-daily-upgrade.timer ] &&
    [ ! -h /etc/systemd/system/apt-daily-upgrade.timer ]; then echo timer=yes; fi
  [ -z "$etcd" ] || echo etcd=yes
  if [ -x /usr/sbin/policy-rc.d ]; then
    while read -r line; do
      case $line in "#"*) ;; *"exit 101"*) echo policy=101; break ;; esac
    done </usr/sbin/policy-rc.d
  fi
  [ $# = 0 ] || awk "
    FNR == 1 { apt = FILENAME ~ /apt[.]conf/; inside = 0 }
    { sub(/^[ \t]*(#|\/\/).*/, \"\") }
    !apt && match(\$0, /[{]restart[}][^=]*=[^a-z]*[ail]/) { mode = substr(\$0, RSTART + RLENGTH - 1, 1) }
    !apt && !/=> *1/ {
      if (/patroni/) print \"spared=patroni\"
      if (/postgres/) print \"spared=postgres\"
      if (/etcd/) print \"spared=etcd\"
    }
    apt {
      if (/apt-pinvoke.* -m u/) ubuntu = 1
      if (match(\$0, /Unattended-Upgrade[ \t]+\"[^\"]*/)) { on = substr(\$0, RSTART, RLENGTH); sub(/.*\"/, \"\", on) }
      if (/PGDG|pgdg|postgresql[.]org|[=:][*]/) print \"pgdg=yes\"
      one = /Package-Blacklist::/
      if (/Package-Blacklist/) inside = 1
      while (inside && match(\$0, /\"[^\"]*\"/)) {
        print \"not=\" substr(\$0, RSTART + 1, RLENGTH - 2)
        \$0 = substr(\$0, RSTART + RLENGTH)
      }
      if (one || /[}]/) inside = 0
    }
    END { print \"mode=\" (mode ? mode : ubuntu ? \"u\" : \"i\"); print \"on=\" on }" "$@"
  end
fi
)sh";

// -B: no .pyc is written.
constexpr const char* k_setup = R"sh(
setup() {
  begin setup
  find_python
  said=$(aside 10 $as "$python" -E -s -B -c "$setup_program" "${daemon:-0}" "$found" </dev/null)
  result=$?
  printf "%s\n" "$said"
  case $said in
  *\"module\":\ \"/*)
    module=${said##*\"module\": \"} module=${module%%\"*}
    if [ "$python" = python3 ]; then :
    elif owned "$module"; then echo packaged=yes
    else echo packaged=no; fi ;;
  esac
  (exit "$result")
  end
}
owned() {
  if [ "$tool" = apt ]; then
    grep -Fxqs -e "$1" "/var/lib/dpkg/info/$package.list" "/var/lib/dpkg/info/$package":*.list
  else
    rpm -ql -- "$package" | grep -Fxq -e "$1"
  fi
}
)sh";

constexpr const char* k_postmaster = R"sh(
begin postmaster
data= binary=
if [ -n "$found" ]; then
  data=$(readlink "$found/cwd" "$found/exe") binary=${data##*"
"} data=${data%%"
"*}
  binary=${binary%" (deleted)"}
  printf 'data=%s\n' "$data"
else
  socket=
  bounded 5 journalctl -q -o cat -n 400 -u "$unit" 2>/dev/null | awk "/FATAL|PANIC/ { print \"said=\" substr(\$0, 1, 300) }"
  echo "no postmaster that listens on port $port was found"; false
fi
end
)sh";

// `offered` of the tool that the member has.
constexpr const char* k_available = R"sh(
available() {
  begin available
  offered "$package" | while read -r version; do printf 'version=%s\n' "$version"; done
  end
}
)sh";

// The two slow ones run beside the rest, each into the pipe of a reader that is busy first: both
// their sections come whole, after the others, and no file is needed.
constexpr const char* k_beside = R"sh(
setup 2>&1 </dev/null | { available 2>&1 </dev/null | { {
)sh";
constexpr const char* k_collect = R"sh(
} </dev/null; cat; }; cat; }
)sh";

// dpkg's list of a package's files is rewritten when the package is unpacked. Status and version
// are from the package database alone: neither needs the network.
constexpr const char* k_packages = R"sh(
begin patroni_package
if [ "$tool" = apt ]; then
  dpkg-query -W -f 'package=${Package} ${db:Status-Status} ${Version} ${db:Status-Want}\n' "$package"
  result=$?
  for list in "/var/lib/dpkg/info/$package.list" "/var/lib/dpkg/info/$package":*.list; do
    [ -e "$list" ] && printf 'changed=%s\n' "$(stat -c %Y "$list")"
  done
  (exit "$result")
elif [ -n "$tool" ]; then
  rpm -q --qf 'package=%{NAME} installed %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\nchanged=%{INSTALLTIME}\n' -- "$package"
else
  echo 'there is neither apt-get nor dnf nor yum'; false
fi
end
begin postgres_package
if [ "$tool" = apt ]; then
  owner=
  case $binary in
    /usr/lib/postgresql/*/bin/postgres)
      owner=${binary#/usr/lib/postgresql/}; owner=postgresql-${owner%%/*} ;;
    ?*) owner=$(dpkg-query -S "$binary"); owner=${owner%%:*} ;;
  esac
  dpkg-query -W -f 'package=${Package} ${db:Status-Status} ${Version} ${db:Status-Want}\n' "${owner:-postgresql-[1-9][0-9]}"
elif [ -n "$tool" ] && [ -n "$binary" ]; then
  rpm -qf --qf 'package=%{NAME} installed %|EPOCH?{%{EPOCH}:}|%{VERSION}-%{RELEASE}\n' -- "$binary"
else
  false
fi
end
begin disk
if [ -n "$data" ]; then
  bounded 10 df -PB1 -- "$data/pg_wal/." "$data/."
else
  echo 'the data directory is unknown, because no postmaster was found'; false
fi
end
)sh";

// One stat for all entries: each more is a fork. A host may have members of several clusters, and
// an entry is its cluster's: by its `scope`, else by the lock that names its run.
constexpr const char* k_leftover = R"sh(
owner_of() {
  for file in "$folder"/lock.*; do
    [ -r "$file" ] || continue
    while read -r line; do
      if [ "$line" = "run=${1%%.*}" ]; then owner=${file##*/lock.}; fi
    done <"$file"
  done
}
begin leftover
if [ -z "$lock" ]; then
  echo 'the scope of the cluster is not known'; false
elif [ ! -e "$folder" ] && [ ! -h "$folder" ]; then
  echo fence=0
elif [ ! -r "$folder" ] || [ ! -x "$folder" ]; then
  echo "$folder cannot be read"; false
elif ! trust "$folder" "$folder"/* "$folder"/spool/* "$folder"/spool/*/*; then
  printf "untrusted=%s\n" "$untrusted"; false
else
  printf 'now=%s\n' "$(date +%s)"
  number=0
  [ ! -e "$folder/fence.${lock#lock.}" ] || read -r number <"$folder/fence.${lock#lock.}"
  printf "fence=%s\n" "$number"
  if [ -e "$folder/$lock" ]; then
    while IFS= read -r line; do printf 'lock.%s\n' "$line"; done <"$folder/$lock"
  fi
  set -- "$folder"/spool/*/started
  [ ! -e "$1" ] || stat -c '%Y %n' -- "$@" 2>/dev/null | while read -r at entry; do
    entry=${entry%/started} owner=
    job_state "$entry" || continue
    if [ -r "$entry/scope" ]; then read -r owner <"$entry/scope"; else owner_of "${entry##*/}"; fi
    case $owner in
    '' | "${lock#lock.}")
      printf 'spool=%s %s %s %s\n' "${entry##*/}" "$state" "$at" "${owner:+ours}" ;;
    esac
  done
  true
fi
end
)sh";

// The psql beside the server: it is there on every packaging, in PATH or not, and it is no wrapper.
// It has to be root's, or his as whom it runs, and so every folder above it: in those of others
// anybody may have put one there.
constexpr const char* k_sql = R"sh(
begin sql
beside() {
  path=$1
  set --
  while [ -n "$path" ]; do set -- "$@" "$path"; path=${path%/*}; done
  for word in $(stat -c "%A-%U" / "$@" 2>/dev/null || echo gone); do
    case $word in [d-]????-??-?-root | [d-]????-??-?-"$os_user") ;; *) return 1 ;; esac
  done
}
psql=${binary%/*}/psql
[ -n "$binary" ] && [ -x "$psql" ] && beside "$psql" || psql=psql
if [ "$me" = "$os_user" ]; then set --; else set -- runuser -u "$os_user" --; fi
aside 30 "$@" "$psql" -XAtqw -v ON_ERROR_STOP=1 ${socket:+-h "$socket"} ${role:+-U "$role"} \
  -p "$port" -d "$database" \
)sh";

/// Without the blanks that lines begin with: they are a tenth of it, and all of it is to fit into
/// one packet of SSH, under sudo too.
std::string flush_left(const std::string& script) {
    std::string text;
    bool in_front = true;
    for (const char c : script) {
        in_front = in_front && c == ' ';
        if (!in_front) {
            text += c;
        }
        in_front = in_front || c == '\n';
    }
    return text;
}

std::string offered_of_each() {
    std::string text = "case $tool in\n";
    for (const PackageTool* tool : {&k_apt, &k_dnf, &k_yum}) {
        text += std::string(tool->name) + ")" + std::string(tool->offered) + ";;\n";
    }
    return text + "*) offered() { echo 'there is no list of packages'; false; } ;;\nesac\n";
}

std::string sql_section(const MemberScript& script) {
    const std::string end_of_input = "end-" + script.nonce;
    return std::string(k_sql) + "  <<'" + end_of_input + "'\n" +
           "BEGIN READ ONLY;\nSET LOCAL search_path = pg_catalog, pg_temp;\n"
           "SET LOCAL statement_timeout = '10s';\nSET LOCAL lock_timeout = '2s';\n"
           "SELECT pg_catalog.current_setting('server_version_num')::int >= 130000 AS newer "
           "\\gset\n" +
           observation_query("\n\\if :newer\n", "\n\\endif\n") + ";\nCOMMIT;\n" + end_of_input +
           "\nend\n";
}

}  // namespace

std::string make_nonce() {
    std::random_device device;
    std::string nonce;
    for (int word = 0; word < 4; ++word) {
        std::array<char, 9> hex{};
        const int length = std::snprintf(hex.data(), hex.size(), "%08x", device());
        nonce.append(hex.data(), length > 0 ? 8 : 0);
    }
    return nonce;
}

std::string render(const MemberScript& script) {
    std::string text =
        shell_assignment("marker", "@" + script.nonce) + shell_assignment("unit", script.unit) +
        shell_assignment("package", script.package) + shell_assignment("os_user", script.os_user) +
        shell_assignment("api_port", script.api_port.empty() ? "0" : script.api_port) +
        shell_assignment("port", std::to_string(script.port)) +
        shell_assignment("patience", std::to_string(script.patience.count())) +
        shell_assignment("role", script.role) +
        shell_assignment("database", psql_database(script.database)) +
        shell_assignment("lock", script.scope.empty() ? "" : lock_file_name(script.scope)) +
        flush_left(std::string(k_prelude) + k_find_python) +
        shell_assignment("setup_program", setup_program()) +
        flush_left(std::string(k_find_package_tool) + k_units + k_host + k_os + k_upkeep + k_setup +
                   offered_of_each() + k_available + k_beside + k_postmaster + k_packages) +
        k_member_folder + flush_left(std::string(k_trust) + k_alive + k_job_state + k_leftover);
    if (!script.os_user.empty()) {
        text += sql_section(script);
    }
    text += k_collect;
    // The status of the whole is of no interest: every section has its own.
    return text + "begin done\nend\nkill \"$watch\"\nexit 0\n";
}

}  // namespace lockstep
