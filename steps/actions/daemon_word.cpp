#include "steps/actions/daemon_word.hpp"

#include "base/shell_quote.hpp"
#include "steps/actions/report_lines.hpp"
#include "steps/observation/setup_program.hpp"

namespace lockstep {

namespace {

constexpr int k_refused = 77;

/// After daemon_program(). What it prints is why not, by sys.exit(), or nothing.
constexpr const char* k_judgement = R"py(
must, name, scope, system = sys.argv[2:6]
def differs(what, said, wanted):
    if said and wanted and str(said) != wanted:
        sys.exit("it is not %s: its %s is %s" % (wanted, what, said))
try:
    read()
except (Exception, SystemExit):
    config.clear()  # what it says of itself by REST is left
differs("name", whose("name"), name)
differs("scope", whose("scope"), scope)
try:
    somewhere = listening()
except (IOError, OSError) as error:
    if not os.path.exists("/proc/" + pid):
        sys.exit("it has just ended" if must.startswith("lead") else 0)
    sys.exit("where it listens cannot be seen: %s" % error)
if not somewhere:
    if not any("patroni" in w for w in words("cmdline")):
        sys.exit("what its unit runs is no Patroni")
    sys.exit("its REST API is not there yet" if must.startswith("lead") else 0)
try:
    status, said = ask("/leader" if must.startswith("lead") else "/patroni", 5)
except Exception as error:
    sys.exit(0 if must == "paused-or-silent" else "it does not answer: %s" % error)
patroni = said.get("patroni")
patroni = patroni if isinstance(patroni, dict) else {}
differs("name", patroni.get("name"), name)
differs("scope", patroni.get("scope"), scope)
differs("system identifier", said.get("database_system_identifier"), system)
if must != "lead-anyhow" and said.get("pause") is not True:
    sys.exit("it is not paused")
if must.startswith("lead") and (status != 200 or said.get("cluster_unlocked")):
    sys.exit("it does not hold the leader lock")
)py";

// The unit's process, or the Patroni in its cgroup where that is a wrapper; without systemd
// whatever Patroni there is. Of each process of the host as little is started as can be: programs
// alone cost time, of which the pause has none to spare.
constexpr const char* k_ask_daemon = R"sh(
lines_in() {
  text=
  while read -r line; do text="$text$line/"; done <"$1"
}
patroni_in() {
  wanted=
  if [ -n "$1" ]; then lines_in "$1"; wanted=$text; fi
  for proc in /proc/[0-9]*; do
    read -r comm <"$proc/comm" || continue
    case $comm in patroni | python*) ;; *) continue ;; esac
    if [ -n "$1" ]; then
      lines_in "$proc/cgroup" && [ "$text" = "$wanted" ] || continue
    fi
    case $(tr "\0" " " <"$proc/cmdline") in
    */patroni\ * | *\ patroni\ * | *patroni.py\ * | */patroni/__main__.py\ *) ;;
    *) continue ;;
    esac
    [ "$(readlink "$proc/ns/pid")" = "$(readlink /proc/self/ns/pid)" ] || continue
    echo "${proc#/proc/}"
    return
  done 2>/dev/null
}
ask_daemon() {
  export LC_ALL=C
  PATH=$PATH:/usr/sbin:/sbin
  if [ -d /run/systemd/system ]; then
    daemon=$(systemctl show -p MainPID -- "$daemon_unit" </dev/null | sed -n "s/^MainPID=//p")
    [ -n "$daemon" ] || { echo "systemd does not tell its process"; return 1; }
  else
    daemon=$(patroni_in "")
  fi
  if [ "${daemon:-0}" = 0 ]; then
    case $daemon_must in lead*) echo "it does not run"; return 1 ;; esac
    return 0
  fi
  case $(tr "\0" " " <"/proc/$daemon/cmdline") in
  *patroni*) ;;
  *) within=$(patroni_in "/proc/$daemon/cgroup"); daemon=${within:-$daemon} ;;
  esac
  uid=$(id -u)
  find_python
  (cd / && bounded 20 $as "$python" -E -s -B -c "$daemon_program" "$daemon" "$daemon_must" "$daemon_name" "$daemon_scope" "$daemon_system" </dev/null)
}
why_not=$(ask_daemon 2>&1) || {
  printf "refused=%s\n" "$(printf "%s\n" "${why_not:-it could not be asked}" | tail -n 1)"
  exit 77
}
)sh";

const char* word_for(DaemonMust must) {
    switch (must) {
        case DaemonMust::be_paused:
            break;
        case DaemonMust::be_paused_or_silent:
            return "paused-or-silent";
        case DaemonMust::hold_the_lock:
            return "lead";
        case DaemonMust::lead_anyhow:
            return "lead-anyhow";
    }
    return "paused";
}

/// Empty: the script did not end by that.
std::string refusal_of(const CommandResult& done) {
    return done.exit_status == k_refused ? ReportLines(done.out).last("refused") : "";
}

}  // namespace

std::string ask_daemon_script(const MemberFacts& member,
                              const ClusterFacts& facts,
                              const Cluster& cluster,
                              DaemonMust must) {
    return shell_assignment("daemon_must", word_for(must)) +
           shell_assignment("daemon_unit", cluster.patroni_service) +
           shell_assignment("daemon_name", member.name) +
           shell_assignment("daemon_scope", facts.scope) +
           shell_assignment("daemon_system", member.system_identifier) +
           shell_assignment("daemon_program", daemon_program() + k_judgement) + k_find_python +
           k_ask_daemon;
}

std::optional<StepResult> refused_by_daemon(const std::string& member,
                                            const CommandResult& done,
                                            const std::string& what) {
    const std::string why = refusal_of(done);
    if (why.empty()) {
        return std::nullopt;
    }
    return StepResult{
        .outcome = StepOutcome::failed,
        .message = member + ": " + what + "; its Patroni was asked on its own host: " + why,
        .hint =
            "Nothing was changed there by this step. Somebody may have resumed the cluster, or "
            "answered for its REST API: look with `lockstep check`, and on the member with "
            "`patronictl list`."};
}

std::string ask_daemon(ActionContext& context, const MemberFacts& member, DaemonMust must) {
    const CommandResult done = context.ssh(
        member, ask_daemon_script(member, context.facts, context.cluster, must) + "exit 0\n");
    if (done.ok()) {
        return {};
    }
    const std::string why = refusal_of(done);
    return member.name + ", asked on its own host: " +
           (why.empty() ? "exit status " + std::to_string(done.exit_status) : why);
}

}  // namespace lockstep
