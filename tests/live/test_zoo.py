"""The zoo: every shipped runbook over every variant of the lab, as a table. A cell succeeds, or is refused by the plan for a
reason that is true; never anything else.

Each variant is made of the incident's mixed versions, where all three runbooks have something to do. All are planned; what is
ready is run where the row says so, last the upgrade. The table is printed line by line.
"""

import json
import os
import pathlib
import sys

from harness import INCIDENT_LEADER, INCIDENT_REPLICA, LAB_RUN, NEW, NEWEST, PACKAGE, LiveTest, inventory, lab, on_each

RELIEVE, ALIGN, UPGRADE = "patroni-relieve-wal", "patroni-align-replicas", "patroni-upgrade"
READY = frozenset()
# Beside the upgrade also the other two are run, in every cell that is ready: some minutes more.
EVERY_CELL = bool(os.environ.get("LOCKSTEP_ZOO_EVERY_CELL"))

# Every postmaster of a host and since when it runs, whosever it is.
POSTMASTERS = r"""
for process in /proc/[0-9]*; do
  if [ "$(cat $process/comm 2>/dev/null)" = postgres ] && [ "$(awk '$1 == "PPid:" { print $2 }' $process/status)" = 1 ]; then
    tr '\0' ' ' <$process/cmdline; sed 's/.*) //' $process/stat | cut -d' ' -f20
  fi
done 2>/dev/null | sort
"""


def members():
    return sorted(path.name for path in (LAB_RUN / "members").iterdir())


def patroni(member):
    return json.loads(lab("rest", member, "GET", "/patroni"))


def roles(who):
    return on_each(lambda m: (patroni(m)["role"], patroni(m)["state"]), who)


class Zoo(LiveTest):
    """What a row of the table does. The tests are the rows."""

    leader_patroni, replica_patroni = INCIDENT_LEADER, INCIDENT_REPLICA
    lists_members = False
    seconds_per_test = 60
    reach = set()

    @classmethod
    def reset(cls):
        """Each row resets the lab to its variant, and what comes after the zoo takes that back."""

    def become(self, variant):
        """The lab as this variant, and the inventory of the README."""
        lab("reset", "--leader-patroni", self.leader_patroni, "--replica-patroni", self.replica_patroni, "--variant", variant,
            timeout=300)
        self.use()

    def use(self, *options):
        """That inventory, with more options of `lab inventory`."""
        self.inventory = pathlib.Path(self.work.name) / "inventory.yaml"
        self.inventory.write_text(inventory("--members", "no", *options, reach=set()), encoding="utf-8")

    def row(self, name, relieve=READY, align=READY, upgrade=READY, *, run=(UPGRADE,), target=NEW, who=None, more=(),
            columns=(RELIEVE, ALIGN, UPGRADE)):
        """One variant over all three. A cell is what refuses it, by the ids of findings; none: it is READY and succeeds."""
        who = who or members()
        cells = {RELIEVE: relieve, ALIGN: align, UPGRADE: upgrade}
        for runbook in columns:
            refused = cells[runbook]
            options = ["--set", f"target={PACKAGE[target]}"] if runbook == UPGRADE else []
            with self.subTest(variant=name, runbook=runbook):
                self.plan_cell(name, runbook, frozenset(refused), [*options, *more])
                if not refused and (runbook in run or EVERY_CELL):
                    self.run_cell(name, runbook, [*options, *more], who)
        if not upgrade and UPGRADE in run:
            self.assertEqual(on_each(lambda m: patroni(m)["patroni"]["version"], who), dict.fromkeys(who, target))

    def plan_cell(self, name, runbook, refused, options):
        result = self.lockstep("plan", runbook, *options, "--output", "json")
        self.assertIn(result.code, (0, 4, 16), str(result))
        plan = result.json
        said = {f["id"] for f in plan["blocked_by"]}
        self.tell(name, runbook, ", ".join(sorted(said)) or "ready", result.seconds)
        self.assertEqual(said, refused, str(result))
        self.assertEqual(plan["verdict"], "blocked" if refused else "ready", str(result))
        for finding in plan["blocked_by"]:
            self.assertTrue(finding["remedy"].strip(), f"a refusal that says nothing to do: {finding}")

    def run_cell(self, name, runbook, options, who):
        before = on_each(lambda m: lab("ssh", m, POSTMASTERS), members()), roles(who)
        self.assertTrue(all(before[0].values()), before)
        result = self.lockstep("run", runbook, *options, "--yes", "--output", "json")
        self.tell(name, runbook, f"run: {result.code}", result.seconds)
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(result.json["state"], "succeeded", str(result))
        self.assertEqual((on_each(lambda m: lab("ssh", m, POSTMASTERS), members()), roles(who)), before, str(result))
        self.assertEqual([m for m in who if patroni(m).get("pause")], [], str(result))

    @staticmethod
    def tell(name, runbook, what, seconds):
        print(f"  {name:24} {runbook:24} {what}  ({seconds:.0f} s)", file=sys.stderr, flush=True)


class OfClusters(Zoo):
    """Who is in the cluster, and who follows whom."""

    def test_a_standby_cluster(self):
        self.become("standby")
        self.use("--endpoints", "http://198.18.0.12:8008, http://198.18.0.13:8008")
        self.row("standby", who=["n2", "n3"])

    def test_a_cascade(self):
        self.become("cascade")
        self.row("cascade")

    def test_one_that_is_late_and_one_that_follows_the_archive(self):
        self.become("delayed,archive")
        self.row("delayed,archive")

    def test_patronis_own_times(self):
        self.become("default-times")
        self.row("default-times", run=(RELIEVE, ALIGN, UPGRADE))


class OfSynchronousClusters(Zoo):
    """From one version on every member to another, for a leader before 4.0 knows no quorum."""

    leader_patroni = replica_patroni = NEW

    def test_strict(self):
        self.become("strict-sync")
        self.row("strict-sync", target=NEWEST)

    def test_quorum(self):
        self.become("quorum")
        self.row("quorum", target=NEWEST)

    def test_quorum_under_a_leader_that_does_not_know_it(self):
        lab("reset", "--leader-patroni", INCIDENT_LEADER, "--replica-patroni", INCIDENT_REPLICA, "--variant", "quorum", timeout=300)
        self.row("quorum, leader 3.2.1", *[{"patroni.known_issue"}] * 3, run=())


class OfUnits(Zoo):
    """What runs Patroni, and what else does on its hosts."""

    def test_a_unit_without_killmode(self):
        self.become("no-killmode")
        self.row("no-killmode", align={"host.kill_mode"}, upgrade={"host.kill_mode"}, run=(RELIEVE,))

    def test_two_clusters(self):
        self.become("two-clusters")
        self.row("two-clusters", align={"package.restarts_other"}, upgrade={"package.restarts_other"}, run=())
        # The other one is patroni.service, which the package restarts.
        self.use("--service", "patroni@17-billing", "--endpoints", "http://198.18.0.11:8009, http://198.18.0.12:8009, http://198.18.0.13:8009")
        self.row("two-clusters, billing", align={"package.restarts_other"}, upgrade={"package.restarts_other"}, run=())

    def test_two_clusters_by_name(self):
        self.become("two-clusters")
        by_name = [f"--accept=package.restarts_other:patroni@17-billing@{m}" for m in members()]
        self.row("two-clusters, accepted", columns=(UPGRADE,), more=(*by_name, "--reason", "billing is upgraded tomorrow"))

    def test_a_venv_beside_the_package(self):
        self.become("venv")
        self.row("venv", align={"package.not_its_own"}, upgrade={"package.not_its_own"}, run=())


class OfLayouts(Zoo):
    def test_debians_own_with_the_unit_of_the_readme(self):
        self.become("debian-layout")
        self.row("debian-layout", align={"service.not_what_runs"}, upgrade={"service.not_what_runs"}, run=())
        self.use("--service", "patroni@17-main")
        self.row("debian-layout, named")

    def test_disks(self):
        self.become("disks")
        self.row("disks")


class OfPackages(Zoo):
    def test_a_small_usr(self):
        self.become("small-usr")
        self.row("small-usr", align={"disk.low"}, upgrade={"disk.low"}, run=())

    def test_a_repository_with_the_newest_alone(self):
        self.become("newest-only")
        pair = {"rollback.bad_pair"}
        self.row("newest-only", align={"package.unavailable", *pair}, upgrade=pair, target=NEWEST, run=(RELIEVE,))
        by_name = [f"--accept=rollback.bad_pair@{m}" for m in ("n2", "n3")]
        self.row("newest-only, accepted", target=NEWEST, columns=(UPGRADE,), more=(*by_name, "--reason", "it was mixed before"))


class OfAccounts(Zoo):
    def test_a_superuser_of_another_name(self):
        self.become("superuser")
        self.row("superuser", *[{"member.unreachable"}] * 3, run=())
        self.use("--postgres-user", "pgadm")
        self.row("superuser, named")

    def test_passwords_on_local_connections(self):
        self.become("scram-local")
        self.row("scram-local", *[{"member.unreachable"}] * 3, run=())
        on_each(lambda m: lab("ssh", m, "cp -p /etc/patroni/lab.pgpass ~postgres/.pgpass"))
        self.row("scram-local, as it says")


class OfAddresses(Zoo):
    """What the operator knows members by, and what Patroni publishes."""

    def test_loopback(self):
        self.become("loopback")
        unreachable = {"patroni.api_address", "member.unreachable"}
        self.row("loopback", {"patroni.api_address"}, unreachable, unreachable, run=())
        self.use("--via", "ssh")
        self.row("loopback, via ssh", run=())

    def test_a_balancer(self):
        self.become("balancer")
        self.row("balancer", *[{"patroni.write_refused"}] * 3, run=())

    def test_names_of_ones_own(self):
        self.become("dns")
        self.row("dns", *[{"patroni.write_refused"}] * 3, run=())


class OfNames(Zoo):
    def test_published_host_names(self):
        self.become("host-names")
        self.row("host-names", *[{"patroni.write_refused"}] * 3, run=())

    def test_ipv6(self):
        self.become("ipv6")
        self.row("ipv6")

    def test_dots_capitals_blanks_and_cyrillic(self):
        self.become("names")
        self.row("names")


class OfSizes(Zoo):
    def test_two_members(self):
        self.become("members-2")
        self.row("members-2")

    def test_five_members(self):
        self.become("members-5")
        self.row("members-5")

    def test_one_etcd_elsewhere(self):
        self.become("one-etcd")
        self.row("one-etcd")
