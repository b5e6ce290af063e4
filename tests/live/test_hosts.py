"""What is on a member's host beside its cluster, and how its unit is made."""

import json

from harness import MEMBERS, NEWEST, PACKAGE, LiveTest, lab, leader

OTHER = "/run/systemd/system/patroni@17-billing.service"
DROP_IN = "/run/systemd/system/patroni.service.d"


class OfHosts(LiveTest):
    """Nothing is changed that would reach further than this cluster's Patroni; each test mends what it made."""

    def plan(self, *more, inventory=None):
        return self.assert_unchanged(lambda: self.upgrade(
            PACKAGE[NEWEST], "--output", "json", *more, command="plan", inventory=inventory))

    def blocked(self, plan):
        return {(f["id"], f["member"]) for f in plan.json["blocked_by"]}

    def test_a_unit_that_would_take_postgres_along(self):
        lab("ssh", "n2", f"mkdir -p {DROP_IN} && printf '[Service]\\nKillMode=control-group\\n' > {DROP_IN}/x.conf && systemctl daemon-reload")
        try:
            plan = self.plan()
            self.assert_refused(plan, 4, "host.kill_mode", "KillMode=process")
            self.assertEqual(self.blocked(plan), {("host.kill_mode", "n2")}, str(plan))
            found = self.check()
            self.assertEqual((found.code, self.findings(found)), (1, {("host.kill_mode", "n2")}), str(found))
            # What the remedy says to do helps.
            remedy = plan.json["blocked_by"][0]["remedy"]
            lab("ssh", "n2", remedy[remedy.index("mkdir -p"):])
            self.assertEqual(self.check().json["findings"], [])
        finally:
            lab("ssh", "n2", f"rm -rf {DROP_IN} /etc/systemd/system/patroni.service.d && systemctl daemon-reload")

    def test_another_patroni_on_the_host(self):
        lab("ssh", "n3", f"printf '[Service]\\nExecStart=/bin/sleep 600\\n' > {OTHER} && systemctl daemon-reload && "
            "systemctl start patroni@17-billing")
        try:
            plan = self.plan()
            self.assertEqual(self.blocked(plan), {("package.restarts_other", "n3")}, str(plan))
            self.assertIn("patroni@17-billing", plan.json["blocked_by"][0]["message"])
            self.assertEqual(self.findings(self.check()), {("host.other_patroni", "n3")})
            accepted = self.plan("--accept", "package.restarts_other:patroni@17-billing@n3", "--reason", "it is asleep")
            self.assertEqual((accepted.code, accepted.json["verdict"]), (0, "ready"), str(accepted))
        finally:
            lab("ssh", "n3", f"systemctl stop patroni@17-billing; rm -f {OTHER}; systemctl daemon-reload")

    def test_an_inventory_that_names_another_unit(self):
        inventory = self.inventory.with_name("instance.yaml")
        inventory.write_text(self.inventory.read_text().replace("patroni_service: patroni\n", "patroni_service: patroni@17-main\n"))
        plan = self.plan(inventory=inventory)
        self.assert_refused(plan, 4, "service.not_what_runs", "Set `patroni_service: patroni` in the inventory.")
        self.assertEqual(self.blocked(plan), {("service.not_what_runs", member) for member in MEMBERS}, str(plan))
        doctor = self.lockstep("doctor", inventory=inventory)
        self.assertIn("patroni_service: patroni", doctor.out)

    def test_what_is_seen_of_a_healthy_host(self):
        for member in self.check().json["members"]:
            host = member["on_host"]
            self.assertEqual((host["unit"], host["daemon_unit"], host["kill_mode"]), ("patroni", "patroni", "process"), json.dumps(host))
            self.assertEqual([p["unit"] for p in host["postmasters"]], ["patroni"], json.dumps(host))
            self.assertIs(member["setup"]["packaged"], True, json.dumps(member["setup"]))
        self.assertIn(leader(), MEMBERS)
