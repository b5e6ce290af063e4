#!/usr/bin/env python3
"""What a colleague in a shared state folder, or whoever owns a folder that one works in, may try: attacks_here.py LOCKSTEP.

Everything happens on this machine, with a server that answers as Patroni does; no member is reached."""

import hashlib
import http.server
import json
import os
import pathlib
import pwd
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import unittest

LOCKSTEP = ""
SOMEBODY = 54321
RUNBOOK = """
runbook: gate
steps:
  - {id: go, uses: approve, with: {message: "Is it reviewed?"}, approval: {not_self: false}}
  - {id: mark, uses: local.run, with: {argv: [touch, %s/reviewed], read_only: true}}
"""
HEADER = ("id cluster runbook plan_hash started_at started_by reason engine_version runbook_text inventory_text inputs given "
          "plan").split()
MOVES = {"plan_hash", "facts", "examined", "findings", "advice", "window", "expected", "runbook_path", "inventory_path", "rollback"}
STEP_MOVES = {"because", "notes", "no_way_back", "probed", "after", "expected_ms", "expected_from", "felt"}


class Patroni(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        port = self.server.server_address[1]
        member = {"name": "n1", "role": "leader", "state": "running", "host": "127.0.0.1", "port": 5432, "timeline": 1,
                  "api_url": f"http://127.0.0.1:{port}/patroni"}
        answers = {
            "/cluster": {"members": [member], "scope": "orders"},
            "/patroni": {"state": "running", "role": "primary", "server_version": 170002, "timeline": 1,
                         "xlog": {"location": 83887680}, "postmaster_start_time": "2026-11-23 08:00:00.000000+00:00",
                         "database_system_identifier": "7000000000000000001", "patroni": {"version": "4.0.7", "scope": "orders", "name": "n1"}},
            "/config": {"ttl": 30, "loop_wait": 10, "retry_timeout": 10},
        }
        text = json.dumps(answers.get(self.path, {})).encode()
        self.send_response(200 if self.path in answers else 404)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def plan_hash(plan):
    """As the engine makes it: of what a person approves."""
    bound = {key: value for key, value in plan.items() if key not in MOVES}
    for findings in ("blocked_by", "accepted"):
        bound[findings] = [[each["id"], each["member"], each["subject"]] for each in bound[findings]]
    steps = [{key: value for key, value in step.items() if key not in STEP_MOVES} for step in plan["steps"]]
    bound["steps"] = sorted((step for step in steps if step["made_with"] is None), key=lambda step: (step["id"], step["member"] or "unknown"))
    return sha256(canonical(bound))


class Here(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Patroni)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.endpoint = f"http://127.0.0.1:{cls.server.server_address[1]}"

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-attacks-"))
        self.addCleanup(shutil.rmtree, self.work)
        self.state = self.work / "state"
        self.state.mkdir()
        self.state.chmod(0o2770)
        self.inventory = self.write("inventory.yaml", self.inventory_text())
        self.runbook = self.write("gate.yaml", RUNBOOK % self.work)

    def inventory_text(self, more=""):
        return f"clusters:\n  orders:\n    patroni: {{endpoints: [\"{self.endpoint}\"]}}\n    ssh: {{config_file: none}}\n{more}"

    def write(self, name, text, mode=0o644):
        path = self.work / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def call(self, *argv, before=(), cwd="/", who="anna"):
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work / who)}
        return subprocess.run([*before, LOCKSTEP, *map(str, argv)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=60,
                              check=False, stdin=subprocess.DEVNULL)

    def on_state(self, *argv, **more):
        return self.call(*argv, "-i", self.inventory, "--state", self.state, **more)

    def assert_ended(self, done, code, text=""):
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        said = done.stdout + done.stderr
        self.assertIn(text, " ".join(said.split()) if " " in text else said)  # however its lines are broken

    def run_that_waits(self):
        done = self.on_state("run", self.runbook, "--yes", "--output", "json")
        self.assert_ended(done, 14)
        return json.loads(done.stdout)["run"]

    def forge(self, run, change, plan_too=True):
        """Header and chain made anew, with what `change` makes of the header."""
        with sqlite3.connect(self.state / "journal.db") as db:
            header = dict(zip(HEADER, db.execute(f"SELECT {','.join(HEADER)} FROM runs WHERE id = ?", (run,)).fetchone()))
            self.assertEqual(plan_hash(json.loads(header["plan"])), header["plan_hash"], "this test knows the hash of a plan")
            change(header)
            plan = json.loads(header["plan"])
            plan["runbook_hash"], plan["inventory_hash"] = sha256(header["runbook_text"]), sha256(header["inventory_text"])
            if plan_too:
                header["plan_hash"] = plan["plan_hash"] = plan_hash(plan)
            header["plan"] = canonical(plan)
            texts = [sha256(header[key]) if key.endswith("_text") else header[key] for key in HEADER]
            link = sha256(canonical(texts))
            records = db.execute("SELECT seq, at, kind, step, member, payload FROM records WHERE run = ? ORDER BY seq", (run,)).fetchall()
            for record in records:
                link = sha256(canonical([link, run, *record]))
                db.execute("UPDATE records SET hash = ? WHERE run = ? AND seq = ?", (link, run, record[0]))
            db.execute(f"UPDATE runs SET {','.join(key + ' = ?' for key in HEADER)}, head = ? WHERE id = ?",
                       (*(header[key] for key in HEADER), link, run))
        db.close()

    def evil(self, header):
        for key in ("runbook_text", "plan"):
            header[key] = header[key].replace("/reviewed", "/EVIL")

    def assert_nothing_evil(self):
        self.assertEqual([path.name for path in self.work.iterdir() if path.name in ("EVIL", "proof", "reviewed")], [])


class CommandLines(Here):
    def test_a_closed_stream_is_no_place_for_what_is_opened_next(self):
        run = self.run_that_waits()
        for closed in ((1,), (0, 1), (1, 2), (0, 1, 2)):
            def close(numbers=closed):
                for number in numbers:
                    os.close(number)
            for argv in (("runs",), ("show", run), ("plan", self.runbook), ("check", "orders", "--timeout", "2s")):
                done = subprocess.run([LOCKSTEP, *map(str, argv), "-i", self.inventory, "--state", self.state], cwd="/", timeout=60, check=False,
                                      stderr=subprocess.DEVNULL, preexec_fn=close, env={"PATH": os.environ["PATH"], "HOME": str(self.work), "XDG_CONFIG_HOME": str(self.work / "anna")})
                self.assertEqual(done.returncode, 2 if argv[0] == "check" else 1, (closed, argv, "its output is lost"))
        self.assert_ended(self.on_state("show", run), 0, "WAITING")

    def test_an_empty_option_is_not_one_that_was_not_given(self):
        for option in ("-i", "--inventory", "-c", "--cluster", "--state"):
            self.assert_ended(self.call("runs", option, ""), 2, "must not be empty")
            self.assert_ended(self.call("check", option, ""), 3, "must not be empty")


class Evidence(Here):
    """A state that cannot be written: of a backup, of a machine whose disk went read-only."""

    def read_only(self, *argv):
        if os.geteuid() != 0:
            self.state.chmod(0o500)
            self.addCleanup(self.state.chmod, 0o700)
            return self.on_state(*argv)
        mount = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
        return self.on_state(*argv, before=("unshare", "-m", "sh", "-c", mount, self.state))

    def contents(self):
        return {path.name: path.read_bytes() for path in self.state.iterdir() if not path.name.endswith("-shm")}

    def setUp(self):
        super().setUp()
        self.state.chmod(0o700)

    def test_is_read_where_nothing_can_be_written(self):
        run = self.run_that_waits()
        self.assert_ended(self.on_state("check", "orders", "--timeout", "2s"), 2, "member.unreachable")
        shown = self.on_state("show", run, "--output", "json").stdout
        before = self.contents()
        self.assertNotIn("journal.db-wal", before, "the last one who wrote took it away")
        for _ in range(2):
            self.assert_ended(self.read_only("runs"), 0, run)
            done = self.read_only("show", run, "--output", "json")
            self.assert_ended(done, 0)
            self.assertEqual(done.stdout, shown)
            self.assert_ended(self.read_only("check", "orders", "--timeout", "2s"), 2, "member.unreachable")
            self.assert_ended(self.read_only("approve", run), 1, "ead-only" if os.geteuid() == 0 else "ermission denied")
            self.assertEqual(self.contents(), before)

    def test_is_read_with_the_log_of_an_engine_that_died(self):
        open_still = sqlite3.connect(self.state / "journal.db")  # whoever closes last would empty it
        self.addCleanup(open_still.close)
        open_still.execute("PRAGMA journal_mode = WAL")
        open_still.execute("CREATE TABLE other (n)")
        open_still.execute("DROP TABLE other")
        run = self.run_that_waits()
        self.assertGreater((self.state / "journal.db-wal").stat().st_size, 0)
        copy = self.work / "copy"
        shutil.copytree(self.state, copy)
        copy.chmod(0o700)
        self.state = copy
        before = self.contents()
        self.assert_ended(self.read_only("runs"), 0, run)
        self.assert_ended(self.read_only("show", run), 0, "WAITING")
        self.assertEqual(self.contents(), before)
        (copy / "journal.db-shm").unlink()
        self.assert_ended(self.read_only("runs"), 1, "write-ahead log without its index")
        self.assert_ended(self.on_state("runs"), 0, run)

    def test_that_is_not_there_is_not_made_by_looking(self):
        self.state.rmdir()
        self.assert_ended(self.on_state("runs"), 0, "no runs on record")
        self.assert_ended(self.on_state("show"), 2, "no runs on record")
        self.assertFalse(self.state.exists())


class Files(Here):
    def test_an_inventory_of_the_folder_that_others_may_write_to_has_nothing_run(self):
        trap = self.work / "trap"
        trap.mkdir()
        command = f'password: {{command: [sh, -c, "id >{self.work}/proof; echo x"]}}'
        text = self.inventory_text().replace("patroni: {", f"patroni: {{username: u, {command}, ")
        (trap / "inventory.yaml").write_text(text, encoding="utf-8")
        for file_mode, folder_mode in ((0o666, 0o755), (0o644, 0o777), (0o644, 0o1777)):
            (trap / "inventory.yaml").chmod(file_mode)
            trap.chmod(folder_mode)
            for argv in (("check", "orders"), ("doctor", "orders"), ("plan", str(self.runbook))):
                done = self.call(*argv, "--state", self.state, cwd=trap)
                self.assert_ended(done, 3, "everybody may write to it")
                self.assertIn("--allow-shared-inventory", done.stderr)
            self.assert_nothing_evil()
        (trap / "inventory.yaml").chmod(0o644)
        trap.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(trap / "inventory.yaml", SOMEBODY, -1)
            self.assert_ended(self.call("check", "orders", "--state", self.state, cwd=trap), 3, "54321 may write to it")
            self.assert_nothing_evil()
            os.chown(trap / "inventory.yaml", 0, -1)
        done = self.call("check", "orders", "--state", self.state, cwd=trap)
        self.assertIn(f"the inventory is {trap}/inventory.yaml", done.stderr)
        self.assertTrue((self.work / "proof").exists(), "one's own has it run: " + done.stderr)

    def test_a_named_inventory_and_a_runbook_that_others_may_write_to_are_allowed_by_name(self):
        self.inventory.chmod(0o666)
        self.assert_ended(self.on_state("plan", self.runbook), 3, "--allow-shared-inventory")
        self.assert_ended(self.on_state("plan", self.runbook, "--allow-shared-inventory"), 0)
        self.inventory.chmod(0o644)
        self.runbook.chmod(0o666)
        self.assert_ended(self.on_state("plan", self.runbook), 3, "--allow-shared-runbook")
        self.assert_ended(self.on_state("plan", self.runbook, "--allow-shared-runbook"), 0)
        self.assert_ended(self.on_state("validate", self.runbook), 0)

    def test_what_is_put_in_the_place_of_the_journal_is_left_alone(self):
        victim = self.write("victim", "secret", 0o600)
        for name in ("journal.db", "journal.db-wal", "journal.db-shm", "samples.db"):
            for put in (lambda at: at.symlink_to(victim), lambda at: os.link(victim, at), os.mkfifo):
                at = self.state / name
                put(at)
                done = self.on_state(*(("check", "orders", "--timeout", "2s") if name == "samples.db" else ("runs",)))
                if name != "samples.db":
                    self.assert_ended(done, 1, "neither read nor written")
                self.assertEqual((victim.read_text(), victim.stat().st_mode & 0o777), ("secret", 0o600), name)
                for path in self.state.iterdir():
                    path.unlink()

    def test_a_key_that_others_read_is_none(self):
        run = self.run_that_waits()
        key = self.write("key", "anna's\n", 0o644)
        self.assert_ended(self.on_state("approve", run, "--key-file", key), 1, "readable by everybody")


class Record(Here):
    def test_a_run_goes_on_with_its_own_seal_and_another_person_has_to_trust_it(self):
        run = self.run_that_waits()
        self.assert_ended(self.on_state("approve", run), 0)
        stranger = self.on_state("resume", run, who="bert")
        self.assert_ended(stranger, 4, "a key that you do not trust")
        self.assertIn("sealed by a key that you do not trust", self.on_state("show", run, who="bert").stdout)
        line = json.loads(self.on_state("keys", "--output", "json").stdout)["own"].split()
        (self.work / "bert" / "lockstep" / "trusted_keys").write_text(f"anna {line[1]}\n", encoding="utf-8")
        self.assertIn("sealed by anna", self.on_state("show", run, who="bert").stdout)
        self.assert_ended(self.on_state("resume", run, who="bert"), 0)
        self.assertTrue((self.work / "reviewed").exists())
        self.assertIn("a key that you do not trust", self.on_state("show", run).stdout, "bert wrote last")

    def test_a_proof_is_by_the_key_of_the_inventory_at_hand_and_of_the_run_as_it_was(self):
        user = pwd.getpwuid(os.geteuid()).pw_name
        keys = f"approvers: {{{user}: {{secret: {{file: key}}}}}}\n"
        key, other = self.write("key", "the key\n", 0o600), self.write("other", "another\n", 0o600)
        self.write("inventory.yaml", self.inventory_text(keys))
        run = self.run_that_waits()
        self.assert_ended(self.on_state("approve", run), 4, "--key-file")
        self.assert_ended(self.on_state("approve", run, "--key-file", other), 0)
        self.assert_ended(self.on_state("resume", run, "--yes"), 14, "its proof was not made with the key")
        self.assert_ended(self.on_state("approve", run, "--key-file", key), 0)
        self.write("inventory.yaml", self.inventory_text())
        self.assert_ended(self.on_state("resume", run, "--yes"), 14, "looked up in your own inventory")
        self.write("inventory.yaml", self.inventory_text(keys))
        self.assert_ended(self.on_state("approve", run, "--key-file", key), 0)
        self.assert_ended(self.on_state("resume", run, "--yes"), 0)
        self.assertTrue((self.work / "reviewed").exists())

    def test_a_plan_made_anew_with_all_its_hashes_is_not_run(self):
        run = self.run_that_waits()
        self.assert_ended(self.on_state("approve", run), 0)
        self.forge(run, self.evil)
        self.assert_ended(self.on_state("show", run), 0, "it was changed afterwards")
        self.assert_ended(self.on_state("resume", run, "--yes"), 4, "it was changed afterwards")
        self.assert_ended(self.on_state("rollback", run, "--yes"), 4, "it was changed afterwards")
        self.assert_ended(self.on_state("approve", run), 4, "it was changed afterwards")
        with sqlite3.connect(self.state / "journal.db") as db:
            db.execute("UPDATE runs SET seal = ''")
        db.close()
        self.assert_ended(self.on_state("resume", run, "--yes"), 4, "--unsealed")
        self.assert_ended(self.on_state("resume", run, "--yes", "--unsealed"), 2, "reason")
        self.assert_nothing_evil()

    def test_a_plan_that_its_hash_is_not_of_is_not_even_run_unsealed(self):
        run = self.run_that_waits()
        self.assert_ended(self.on_state("approve", run), 0)
        self.forge(run, self.evil, plan_too=False)
        for command in ("resume", "rollback"):
            done = self.on_state(command, run, "--yes", "--unsealed", "--reason", "an attack")
            self.assert_ended(done, 1, "on record is not the one that the hash of the plan is of")
        self.assert_nothing_evil()

    def test_a_command_for_a_key_on_record_is_not_started(self):
        keys = "approvers: {root: {secret: {file: key}}}\n"
        self.write("key", "the key\n", 0o600)
        self.inventory.write_text(self.inventory_text(keys.replace("root", pwd.getpwuid(os.geteuid()).pw_name)), encoding="utf-8")
        run = self.run_that_waits()

        def trap(header):
            header["inventory_text"] = header["inventory_text"].replace(
                "{file: key}", f'{{command: [sh, -c, "id >{self.work}/proof; echo k"]}}')

        self.forge(run, trap)
        self.on_state("approve", run, "--key-file", self.write("other", "k\n", 0o600))
        self.on_state("resume", run, "--yes")
        self.on_state("resume", run, "--yes", "--unsealed", "--reason", "an attack")
        self.assert_nothing_evil()

    def test_an_answer_out_of_a_user_namespace_needs_a_key(self):
        namespace = ["unshare", "-U", "--map-user=12345"] if os.geteuid() else ["unshare", "-U", "--map-root-user"]
        if subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode:
            self.skipTest("no user namespaces here")
        run = self.run_that_waits()
        done = self.on_state("approve", run, before=namespace)
        self.assert_ended(done, 4, "in a user namespace you are whom you like")
        waiting = self.on_state("run", self.runbook, "--yes", "--output", "json", before=namespace)
        self.assert_ended(waiting, 14)
        other = json.loads(waiting.stdout)["run"]
        self.assertIn("(user namespace)", json.loads(self.on_state("show", other, "--output", "json").stdout)["started_by"])


if __name__ == "__main__":
    LOCKSTEP = sys.argv.pop(1)
    unittest.main(verbosity=2)
