"""What makes a run impossible is found before any change, with the code, a finding and a hint."""

import contextlib
import pathlib
import re

from harness import NEW, NEWEST, OLD, PACKAGE, LiveTest, cluster, lab, primaries, wait_until


class SavedPlans(LiveTest):
    """A plan in a file is run as it was seen, or not at all."""

    def setUp(self):
        self.file = str(pathlib.Path(self.work.name) / "plan.json")
        made = self.assert_unchanged(lambda: self.lockstep(
            "plan", "patroni-upgrade", "--set", f"target={PACKAGE[NEWEST]}", "--out", self.file, "--output", "json"))
        self.assertEqual(made.code, 0, str(made))
        self.hash = made.json["plan_hash"]

    def tearDown(self):
        self.reset()

    def assert_stale(self, *words):
        found = self.assert_unchanged(lambda: self.lockstep("run", self.file, "--yes", "--output", "json"))
        self.assertEqual((found.code, found.json["state"]), (17, "stale"), str(found))
        told = "\n".join(found.json["differences"])
        for word in words:
            self.assertIn(word, told)
        self.assertEqual(self.lockstep("plan", "--diff", self.file).code, 17)

    def test_one_that_is_still_true_is_what_runs(self):
        self.assertEqual(self.lockstep("plan", "--diff", self.file).code, 0)
        result = self.lockstep("run", self.file, "--yes", "--output", "json")
        self.assertEqual((result.code, result.json["plan_hash"]), (0, self.hash), str(result))
        self.assert_all_run(NEWEST)
        self.assert_stale("verdict of step replicas.install on n2: will, now wont")

    def test_another_leader(self):
        lab("rest", "n1", "POST", "/switchover", '{"leader": "n1", "candidate": "n2"}')
        wait_until(lambda: primaries() == ["n2"], 60, "n2 leads")
        wait_until(lambda: self.check().json["findings"] == [], 60, "all is well again")
        # A member that was just made a replica tells its timeline a loop later than that it streams.
        wait_until(lambda: all("timeline" in m for m in cluster()["members"]), 30, "every member tells its timeline")
        self.assert_stale("leader: n1, now n2")

    def test_another_inventory_and_an_edited_file(self):
        inventory = pathlib.Path(self.inventory)
        text = inventory.read_text(encoding="utf-8")
        try:
            inventory.write_text(text + "# reviewed\n", encoding="utf-8")
            self.assert_stale("the inventory was changed")
        finally:
            inventory.write_text(text, encoding="utf-8")
        plan = pathlib.Path(self.file)
        plan.write_text(plan.read_text(encoding="utf-8").replace("systemctl restart", "systemctl stop", 1), encoding="utf-8")
        edited = self.lockstep("run", self.file, "--yes")
        self.assertEqual(edited.code, 3, str(edited))
        self.assertIn("changed after it was made", edited.err)


class Refusals(LiveTest):
    leader_patroni, replica_patroni = OLD, NEW

    @contextlib.contextmanager
    def broken(self, kind, member, *argument):
        lab("break", kind, member, *argument)
        try:
            yield
        finally:
            lab("mend", kind, member)

    def refused(self, code, finding, hint=None, version=PACKAGE[NEW], **more):
        """run refuses, and so does plan, for the same reason."""
        run = self.upgrade(version, "--output", "json", **more)
        self.assert_refused(run, code, finding, hint)
        plan = self.upgrade(version, "--output", "json", command="plan", **more)
        self.assert_refused(plan, code, finding, hint)
        self.assertEqual(self.lockstep("runs", "--output", "json").json, [])

    def inventory_with(self, pattern, replacement):
        changed = self.inventory.with_name("changed.yaml")
        text, count = re.subn(pattern, replacement, self.inventory.read_text())
        self.assertGreater(count, 0, f"{pattern} is not in the inventory")
        changed.write_text(text)
        return changed

    def test_a_target_that_no_repository_has(self):
        self.assert_unchanged(lambda: self.refused(4, "package.unavailable", "4.0.7", version="9.9.9"))

    def test_a_member_unreachable_over_ssh(self):
        with self.broken("stop-sshd", "n2"):
            self.refused(16, "member.unreachable")

    def test_the_api_of_one_member_dead(self):
        lab("rest", "n1", "PATCH", "/config", '{"pause": true}')
        lab("ssh", "n3", "sleep 4")
        with self.broken("stop-patroni", "n3"):
            lab("rest", "n1", "PATCH", "/config", '{"pause": null}')
            self.refused(16, "member.unreachable")

    def test_a_wrong_host_key(self):
        with self.broken("host-key", "n2"):
            self.refused(16, "member.unreachable", "key")

    def test_a_wrong_rest_password(self):
        wrong = self.inventory.with_name("wrong-password")
        wrong.write_text("wrong\n")
        wrong.chmod(0o600)
        inventory = self.inventory_with(r"password: .*", f"password: {{file: {wrong}}}")
        self.assert_unchanged(lambda: self.refused(4, "patroni.write_refused", "password", inventory=inventory))

    def test_no_leader(self):
        with self.broken("no-leader", "n1"):
            self.assertIn(self.upgrade(PACKAGE[NEW], "--output", "json").code, (4, 16))
            found = self.check()
            self.assertEqual(found.code, 2)
            self.assertIn("cluster.no_leader", {f["id"] for f in found.json["findings"]})

    def test_a_replica_that_does_not_stream(self):
        with self.broken("stop-replication", "n3"):
            self.assert_unchanged(lambda: self.refused(4, "replication.not_streaming"))

    def test_a_disk_nearly_full(self):
        with self.broken("fill-disk", "n2", "95"):
            self.assert_unchanged(lambda: self.refused(4, "disk.low"))

    def test_a_cluster_that_somebody_else_paused(self):
        with self.broken("pause", "n1"):
            self.assert_unchanged(lambda: self.refused(4, "cluster.paused", "patronictl resume"))

    def test_nobody_there_to_say_yes(self):
        result = self.lockstep("run", "patroni-upgrade", "--set", f"target={PACKAGE[NEW]}")
        self.assertEqual(result.code, 2, str(result))
        self.assertIn("--yes", result.err)
