"""Restarts of PostgreSQL through Patroni, parameters, and a replica that is made anew."""

import json
import random
import time

from harness import MEMBERS, REPLICAS, LiveTest, config, lab, on_each, postmasters, wait_until


def shown(name):
    return on_each(lambda m: lab("sql", m, f"show {name}").strip())


def pending():
    return on_each(lambda m: json.loads(lab("rest", m, "GET", "/patroni")).get("pending_restart", False))


def patch(**parameters):
    lab("rest", "n1", "PATCH", "/config", json.dumps({"postgresql": {"parameters": parameters}}))


class Restarts(LiveTest):
    seconds_per_test = 60

    def setUp(self):
        self.before, self.usual = postmasters(), shown("max_connections")["n1"]
        self.configured = config().get("postgresql", {}).get("parameters", {})

    def tearDown(self):
        """By the very runbooks: what a test has left pending is restarted in the right order."""
        patch(max_connections=self.configured.get("max_connections"), work_mem=self.configured.get("work_mem"))
        wait_until(lambda: not any(pending().values()) or self.roll().code == 0, 60, "no restart is pending any more")
        self.assertEqual(shown("max_connections"), dict.fromkeys(MEMBERS, self.usual))
        self.reset()

    def roll(self, *argv):
        return self.lockstep("run", "rolling-restart", "--yes", "--output", "json", *argv)

    def set_parameter(self, name, value, *argv, command="run"):
        options = ["--yes"] if command == "run" else []
        return self.lockstep(command, "set-parameter", "--set", f"name={name}", "--set", f"value={value}", *options,
                             "--output", "json", *argv)

    def make_pending(self, value):
        patch(max_connections=value)
        wait_until(lambda: all(pending().values()), 30, "every member waits for its restart")

    def order(self, result):
        """Whose PostgreSQL was restarted, in order, by what is on record."""
        steps = [s for s in self.show(result.json["run"])["steps"]
                 if s["id"].endswith(".restart") and s["state"] == "succeeded"]
        return [s["member"] for s in sorted(steps, key=lambda s: s["started_at"])]

    def test_nothing_pending_is_nothing_to_do(self):
        plan = self.assert_unchanged(lambda: self.lockstep("plan", "rolling-restart", "--output", "json"))
        self.assertEqual(plan.code, 0, str(plan))
        self.assertEqual([s["id"] for s in plan.json["steps"] if s["verdict"] == "will" and "restart" in s["id"]], [])
        done = self.roll()
        self.assertEqual((done.code, postmasters()), (0, self.before), str(done))

    def test_up_and_down_each_in_its_order(self):
        up, down = str(int(self.usual) + 50), str(int(self.usual) - 20)
        with self.subTest("up: replicas first"):
            self.make_pending(int(up))
            with self.writing(errors=None) as client:
                result = self.roll()
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual(self.order(result), [*sorted(self.order(result)[:2]), "n1"], str(result))
            self.assertEqual(shown("max_connections"), dict.fromkeys(MEMBERS, up))
            self.assertEqual(client["lost"], 0)
        with self.subTest("down: the leader first"):
            self.make_pending(int(down))
            result = self.roll()
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual(self.order(result)[0], "n1", str(result))
            self.assertEqual(shown("max_connections"), dict.fromkeys(MEMBERS, down))
            self.assertFalse(any(pending().values()))

    def test_the_wrong_order_is_refused_by_the_plan(self):
        self.make_pending(int(self.usual) + 50)
        runbook = self.write_runbook(
            "runbook: wrong\nsteps:\n  - {id: gate, uses: check, with: {refuse_on: critical}}\n"
            "  - {id: restart, on: leader, uses: patroni.restart, with: {if_pending: true}}\n")
        plan = self.assert_unchanged(lambda: self.lockstep("plan", runbook, "--output", "json"))
        self.assert_refused(plan, 4, "restart.order", "replicas have to be restarted first")

    def test_killed_in_each_restart_it_goes_on(self):
        self.make_pending(int(self.usual) + 50)
        run = self.start("run", "rolling-restart", "--yes", "--output", "jsonl")
        for member in ("n2", "n1"):
            step = "leader.restart" if member == "n1" else "replicas.restart"
            run.wait_for_event(120, event="step_intent", step=step)
            time.sleep(random.uniform(0, 1))
            run.kill()
            if member == "n2":
                run = self.start("resume", "--yes", "--output", "jsonl")
        result = self.resume()
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(shown("max_connections"), dict.fromkeys(MEMBERS, str(int(self.usual) + 50)))
        self.assertFalse(any(pending().values()))

    def test_a_replica_that_does_not_come_back_stops_the_roll(self):
        """shared_preload_libraries of a library that is not there: PATCH takes it, PostgreSQL does not start."""
        patch(shared_preload_libraries="no_such_library")
        try:
            wait_until(lambda: all(pending().values()), 30, "every member waits for its restart")
            result = self.roll()
            self.assertEqual(result.code, 10, str(result))
            touched = [m for m, at in on_each(
                lambda m: lab("sql", m, "select pg_postmaster_start_time()", check=False).strip()).items()
                       if at != self.before[m]]
            self.assertEqual(len(touched), 1, str(result))
            self.assertIn(touched[0], REPLICAS)
        finally:
            patch(shared_preload_libraries=self.configured.get("shared_preload_libraries"))
            wait_until(lambda: all(m["state"] in ("running", "streaming") for m in json.loads(
                lab("rest", "n1", "GET", "/cluster"))["members"]), 60, "it is started again")

    def test_garbage_is_refused_before_anything_is_written(self):
        for name, value, finding in (("work_mem", "abc", "parameter.value"), ("wrok_mem", "8MB", "parameter.unknown"),
                                     ("port", "5433", "parameter.controlled"),
                                     ("max_connections", "10", "parameter.controlled")):
            with self.subTest(name=name, value=value):
                was = config()
                self.assert_refused(self.set_parameter(name, value, command="plan"), 4, finding)
                self.assertEqual(self.set_parameter(name, value).code, 4)
                self.assertEqual(config(), was)

    def test_a_parameter_is_reloaded_and_taken_back(self):
        was = shown("work_mem")
        result = self.set_parameter("work_mem", "19MB")
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual((shown("work_mem"), postmasters()), (dict.fromkeys(MEMBERS, "19MB"), self.before))
        back = self.rollback(result.json["run"])
        self.assertEqual(back.code, 0, str(back))
        wait_until(lambda: shown("work_mem") == was, 20, "the old value is back")

    def test_a_parameter_is_set_with_its_restarts_and_taken_back(self):
        up = str(int(self.usual) + random.randint(1, 40))
        result = self.set_parameter("max_connections", up)
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(shown("max_connections"), dict.fromkeys(MEMBERS, up))
        back = self.rollback(result.json["run"])
        self.assertEqual(back.code, 0, str(back))
        self.assertEqual(shown("max_connections"), dict.fromkeys(MEMBERS, self.usual), str(back))
        self.assertFalse(any(pending().values()))


class MadeAnew(LiveTest):
    seconds_per_test = 40

    def reinit(self, member, *argv, command="run"):
        options = ["--yes"] if command == "run" else []
        return self.lockstep(command, "reinit", "--set", f"member={member}", *options, "--output", "json", *argv)

    def test_a_replica_is_made_anew_and_the_leader_never(self):
        self.assert_refused(self.reinit("n1", command="plan"), 4, "reinit.leader")
        before = postmasters()
        plan = self.assert_unchanged(lambda: self.reinit("n2", command="plan"))
        self.assertEqual(plan.code, 0, str(plan))
        with self.writing() as client:
            result = self.reinit("n2")
        self.assertEqual(result.code, 0, str(result))
        after = postmasters()
        self.assertEqual([m for m in MEMBERS if after[m] != before[m]], ["n2"])
        self.assertEqual(client["lost"], 0)

    def test_killed_meanwhile_it_is_waited_for(self):
        run = self.start("run", "reinit", "--set", "member=n3", "--yes", "--output", "jsonl")
        run.wait_for_intent("anew", "n3", seconds=120)
        wait_until(lambda: json.loads(lab("rest", "n3", "GET", "/patroni"))["state"] != "running", 30,
                   "the copy has begun")
        run.kill()
        result = self.resume()
        self.assertEqual(result.code, 0, str(result))
