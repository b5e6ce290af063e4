"""What makes a run impossible is found before any change, with the code, a finding and a hint."""

import contextlib
import re

from harness import NEW, OLD, PACKAGE, LiveTest, lab


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
