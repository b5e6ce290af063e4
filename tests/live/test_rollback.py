"""A way back: whatever goes wrong, and also when nothing did, the cluster can be had as it was before."""

import contextlib

from harness import (BROKEN, HALF, INCIDENT_LEADER, INCIDENT_REPLICA, MEMBERS, NEW, NEWEST, OLD, PACKAGE, REPLICAS, ROOT,
                     DpkgLogs, LiveTest, lab)


class Rollback(LiveTest):
    """From 4.0.7, which is what must run everywhere again."""
    lists_members = False
    seconds_per_test = 45

    def setUp(self):
        self.before, self.logs = self.identity(), DpkgLogs()

    def tearDown(self):
        self.reset()

    def assert_as_before(self, result, version=NEW):
        self.assertEqual(self.show()["state"], "rolled_back", str(result))
        self.assertEqual(self.identity(), self.before, str(result))
        self.assert_all_run(version, str(result))
        self.assertEqual([m for m in MEMBERS if lab("ssh", m, "apt-mark showhold").strip()], [], "a hold stays behind")

    @contextlib.contextmanager
    def as_before(self, version=NEW):
        """The block runs while a client writes, and gives the result at the end of which all must be as it was."""
        results = []
        with self.writing():
            yield results
        self.assert_as_before(results[-1], version)

    def own_upgrade(self, replicas, leader, *argv):
        """patroni-upgrade with two targets, and without its long patience."""
        text = (ROOT / "runbooks" / "patroni-upgrade.yaml").read_text(encoding="utf-8")
        self.assertIn("on_failure: rollback", text)
        head, tail = text.split("  - id: leader\n")
        self.assertEqual(tail.count("${{ inputs.target }}"), 1, "the leader's install is not where it was")
        tail = tail.replace("${{ inputs.target }}", PACKAGE[leader])
        path = self.write_runbook((head + "  - id: leader\n" + tail).replace("timeout: 2m", "timeout: 20s"), "two-targets")
        return self.lockstep("run", path, "--set", f"target={PACKAGE[replicas]}", "--yes", "--output", "json", *argv)

    def test_a_daemon_that_does_not_start_on_a_replica(self):
        with self.as_before() as results:
            result = self.own_upgrade(replicas=BROKEN, leader=BROKEN)
            results.append(result)
            self.assertEqual((result.code, result.json["state"]), (11, "rolled_back"), str(result))
        self.assertEqual(self.logs.installs("n1"), [], "the leader was touched after a replica had failed")
        touched = [m for m in REPLICAS if self.logs.installs(m)]
        self.assertEqual([self.logs.installs(m) for m in touched], [[PACKAGE[BROKEN], PACKAGE[NEW]]], str(result))

    def test_a_daemon_that_does_not_start_on_the_leader(self):
        with self.as_before() as results:
            result = self.own_upgrade(replicas=NEWEST, leader=BROKEN)
            results.append(result)
            self.assertEqual((result.code, result.json["state"]), (11, "rolled_back"), str(result))
        self.assertEqual(self.logs.all_installs(), {"n1": [PACKAGE[BROKEN], PACKAGE[NEW]],
                                                    "n2": [PACKAGE[NEWEST], PACKAGE[NEW]],
                                                    "n3": [PACKAGE[NEWEST], PACKAGE[NEW]]}, str(result))

    def test_a_package_that_stays_half_configured(self):
        with self.as_before() as results:
            result = self.own_upgrade(replicas=NEWEST, leader=HALF)
            results.append(result)
            self.assertEqual((result.code, result.json["state"]), (11, "rolled_back"), str(result))
        self.assertEqual(self.logs.installs("n1"), [PACKAGE[HALF], PACKAGE[NEW]], str(result))

    def test_stopped_first_then_rolled_back_from_what_was_kept(self):
        """No repository has the old version any more."""
        with self.as_before() as results:
            result = self.own_upgrade(BROKEN, BROKEN, "--on-failure", "stop")
            self.assertEqual((result.code, result.json["state"]), (10, "failed"), str(result))
            self.assertEqual(self.identity(), self.before, str(result))
            self.assertNotEqual([m for m in REPLICAS if PACKAGE[BROKEN] in self.logs.installs(m)], [], str(result))
            for member in MEMBERS:
                lab("break", "repository", member)
            result = self.rollback()
            results.append(result)
            self.assertEqual(result.code, 0, str(result))
            for member in MEMBERS:
                self.assertEqual(lab("ssh", member, "apt-cache madison patroni"), "", "a repository had it after all")
                lab("mend", "repository", member)

    def test_a_run_that_has_succeeded(self):
        with self.as_before() as results:
            result = self.upgrade(PACKAGE[OLD], "--output", "json")
            self.assertEqual((result.code, result.json["state"]), (0, "succeeded"), str(result))
            self.assert_all_run(OLD)
            result = self.rollback(result.json["run"])
            results.append(result)
            self.assertEqual(result.code, 0, str(result))
        self.assertEqual(self.logs.all_installs(), dict.fromkeys(MEMBERS, [PACKAGE[OLD], PACKAGE[NEW]]))

    def test_what_is_rolled_back_already_is_left_alone(self):
        runbook = self.write_runbook(
            "runbook: touch\n"
            "steps:\n"
            "  - id: touch\n"
            "    on: members\n"
            "    uses: ssh.run\n"
            "    with: {shell: echo done >>/run/lab-story}\n"
            "    undo: [{uses: ssh.run, with: {shell: echo undone >>/run/lab-story}}]\n")
        try:
            done = self.lockstep("run", runbook, "--yes", "--output", "json")
            self.assertEqual(done.code, 0, str(done))
            back = self.rollback()
            self.assertEqual(back.code, 0, str(back))
            again = self.rollback()
            self.assertIn(again.code, (0, 2), str(again))
            self.assertIn("rolled back", again.out + again.err)
            for member in MEMBERS:
                self.assertEqual(lab("ssh", member, "cat /run/lab-story").split(), ["done", "undone"])
        finally:
            for member in MEMBERS:
                lab("ssh", member, "rm -f /run/lab-story")


class FromAKnownBadPair(LiveTest):
    """Leader 3.2.1, replicas 4.0.2: the pair whose slots stand still. The lab's packages have only the names."""
    lists_members = False

    seconds_per_test = 80
    leader_patroni, replica_patroni = INCIDENT_LEADER, INCIDENT_REPLICA

    def test_back_goes_to_versions_that_may_stand_side_by_side(self):
        found = self.check()
        self.assertIn("patroni.known_bad_pair", {f["id"] for f in found.json["findings"]}, str(found))
        before, logs = self.identity(), DpkgLogs()
        with self.writing():
            result = self.upgrade(PACKAGE[NEW], "--output", "json")
            self.assertEqual(result.code, 0, str(result))
            self.assert_all_run(NEW, str(result))
            result = self.rollback()
        self.assertEqual((result.code, self.show()["state"]), (0, "rolled_back"), str(result))
        self.assertEqual(self.identity(), before)
        self.assertEqual(logs.installs("n1"), [PACKAGE[NEW], PACKAGE[INCIDENT_LEADER]])
        self.assert_all_run(INCIDENT_LEADER, str(result))
