"""What happens to a cluster, and to the journal, in the middle of a run: the run stops safely or carries on, and can be ended well."""

import contextlib
import pathlib
import sqlite3
import time

from harness import (MEMBERS, NEW, NEWEST, OLD, PACKAGE, DpkgLogs, LiveTest, close_gate, cluster, config, installed_versions, lab,
                     leader, member_versions, open_gate, postmasters, primaries, shell, wait_until)


class ClusterFaults(LiveTest):
    seconds_per_test = 90

    def setUp(self):
        self.before, self.logs = self.identity(), DpkgLogs()

    def tearDown(self):
        close_gate()
        self.reset()

    def run_through(self, fault, then=lambda: None):
        """The whole upgrade, with `fault` before the leader's turn and `then` once that has begun. Never two primaries."""
        run = self.start_gated_upgrade(NEWEST)
        self.assertEqual(self.logs.all_installs(), {"n1": [], "n2": [PACKAGE[NEWEST]], "n3": [PACKAGE[NEWEST]]})
        fault()
        open_gate()
        then()
        deadline = time.monotonic() + 400
        while run.running():
            self.assertLess(time.monotonic(), deadline, f"it does not end: {run.text()}")
            self.assertLessEqual(len(primaries()), 1, "two primaries")
            time.sleep(0.5)  # two would stay for longer: each writes until its own next loop
        return run.wait()

    def good(self):
        """One primary, one version, everything streams, nothing is paused, nothing to find."""
        try:
            versions = set(member_versions().values())
            states = {m["state"] for m in cluster()["members"]}
        except AssertionError:
            return False
        return (len(versions) == 1 and states <= {"running", "streaming"} and len(primaries()) == 1 and "pause" not in config()
                and {v.split("-")[0] for v in installed_versions().values()} == {"ii  " + versions.pop()} and self.check().code == 0)

    def soon_good(self):
        with contextlib.suppress(AssertionError):
            return wait_until(self.good, 20, "all is well")
        return False

    def assert_good_end(self, result):
        """What an operator would do: resume, else roll back, else begin anew. One of them leads to a good end."""
        tried = [result]
        for act in (self.resume, self.rollback, lambda: self.upgrade(PACKAGE[NEWEST], "--output", "json"), None):
            if self.soon_good():
                return
            if act:
                tried.append(act())
        self.fail("no way leads to a good end:\n" + "\n\n".join(map(str, tried)))

    def said(self, result):
        """All messages of the run, in small letters."""
        texts = [str(e.get(key, "")) for e in result.events for key in ("message", "hint", "because")]
        return " ".join(texts + [result.err]).lower()

    def test_another_member_becomes_the_leader(self):
        def switch():
            lab("rest", "n1", "POST", "/switchover", '{"leader": "n1", "candidate": "n2"}')
            wait_until(lambda: leader() == "n2", 30, "n2 leads")
        with self.writing(errors=None):
            result = self.run_through(switch)
            self.assertIn(result.code, (10, 11, 12, 13), str(result))
            self.assertEqual(primaries(), ["n2"])
            self.assertIn("leader", self.said(result))
            self.assert_good_end(result)

    def test_somebody_resumes_the_cluster(self):
        def resume():
            lab("rest", "n2", "PATCH", "/config", '{"pause": null}')
            wait_until(lambda: "pause" not in config("n3"), 10, "the pause is gone")
        with self.writing():
            result = self.run_through(resume)
            self.assertIn(result.code, (10, 11, 12, 13), str(result))
            self.assertIn("pause", self.said(result))
            self.assertEqual(self.identity(), self.before, str(result))
            self.assert_good_end(result)
            self.assertEqual(self.identity(), self.before)

    def test_no_dcs_for_a_minute(self):
        def outage():
            time.sleep(60)
            lab("mend", "stop-etcd", "all")
        with self.writing():
            result = self.run_through(lambda: lab("break", "stop-etcd", "all"), outage)
            self.assertIn(result.code, (0, 10, 11, 12, 13), str(result))
            self.assertEqual(primaries(), ["n1"])
            self.assert_good_end(result)
        self.assertEqual(self.identity(), self.before, str(result))

    def test_a_member_boots_again(self):
        def reboot():
            lab("break", "reboot", "n2")
            lab("mend", "reboot", "n2")
        with self.writing():
            result = self.run_through(reboot)
            self.assertIn(result.code, (10, 11, 12, 13), str(result))
            self.assertEqual(primaries(), ["n1"])
            self.assertIn("n2", self.said(result))
            self.assert_good_end(result)
        now = postmasters()
        self.assertNotEqual(now.pop("n2"), self.before["postmasters"].pop("n2"), "else it has not booted")
        self.assertEqual(now, self.before["postmasters"], "the others' PostgreSQL was restarted")


class StateFolder(LiveTest):
    """A journal that cannot be written, or not be trusted, stops lockstep; what was done is not lost."""
    seconds_per_test = 45

    def setUp(self):
        self.logs, self.before = DpkgLogs(), self.identity()
        folder = pathlib.Path(self.work.name) / self.id().rsplit(".", 1)[-1]
        folder.mkdir()
        shell("mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "lab-state", str(folder))
        self.addCleanup(shell, "umount", "--lazy", str(folder))
        self.disk = folder
        self.state = folder / "state"

    def tearDown(self):
        self.reset()

    def begin(self):
        """An upgrade of which one member is done."""
        run = self.start_upgrade(OLD, state=self.state)
        run.wait_for_event(event="step_result", step="replicas.install", seconds=120)
        return run

    def begin_and_kill(self):
        self.begin().kill()

    def assert_stopped(self, result):
        """Cleanly, and with what to do about it."""
        self.assertEqual(result.code, 1, str(result))
        self.assertIn("HINT", result.err)
        self.assertIn("journal", result.err)

    def assert_refuses(self, *argv):
        """And leaves the members as they are."""
        before = self.logs.all_installs(), config()
        result = self.lockstep(*argv, "--yes", state=self.state)
        self.assert_stopped(result)
        self.assertEqual((self.logs.all_installs(), config()), before, str(result))
        return result

    def assert_resumed(self):
        result = self.resume(state=self.state)
        self.assertEqual((result.code, result.json["state"]), (0, "succeeded"), str(result))
        self.assertEqual(self.logs.all_installs(), dict.fromkeys(MEMBERS, [PACKAGE[OLD]]), str(result))
        self.assertEqual(self.identity(), self.before, str(result))
        self.assert_all_run(OLD, str(result))

    def test_read_only(self):
        with self.writing():
            self.begin_and_kill()
            shell("mount", "-o", "remount,ro", str(self.disk))
            self.assert_refuses("resume")
            self.assert_refuses("rollback")
            self.assert_refuses("run", "patroni-upgrade", "--set", f"target={PACKAGE[NEW]}")
            shell("mount", "-o", "remount,rw", str(self.disk))
            self.assert_resumed()

    def fill(self):
        with contextlib.suppress(OSError), open(self.disk / "filler", "wb", buffering=0) as filler:
            for _ in range(4096):
                filler.write(b"x" * 1024)
        self.assertEqual(shell("df", "--output=avail", str(self.disk)).split()[-1], "0", "it is not full")

    def test_full(self):
        with self.writing():
            run = self.begin()
            self.fill()
            result = run.wait()
            self.assert_stopped(result)
            self.assertIn("patroni.pause", result.err, "what is still in force")
            self.assertTrue(config()["pause"], "it was given back although that could not be recorded")
            self.assert_refuses("resume")
            (self.disk / "filler").unlink()
            self.assert_resumed()

    def test_one_byte_of_a_record_is_another(self):
        with self.writing():
            self.begin_and_kill()
            journal = self.state / "journal.db"
            with contextlib.closing(sqlite3.connect(journal)) as db:
                db.execute("pragma wal_checkpoint(truncate)")
            whole = journal.read_bytes()
            place = whole.index(b'"outcome":"succeeded"') + 12
            journal.write_bytes(whole[:place] + b"t" + whole[place + 1:])
            result = self.assert_refuses("resume")
            self.assertIn("damaged", result.err)
            self.assert_refuses("rollback")
            journal.write_bytes(whole)
            self.assert_resumed()
