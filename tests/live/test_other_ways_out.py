"""The two other ways out of mixed versions: the replicas to the leader's version, and WAL let go without any package."""

import json

from harness import (INCIDENT_LEADER, INCIDENT_REPLICA, MEMBERS, NEW, OLD, PACKAGE, REPLICAS, DpkgLogs, LiveTest, config,
                     installed_versions, lab, member_versions, wait_until)


def member_slots(member):
    """The slots on a member that are named after another one."""
    slots = lab("sql", member, "select slot_name from pg_replication_slots").split()
    return sorted(set(slots) & set(MEMBERS))


class OtherWaysOut(LiveTest):
    seconds_per_test = 35

    def setUp(self):
        self.before, self.logs = self.identity(), DpkgLogs()

    def tearDown(self):
        self.reset()

    def run_shipped(self, runbook, *argv, code=0):
        with self.writing() as client:
            result = self.lockstep("run", runbook, "--yes", "--output", "json", *argv)
        self.assertEqual(result.code, code, str(result))
        self.assertEqual(self.identity(), self.before, str(result))
        self.assertEqual(result.json["measured"]["postgres_restarts"], 0, str(result))
        self.assertLess(client["longest_gap_ms"], 1000, client)
        return result

    def assert_nothing_to_do(self, runbook, *argv):
        again = self.assert_unchanged(lambda: self.lockstep("run", runbook, "--yes", "--output", "json", *argv))
        self.assertEqual((again.code, again.json["state"]), (0, "succeeded"), str(again))
        return again

    def assert_aligned(self, version, touched):
        result = self.run_shipped("patroni-align-replicas")
        self.assert_all_run(version, str(result))
        self.assertEqual(self.logs.all_installs(), touched, str(result))
        self.assert_nothing_to_do("patroni-align-replicas")
        return result


class NewReplicasOfAnOldLeader(OtherWaysOut):
    leader_patroni, replica_patroni = OLD, NEW

    def test_replicas_go_down_to_their_leader_and_back_by_rollback(self):
        result = self.assert_aligned(OLD, {"n1": [], "n2": [PACKAGE[OLD]], "n3": [PACKAGE[OLD]]})
        back = self.rollback(result.json["run"])
        self.assertEqual((back.code, back.json["state"]), (0, "rolled_back"), str(back))
        self.assertEqual(member_versions(), {"n1": OLD, "n2": NEW, "n3": NEW})
        self.assertEqual(self.identity(), self.before)

    def test_wal_is_let_go_without_a_package_and_slots_come_back_once_versions_agree(self):
        for member in REPLICAS:
            self.assertEqual(len(member_slots(member)), 2, "without slots of members this shows nothing")
        with self.subTest("refused while paused"):
            lab("break", "pause", "n1")
            paused = self.lockstep("run", "patroni-relieve-wal", "--yes", "--output", "json")
            self.assertEqual(paused.code, 4, str(paused))
            lab("mend", "pause", "n1")
        with self.subTest("relieved"):
            result = self.run_shipped("patroni-relieve-wal")
            self.assertEqual(config()["member_slots_ttl"], 0)
            self.assertEqual({m: member_slots(m) for m in REPLICAS}, {"n2": [], "n3": []})
            self.assertEqual(member_slots("n1"), REPLICAS)
            self.assertIn("lockstep run patroni-relieve-wal", " ".join(result.json["notes"]), str(result))
            self.assertEqual(self.logs.all_installs(), {"n1": [], "n2": [], "n3": []})
            found = self.check()
            self.assertIn("config.member_slots_ttl", {f["id"] for f in found.json["findings"]}, str(found))
        with self.subTest("the same again does nothing while versions differ"):
            self.assert_nothing_to_do("patroni-relieve-wal")
            self.assertEqual(config()["member_slots_ttl"], 0)
        with self.subTest("rollback puts it back as it was"):
            back = self.rollback(result.json["run"])
            self.assertEqual((back.code, back.json["state"]), (0, "rolled_back"), str(back))
            self.assertNotIn("member_slots_ttl", config())
            wait_until(lambda: len(member_slots("n2")) == 2, 20, "the slots of members are kept again")
        with self.subTest("once versions agree, the same command puts it back"):
            self.run_shipped("patroni-relieve-wal")
            self.assertEqual(config()["member_slots_ttl"], 0)
            upgraded = self.upgrade(PACKAGE[NEW], "--output", "json")
            self.assertEqual(upgraded.code, 0, str(upgraded))
            self.assertEqual(config()["member_slots_ttl"], 0)
            self.run_shipped("patroni-relieve-wal")
            self.assertNotIn("member_slots_ttl", config())
            wait_until(lambda: len(member_slots("n2")) == 2, 20, "the slots of members are kept again")
            self.assert_all_run(NEW)

    def test_a_value_that_somebody_had_chosen_comes_back_by_rollback(self):
        lab("rest", "n1", "PATCH", "/config", '{"member_slots_ttl": "1h"}')
        result = self.run_shipped("patroni-relieve-wal")
        self.assertEqual(config()["member_slots_ttl"], 0)
        back = self.rollback(result.json["run"])
        self.assertEqual(back.code, 0, str(back))
        self.assertEqual(config()["member_slots_ttl"], "1h")

    def test_an_orphan_goes_only_by_its_name(self):
        lab("break", "orphan-slot", "n3", "200")
        orphan = "select count(*) from pg_replication_slots where slot_name = 'legacy'"
        kept = self.run_shipped("patroni-relieve-wal")
        self.assertEqual(lab("sql", "n3", orphan).strip(), "1")
        self.assertIn("legacy", " ".join(kept.json["unproven"]), str(kept))
        dropped = self.run_shipped("patroni-relieve-wal", "--set", "drop_slots=legacy")
        self.assertEqual(lab("sql", "n3", orphan).strip(), "0")
        self.assertNotIn("legacy", " ".join(dropped.json["unproven"]), str(dropped))
        self.assertNotIn("slot.stuck", {f["id"] for f in self.check().json["findings"]})


class TheIncident(OtherWaysOut):
    """Leader 3.2.1, replicas 4.0.2: the pair whose slots stand still. The lab's packages have only the names."""
    leader_patroni, replica_patroni = INCIDENT_LEADER, INCIDENT_REPLICA

    def bad_pairs(self):
        return {(f["member"], f["subject"]) for f in self.check().json["findings"] if f["id"] == "patroni.known_bad_pair"}

    def test_wal_is_relieved_and_the_pair_does_no_harm_any_more(self):
        self.assertEqual(self.bad_pairs(), {(m, "member-slots-never-advance") for m in REPLICAS})
        self.run_shipped("patroni-relieve-wal")
        self.assertEqual(self.bad_pairs(), set())
        self.assertEqual([member_slots(m) for m in REPLICAS], [[], []])

    def test_replicas_go_down_to_the_leader(self):
        self.run_shipped("patroni-align-replicas")
        self.assert_all_run(INCIDENT_LEADER)
        self.assertEqual(self.check().json["findings"], [])


class OldEverywhere(OtherWaysOut):
    leader_patroni, replica_patroni = INCIDENT_LEADER, INCIDENT_LEADER

    def test_no_plan_ends_in_a_bad_pair_unless_somebody_says_why(self):
        """Replicas alone to 4.0.2, and the leader left behind."""
        runbook = self.write_runbook(
            "runbook: replicas-first\nsteps:\n  - {id: pause, uses: patroni.pause}\n"
            "  - id: replicas\n    on: replicas\n    steps:\n"
            "      - id: install\n        uses: package.install\n"
            f"        with: {{package: patroni, version: {PACKAGE[INCIDENT_REPLICA]}}}\n"
            "  - {id: resume, uses: patroni.resume}\n")
        plan = self.assert_unchanged(lambda: self.lockstep("plan", runbook, "--output", "json"))
        self.assertEqual(plan.code, 4, str(plan))
        self.assertEqual({(f["id"], f["member"], f["subject"]) for f in plan.json["blocked_by"]},
                         {("patroni.known_bad_pair", m, "member-slots-never-advance") for m in REPLICAS}, str(plan))
        self.assertEqual(self.lockstep("run", runbook, "--yes", "--output", "json").code, 4)
        accepted = self.lockstep("plan", runbook, "--output", "json", "--reason", "the leader follows tonight",
                                 "--accept", "patroni.known_bad_pair:member-slots-never-advance")
        self.assertEqual(accepted.code, 0, str(accepted))

    def test_a_bad_pair_on_the_way_is_told_and_does_not_stop(self):
        plan = self.lockstep("plan", "patroni-upgrade", "--set", f"target={INCIDENT_REPLICA}", "--output", "json")
        self.assertEqual(plan.code, 0, str(plan))
        told = {f["subject"]: f for f in plan.json["advice"]}
        self.assertIn("member-slots-never-advance", told, str(plan))
        self.assertIn("over when the run is", told["member-slots-never-advance"]["message"])
        self.assertIn("master-is-primary", told)


class OldReplicasOfANewLeader(OtherWaysOut):
    leader_patroni, replica_patroni = NEW, OLD

    def test_replicas_come_up_to_their_leader(self):
        self.assert_aligned(NEW, {"n1": [], "n2": [PACKAGE[NEW]], "n3": [PACKAGE[NEW]]})

    def test_a_leader_that_was_not_restarted_is_no_model(self):
        lab("break", "stale-patroni", "n1", OLD)
        try:
            plan = self.lockstep("plan", "patroni-align-replicas", "--output", "json")
            self.assertEqual(plan.code, 4, str(plan))
            self.assertIn("patroni-upgrade", json.dumps(plan.json["blocked_by"]), str(plan))
            self.assertEqual(installed_versions()["n2"], f"ii  {PACKAGE[OLD]}")
        finally:
            self.reset()


class SlotsOfTheStart(LiveTest):
    """slots.verify against the slots that there were when the run began."""

    def tearDown(self):
        self.reset()

    def test_a_slot_that_vanishes_meanwhile_fails_the_run(self):
        lab("sql", "n1", "select pg_create_physical_replication_slot('legacy', true)")
        runbook = self.write_runbook(
            "runbook: loses\n"
            "steps:\n"
            "  - {id: lose, on: leader, uses: sql.query,\n"
            "     with: {query: \"select pg_drop_replication_slot('legacy')\", read_only: false}, undo: none}\n"
            "  - {id: slots, uses: slots.verify}\n", "loses")
        result = self.lockstep("run", runbook, "--yes", "--output", "json")
        self.assertEqual(result.code, 10, str(result))
        self.assertIn("legacy on n1 was there at the start and is gone", result.json["message"], str(result))
        again = self.resume()
        self.assertEqual(again.code, 10, str(again))
        self.assertIn("legacy on n1 was there at the start", again.json["message"], str(again))


class FunctionsOfOthers(LiveTest):
    """What a role has put into `public` is not what lockstep calls, though it fits the arguments better."""

    def setUp(self):
        lab("sql", "n1", "create function public.pg_drop_replication_slot(text) returns void language plpgsql as "
                         "$$ begin create table public.hijacked (); end $$")

    def tearDown(self):
        lab("sql", "n1", "drop function public.pg_drop_replication_slot(text)")
        lab("sql", "n1", "drop table if exists public.hijacked")
        self.reset()

    def test_a_slot_is_dropped_by_postgresql_itself(self):
        lab("sql", "n1", "select pg_create_physical_replication_slot('legacy', true)")
        runbook = self.write_runbook(
            "runbook: drops\n"
            "steps:\n"
            "  - {id: drop, uses: slots.drop, with: {slot: legacy, only_stuck: false}}\n", "drops")
        result = self.lockstep("run", runbook, "--yes", "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(lab("sql", "n1", "select count(*) from pg_replication_slots where slot_name = 'legacy'").strip(), "0")
        self.assertEqual(lab("sql", "n1", "select to_regclass('public.hijacked') is null").strip(), "t")
