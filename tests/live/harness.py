"""The lab and the lockstep binary, as the live tests use them.

Every test leaves the lab healthy: what it breaks it mends, and `Lab.reset` brings the versions back.
"""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LAB = str(ROOT / "lab" / "lab")
LOCKSTEP = os.environ.get("LOCKSTEP_BINARY", str(ROOT / "build/release/bin/lockstep"))
os.environ.setdefault("LOCKSTEP_LAB", "live")

OLD, NEW, NEWEST = "3.0.2", "4.0.7", "4.1.5"
PACKAGE = {OLD: "3.0.2-1", NEW: "4.0.7-3~deb13u1", NEWEST: "4.1.5-2"}
MEMBERS = ["n1", "n2", "n3"]
REPLICAS = ["n2", "n3"]


def shell(*argv, timeout=180, check=True, **more):
    """A command's stdout; its stderr is in the exception when it fails."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False, **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def lab(*argv, **more):
    return shell(LAB, *argv, **more)


class Result:
    """What one call of lockstep came to."""

    def __init__(self, done, seconds):
        self.code, self.out, self.err, self.seconds = done.returncode, done.stdout, done.stderr, seconds

    @property
    def json(self):
        return json.loads(self.out)

    def __str__(self):
        return f"exit {self.code} after {self.seconds:.1f} s\n--- stdout\n{self.out}\n--- stderr\n{self.err}"


def member_versions():
    """By each member's own REST API."""
    return {m: json.loads(lab("rest", m, "GET", "/patroni"))["patroni"]["version"] for m in MEMBERS}


def postmasters():
    return {m: lab("sql", m, "select pg_postmaster_start_time()").strip() for m in MEMBERS}


def cluster():
    return json.loads(lab("rest", "n1", "GET", "/cluster"))


def config(member="n1"):
    return json.loads(lab("rest", member, "GET", "/config"))


def leader():
    return next((m["name"] for m in cluster()["members"] if m["role"] == "leader"), None)


def timeline():
    return next(m["timeline"] for m in cluster()["members"] if m["role"] == "leader")


# Everything a change would show in. Not looked at: what a cluster does by itself (data, DCS, logs), and
# apt's cache of its own lists, which every reader of them refreshes.
FINGERPRINT = r"""
dpkg-query -W | sha256sum
apt-mark showhold
systemctl show patroni -p MainPID -p ExecMainStartTimestampMonotonic -p NRestarts
sha256sum /etc/patroni/* 2>/dev/null
find / -xdev \( -path /proc -o -path /sys -o -path /run -o -path /dev -o -path /var/log -o -path /var/lib/postgresql \
  -o -path /var/lib/etcd -o -path '/var/cache/apt/*.bin' \) -prune -o -type f -newermt "@$since" -print
"""


class LiveTest(unittest.TestCase):
    """A healthy lab before, a healthy lab after."""

    leader_patroni = NEW
    replica_patroni = NEW

    @classmethod
    def setUpClass(cls):
        lab("reset", "--leader-patroni", cls.leader_patroni, "--replica-patroni", cls.replica_patroni, timeout=240)
        cls.work = tempfile.TemporaryDirectory(prefix="lockstep-live-")
        cls.inventory = pathlib.Path(cls.work.name) / "inventory.yaml"
        cls.inventory.write_text(lab("inventory"))
        cls.state_folder = pathlib.Path(cls.work.name) / "state"

    @classmethod
    def tearDownClass(cls):
        cls.work.cleanup()

    def lockstep(self, *argv, inventory=None, timeout=240):
        begun = time.monotonic()
        done = subprocess.run(
            [LAB, "exec", "--", LOCKSTEP, *argv, "-i", str(inventory or self.inventory), "--state", str(self.state_folder)],
            capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)
        return Result(done, time.monotonic() - begun)

    def check(self, **more):
        return self.lockstep("check", "--output", "json", **more)

    def upgrade(self, version, *argv, command="run", **more):
        options = ["--yes"] if command == "run" else []
        return self.lockstep(command, "patroni-upgrade", "--set", f"target={version}", *options, *argv, **more)

    def findings(self, result):
        return {(f["id"], f["member"]) for f in result.json["findings"]}

    def fingerprint(self, since):
        """What a change would change, on every member and in the DCS."""
        seen = {"config": config()}
        for member in MEMBERS:
            seen[member] = lab("ssh", member, f"since={since}\n{FINGERPRINT}")
            seen[member] += lab("sql", member, "select slot_name, slot_type from pg_replication_slots order by 1")
        seen["postmasters"] = postmasters()
        return seen

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
