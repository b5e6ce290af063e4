"""What a plan says is what a run does: nothing before somebody says yes, the same refusals, the same commands."""

import time

from harness import NEW, OLD, PACKAGE, ROOT, LiveTest, lab, name_of, wait_until

# Every shipped runbook, with the inputs that it needs.
# Those that change a cluster that is well have tests of their own.
WORK = {"switchover"}
SHIPPED = {path.stem: [] for path in sorted((ROOT / "runbooks").glob("*.yaml")) if path.stem not in WORK}
SHIPPED["patroni-upgrade"] = ["--set", f"target={PACKAGE[NEW]}"]

# Why each of them refuses a cluster that somebody has paused.
PAUSED = {"patroni-upgrade": {"cluster.paused"}, "patroni-align-replicas": {"cluster.paused"},
          "patroni-relieve-wal": {"runbook.assertion"}}

READY, BLOCKED, IDLE = "ready", "blocked", "nothing to do"


class Previews(LiveTest):
    seconds_per_test = 90
    leader_patroni, replica_patroni = OLD, NEW

    def plan(self, name):
        return self.lockstep("plan", name, *SHIPPED[name], "--output", "json")

    def assert_foretold(self, expected, findings=None):
        """Every shipped runbook is planned, then started with nobody there to say yes. Neither changes anything, and the run
        comes to what the plan has said."""
        since = int(time.time())
        before = self.fingerprint(since)
        for name in SHIPPED:
            with self.subTest(f"{name} is {expected}"):
                plan = self.plan(name)
                run = self.lockstep("run", name, *SHIPPED[name], "--output", "json")
                self.assertEqual(self.fingerprint(since), before, f"{plan}\n{run}")
                self.assert_verdict(plan, expected, (findings or {}).get(name, set()))
                self.assert_agrees(run, expected, plan.json)

    def assert_verdict(self, plan, expected, findings):
        self.assertEqual(plan.code, 4 if expected == BLOCKED else 0, str(plan))
        self.assertEqual(plan.json["verdict"], BLOCKED if expected == BLOCKED else READY)
        self.assertEqual({f["id"] for f in plan.json["blocked_by"]}, findings, str(plan))
        if expected != BLOCKED:
            acts = {step["id"] for step in plan.json["steps"] if step["changes"] and step["verdict"] != "wont"}
            self.assertEqual(bool(acts), expected == READY, acts)

    def assert_agrees(self, run, expected, plan):
        if expected == READY:
            self.assertEqual((run.code, run.out), (2, ""), str(run))
            self.assertIn("--yes", run.err)
            return
        self.assertEqual(run.json["plan_hash"], plan["plan_hash"])
        if expected == BLOCKED:
            self.assertEqual((run.code, run.json["state"]), (4, "refused"), str(run))
            self.assertEqual([(f["id"], f["member"]) for f in run.json["blocked_by"]],
                             [(f["id"], f["member"]) for f in plan["blocked_by"]])
        else:
            self.assertEqual((run.code, run.json["state"]), (0, "succeeded"), str(run))
            wont = {(step["id"], step["member"]) for step in plan["steps"] if step["verdict"] == "wont"}
            idle = {(s["id"], s["member"]) for s in run.json["steps"] if s["state"] in ("skipped", "already_done")}
            self.assertEqual(wont, idle, str(run))

    def assert_runs_as_planned(self):
        """The commands of each step, and what would take it back, are those that the run has put on record before it."""
        plan = self.plan("patroni-upgrade")
        run = self.start_upgrade(NEW).wait()
        self.assertEqual(run.code, 0, str(run))
        begun = {name_of(event): event for event in run.events if event["event"] == "step_intent"}
        compared = 0
        for step in plan.json["steps"]:
            name = name_of({"step": step["id"], "member": step["member"]})
            with self.subTest(name, verdict=step["verdict"]):
                if step["verdict"] == "wont":
                    self.assertNotIn(name, begun)
                elif step["verdict"] == "will" or name in begun:
                    self.assertIn(name, begun)
                    self.assertEqual(begun[name]["operations"], step["actions"])
                    if not begun[name]["temporary"]:  # that has no undo: it ends with the run
                        self.assertEqual(begun[name]["undo"], step["undo"] + step["undo_besides"])
                    compared += len(step["actions"])
        self.assertGreater(compared, 3, "else this proves nothing")
        self.assertEqual({e["plan_hash"] for e in run.events if e["event"] == "run_started"}, {plan.json["plan_hash"]})

    def test_from_mixed_versions_to_one(self):
        self.assert_foretold(READY)
        lab("break", "pause", "n1")
        try:
            self.assert_foretold(BLOCKED, PAUSED)
        finally:
            lab("mend", "pause", "n1")
        wait_until(lambda: not self.plan("patroni-upgrade").json["blocked_by"], 30, "the pause is over everywhere")
        self.assert_runs_as_planned()
        self.assert_foretold(IDLE)
