"""One Patroni version on every member, whatever was there before."""

import json

from harness import (MEMBERS, NEW, NEWEST, OLD, PACKAGE, LiveTest, cluster, config, lab, leader, member_versions,
                     postmasters, timeline)


class MainJob(LiveTest):
    """A run, with everything that it must keep: see `assert_upgraded`."""
    lists_members = False
    seconds_per_test = 60

    def assert_upgraded(self, version, *argv):
        before = {"postmasters": postmasters(), "timeline": timeline(), "leader": leader()}
        lab("writer", "start")
        try:
            result = self.upgrade(PACKAGE[version], "--output", "json", *argv)
        finally:
            client = json.loads(lab("writer", "stop"))
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, version))
        self.assertEqual(before, {"postmasters": postmasters(), "timeline": timeline(), "leader": leader()})
        self.assertNotIn("pause", config())
        for member in cluster()["members"]:
            self.assertIn(member["state"], ("running", "streaming"), member)
        self.assertEqual((client["errors"], client["lost"]), (0, 0), client)
        self.assertLess(client["longest_gap_ms"], 1000, client)
        self.assertGreater(client["commits"], 50, client)
        self.assertEqual(result.json["state"], "succeeded")
        self.assertEqual(result.json["measured"]["postgres_restarts"], 0)
        self.assertGreater(result.json["measured"]["paused_ms"], 0)
        self.assertEqual(result.json["measured"]["client_errors"], 0, str(result))
        self.assertLess(result.json["measured"]["write_gap_ms"], 1000, str(result))
        return result

    def assert_nothing_to_do(self, version):
        result = self.assert_unchanged(lambda: self.upgrade(PACKAGE[version], "--output", "json"))
        self.assertEqual(result.code, 0, str(result))
        steps = result.json["steps"]
        self.assertFalse([s for s in steps if s["uses"] in ("patroni.pause", "package.install", "service.restart")
                          and s["state"] not in ("skipped", "already_done")], str(result))
        self.assertEqual(result.json["measured"]["paused_ms"], 0)


class FromMixedVersions(MainJob):
    leader_patroni, replica_patroni = OLD, NEW

    def test_the_whole_way(self):
        """One story in order: found, previewed, done, and nothing left to do."""
        lab("break", "orphan-slot", "n3", "200")
        with self.subTest("check names the mixed versions, and the stuck slot where it is and nowhere else"):
            found = self.check()
            self.assertEqual(found.code, 2, str(found))
            self.assertIn(("patroni.mixed_versions", ""), {(i, m or "") for i, m in self.findings(found)})
            stuck = [f for f in found.json["findings"] if f["id"] == "slot.stuck"]
            self.assertEqual([f["member"] for f in stuck], ["n3"], str(found))
            self.assertIn("legacy", stuck[0]["message"])
        with self.subTest("plan changes nothing at all"):
            plan = self.assert_unchanged(
                lambda: self.upgrade(PACKAGE[NEW], "--set", "drop_slots=legacy", "--output", "json", command="plan"))
            self.assertEqual(plan.code, 0, str(plan))
            verdicts = {(s["id"], s["member"]): s["verdict"] for s in plan.json["steps"]}
            self.assertEqual(verdicts["leader.install", "n1"], "will")
            self.assertEqual(verdicts["replicas.install", "n2"], "wont")
            self.assertEqual(verdicts["pause", None], "will")
        with self.subTest("a slot that nobody names is left alone, and said to be"):
            plan = self.upgrade(PACKAGE[NEW], command="plan")
            self.assertIn("decide", plan.out)
            self.assertIn("--set drop_slots=legacy", plan.out)
        with self.subTest("run"):
            self.assert_upgraded(NEW, "--set", "drop_slots=legacy")
            after = self.check()
            self.assertEqual(after.code, 0, str(after))
            self.assertEqual(after.json["findings"], [])
        with self.subTest("the same again does nothing"):
            self.assert_nothing_to_do(NEW)


class FromTheOldOne(MainJob):
    leader_patroni, replica_patroni = OLD, OLD

    def test_a_healthy_old_cluster_has_no_finding_and_is_upgraded(self):
        self.assertEqual(self.check().json["findings"], [])
        self.assert_upgraded(NEW)


class FromHealthy(MainJob):
    def test_inactive_slots_that_advance_are_no_finding(self):
        slots = lab("sql", "n2", "select count(*) from pg_replication_slots where not active").strip()
        self.assertGreater(int(slots), 0, "a 4.x replica has inactive slots, else this test proves nothing")
        self.assertEqual(self.check().json["findings"], [])

    def test_a_replica_behind_is_brought_up(self):
        lab("rest", "n1", "PATCH", "/config", '{"pause": true}')
        lab("ssh", "n3", f"sleep 4; apt-get install -y -q --allow-downgrades patroni={PACKAGE[OLD]} && sleep 2")
        lab("rest", "n1", "PATCH", "/config", '{"pause": null}')
        self.assertIn(("patroni.mixed_versions", ""), {(i, m or "") for i, m in self.findings(self.check())})
        self.assert_upgraded(NEW)

    def test_up_to_the_newest_and_down_to_the_oldest(self):
        self.assert_upgraded(NEWEST)
        self.assertEqual(self.check().json["findings"], [])
        self.assert_upgraded(OLD)


class SideBySide(MainJob):
    leader_patroni, replica_patroni = OLD, OLD

    def test_replicas_are_done_at_once_and_the_leader_once_they_are_verified(self):
        result = self.assert_upgraded(NEW, "--set", "batch=all")
        steps = {(step["id"], step["member"]): step for step in result.json["steps"]}
        begun = max(steps["replicas.install", member]["started_at"] for member in ("n2", "n3"))
        verified = [steps["replicas.verify", member]["ended_at"] for member in ("n2", "n3")]
        self.assertLess(begun, min(verified), str(result))
        self.assertGreaterEqual(steps["leader.install", "n1"]["started_at"], max(verified), str(result))
