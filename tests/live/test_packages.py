"""The package managers of servers as they are: locked, interrupted, held, pinned, and with configuration that somebody edited."""

import contextlib
import time

from harness import MEMBERS, NEW, NEWEST, OLD, PACKAGE, REPLICAS, SLOW, LiveTest, lab, member_versions, wait_until

INSTALL = """
runbook: one-package
inputs:
  what: {type: string, required: true}
steps:
  - {id: pause, uses: patroni.pause, timeout: 60s}
  - id: install
    on: n2
    uses: package.install
    timeout: 3m
    with: {package: "${{ cluster.patroni_package }}", KEY: "${{ inputs.what }}"}
  - id: restart
    on: n2
    uses: service.restart
    with: {service: "${{ cluster.patroni_service }}"}
  - {id: resume, uses: patroni.resume, timeout: 60s}
"""

# Holds a lock as the tool itself would: the file is open, and its id is in it where that is asked for.
HOLDER = """import fcntl, os, sys, time
file = open(sys.argv[1], "a+")
fcntl.lockf(file, fcntl.LOCK_EX)
if sys.argv[3] == "pid":
    file.truncate(0); file.write(str(os.getpid())); file.flush()
print(os.getpid(), flush=True)
time.sleep(float(sys.argv[2]))
if sys.argv[3] == "pid":
    os.unlink(sys.argv[1])
"""


class Packages(LiveTest):
    """What both families share."""

    def runbook(self, key="version"):
        return self.write_runbook(INSTALL.replace("KEY", key), f"one-package-{key}")

    def plan(self, what, key="version"):
        return self.lockstep("plan", self.runbook(key), "--set", f"what={what}", "--output", "json")

    def run_it(self, what, key="version", **more):
        return self.lockstep("run", self.runbook(key), "--set", f"what={what}", "--yes", "--output", "json", **more)

    def step(self, result, name):
        return next(s for s in result.json["steps"] if s["id"] == name)

    def notes(self, plan):
        return " ".join(note for step in plan.json["steps"] for note in step.get("notes", []))

    @contextlib.contextmanager
    def locked(self, file, seconds, member="n2", pid=""):
        """Somebody has that lock for so long."""
        lab("ssh", member, f"cat >/run/lab-holder.py <<'END'\n{HOLDER}END\n"
            f"setsid python3 /run/lab-holder.py {file} {seconds} '{pid or '-'}' >/run/lab-holder 2>&1 </dev/null &")
        wait_until(lambda: lab("ssh", member, "cat /run/lab-holder", check=False).strip().isdigit(), 10, "the lock is held")
        try:
            yield
        finally:
            lab("ssh", member, "kill $(cat /run/lab-holder) 2>/dev/null; rm -f /run/lab-holder*; true")


class OfApt(Packages):
    seconds_per_test = 25

    def tearDown(self):
        lab("ssh", "n2", "rm -f /etc/apt/preferences.d/lab /etc/patroni/config.yml.in.dpkg-*")
        self.reset()

    def test_a_lock_that_is_free_in_time(self):
        with self.locked("/var/lib/dpkg/lock-frontend", 15):
            plan = self.plan(PACKAGE[NEWEST])
            self.assertEqual(plan.code, 0, str(plan))
            self.assertIn("python3 (pid ", self.notes(plan), str(plan))
            result = self.run_it(PACKAGE[NEWEST])
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(member_versions()["n2"], NEWEST)

    def test_a_lock_that_stays(self):
        with self.locked("/var/lib/dpkg/lock-frontend", 150):
            result = self.run_it(PACKAGE[NEWEST])
        self.assertEqual(result.json["state"], "failed", str(result))
        self.assertIn("the lock is held by python3 (pid ", self.step(result, "install")["message"], str(result))
        self.assertEqual(member_versions()["n2"], NEW)

    def test_a_dpkg_that_was_killed_at_work(self):
        lab("ssh", "n2", f"setsid sh -c 'echo $$ >/run/lab-dpkg; exec dpkg -i /srv/packages/patroni_{PACKAGE[SLOW]}_all.deb' "
            ">/dev/null 2>&1 </dev/null & sleep 4; kill -KILL -- -$(cat /run/lab-dpkg)")
        plan = self.plan(PACKAGE[NEWEST])
        self.assert_refused(plan, 4, "package.broken", "dpkg --configure -a")

    def test_only_the_journal_of_dpkg_is_left(self):
        lab("ssh", "n2", "touch /var/lib/dpkg/updates/0001")
        try:
            self.assert_refused(self.plan(PACKAGE[NEWEST]), 4, "package.broken", "dpkg --configure -a")
        finally:
            lab("ssh", "n2", "rm -f /var/lib/dpkg/updates/0001")

    def test_held(self):
        lab("ssh", "n2", "apt-mark hold patroni")
        self.assert_refused(self.plan(PACKAGE[NEWEST]), 4, "package.held", "apt-mark unhold patroni")

    def test_pinned(self):
        pin = "printf 'Package: patroni\\nPin: version %s\\nPin-Priority: %s\\n' '{}' {} >/etc/apt/preferences.d/lab"
        lab("ssh", "n2", pin.format(PACKAGE[NEWEST], -1))
        self.assert_refused(self.plan(PACKAGE[NEWEST]), 4, "package.pinned", "/etc/apt/preferences")
        lab("ssh", "n2", pin.format(PACKAGE[OLD], 1001))
        plan = self.plan(PACKAGE[NEWEST])
        self.assertEqual(plan.code, 0, str(plan))
        self.assertIn(f"apt's preferences are for {PACKAGE[OLD]} (priority 1001)", self.notes(plan), str(plan))

    def test_configuration_that_somebody_edited_stays(self):
        lab("ssh", "n2", "echo '# by an admin' >>/etc/patroni/config.yml.in")
        try:
            result = self.run_it(PACKAGE[NEWEST])
            self.assertEqual(result.code, 0, str(result))
            self.assertIn("/etc/patroni/config.yml.in.dpkg-dist", self.step(result, "install")["message"], str(result))
            self.assertIn("# by an admin", lab("ssh", "n2", "cat /etc/patroni/config.yml.in"))
        finally:
            lab("ssh", "n2", "sed -i '/# by an admin/d' /etc/patroni/config.yml.in")

    def test_a_file_on_the_member(self):
        lab("ssh", "n2", f"mkdir '/run/new ones'; cp /srv/packages/patroni_{PACKAGE[NEWEST]}_all.deb '/run/new ones/p.deb'")
        try:
            self.assert_refused(self.plan("/etc/passwd", "file"), 4, "package.unavailable")
            result = self.run_it("/run/new ones/p.deb", "file")
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual(member_versions()["n2"], NEWEST)
            result = self.rollback()
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual(member_versions()["n2"], NEW)
        finally:
            lab("ssh", "n2", "rm -r '/run/new ones'")


class OfATemplatesInstance(LiveTest):
    """patroni@main: Debian's package restarts patroni.service alone, so that the old code goes on running (patroni#3184)."""

    MOVE = ("mv /etc/patroni/{0}.yml /etc/patroni/{1}.yml && systemctl stop {2} && systemctl reset-failed {2} 2>/dev/null;"
            "systemctl start {3}")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.inventory.write_text(cls.inventory.read_text().replace("patroni_service: patroni\n", "patroni_service: patroni@main\n"))
        cls.move_all("config", "main", "patroni", "patroni@main")

    @classmethod
    def move_all(cls, *names):
        lab("rest", "n1", "PATCH", "/config", '{"pause": true}')
        wait_until(lambda: all('"pause": true' in lab("rest", m, "GET", "/patroni") for m in MEMBERS), 30, "all are paused")
        time.sleep(4)  # a whole loop, so that the members' keys say it, too
        for member in MEMBERS:
            lab("ssh", member, cls.MOVE.format(*names))
        wait_until(lambda: len(lab("rest", "n1", "GET", "/cluster", check=False).split('"running"')) +
                   lab("rest", "n1", "GET", "/cluster", check=False).count("streaming") >= 3, 30, "all are back")
        lab("rest", "n1", "PATCH", "/config", '{"pause": null}')

    @classmethod
    def tearDownClass(cls):
        cls.move_all("main", "config", "patroni@main", "patroni")
        cls.reset()
        super().tearDownClass()

    def test_is_upgraded_and_taken_back(self):
        wait_until(lambda: self.check().json["findings"] == [], 60, "all is well")
        before = self.identity()
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        self.assert_all_run(NEWEST, str(result))
        restarts = [s["state"] for s in result.json["steps"] if s["id"].endswith(".restart")]
        self.assertEqual(restarts, ["succeeded"] * len(MEMBERS), "the package does not restart an instance")
        self.assertEqual(self.identity(), before)
        result = self.rollback()
        self.assertEqual(result.code, 0, str(result))
        self.assert_all_run(NEW, str(result))
        self.assertEqual(self.identity(), before)
        for member in MEMBERS:
            self.assertEqual(lab("ssh", member, "systemctl is-active patroni patroni@main", check=False).split(),
                             ["inactive", "active"])

    def test_whose_daemon_was_not_restarted_is_found(self):
        lab("ssh", "n2", f"DEBIAN_FRONTEND=noninteractive apt-get install -y -qq patroni={PACKAGE[NEWEST]} >/dev/null 2>&1")
        found = self.check()
        self.assertIn(("patroni.not_restarted", "n2"), self.findings(found), str(found))
        lab("ssh", "n2", "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --allow-downgrades "
            f"patroni={PACKAGE[NEW]} >/dev/null 2>&1")


class OfAServiceElsewhere(LiveTest):
    """A Patroni that systemd does not have under this name."""

    def test_is_left_alone(self):
        inventory = self.inventory.with_name("elsewhere.yaml")
        inventory.write_text(self.inventory.read_text().replace("patroni_service: patroni\n", "patroni_service: nowhere\n"))
        plan = self.assert_unchanged(
            lambda: self.upgrade(PACKAGE[NEWEST], "--output", "json", command="plan", inventory=inventory))
        self.assert_refused(plan, 4, "service.not_what_runs", "patroni_service: patroni")
        said = " ".join(f["message"] for f in plan.json["blocked_by"])
        self.assertIn("nowhere is not what runs this cluster (systemd: not-found): the daemon, pid", said)
        self.assertEqual({f["member"] for f in plan.json["blocked_by"]}, set(MEMBERS), REPLICAS)
