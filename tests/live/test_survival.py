"""Whatever ends lockstep, a run goes on where it was: nothing is repeated, nothing is skipped, nothing is forgotten."""

import os
import random
import signal
import sys
import time

from harness import MEMBERS, NEW, OLD, PACKAGE, SLOW, DpkgLogs, LiveTest, config, file_of, lab, wait_until


def say(text):
    print(text, file=sys.stderr, flush=True)


class Kills(LiveTest):
    """SIGKILL at random moments over the whole length of a run, up and down, and again while it is resumed."""

    seconds_per_test = 300
    lists_members = False
    leader_patroni = replica_patroni = OLD

    RUNS = int(os.environ.get("LOCKSTEP_KILLS", "4"))
    # How often each run in turn is killed: the run itself, then its resumes.
    TIMES = (1, 2, 1, 3, 1)  # of odd length, so that up and down get each

    def setUp(self):
        seed = os.environ.get("LOCKSTEP_SEED", str(random.randrange(10**6)))
        say(f"\n  LOCKSTEP_SEED={seed}")
        self.random = random.Random(seed)

    def measure(self, version):
        """How long a run takes that nobody disturbs."""
        result = self.upgrade(PACKAGE[version], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        self.assert_all_run(version)
        return result.seconds

    def begin_and_kill(self, version, span):
        """The id of a run that was killed after it had begun, when, and in the middle of what; None for all if it had ended."""
        run = self.start_upgrade(version)
        run_id = run.wait_for_event(event="run_started")["run"]
        begun = time.monotonic() - run.begun
        at = self.random.uniform(begun, begun + 0.95 * (span - begun))
        where = run.kill_at(at)
        if where is None or self.show(run_id)["state"] == "succeeded":
            return None, None, None
        return run_id, at, where

    def resume_to_the_end(self, run_id, kills, left):
        """Resumes, and kills that too, so often, while it still has seconds left to run: about `left`. Returns the last result,
        and each kill's moment and place."""
        killed = []
        while True:
            resumed = self.start("resume", run_id, "--yes", "--output", "jsonl")
            at = self.random.uniform(0.1, max(0.8, 0.9 * left))
            where = resumed.kill_at(at) if len(killed) < kills else None
            if where is None:
                return resumed.wait(), killed
            killed.append((at, where))
            left -= at
            if self.show(run_id)["state"] == "succeeded":
                return None, killed

    def survive(self, number, version, span):
        """One run, killed and resumed to its end, with all that must hold then. False: it had ended before it was killed."""
        before, logs = self.identity(), DpkgLogs()
        with self.writing():
            run_id, at, where = self.begin_and_kill(version, span)
            if run_id is None:
                return False
            result, more = self.resume_to_the_end(run_id, self.TIMES[number % len(self.TIMES)] - 1, span - at)
        story = f"to {version}: killed " + "; resumed, killed ".join(
            f"at {moment:.1f} s ({', '.join(what)})" for moment, what in [(at, where), *more]) + "; resumed to the end"
        say(f"  run {number + 1} {story}")
        if result is not None:
            self.assertEqual(result.code, 0, f"{story}\n{result}")
        self.assertEqual(self.show(run_id)["state"], "succeeded", story)
        self.assertEqual(logs.all_installs(), dict.fromkeys(MEMBERS, [PACKAGE[version]]), story)
        self.assertEqual(self.identity(), before, story)
        self.assert_all_run(version, story)
        return True

    def test_a_killed_run_is_resumed_from_wherever_it_was(self):
        spans = {NEW: self.measure(NEW), OLD: self.measure(OLD)}
        survived = 0
        for attempt in range(2 * self.RUNS):
            version = (NEW, OLD)[attempt % 2]
            survived += self.survive(survived, version, spans[version])
            if survived == self.RUNS:
                break
        self.assertEqual(survived, self.RUNS, "too many runs had ended before they could be killed")


class InTheMiddle(LiveTest):
    """What comes between while apt is at work, which the slow package makes certain."""
    seconds_per_test = 35

    def setUp(self):
        self.before, self.logs = self.identity(), DpkgLogs()

    def tearDown(self):
        self.reset()

    def slow_upgrade(self, *argv):
        """An upgrade to the slow package, in the middle of apt on some replica. Returns it and that replica. The others are quick."""
        run = self.start_upgrade(SLOW, *argv)

        def at_work():
            self.assertTrue(run.running(), "it has ended")
            return next((m for m in MEMBERS if self.logs.configuring(m, PACKAGE[SLOW])), None)
        member = wait_until(at_work, 90, "the slow installation has begun somewhere")
        for other in set(MEMBERS) - {member}:
            file_of(other, "/var/tmp/lab-quick").touch()
        return run, member

    def assert_done_once(self, result):
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(self.logs.all_installs(), dict.fromkeys(MEMBERS, [PACKAGE[SLOW]]), str(result))
        self.assertEqual(self.identity(), self.before, str(result))
        self.assert_all_run(SLOW, str(result))

    def state_of(self, result, step, member):
        return next(s["state"] for s in result["steps"] if (s["id"], s["member"]) == (step, member))

    def test_the_network_is_cut_for_a_while(self):
        with self.writing():
            run, member = self.slow_upgrade()
            lab("break", "cut", member, "20")
            result = run.wait()
        self.assert_done_once(result)

    def test_the_ssh_connection_is_lost(self):
        with self.writing():
            run, member = self.slow_upgrade()
            lab("break", "drop-ssh", member)
            result = run.wait()
        self.assert_done_once(result)

    def test_the_ssh_connection_is_lost_and_no_other_can_be_had_for_a_while(self):
        with self.writing():
            run, member = self.slow_upgrade()
            lab("break", "cut", member, "20")
            lab("break", "drop-ssh", member)  # a cut alone does not end a connection: TCP goes on after it
            result = run.wait()
        self.assert_done_once(result)

    def test_the_engine_is_killed(self):
        with self.writing():
            run, member = self.slow_upgrade()
            self.assertEqual(run.kill(), [f"replicas.install on {member}"])
            result = self.resume()
        self.assert_done_once(result)
        self.assertEqual(result.json["state"], "succeeded")

    def test_the_engine_is_killed_and_the_network_is_cut(self):
        with self.writing():
            run, member = self.slow_upgrade()
            run.kill()
            lab("break", "cut", member, "20")
            wait_until(lambda: not self.cut(member), 40, "the link is back")
            result = self.resume()
        self.assert_done_once(result)

    def cut(self, member):
        return lab("ssh", member, "echo there", check=False).strip() != "there"

    def test_ctrl_c_once_and_resumed(self):
        with self.writing():
            run, member = self.slow_upgrade()
            run.signal(signal.SIGINT)
            result = run.wait()
            self.assertEqual(result.code, 130, str(result))
            self.assertEqual(self.logs.all_installs(), {m: [PACKAGE[SLOW]] if m == member else [] for m in MEMBERS})
            self.assertNotIn("pause", config(), "a pause stays behind")
            shown = self.show()
            self.assertEqual(shown["state"], "interrupted")
            self.assertEqual(self.state_of(shown, "replicas.install", member), "succeeded")
            result = self.resume()
        self.assert_done_once(result)

    def test_ctrl_c_twice_and_the_remote_command_goes_on(self):
        with self.writing():
            run, member = self.slow_upgrade()
            run.signal(signal.SIGINT)
            time.sleep(1)
            run.signal(signal.SIGINT)
            result = run.wait(30)
            self.assertEqual(result.code, 13, str(result))
            shown = self.show()
            self.assertEqual(shown["state"], "in_doubt")
            self.assertEqual(self.state_of(shown, "replicas.install", member), "in_doubt")
            self.assertIn(f"configure patroni:all {PACKAGE[SLOW]}", " ".join(self.logs.lines(member)))
            wait_until(lambda: f"status installed patroni:all {PACKAGE[SLOW]}" in " ".join(self.logs.lines(member)), 30,
                       "apt ends by itself")
            result = self.resume()
        self.assert_done_once(result)

    def test_a_killed_run_is_rolled_back_instead(self):
        with self.writing():
            run, member = self.slow_upgrade()
            run.kill()
            result = self.rollback()
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(self.show()["state"], "rolled_back")
        self.assertEqual(self.logs.installs(member), [PACKAGE[SLOW], PACKAGE[NEW]])
        self.assertEqual(self.identity(), self.before)
        self.assert_all_run(NEW, str(result))

    def test_a_killed_rollback_goes_on(self):
        with self.writing():
            self.assertEqual(self.upgrade(PACKAGE[OLD]).code, 0)
            rollback = self.start("rollback", "--yes", "--output", "jsonl")
            wait_until(lambda: any(PACKAGE[NEW] in self.logs.installs(m) for m in MEMBERS), 60, "the rollback is at work")
            rollback.kill()
            result = self.rollback()
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(self.show()["state"], "rolled_back")
        self.assertEqual(self.logs.all_installs(), dict.fromkeys(MEMBERS, [PACKAGE[OLD], PACKAGE[NEW]]))
        self.assertEqual(self.identity(), self.before)
        self.assert_all_run(NEW, str(result))

    def test_a_resumed_step_that_had_failed_is_done_again(self):
        runbook = self.write_runbook(
            "runbook: needs_a_file\n"
            "steps:\n"
            "  - {id: before, on: n1, uses: ssh.run, with: {shell: echo before >>/run/lab-story}}\n"
            "  - {id: needs, on: n2, uses: ssh.run, with: {argv: [cat, /run/lab-needed]}}\n"
            "  - {id: after, on: n1, uses: ssh.run, with: {shell: echo after >>/run/lab-story}}\n")
        try:
            result = self.lockstep("run", runbook, "--yes", "--output", "json")
            self.assertEqual((result.code, result.json["state"]), (10, "failed"), str(result))
            lab("ssh", "n2", "touch /run/lab-needed")
            result = self.resume()
            self.assertEqual((result.code, result.json["state"]), (0, "succeeded"), str(result))
            self.assertEqual(lab("ssh", "n1", "cat /run/lab-story").split(), ["before", "after"])
        finally:
            for member in MEMBERS:
                lab("ssh", member, "rm -f /run/lab-story /run/lab-needed")
