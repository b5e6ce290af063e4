"""What was sent and not seen to end: the engine that dies in its pause, the command that outlives its timeout."""

from harness import MEMBERS, NEWEST, PACKAGE, LiveTest, close_gate, config, file_of, lab, open_gate, wait_until

# A service that takes 15 s to start, and says each time that it was started.
SLOW_UNIT = r"[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sh -c 'sleep 15; echo started >>/var/tmp/lab-starts'\n"
START = """
runbook: start
steps:
  - {id: start, on: n2, uses: service.start, with: {service: lab-slow}, timeout: 3s, undo: none}
"""


class OpenCalls(LiveTest):
    seconds_per_test = 45
    lists_members = False

    def tearDown(self):
        close_gate()
        file_of("n2", "/var/tmp/lab-starts").unlink(missing_ok=True)
        lab("ssh", "n2", "systemctl stop lab-slow 2>/dev/null; rm -f /run/systemd/system/lab-slow.service; systemctl daemon-reload")
        self.reset()

    def findings_about(self, result, run):
        return {f["id"]: f for f in result.json["findings"] if f.get("subject") == run}

    def test_an_engine_that_dies_in_its_pause_is_named_with_the_way_on(self):
        run = self.start_gated_upgrade(NEWEST)
        run_id = run.wait_for_event(event="run_started")["run"]
        run.kill()

        # By the lock alone, as a colleague on this machine sees it, and at once.
        found = self.check(state=self.work.name + "/other")
        left = self.findings_about(found, run_id)
        self.assertEqual((found.code, left["member.leftover"]["severity"]), (2, "critical"), str(found))
        self.assertIn("patroni.pause", left["member.leftover"]["message"])
        self.assertIn(f"lockstep resume {run_id}", left["member.leftover"]["remedy"])
        # By the journal, where nothing on the members says so any more.
        for member in MEMBERS:
            lab("ssh", member, "rm -f /var/lib/lockstep/lock.*")
        left = self.findings_about(self.check(), run_id)
        self.assertEqual(left["state.run_abandoned"]["severity"], "critical")
        self.assertIn("patroni.pause", left["state.run_abandoned"]["message"])
        self.assertFalse(self.show(run_id)["engine"]["alive"])

        new = self.upgrade(PACKAGE[NEWEST])
        self.assertEqual(new.code, 15, str(new))
        self.assertIn(f"lockstep resume {run_id}", new.out + new.err)

        open_gate()
        result = self.resume()
        self.assertEqual(result.code, 0, str(result))
        self.assertNotIn("pause", config())
        wait_until(lambda: self.check().code == 0, 20, "all is well")

    def test_a_start_that_outlives_its_timeout_is_never_made_twice(self):
        lab("ssh", "n2", f"printf \"{SLOW_UNIT}\" >/run/systemd/system/lab-slow.service; systemctl daemon-reload")
        run = self.lockstep("run", self.write_runbook(START, "start"), "--yes", "--output", "json")
        self.assertEqual(run.code, 13, str(run))
        self.assertIn("n2", run.json["message"])
        result = self.resume()
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(file_of("n2", "/var/tmp/lab-starts").read_text(encoding="ascii"), "started\n")
