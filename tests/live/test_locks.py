"""One run a cluster: two engines exclude each other, and one that has lost the lock does nothing more."""

import os
import re
import signal
import tempfile
import time

from harness import MEMBERS, LiveTest, file_of, lab, wait_until

RACES = int(os.environ.get("LOCKSTEP_RACES", "5"))
# Seconds that a lock lasts in these tests, instead of 60.
TTL = 12
SHORT = {"LOCKSTEP_LOCK_TTL": str(TTL)}

# What a run does shows in a file on each member. The first step waits until the test lets it go on, for a minute at most.
RUNBOOK = """
runbook: mark
inputs:
  who: {type: string, required: true}
  gate: {type: string, required: true}
steps:
  - id: first
    on: n1
    uses: ssh.run
    timeout: 90s
    with:
      shell: |
        echo ${{ inputs.who }} first >>/var/tmp/lab-marks
        for i in $(seq 300); do
          if [ -e /var/tmp/lab-gate-${{ inputs.gate }} ]; then exit 0; fi
          sleep 0.2
        done
        exit 1
    undo: none
  - id: then
    on: members
    strategy: {batch: all}
    uses: ssh.run
    with: {shell: "echo ${{ inputs.who }} then >>/var/tmp/lab-marks"}
    undo: none
"""


def marks():
    """Every line, with the member that has it."""
    lines = []
    for member in MEMBERS:
        path = file_of(member, "/var/tmp/lab-marks")
        if path.exists():
            lines += [(member, line) for line in path.read_text(encoding="ascii").splitlines()]
    return lines


def all_of(who):
    """The marks of a whole run."""
    return sorted([("n1", f"{who} first")] + [(m, f"{who} then") for m in MEMBERS])


class Locks(LiveTest):
    def setUp(self):
        self.clear()

    def tearDown(self):
        self.clear()
        self.reset()

    def clear(self):
        for member in MEMBERS:
            for path in file_of(member, "/var/tmp").glob("lab-*"):
                path.unlink()

    def open_gate(self, gate):
        file_of("n1", f"/var/tmp/lab-gate-{gate}").touch()

    def operator(self):
        """A state folder of its own: another laptop, as far as the journal goes."""
        return tempfile.mkdtemp(dir=self.work.name)

    def begin(self, who, gate="a", environment=None, state=None, output="jsonl"):
        return self.start("run", self.write_runbook(RUNBOOK, "mark"), "--set", f"who={who}", "--set", f"gate={gate}", "--yes",
                          "--output", output, state=state or self.operator(), environment=environment)

    def begin_and_act(self, who, **more):
        """A run in the middle of its first step."""
        run = self.begin(who, **more)
        wait_until(lambda: ("n1", f"{who} first") in marks(), 60, f"{who} is at work")
        return run

    def assert_turned_away(self, result, holder):
        """15, with who holds the cluster, from where, with which run, since when."""
        said = result.out + result.err
        self.assertEqual(result.code, 15, str(result))
        self.assertIn("root@" + os.uname().nodename, said)
        self.assertIn(holder.wait_for_event(event="run_started")["run"], said)
        self.assertRegex(said, r"\d+(\.\d+)? (ms|s|min|h)\b")
        self.assertIn("HINT", said)

    def race(self):
        self.clear()
        runs = {who: self.begin(who) for who in ("one", "other")}
        # The winner waits for the gate, so whoever ends first was turned away; if both act, nobody ends.
        loser = wait_until(lambda: next((who for who, run in runs.items() if not run.running()), None), 60, "one of them ends")
        winner = next(who for who in runs if who != loser)
        self.assertTrue(runs[winner].running(), f"both have ended: {runs[winner].text()} {runs[loser].text()}")
        self.assert_turned_away(runs[loser].wait(), runs[winner])
        self.open_gate("a")
        done = runs[winner].wait()
        self.assertEqual(done.code, 0, str(done))
        self.assertEqual(sorted(marks()), all_of(winner))

    def test_of_two_that_start_at_the_same_moment_exactly_one_acts(self):
        for race in range(RACES):
            with self.subTest(race=race):
                self.race()

    def test_a_second_run_is_turned_away_while_the_first_is_at_work(self):
        first = self.begin_and_act("first")
        second = self.begin("second").wait(60)
        self.assert_turned_away(second, first)
        self.assertTrue(first.running())
        self.open_gate("a")
        self.assertEqual(first.wait().code, 0)
        self.assertEqual(sorted(marks()), all_of("first"))
        third = self.begin("third")
        self.assertEqual(third.wait().code, 0, "the lock is still there")

    def frozen(self, gate):
        """A run that was frozen in its first step, which the member then finished, and whose lock has expired."""
        run = self.begin_and_act("frozen", gate=gate, environment=SHORT)
        run.signal(signal.SIGSTOP)
        self.open_gate(gate)
        time.sleep(TTL + 3)
        self.assertEqual(marks(), [("n1", "frozen first")])
        return run

    def assert_woken_run_does_nothing(self, run, others_marks):
        run.signal(signal.SIGCONT)
        result = run.wait(120)
        self.assertNotEqual(result.code, 0, str(result))
        self.assertEqual(sorted(marks()), sorted([("n1", "frozen first"), *others_marks]), str(result))
        self.assertIn("lock", (result.out + result.err).lower())

    def test_one_that_was_frozen_does_nothing_once_another_has_run(self):
        frozen = self.frozen("f")
        self.open_gate("b")
        other = self.begin("other", gate="b", environment=SHORT).wait(120)
        self.assertEqual(other.code, 0, str(other))
        self.assert_woken_run_does_nothing(frozen, all_of("other"))

    def test_one_that_was_frozen_does_nothing_while_another_runs(self):
        frozen = self.frozen("f")
        other = self.begin_and_act("other", gate="b", environment=SHORT)
        self.assert_woken_run_does_nothing(frozen, [("n1", "other first")])
        self.assertTrue(other.running(), "the woken one has disturbed it")
        self.open_gate("b")
        result = other.wait(120)
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(sorted(marks()), sorted([("n1", "frozen first"), *all_of("other")]))

    def test_a_lock_is_renewed_for_as_long_as_its_run_lasts(self):
        first = self.begin_and_act("first", environment=SHORT)
        time.sleep(TTL + 3)
        second = self.begin("second", environment=SHORT).wait(60)
        self.assert_turned_away(second, first)
        self.open_gate("a")
        self.assertEqual(first.wait().code, 0)

    def test_unlock_takes_exactly_the_named_lock(self):
        frozen = self.begin_and_act("frozen", gate="f")
        frozen.signal(signal.SIGSTOP)
        self.open_gate("f")
        away = wait_until(lambda: self.turned_away_by_a_lock(frozen), 60, "it is the lock that turns others away")
        lock_id = re.search(r"--lock-id[ =]([\w.-]+)", away.out + away.err)
        self.assertIsNotNone(lock_id, f"it does not say how to unlock: {away}")
        wrong = self.unlock("nothing")
        self.assertEqual(wrong.code, 2, str(wrong))
        self.assertIn(lock_id[1], wrong.out + wrong.err)
        self.assertEqual(self.begin("other", gate="b").wait(60).code, 15, "the wrong id has unlocked it")
        right = self.unlock(lock_id[1])
        self.assertEqual(right.code, 0, str(right))
        self.open_gate("b")
        other = self.begin("other", gate="b").wait(120)
        self.assertEqual(other.code, 0, str(other))
        self.assert_woken_run_does_nothing(frozen, all_of("other"))

    def turned_away_by_a_lock(self, holder):
        """Not by the command of the frozen run, which ends by itself a moment after the gate is open."""
        result = self.begin("other", gate="b").wait(60)
        self.assert_turned_away(result, holder)
        return result if "--lock-id" in result.out + result.err else None

    def unlock(self, lock_id):
        return self.lockstep("unlock", "lab", "--lock-id", lock_id, "--yes", "--reason", "its engine is frozen",
                             state=self.operator())

    def leftovers(self):
        found = self.check(state=self.operator())
        return found, {f["member"] for f in found.json["findings"] if f["id"] == "member.leftover"}

    def killed(self):
        """A run that was killed in its first step, which the member has finished since."""
        state = self.operator()
        run = self.begin_and_act("killed", gate="k", environment=SHORT, state=state)
        run.kill()
        self.open_gate("k")
        return state, run.events()[0]["run"]

    def assert_reported_until(self, state, run, act):
        wait_until(lambda: self.leftovers()[1], TTL + 30, "check reports what the killed run has left")
        result = act(state)
        self.assertEqual(result.code, 0, str(result))
        found, left = self.leftovers()
        self.assertEqual((found.code, left), (0, set()), str(found))
        files = [str(path) for member in MEMBERS for folder in ("/var/lib/lockstep", "/run/lockstep")
                 for path in file_of(member, folder).rglob("*") if run in path.name]
        self.assertEqual(files, [], "what the run has left on the members")

    def test_what_a_killed_run_leaves_is_reported_until_it_is_resumed(self):
        state, run = self.killed()
        self.assert_reported_until(state, run, lambda where: self.resume(state=where))
        self.assertEqual(sorted(marks()), all_of("killed"))

    def test_what_a_killed_run_leaves_is_reported_until_it_is_rolled_back(self):
        state, run = self.killed()
        self.assert_reported_until(state, run, lambda where: self.rollback(state=where))
        self.assertEqual(marks(), [("n1", "killed first")])

    def test_a_killed_run_does_not_keep_its_own_resume_waiting(self):
        state = self.operator()
        run = self.begin_and_act("killed", gate="k", state=state)  # with the lock of a minute
        run.kill()
        self.open_gate("k")
        result = self.resume(state=state)
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(sorted(marks()), all_of("killed"))
