"""A run that goes wrong in the middle says so, and does not forget the pause."""

import signal
import subprocess
import time

from harness import LAB, LOCKSTEP, LiveTest, config, lab

HEAD = """
runbook: story
guards: [leader_unchanged, postgres_not_restarted]
steps:
  - {id: pause, uses: patroni.pause}
"""
TAIL = """
  - {id: resume, uses: patroni.resume, timeout: 5s}
"""


class Failures(LiveTest):
    def tearDown(self):
        self.reset()

    def runbook(self, steps):
        path = self.inventory.with_name("story.yaml")
        path.write_text(HEAD + steps + TAIL)
        return str(path)

    def run_story(self, steps):
        return self.lockstep("run", self.runbook(steps), "--yes", "--output", "json")

    def step(self, result, step, member=None):
        return next(s for s in result.json["steps"] if (s["id"], s["member"]) == (step, member))

    def test_a_failed_step_stops_the_run_and_the_pause_is_given_back(self):
        result = self.run_story("  - {id: work, on: n2, uses: ssh.run, with: {argv: [sh, -c, echo no space >&2; exit 3]}}\n")
        self.assertEqual(result.code, 10, str(result))
        self.assertEqual(result.json["state"], "failed")
        self.assertEqual(self.step(result, "work", "n2")["last_lines"], ["no space"])
        self.assertNotIn("pause", config())
        self.assertIn("taken back: patroni.pause", " ".join(result.json["notes"]))

    def test_a_pause_stays_when_the_lock_holders_daemon_is_down(self):
        result = self.run_story("  - {id: work, on: leader, uses: ssh.run, with: {argv: [systemctl, stop, patroni]}}\n")
        self.assertNotEqual(result.code, 0, str(result))
        self.assertTrue(config("n2")["pause"], "resuming now would promote a replica beside the old primary")
        self.assertIn("still in force", " ".join(result.json["notes"]))
        self.assertEqual(lab("sql", "n1", "select pg_is_in_recovery()").strip(), "f")

    def test_a_command_whose_end_is_not_seen_is_in_doubt(self):
        result = self.run_story("  - {id: work, on: n3, uses: ssh.run, timeout: 8s,\n"
                                "     with: {shell: 'ip link set host0 down; sleep 30; ip link set host0 up'}}\n")
        self.assertEqual(result.code, 13, str(result))
        self.assertEqual(self.step(result, "work", "n3")["state"], "in_doubt")

    def test_a_postgres_restart_under_it_stops_the_run_before_the_next_change(self):
        result = self.run_story(
            "  - {id: harm, on: n3, uses: ssh.run, with: {shell: 'kill -INT $(head -1 /var/lib/postgresql/*/*/postmaster.pid);"
            " sleep 2; systemctl restart patroni'}}\n"
            "  - {id: more, on: n2, uses: ssh.run, with: {argv: ['true']}}\n")
        self.assertEqual(result.code, 10, str(result))
        self.assertEqual(self.step(result, "more", "n2")["state"], "pending")

    def test_ctrl_c_finishes_what_runs_and_gives_the_pause_back(self):
        story = self.runbook("  - {id: work, on: n2, uses: ssh.run, with: {shell: sleep 4; touch /run/finished}}\n"
                             "  - {id: more, on: n3, uses: ssh.run, with: {argv: ['true']}}\n")
        with subprocess.Popen([LAB, "exec", "--", LOCKSTEP, "run", story, "--yes", "--output", "json", "-i",
                               str(self.inventory), "--state", str(self.state_folder)],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as run:
            deadline = time.monotonic() + 60
            while "pause" not in config() and time.monotonic() < deadline:
                time.sleep(0.1)
            time.sleep(1)
            run.send_signal(signal.SIGINT)
            out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130, f"{out}{err}")
        self.assertEqual(lab("ssh", "n2", "ls /run/finished").strip(), "/run/finished")
        self.assertNotIn("pause", config())
