"""Another member leads: proven, measured against the bare request, taken back, survived, and refused where it would not do."""

import json
import sys
import time

from harness import MEMBERS, LiveTest, cluster, lab, leader, postmasters, primaries, timeline, wait_until


def streaming():
    members = cluster()["members"]
    lines = {m.get("timeline") for m in members}  # not told by one that just starts
    return len(lines) == 1 and all(m["state"] == ("running" if m["role"] == "leader" else "streaming") for m in members)


class Switchover(LiveTest):
    seconds_per_test = 40

    def setUp(self):
        wait_until(lambda: leader() and streaming(), 60, "a leader that everybody streams from")
        self.start_leader, self.start_timeline = leader(), timeline()
        self.others = [m for m in MEMBERS if m != self.start_leader]

    def switchover(self, *argv, command="switchover", **more):
        return self.lockstep(command, *argv, "--yes", "--output", "json", **more)

    def assert_leads(self, member, moves, why):
        self.assertEqual((leader(), primaries()), (member, [member]), why)
        self.assertEqual(timeline(), self.start_timeline + moves, why)
        self.assertTrue(streaming(), f"{cluster()}\n{why}")

    def by_hand(self, to):
        """CHECKPOINT and the bare request, as a careful person would do it."""
        lab("sql", leader(), "checkpoint")
        lab("rest", leader(), "POST", "/switchover", json.dumps({"leader": leader(), "candidate": to}))
        wait_until(lambda: leader() == to and streaming(), 60, f"{to} leads and everybody streams")

    def test_there_by_one_command_and_back_by_rollback(self):
        before, to = postmasters(), self.others[0]
        with self.writing(errors=None) as client:
            result = self.switchover("--to", to)
        self.assertEqual(result.code, 0, str(result))
        self.assert_leads(to, 1, str(result))
        after = postmasters()
        self.assertEqual([m for m in MEMBERS if before[m] != after[m]], [self.start_leader], "whose PostgreSQL was restarted")
        measured = self.show()["measured"]
        self.assertEqual(measured["postgres_restarts"], 1, measured)
        self.assertGreater(measured["write_gap_ms"], 100, measured)
        with self.writing(errors=None) as hand:
            self.by_hand(self.start_leader)
        with self.writing(errors=None) as again:
            self.by_hand(to)
        print(f"\n  gap by lockstep {client['longest_gap_ms']} ms (its probe: {measured['write_gap_ms']}), "
              f"by hand {hand['longest_gap_ms']} and {again['longest_gap_ms']} ms", file=sys.stderr, flush=True)
        self.start_timeline += 2
        with self.writing(errors=None):
            back = self.rollback()
        self.assertEqual(back.code, 0, str(back))
        self.assert_leads(self.start_leader, 2, str(back))
        self.assertEqual(self.show()["state"], "rolled_back")

    def test_a_plan_that_chooses_and_changes_nothing(self):
        plan = self.assert_unchanged(lambda: self.lockstep("plan", "switchover", "--output", "json"))
        self.assertEqual((plan.code, plan.json["verdict"]), (0, "ready"), str(plan))
        step = next(s for s in plan.json["steps"] if s["id"] == "switchover")
        self.assertIn(self.others[0], step["actions"][-1]["text"])

    def test_killed_inside_and_resumed(self):
        for number, seconds in enumerate((0.0, 0.5, 1.5, 3.0)):
            to = next(m for m in MEMBERS if m != leader())
            with self.subTest(seconds=seconds), self.writing(errors=None):
                run = self.start("switchover", "--to", to, "--yes", "--output", "jsonl")
                run.wait_for_intent("switchover")
                time.sleep(seconds)
                where = run.kill()
                result = self.resume()
                self.assertEqual(result.code, 0, f"{where}: {result}")
                self.assert_leads(to, number + 1, f"{where}: {result}")

    def test_refused_when_the_candidate_is_behind(self):
        to = self.others[1]
        lab("sql", to, "select pg_wal_replay_pause()")
        try:
            lab("sql", self.start_leader, "create table lag as select generate_series(1, 100000) n; drop table lag")
            result = self.assert_unchanged(lambda: self.switchover("--to", to))
            self.assertEqual(result.code, 4, str(result))
            self.assertIn("replication.lag", [f["id"] for f in result.json["blocked_by"]], str(result))
        finally:
            lab("sql", to, "select pg_wal_replay_resume()")
        self.assertEqual(leader(), self.start_leader)
