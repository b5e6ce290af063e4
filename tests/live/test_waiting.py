"""Runs that wait: for a person, or for a window. Nothing is left running meanwhile, and they go on from what is on record."""

import datetime
import getpass
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import LOCKSTEP, LiveTest, config, file_of, lab, postmasters

# Somebody else on this machine, whom the group of the state folder lets in.
OTHER, GROUP = "nobody", "nogroup"
KEY, VALUE = "maximum_lag_on_failover", 1048577
MARKS = "/var/tmp/lab-waiting"

ASKED = f"""
runbook: asked
notify:
  - {{on: [start, wait, approval, failure, end], to: [desk]}}
steps:
  - {{id: gate, uses: check, with: {{refuse_on: critical}}}}
  - {{id: may_i, uses: approve, with: {{message: "Is the backup there?"}}}}
  - {{id: setting, uses: patroni.config, with: {{patch: {{{KEY}: {VALUE}}}}}}}
  - id: mark
    on: n2
    uses: ssh.run
    with: {{shell: echo done >>{MARKS}}}
    undo: [{{uses: ssh.run, with: {{shell: sed -i '/^done$/d' {MARKS}}}}}]
always:
  - {{id: over, on: n3, uses: ssh.run, with: {{shell: echo over >>{MARKS}}}}}
"""


def window_in(hours):
    """A runbook that may run for an hour of each week, which begins so many hours from now; and that moment."""
    opens = datetime.datetime.now(datetime.timezone.utc).replace(minute=0, second=0, microsecond=0)
    opens += datetime.timedelta(hours=hours)
    day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"][opens.weekday()]
    return opens, f"""
runbook: later
window:
  time_zone: UTC
  weekly: [{{days: {day}, from: "{opens:%H:%M}", for: 1h}}]
steps:
  - {{id: gate, uses: check, with: {{refuse_on: critical}}}}
  - {{id: setting, uses: patroni.config, with: {{patch: {{{KEY}: {VALUE}}}}}}}
"""


class Shared(LiveTest):
    """In a state folder that two people share. Every test takes back what its runs have done."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Nothing on the way to it may keep the other one out, so it is not in the folder of the tests.
        cls.outside = tempfile.mkdtemp(prefix="lockstep-shared-", dir="/tmp")
        os.chmod(cls.outside, 0o755)
        cls.binary = shutil.copy(LOCKSTEP, cls.outside)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.outside)
        super().tearDownClass()

    def setUp(self):
        self.shared = pathlib.Path(tempfile.mkdtemp(dir=self.outside))
        shutil.chown(self.shared, group=GROUP)
        self.shared.chmod(0o2770)
        self.told_file = pathlib.Path(self.work.name) / "told"
        self.told_file.write_text("")
        self.with_desk = pathlib.Path(self.work.name) / "with-desk.yaml"
        self.with_desk.write_text(self.inventory.read_text() + f"notify:\n  desk: {{command: [tee, -a, {self.told_file}]}}\n")
        self.before = {"config": config(), "marks": [], "postmasters": postmasters()}
        self.assertEqual(self.there(), self.before)

    def tearDown(self):
        for member in ("n2", "n3"):
            file_of(member, MARKS).unlink(missing_ok=True)
        if config() != self.before["config"]:
            self.reset()

    def there(self):
        """What the runs of these tests would change."""
        return {"config": config(), "marks": self.marks("n2"), "postmasters": postmasters()}

    @staticmethod
    def marks(member):
        path = file_of(member, MARKS)
        return path.read_text(encoding="ascii").split() if path.exists() else []

    def told(self):
        return [json.loads(line) for line in self.told_file.read_text(encoding="utf-8").splitlines()]

    def call(self, *argv):
        return self.lockstep(*argv, inventory=self.with_desk, state=self.shared)

    def begin(self, *argv):
        return self.start("run", self.write_runbook(ASKED, "asked"), "--yes", *argv, inventory=self.with_desk, state=self.shared)

    def run_that_waits(self):
        """One that has ended because somebody is asked; its id."""
        result = self.begin("--output", "json").wait(60)
        self.assertEqual((result.code, result.json["state"]), (14, "waiting"), str(result))
        self.assertEqual(result.json["waiting_for"], ["may_i waits for an approval"])
        return result.json["run"]

    def answer_of_another(self, run, *argv):
        done = subprocess.run([self.binary, "approve", run, *argv, "--state", str(self.shared)], user=OTHER, group=GROUP,
                              extra_groups=[], cwd="/", env={"PATH": os.environ["PATH"]}, capture_output=True, text=True,
                              timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def shown(self, run):
        return self.call("show", run, "--output", "json").json

    def states(self, run):
        return {step["id"]: step["state"] for step in self.shown(run)["steps"]}

    def assert_done(self, run, result):
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(config(), {**self.before["config"], KEY: VALUE})
        self.assertEqual((self.marks("n2"), self.marks("n3")), (["done"], ["over"]))
        self.assertEqual(postmasters(), self.before["postmasters"])
        self.assertEqual(set(self.states(run).values()), {"succeeded"}, self.states(run))

    def take_back(self, run):
        result = self.call("rollback", run, "--yes", "--output", "json")
        self.assertEqual((result.code, result.json["state"]), (0, "rolled_back"), str(result))
        self.assertEqual(self.there(), self.before)


class Approvals(Shared):
    def test_an_approval_that_somebody_else_gives_lets_a_run_go_on_that_had_ended(self):
        run = self.run_that_waits()
        self.assertEqual(self.there(), self.before)
        self.assertEqual(self.marks("n3"), [], "what is always done is not done while a run waits")
        self.assertEqual([event["event"] for event in self.told()], ["start", "approval", "wait"])
        self.assertIn(f"lockstep approve {run} may_i", self.told()[1]["details"])

        again = self.assert_unchanged(lambda: self.call("resume", run))
        self.assertEqual((again.code, again.out), (14, ""), str(again))
        self.assertIn("waits for an approval", again.err)

        own = self.call("approve", run)
        self.assertEqual(own.code, 4, str(own))
        self.assertIn("somebody else has to approve it", own.err)
        self.assertEqual(self.call("resume", run).code, 14)

        self.answer_of_another(run, "--comment", "seen in the vault")
        self.assertEqual(self.there(), self.before, "an answer alone changes nothing")
        result = self.call("resume", run, "--output", "json")
        self.assert_done(run, result)
        (asked,) = self.shown(run)["approvals"]
        self.assertEqual((asked["step"], asked["state"], asked["message"]), ("may_i", "granted", "Is the backup there?"))
        (answer,) = asked["answers"]
        host = os.uname().nodename
        self.assertEqual((answer["answer"], answer["by"], answer["comment"], answer["why_not"]),
                         ("approved", f"{OTHER}@{host}", "seen in the vault", None))
        self.assertEqual(self.shown(run)["started_by"], f"{getpass.getuser()}@{host}")
        self.assertEqual(self.told()[-1]["event"], "end")
        self.assertNotIn("failure", [event["event"] for event in self.told()])
        self.take_back(run)

    def test_a_rejection_ends_a_run_with_nothing_changed_while_another_waits(self):
        first = self.run_that_waits()
        second = self.run_that_waits()  # a run that waits holds no lock
        self.answer_of_another(second, "--reject", "--comment", "not tonight")
        result = self.call("resume", second, "--output", "json")
        self.assertEqual((result.code, result.json["state"]), (4, "failed"), str(result))
        self.assertEqual(result.json["message"], f"may_i: rejected by {OTHER}@{os.uname().nodename}: not tonight")
        self.assertEqual(self.there(), self.before)
        self.assertEqual(self.marks("n3"), ["over"], "what is always done is done after a failure")
        self.assertEqual(self.states(second)["setting"], "pending")
        self.assertEqual([e["event"] for e in self.told() if e["run"] == second][-2:], ["failure", "end"])
        self.assertEqual(self.call("resume", first).code, 14, "it was not the one that was rejected")

    def test_a_run_that_waits_in_the_foreground_goes_on_and_outlives_a_kill(self):
        run = self.begin("--wait", "--output", "jsonl")
        run_id = run.wait_for_event(event="waiting")["run"]
        self.answer_of_another(run_id)
        self.assert_done(run_id, run.wait(60))
        self.take_back(run_id)
        file_of("n3", MARKS).unlink()

        killed = self.begin("--wait", "--output", "jsonl")
        run_id = killed.wait_for_event(event="waiting")["run"]
        killed.kill()
        self.assertEqual(self.there(), self.before)
        self.answer_of_another(run_id)
        self.assert_done(run_id, self.call("resume", run_id, "--output", "json"))
        self.take_back(run_id)


class Windows(Shared):
    def test_outside_of_its_window_a_run_begins_nothing_unless_somebody_says_why(self):
        opens, text = window_in(hours=50)
        runbook = self.write_runbook(text, "later")
        at = f"{opens:%Y-%m-%dT%H:00:00.000Z}"
        with self.subTest("windows prints the next five"):
            listed = self.call("windows", runbook)
            self.assertEqual(listed.code, 0, str(listed))
            self.assertEqual(len([line for line in listed.out.splitlines() if line.endswith("(1 h)")]), 5, listed.out)
            (window,) = self.call("windows", runbook, "--output", "json").json["windows"]
            self.assertEqual((window["open"], window["next"]), (False, at))
            week = datetime.timedelta(days=7)
            self.assertEqual([o["from"] for o in window["openings"]],
                             [f"{opens + i * week:%Y-%m-%dT%H:00:00.000Z}" for i in range(5)])
        with self.subTest("run refuses"):
            refused = self.assert_unchanged(lambda: self.call("run", runbook, "--yes", "--output", "json"))
            self.assert_refused(refused, 4, "window.closed", "--wait-window")
            self.assertEqual(self.call("runs", "--output", "json").json, [])
        with self.subTest("run --wait-window waits, and so does a resume"):
            waits = self.call("run", runbook, "--yes", "--wait-window", "--output", "json")
            self.assertEqual((waits.code, waits.json["state"], waits.json["not_before"]), (14, "waiting", at), str(waits))
            waiting = waits.json["run"]
            again = self.assert_unchanged(lambda: self.call("resume", waiting))
            self.assertEqual((again.code, again.out), (14, ""), str(again))
            self.assertEqual(self.there(), self.before)
        with self.subTest("an emergency needs a reason"):
            self.assertEqual(self.call("resume", waiting, "--override-window").code, 2)
            self.assertEqual(self.there(), self.before)
        for said in ("run", runbook, "--yes"), ("resume", waiting):
            with self.subTest("an emergency", command=said[0]):
                done = self.call(*said, "--override-window", "--reason", "the disk fills up", "--output", "json")
                self.assertEqual((done.code, config().get(KEY)), (0, VALUE), str(done))
                self.assertIn("the windows do not count: the disk fills up", self.shown(done.json["run"])["notes"])
                self.take_back(done.json["run"])

