"""The lab and the lockstep binary, as the live tests use them.

Every test leaves the lab healthy: what it breaks it mends, and `Lab.reset` brings the versions back.
"""

import concurrent.futures
import contextlib
import itertools
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = str(ROOT / "lab" / "lab")
LOCKSTEP = os.environ.get("LOCKSTEP_BINARY", str(ROOT / "build/release/bin/lockstep"))
os.environ.setdefault("LOCKSTEP_LAB", "live")
# How the members are reached, any of: sudo (as a plain user), tls (REST with certificates on both sides), openssh (that
# client), rest-ssh (REST by the members' own curl). Every test is to pass in each of these ways.
REACH = set(filter(None, os.environ.get("LOCKSTEP_REACH", "").split(",")))

OLD, NEW, NEWEST = "3.0.2", "4.0.7", "4.1.5"
# Of the lab's own making, see lab/README.md. BROKEN: apt succeeds, the daemon ends at once. HALF: apt fails on top of that.
# SLOW: 8 seconds in the middle of apt.
BROKEN, HALF, SLOW = "4.0.90", "4.1.90", "4.0.91"
INCIDENT_LEADER, INCIDENT_REPLICA = "3.2.1", "4.0.2"
PACKAGE = {OLD: "3.0.2-1", NEW: "4.0.7-3~deb13u1", NEWEST: "4.1.5-2",
           BROKEN: "4.0.90-0broken1", HALF: "4.1.90-0broken1", SLOW: "4.0.91-0slow1",
           INCIDENT_LEADER: "3.2.1-0lab1", INCIDENT_REPLICA: "4.0.2-0lab1"}
MEMBERS = ["n1", "n2", "n3"]
REPLICAS = ["n2", "n3"]
LAB_RUN = pathlib.Path(os.environ.get("LOCKSTEP_LAB_RUN", "/run/lockstep-lab/" + os.environ["LOCKSTEP_LAB"]))


# Holds a run between the replicas and the leader, while the cluster is paused, until open_gate(): for a minute at most.
GATE = """\
  - id: gate
    on: n3
    uses: ssh.run
    timeout: 90s
    with:
      read_only: true
      shell: for i in $(seq 300); do if [ -e /var/tmp/lab-gate ]; then exit 0; fi; sleep 0.2; done; exit 1

"""


def shell(*argv, timeout=180, check=True, **more):
    """A command's stdout; its stderr is in the exception when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def lab(*argv, **more):
    return shell(LAB, *argv, **more)


def wait_until(condition, seconds, what):
    """What `condition` gives once that is true; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(max(0.05, 3 * (time.monotonic() - asked)))  # at most a quarter of the time is spent on looking


def on_each(act, members=None):
    """What `act` gives for each of these members (all of them), asked side by side."""
    members = members or MEMBERS
    with concurrent.futures.ThreadPoolExecutor(len(members)) as pool:
        return dict(zip(members, pool.map(act, members)))


def file_of(member, path):
    """A file of a member as this host sees it, so that looking needs neither network nor sshd there."""
    return LAB_RUN / "members" / member / "root" / path.lstrip("/")


def open_gate():
    file_of("n3", "/var/tmp/lab-gate").touch()


def close_gate():
    file_of("n3", "/var/tmp/lab-gate").unlink(missing_ok=True)


def dpkg_log(member):
    log = file_of(member, "/var/log/dpkg.log")  # a host on which dpkg never ran has none
    return log.read_text(encoding="ascii").splitlines() if log.exists() else []


class DpkgLogs:
    """What dpkg does on the members from now on, by its own log."""

    def __init__(self):
        self.begin = {member: len(dpkg_log(member)) for member in MEMBERS}

    def lines(self, member):
        return dpkg_log(member)[self.begin[member]:]

    def installs(self, member):
        """The versions of Patroni that were unpacked, in order; dpkg calls a way down an upgrade, too."""
        actions = [line.split()[2:] for line in self.lines(member)]
        return [a[3] for a in actions if a[0] in ("install", "upgrade") and a[1].startswith("patroni:")]

    def all_installs(self):
        return {member: self.installs(member) for member in MEMBERS}

    def configuring(self, member, version):
        """The postinst of that version was started."""
        return any(f" configure patroni:all {version} " in line for line in self.lines(member))


class Result:
    """What one call of lockstep came to."""

    def __init__(self, code, out, err, seconds):
        self.code, self.out, self.err, self.seconds = code, out, err, seconds

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def events(self):
        """Of --output jsonl. A line that was cut off by a kill is none."""
        return parse_events(self.out)

    def __str__(self):
        return f"exit {self.code} after {self.seconds:.1f} s\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def parse_events(text):
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def name_of(event):
    return event["step"] + (f" on {event['member']}" if event.get("member") else "")


def running_steps(events):
    """Steps that were begun and of which no result is on record."""
    running = []
    for event in events:
        if event["event"] == "step_intent":
            running.append(name_of(event))
        elif event["event"] == "step_result" and name_of(event) in running:
            running.remove(name_of(event))
    return running


class Running:
    """A lockstep that runs by itself. Its output goes to files, so that it never waits for a reader."""

    def __init__(self, argv, environment, folder):
        self.out, self.err = (tempfile.NamedTemporaryFile("w+", dir=folder, encoding="utf-8") for _ in range(2))
        self.begun = time.monotonic()
        # `lab exec` becomes lockstep: it is the same process. A test started in the background would hand an ignored
        # SIGINT down.
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with,subprocess-popen-preexec-fn
            [LAB, "exec", "--", *argv], env=environment, stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.err,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def text(self):
        return tuple(pathlib.Path(file.name).read_text(encoding="utf-8") for file in (self.out, self.err))

    def events(self):
        return parse_events(self.text()[0])

    def running(self):
        return self.process.poll() is None

    def wait_for_event(self, seconds=60, **wanted):
        """The first event that has all these fields."""
        def found():
            for event in self.events():
                if all(event.get(key) == value for key, value in wanted.items()):
                    return event
            if not self.running():
                raise AssertionError(f"it ended before {wanted}: {self.wait()}")
            return None
        return wait_until(found, seconds, f"the event {wanted}")

    def wait_for_intent(self, step, member=None, seconds=60):
        return self.wait_for_event(seconds, event="step_intent", step=step, member=member)

    def signal(self, number):
        """Fails when it has ended already: a signal that nobody gets proves nothing."""
        if not self.running():
            raise AssertionError(f"it had ended before the signal: {self.wait()}")
        self.process.send_signal(number)

    def kill(self):
        """SIGKILL. Returns what was going on: the steps that ran, or the last event before."""
        self.signal(signal.SIGKILL)
        result = self.wait(20)
        if result.code != -signal.SIGKILL:
            raise AssertionError(f"it was not killed: {result}")
        events = result.events
        last = events[-1]["event"] if events else "nothing"
        return running_steps(events) or [f"between steps, after {last}"]

    def kill_at(self, seconds):
        """Kills it that many seconds after its start. None: it ended by itself before."""
        try:
            self.process.wait(max(0.0, self.begun + seconds - time.monotonic()))
        except subprocess.TimeoutExpired:
            return self.kill()
        return None

    def wait(self, seconds=400):
        self.process.wait(seconds)
        return Result(self.process.returncode, *self.text(), time.monotonic() - self.begun)

    def close(self):
        """Leaves nothing running, also when the test has failed; a frozen process dies of SIGKILL, too."""
        if self.running():
            self.process.kill()
            self.process.wait(20)
        self.out.close()
        self.err.close()


def inventory(*more, reach=None):
    """An inventory of the lab, for the ways of `reach` (default: LOCKSTEP_REACH), with more options of `lab inventory`."""
    reach = REACH if reach is None else reach
    if unknown := reach - {"sudo", "tls", "openssh", "rest-ssh"}:
        raise ValueError(f"LOCKSTEP_REACH does not know {unknown}")
    options = {"sudo": ["--user", "ops", "--become", "sudo"], "openssh": ["--client", "openssh"], "rest-ssh": ["--via", "ssh"]}
    return lab("inventory", *itertools.chain(*(options.get(way, []) for way in sorted(reach))), *more)


def member_versions():
    """By each member's own REST API."""
    return on_each(lambda m: json.loads(lab("rest", m, "GET", "/patroni"))["patroni"]["version"])


def installed_versions():
    """With dpkg's state: `ii` for a package that is whole."""
    return on_each(lambda m: lab("ssh", m, "dpkg-query -W -f '${db:Status-Abbrev} ${Version}' patroni").strip())


def postmasters():
    return on_each(lambda m: lab("sql", m, "select pg_postmaster_start_time()").strip())


def primaries():
    """By PostgreSQL itself. A member that does not answer is none."""
    recovery = on_each(lambda m: lab("sql", m, "select pg_is_in_recovery()", check=False).strip())
    return [m for m in MEMBERS if recovery[m] == "f"]


def cluster():
    return json.loads(lab("rest", "n1", "GET", "/cluster"))


def config(member="n1"):
    return json.loads(lab("rest", member, "GET", "/config"))


def leader():
    return next((m["name"] for m in cluster()["members"] if m["role"] == "leader"), None)


def cluster_at_rest():
    """`/cluster` without what moves by itself."""
    seen = cluster()
    seen["members"] = [{key: value for key, value in member.items() if key not in MOVES} for member in seen["members"]]
    return seen


def timeline():
    return next(m["timeline"] for m in cluster()["members"] if m["role"] == "leader")


MOVES = {"state", "lag", "lsn", "receive_lag", "receive_lsn", "replay_lag", "replay_lsn"}

# Everything a change would show in. Not looked at: what a cluster does by itself (data, DCS, logs), and
# apt's cache of its own lists, which every reader of them refreshes.
FINGERPRINT = r"""
dpkg-query -W | sha256sum
stat -c %Y /var/lib/dpkg/status
apt-mark showhold
find /var/lib/lockstep -printf '%p %s %T@\n' 2>/dev/null | sort
systemctl show patroni -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts
sha256sum /etc/patroni/* 2>/dev/null
find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /var/log -o -path /var/lib/postgresql \
  -o -path /var/lib/etcd -o -path '/var/cache/apt/*.bin' \) -prune -o -type f -newermt "@$since" -print
"""


class LiveTest(unittest.TestCase):
    """A healthy lab before, a healthy lab after."""

    leader_patroni = NEW
    replica_patroni = NEW
    reach = REACH
    # False: the inventory has endpoints alone, as in the README, and who is a member Patroni says.
    lists_members = True
    # About how long one of its tests takes. It decides only what is begun first.
    seconds_per_test = 15

    @classmethod
    def setUpClass(cls):
        cls.reset()
        cls.work = tempfile.TemporaryDirectory(prefix="lockstep-live-")
        cls.inventory = pathlib.Path(cls.work.name) / "inventory.yaml"
        cls.inventory.write_text(inventory("--members", "yes" if cls.lists_members else "no", reach=cls.reach))
        cls.state_folder = pathlib.Path(cls.work.name) / "state"

    @classmethod
    def reset(cls):
        """Back to a healthy cluster with the versions of this class."""
        lab("reset", "--leader-patroni", cls.leader_patroni, "--replica-patroni", cls.replica_patroni,
            "--reach", "tls" if "tls" in cls.reach else "", timeout=240)

    @classmethod
    def tearDownClass(cls):
        cls.work.cleanup()

    def start(self, *argv, inventory=None, state=None, environment=None):
        """lockstep with these arguments, in the background."""
        running = Running([LOCKSTEP, *argv, "-i", str(inventory or self.inventory), "--state", str(state or self.state_folder)],
                          {**os.environ, "XDG_CONFIG_HOME": self.work.name, **(environment or {})}, self.work.name)
        self.addCleanup(running.close)
        return running

    def lockstep(self, *argv, timeout=400, **more):
        running = self.start(*argv, **more)
        try:
            return running.wait(timeout)
        finally:
            running.close()

    def resume(self, *argv, **more):
        return self.lockstep("resume", *argv, "--yes", "--output", "json", **more)

    def rollback(self, *argv, **more):
        return self.lockstep("rollback", *argv, "--yes", "--output", "json", **more)

    def show(self, *argv, **more):
        return self.lockstep("show", *argv, "--output", "json", **more).json

    def start_upgrade(self, version, *argv, **more):
        return self.start("run", "patroni-upgrade", "--set", f"target={PACKAGE[version]}", "--yes", "--output", "jsonl",
                          *argv, **more)

    def start_gated_upgrade(self, version):
        """The whole upgrade, which stands at its gate before the leader's turn, in the pause."""
        text = (ROOT / "runbooks" / "patroni-upgrade.yaml").read_text(encoding="utf-8")
        self.assertEqual(text.count("  - id: leader\n"), 1)
        path = self.write_runbook(text.replace("  - id: leader\n", GATE + "  - id: leader\n"), "gated")
        run = self.start("run", path, "--set", f"target={PACKAGE[version]}", "--yes", "--output", "jsonl")
        run.wait_for_intent("gate", "n3", seconds=120)
        self.assertTrue(config()["pause"])
        return run

    def write_runbook(self, text, name="own"):
        path = pathlib.Path(self.work.name) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    def check(self, **more):
        return self.lockstep("check", "--output", "json", **more)

    def upgrade(self, version, *argv, command="run", **more):
        options = ["--yes"] if command == "run" else []
        return self.lockstep(command, "patroni-upgrade", "--set", f"target={version}", *options, *argv, **more)

    def findings(self, result):
        return {(f["id"], f["member"]) for f in result.json["findings"]}

    def fingerprint(self, since):
        """What a change would change, on every member and in the DCS."""
        def look(member):
            slots = "select slot_name, slot_type from pg_replication_slots order by 1"
            return lab("ssh", member, f"since={since}\n{FINGERPRINT}") + lab("sql", member, slots)

        return {**on_each(look), "config": config(), "postmasters": postmasters(), "cluster": cluster_at_rest()}

    def assert_unchanged(self, act):
        """Runs `act`, and shows that it changed nothing anywhere."""
        since = int(time.time())
        before = self.fingerprint(since)
        result = act()
        self.assertEqual(before, self.fingerprint(since), str(result))
        return result

    def assert_refused(self, result, code, finding, hint=None):
        self.assertEqual(result.code, code, str(result))
        blocked = [f["id"] for f in result.json["blocked_by"]]
        self.assertIn(finding, blocked, str(result))
        remedies = " ".join(f["remedy"] for f in result.json["blocked_by"])
        self.assertTrue(remedies.strip(), "a refusal without a hint: " + str(result))
        if hint:
            self.assertIn(hint, " ".join([remedies] + [f["message"] for f in result.json["blocked_by"]]))

    # ---- what must not have changed --------------------------------------------------------------

    def identity(self):
        """What no upgrade and no rollback may change."""
        return {"postmasters": postmasters(), "timeline": timeline(), "leader": leader()}

    @contextlib.contextmanager
    def writing(self, errors=0):
        """A client that writes all the time. It must lose nothing, and see at most that many errors (None: any number)."""
        lab("writer", "start")
        client = {}
        try:
            yield client
        finally:
            client.update(json.loads(lab("writer", "stop")))
        self.assertEqual(client["lost"], 0, client)
        self.assertGreater(client["commits"], 50, client)
        if errors is not None:
            self.assertLessEqual(client["errors"], errors, client)

    def assert_all_run(self, version, why=""):
        """Installed whole, running, streaming, not paused, and nothing to find."""
        self.assertEqual(installed_versions(), dict.fromkeys(MEMBERS, f"ii  {PACKAGE[version]}"), why)
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, version), why)
        self.assertNotIn("pause", config(), why)
        self.assertEqual(len(primaries()), 1, why)
        found = self.check()
        self.assertEqual((found.code, found.json["findings"]), (0, []), f"{found}{why}")
