"""Each state that a cluster may be in, made for real, is told from the others by `check`; a healthy one has nothing to say."""

import contextlib
import datetime
import json
import os
import time

from harness import MEMBERS, NEW, NEWEST, OLD, REPLICAS, LiveTest, config, lab, primaries, wait_until

SEGMENT_MB = 16


def write_wal(megabytes, member="n1"):
    """Each round fills one segment."""
    rounds = -(-megabytes // SEGMENT_MB)
    lab("sql", member, f"do $$ begin for round in 1..{rounds} loop perform pg_logical_emit_message(false, 'lab', 'wal'); "
                       "perform pg_switch_wal(); end loop; end $$")


def patch(change, member="n1"):
    lab("rest", member, "PATCH", "/config", json.dumps(change))


def slots_on(member):
    return lab("sql", member, "select slot_name from pg_replication_slots").split()


class Diagnosis(LiveTest):
    def tearDown(self):
        self.reset()
        for samples in self.state_folder.glob("samples.db*"):  # what one test wrote is no growth in the next
            samples.unlink()

    def above_info(self, **more):
        """What there is to do, as {(id, member or None)}; the whole answer is kept for messages."""
        self.found = self.check(**more)
        self.assertIn(self.found.code, (0, 1, 2), str(self.found))
        return {(f["id"], f["member"]) for f in self.found.json["findings"] if f["severity"] != "info"}

    def assert_found(self, *expected):
        """These, and nothing else."""
        found = self.above_info()
        self.assertEqual(found, {(i, m) for i, m in expected}, str(self.found))
        self.assertEqual(self.found.code != 0, bool(expected), str(self.found))

    def finding(self, wanted, member=None):
        return next(f for f in self.found.json["findings"] if f["id"] == wanted and f["member"] == member)


class Healthy(Diagnosis):
    """In each of the versions."""
    seconds_per_test = 50

    def test_nothing_to_say(self):
        for version in (OLD, NEW, NEWEST):
            with self.subTest(version):
                lab("reset", "--leader-patroni", version, "--replica-patroni", version, timeout=240)
                self.assert_found()
                self.assertEqual(self.found.json["status"], "ok", str(self.found))

    def test_no_false_alarm_while_it_works_hard(self):
        """LOCKSTEP_BUSY: for how many seconds; 60 unless given."""
        seconds = int(os.environ.get("LOCKSTEP_BUSY", "60"))
        pgbench = "runuser -u postgres -- /usr/lib/postgresql/17/bin/pgbench"
        lab("ssh", "n1", f"{pgbench} -i -q -s 10 postgres", timeout=300)
        write_wal(SEGMENT_MB)
        begun = lab("sql", "n1", "select pg_current_wal_lsn()").strip()
        lab("ssh", "n1", f"systemd-run --quiet --unit=lab-busy {pgbench} -n -c 4 --rate=400 -T {seconds + 60} postgres")
        try:
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                self.assertEqual(self.above_info(), set(), str(self.found))
                time.sleep(10)
            self.assertEqual(lab("ssh", "n1", "systemctl is-active lab-busy").strip(), "active", "nothing was written")
        finally:
            lab("ssh", "n1", "systemctl stop lab-busy", check=False)
        written = lab("sql", "n1", f"select (pg_current_wal_lsn() - '{begun}') / 1048576").strip()
        self.assertGreater(float(written), seconds / 6, "MB of WAL: it was not busy")
        lab("sql", "n1", "drop table pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers")


class Versions(Diagnosis):
    leader_patroni, replica_patroni = OLD, NEW

    def test_mixed(self):
        self.assert_found(("patroni.mixed_versions", None), ("patroni.known_bad_pair", "n1"))
        self.assertEqual(self.finding("patroni.known_bad_pair", "n1")["subject"], "four-beside-before-three-one")


class States(Diagnosis):
    def test_upgraded_and_not_restarted(self):
        lab("break", "stale-patroni", "n2", NEWEST)
        self.assert_found(("patroni.not_restarted", "n2"))

    def test_a_replica_whose_daemon_is_stopped_in_a_pause_keeps_the_wal_of_its_members(self):
        lab("break", "pause", "n1")
        lab("break", "stop-patroni", "n3")
        write_wal(8 * SEGMENT_MB)
        found = self.above_info()
        self.assertLessEqual({("slot.stuck", "n3"), ("cluster.paused", None), ("member.unreachable", "n3")}, found,
                             str(self.found))
        stuck = self.finding("slot.stuck", "n3")
        self.assertIn("serves the member", stuck["message"])
        self.assertIn("Start Patroni on n3", stuck["remedy"])
        self.assertNotIn(("slot.stuck", "n2"), found, "the other replica's slots move")

    def test_an_orphan(self):
        lab("break", "orphan-slot", "n3", "200")
        found = self.above_info()
        self.assertLessEqual({("slot.stuck", "n3")}, found, str(self.found))
        self.assertLessEqual({m for _, m in found}, {"n3"}, str(self.found))
        self.assertIn("serves nobody", self.finding("slot.stuck", "n3")["message"])

    def test_a_permanent_slot_that_nobody_reads(self):
        patch({"slots": {"ext": {"type": "physical"}}})
        wait_until(lambda: "ext" in slots_on("n1"), 20, "Patroni creates the permanent slot")
        # Anew, and holding WAL from now on; in one go, or Patroni makes it in between.
        lab("sql", "n1", "do $$ begin perform pg_drop_replication_slot('ext'); "
                         "perform pg_create_physical_replication_slot('ext', true); end $$")
        write_wal(8 * SEGMENT_MB)
        found = self.above_info()
        self.assertLessEqual({("slot.stuck", "n1")}, found, str(self.found))
        self.assertIn("permanent slot", self.finding("slot.stuck", "n1")["message"])
        self.assertLessEqual({i for i, _ in found}, {"slot.stuck", "wal.oversize"}, str(self.found))

    def test_a_logical_slot_that_nobody_reads(self):
        patch({"ignore_slots": [{"name": "legacy", "type": "physical"}, {"name": "cdc", "type": "logical"}]})
        wait_until(lambda: "cdc" in json.dumps(config("n1")), 10, "the configuration is written")
        time.sleep(7)  # two loops: a slot that Patroni does not know to ignore would be dropped
        lab("sql", "n1", "select pg_create_logical_replication_slot('cdc', 'test_decoding')")
        write_wal(8 * SEGMENT_MB)
        found = self.above_info()
        self.assertLessEqual({("slot.stuck", "n1")}, found, str(self.found))
        self.assertIn("logical consumer", self.finding("slot.stuck", "n1")["message"])
        self.assertLessEqual({i for i, _ in found}, {"slot.stuck", "wal.oversize"}, str(self.found))
        lab("sql", "n1", "select pg_drop_replication_slot('cdc')")

    def test_a_lost_slot(self):
        # On the leader alone: the replicas' slots trail by two loops, and would be lost as well.
        lab("sql", "n1", "alter system set max_slot_wal_keep_size = '16MB'")
        self.addCleanup(lambda: (lab("sql", "n1", "alter system reset max_slot_wal_keep_size"),
                                 lab("sql", "n1", "select pg_reload_conf()")))
        lab("sql", "n1", "select pg_reload_conf()")
        wait_until(lambda: lab("sql", "n1", "show max_slot_wal_keep_size").strip() == "16MB", 20, "it is in force")
        lab("sql", "n1", "select pg_create_physical_replication_slot('legacy', true)")
        status = "select wal_status from pg_replication_slots where slot_name = 'legacy'"
        for _ in range(12):
            self.write_and_wait()  # so much at once would cost the replicas their slots, too
            lab("sql", "n1", "checkpoint")
        self.assertEqual(lab("sql", "n1", status).strip(), "lost")
        self.assert_found(("slot.lost", "n1"))
        self.assertIn("legacy", self.finding("slot.lost", "n1")["message"])

    @staticmethod
    def write_and_wait():
        """A segment of WAL that every replica has replayed, and each slot passed."""
        write_wal(SEGMENT_MB)
        position = lab("sql", "n1", "select pg_current_wal_lsn()").strip()
        for member in REPLICAS:
            wait_until(lambda m=member: lab("sql", m, f"select pg_last_wal_replay_lsn() >= '{position}'").strip() == "t", 20,
                       f"{member} has replayed it")

    def test_a_parameter_of_the_file_that_is_not_in_force(self):
        path = "/etc/patroni/config.yml"
        lab("ssh", "n2", f"sed -i 's/^  parameters:/  parameters:\\n    work_mem: 99MB/' {path}; grep -A1 parameters: {path}")
        self.assert_found(("config.drift", "n2"))
        self.assertIn("work_mem is 4MB (the file says 99MB)", self.finding("config.drift", "n2")["message"])

    def test_pending_restart(self):
        patch({"postgresql": {"parameters": {"max_connections": 60}}})
        wait_until(lambda: all("pending_restart" in lab("rest", m, "GET", "/patroni") for m in MEMBERS), 20, "they all know")
        self.assert_found(*[("postgres.pending_restart", m) for m in MEMBERS])

    def test_a_scheduled_switchover(self):
        later = (datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=6)).isoformat()
        lab("rest", "n1", "POST", "/switchover", json.dumps({"leader": "n1", "candidate": "n2", "scheduled_at": later}))
        self.assert_found(("cluster.scheduled_action", None))
        self.assertIn("switchover", self.finding("cluster.scheduled_action")["message"])

    def test_paused_and_forgotten(self):
        lab("break", "pause", "n1")
        self.assert_found(("cluster.paused", None))

    def test_ssh_down(self):
        lab("break", "stop-sshd", "n2")
        self.assert_found(("member.unreachable", "n2"))
        self.assertIn("SSH", self.finding("member.unreachable", "n2")["message"])

    def test_the_api_down(self):
        lab("break", "freeze-patroni", "n2")
        found = self.above_info()
        self.assertIn(("member.unreachable", "n2"), found, str(self.found))
        self.assertIn("REST API", self.finding("member.unreachable", "n2")["message"])
        self.assertLessEqual({m for _, m in found}, {"n2"}, str(self.found))

    def test_a_member_down(self):
        lab("break", "power-off", "n3")
        found = self.above_info()
        self.assertIn(("member.unreachable", "n3"), found, str(self.found))
        self.assertIn("does not answer at all", self.finding("member.unreachable", "n3")["message"])
        self.assertLessEqual({m for _, m in found}, {"n3"}, str(self.found))

    def test_archiving_that_fails(self):
        with self.archiving("/bin/false"):
            write_wal(10 * SEGMENT_MB)
            wait_until(lambda: int(lab("sql", "n1", "select failed_count from pg_stat_archiver")) > 2, 60, "it fails")
            lab("sql", "n1", "checkpoint")
            found = self.above_info()
            self.assertIn(("wal.not_archived", "n1"), found, str(self.found))
            self.assertIn("archiving of WAL fails on n1", self.finding("wal.not_archived", "n1")["message"])
            self.assertNotIn("slot.stuck", {i for i, _ in found}, str(self.found))

    @contextlib.contextmanager
    def archiving(self, command):
        """archive_mode needs a restart of PostgreSQL, before and after."""
        patch({"postgresql": {"parameters": {"archive_mode": "on", "archive_command": command}}})
        self.restart_postgres("archive_mode", "on")
        try:
            yield
        finally:
            patch({"postgresql": {"parameters": {"archive_mode": None, "archive_command": None}}})
            self.restart_postgres("archive_mode", "off")

    @staticmethod
    def restart_postgres(parameter, value):
        for member in REPLICAS + ["n1"]:
            wait_until(lambda m=member: "pending_restart" in lab("rest", m, "GET", "/patroni"), 30, f"{member} knows")
            lab("rest", member, "POST", "/restart", "{}")
            wait_until(lambda m=member: lab("sql", m, f"show {parameter}", check=False).strip() == value, 30,
                       f"{member} is restarted")

    def test_no_dcs(self):
        lab("break", "stop-etcd", "all")
        time.sleep(12)  # more than retry_timeout and a loop
        found = self.above_info()
        self.assertIn(("cluster.no_leader", None), found, str(self.found))
        self.assertIn("the DCS cannot be reached", self.finding("cluster.no_leader")["message"])
        self.assertEqual(self.found.code, 2, str(self.found))

    def test_two_primaries(self):
        """Paused, the leader's daemon stopped, its lock expired, resumed through a replica: a promotion beside a primary."""
        lab("break", "pause", "n1")
        lab("break", "stop-patroni", "n1")
        wait_until(lambda: '"role": "leader"' not in lab("rest", "n2", "GET", "/cluster"), 60, "the lock has expired")
        patch({"pause": None}, "n2")
        wait_until(lambda: len(primaries()) == 2, 40, "a replica is promoted while n1 still writes")
        found = self.above_info()
        self.assertIn(("cluster.two_primaries", None), found, str(self.found))
        self.assertEqual(self.found.code, 2, str(self.found))
        message = self.finding("cluster.two_primaries")["message"]
        self.assertIn("n1 accepts writes without the leader lock", message)
        self.assertIn(leader_by("n2"), message)
        self.assertEqual(self.upgrade(NEWEST, "--output", "json", command="plan").code in (4, 16), True)


def leader_by(member):
    answer = json.loads(lab("rest", member, "GET", "/cluster"))
    return next(m["name"] for m in answer["members"] if m["role"] == "leader")
