"""Somebody between the operator and Patroni's REST API lies. SSH is what it is: nothing is changed on REST's word alone."""

import re

from harness import LAB, MEMBERS, NEW, NEWEST, PACKAGE, REACH, DpkgLogs, LiveTest, config, installed_versions, lab, leader
from liars import Liar


def address_of(member):
    return "198.18.0.1" + member[1:]


class LyingRest(LiveTest):
    """Each test takes its liar away again, and the cluster is as it was."""

    leader_patroni = replica_patroni = NEW
    lists_members = False
    # https says who answers, and over SSH nobody is in between.
    reach = REACH - {"tls", "rest-ssh"}
    seconds_per_test = 40

    def liar(self, *lies, **more):
        liar = Liar(LAB, address_of(leader()), *lies, **more)
        self.addCleanup(liar.close)
        return liar

    def inventory_of(self, liar):
        """The liar is the only endpoint."""
        path = self.inventory.with_name("liar.yaml")
        text, count = re.subn(r"endpoints: \[.*\]", f"endpoints: [{liar.url}]", self.inventory.read_text(encoding="utf-8"))
        self.assertEqual(count, 1)
        path.write_text(text, encoding="utf-8")
        return path

    def refused(self, liar, finding):
        """Plan and run, both without a change; the plan."""
        inventory = self.inventory_of(liar)
        plan = self.assert_unchanged(
            lambda: self.upgrade(PACKAGE[NEWEST], "--output", "json", command="plan", inventory=inventory))
        self.assertIn(plan.code, (4, 16), str(plan))
        self.assert_refused(plan, plan.code, finding)
        run = self.assert_unchanged(lambda: self.upgrade(PACKAGE[NEWEST], inventory=inventory))
        self.assertEqual(run.code, plan.code, str(run))
        self.assertNotIn("pause", config())
        self.assertEqual([r for r in liar.requests("PATCH") if "pause" in r["body"]], [])
        return plan

    def by_id(self, plan, finding):
        return [f for f in plan.json["blocked_by"] if f["id"] == finding]

    def test_that_drops_members_and_would_answer_for_the_pause(self):
        liar = self.liar("--drop", "n2", "--drop", "n3", "--mine", "n1", "--fake-pause")
        plan = self.refused(liar, "cluster.members_disagree")
        message = self.by_id(plan, "cluster.members_disagree")[0]["message"]
        self.assertIn("n1 over SSH", message)
        self.assertIn("members n1, n2 and n3", message)

    def test_that_swaps_the_hosts_of_two_members(self):
        plan = self.refused(self.liar("--swap", "n2=n3"), "member.identity")
        self.assertEqual({f["member"] for f in self.by_id(plan, "member.identity")}, {"n2", "n3"}, str(plan))

    def test_that_leads_a_member_to_the_leaders_host(self):
        leads = leader()
        plan = self.refused(self.liar("--host", f"n3={address_of(leads)}"), "member.identity")
        self.assertEqual([f["member"] for f in self.by_id(plan, "member.identity")], ["n3"], str(plan))

    def test_that_names_an_option_of_ssh_for_a_host(self):
        plan = self.refused(self.liar("--host", "n3=-oProxyCommand=touch /tmp/lockstep-odd"), "member.odd_address")
        self.assertEqual(self.by_id(plan, "member.odd_address")[0]["member"], "n3", str(plan))

    def test_that_answers_for_the_pause_alone_in_the_place_of_every_member(self):
        """All else is true, so the plan is ready: what stops it is the daemon's own word, in the command that would change something."""
        logs = DpkgLogs()
        before, identity = installed_versions(), self.identity()
        liar = self.liar("--fake-pause", between=[address_of(m) for m in MEMBERS])
        try:
            with self.writing():
                run = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        finally:
            liar.close()
        self.assertNotIn(run.code, (0, 11), str(run))
        self.assertIn("asked on its own host", run.out + run.err)
        self.assertIn("it is not paused", run.out + run.err)
        self.assertTrue([r for r in liar.requests("PATCH") if "pause" in r["body"]], "nobody tried to pause")
        self.assertEqual(logs.all_installs(), dict.fromkeys(MEMBERS, []), str(run))
        self.assertEqual(installed_versions(), before)
        self.assertEqual(self.identity(), identity)
        self.assertNotIn("pause", config())
        self.reset()

    def test_doctor_and_plan_say_that_nobody_vouches_for_it(self):
        doctor = self.lockstep("doctor")
        self.assertEqual(doctor.code, 0, str(doctor))
        self.assertIn("http, not authenticated", doctor.out)
        self.assertIn("whoever is in between can lie", " ".join(doctor.out.split()))
        for member in MEMBERS:
            self.assertRegex(doctor.out, rf"{member} +identity +{member} of lab")
        plan = self.upgrade(PACKAGE[NEWEST], command="plan")
        self.assertEqual(plan.code, 0, str(plan))
        self.assertIn("not authenticated", plan.err)
        self.assertEqual(lab("ssh", "n1", "ls -d /tmp/lockstep-odd", check=False).strip(), "")
