"""A cluster whose replicas are not like others: the upgrade compares them with how they were."""

import json

from harness import MEMBERS, NEW, NEWEST, PACKAGE, LiveTest, config, file_of, lab, member_versions, postmasters, wait_until


def edit(member, old, new):
    """A change of Patroni's configuration of one member, taken up. `lab reset` puts the file back."""
    path = file_of(member, "/etc/patroni/config.yml")
    text = path.read_text(encoding="utf-8")
    assert old in text, text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    lab("ssh", member, "systemctl reload patroni")


def state_of(member):
    return json.loads(lab("rest", member, "GET", "/patroni")).get("replication_state")


class DelayedAndFromTheArchive(LiveTest):
    leader_patroni = replica_patroni = NEW
    seconds_per_test = 60

    def test_are_upgraded_and_what_cannot_be_proven_is_said(self):
        self.addCleanup(self.reset)
        edit("n2", "  parameters:\n", "  parameters:\n    recovery_min_apply_delay: 1h\n")
        edit("n3", "  parameters:\n", "  recovery_conf: {restore_command: /bin/false}\n  parameters:\n")
        edit("n3", "postgresql:\n", "tags: {nostream: true}\npostgresql:\n")
        wait_until(lambda: lab("sql", "n2", "show recovery_min_apply_delay").strip() == "1h", 30, "n2 replays late")
        wait_until(lambda: state_of("n3") == "in archive recovery", 30, "n3 follows the archive")
        lab("sql", "n1", "create table unlike as select md5(i::text) from generate_series(1, 400000) i; drop table unlike")
        found = self.check()
        self.assertEqual(self.findings(found) & {("replication.delayed", "n2")}, {("replication.delayed", "n2")}, str(found))
        self.assertNotIn(("replication.lag", "n2"), self.findings(found), str(found))
        before = postmasters()
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, NEWEST))
        self.assertEqual(before, postmasters())
        self.assertNotIn("pause", config())
        self.assertIn("n3", " ".join(result.json["unproven"]), str(result))
        self.assertLess(result.seconds, 100, str(result))
