#!/usr/bin/env python3
"""leaks.py LOCKSTEP: runs whose every secret is printed by what they start; then every byte of what is left
and shown is searched. Needs no cluster: a Patroni is played here, and every step is of this machine."""
import base64, http.server, json, os, pathlib, resource, shutil, signal, subprocess, sys, tempfile, threading, time, unittest
import urllib.parse

LOCKSTEP = os.path.abspath(sys.argv.pop(1))

SECRETS = {                       # where it comes from: its value
    "input": "it's in/put \"s3cret\" $1",
    "rest": "rest-pa55word&x",
    "file": "fi1e+s3cret/of~mine",
    "command": "c0mmand's own s3cret",
    "hook": "Bearer h00k-t0ken-value",
    "approver": "4pprover-key-of-anna",
    "key": "my-0wn-approval-key",
    "pem": "-----BEGIN KEY-----\nMIIBVgIBADANBgkqhkiG9w0BAQ\nEFAASCAUAwggE8AgEAAkEAq7Bf\n-----END KEY-----",
}


def forms(value):
    """As Python and the shell write it, and not as lockstep thinks that they do."""
    raw = value.encode()
    yield value
    yield json.dumps(value)[1:-1]
    yield urllib.parse.quote(value, safe="")
    yield urllib.parse.quote_plus(value)
    yield raw.hex()
    yield raw.hex().upper()
    yield repr(value)[1:-1]
    for before in (b"", b"u", b"uu"):   # without the digits at the ends, which depend on others
        yield base64.b64encode(before + raw).decode()[2 if before else 0:-4]
        yield base64.urlsafe_b64encode(before + raw).decode()[2 if before else 0:-4]
    for line in value.splitlines() if "\n" in value else []:
        yield line


PRINT_ALL = r"""
import base64, json, os, shlex, sys, urllib.parse
sys.path.insert(0, os.path.dirname(sys.argv[1]))
value = os.environ.get("T") or sys.stdin.read()
if not value:
    sys.exit("no secret came")
raw = value.encode()
out = [value, json.dumps(value), json.dumps({value: [value]}), urllib.parse.quote(value, safe=""),
       urllib.parse.quote_plus(value), raw.hex(), raw.hex().upper(), repr(value), shlex.quote(value)]
out += [base64.b64encode(b + raw).decode() for b in (b"", b"u", b"uu", b"uuu")]
out += [base64.urlsafe_b64encode(b + raw).decode() for b in (b"", b"u", b"uu")]
out += ["%s=%s;" % (n, value) for n in range(3)]
print("\n".join(out)); print("\n".join(out), file=sys.stderr)
"""


class Patroni(http.server.BaseHTTPRequestHandler):
    """One member, a leader. What it is asked for with a password it says with it."""
    def answer(self):
        said = {"/cluster": {"scope": "orders", "members": [{"name": "n1", "role": "leader", "state": "running", "timeline": 1,
                             "api_url": f"http://127.0.0.1:{self.server.server_port}/patroni", "host": "127.0.0.1", "port": 5432}]},
                "/config": {"ttl": 30, "loop_wait": 10, "retry_timeout": 10, "note": SECRETS["rest"]}}
        status = 200
        body = said.get(self.path, {"state": "running", "role": "primary", "timeline": 1, "server_version": 170002,
               "postmaster_start_time": "2026-11-30 23:29:28.229205+00:00", "xlog": {"location": 67108960},
               "database_system_identifier": "7", "patroni": {"version": "4.0.4", "scope": "orders", "name": "n1"},
               "tags": {"said": SECRETS["rest"]}})
        if self.path == "/echo":
            body = dict(self.headers)
        if self.path == "/hook":
            status, body = 500, dict(self.headers)
        text = json.dumps(body).encode()
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
    do_GET = do_POST = do_PATCH = answer

    def log_message(self, *args):
        pass


class Bench(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lockstep-leaks-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Patroni)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.tools = self.dir / "tools"           # not searched: what prints the secrets has to know them
        self.tools.mkdir()
        self.write("tools/file", SECRETS["file"] + "\n", 0o600)
        self.write("tools/anna", SECRETS["approver"] + "\n", 0o600)
        self.write("tools/say", "#!/bin/sh\ncat <<'E'\n" + SECRETS["command"] + "\nE\n", 0o700)
        self.write("tools/told", "#!/bin/sh\ncat '%s' >&2; exit 1\n" % (self.tools / "file"), 0o700)
        self.write("tools/print.py", PRINT_ALL)
        self.write("tools/pem", SECRETS["pem"] + "\n", 0o600)
        self.write("inventory.yaml", f"""
clusters:
  orders:
    patroni: {{endpoints: ["{self.url}"], username: admin, password: {{env: REST_PW}}}}
    ssh: {{become: sudo, become_password: {{file: {self.tools}/file}}}}
approvers: {{anna: {{secret: {{file: {self.tools}/anna}}}}}}
notify:
  hook: {{webhook: "{self.url}/hook", headers: {{Authorization: {{env: HOOK}}}}}}
  mail: {{command: ["{self.tools}/told"]}}
  own: {{webhook: "{self.url}/hook", headers: {{X-Own: {{command: ["{self.tools}/say"]}}}}}}
""")

    def write(self, name, text, mode=0o644):
        path = self.dir / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def lockstep(self, *args, out=subprocess.PIPE, **more):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.dir), "TMPDIR": str(self.dir), "T0KEN": SECRETS["input"], "REST_PW": SECRETS["rest"], "PEM": SECRETS["pem"],
               "HOOK": SECRETS["hook"], "LOCKSTEP_APPROVAL_KEY": SECRETS["key"]}
        env.update(more.pop("env", {}))
        done = subprocess.run([LOCKSTEP, *args, "-i", str(self.dir / "inventory.yaml"), "--state", str(self.dir / "state")],
                              stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, env=env, timeout=120, cwd=self.dir, **more)
        return done

    def keep(self, name, done):
        """What a person saw, to be searched with the rest."""
        (self.dir / (name + ".out")).write_bytes(done.stdout)
        (self.dir / (name + ".err")).write_bytes(done.stderr)
        return done

    def search(self):
        texts = {path: path.read_bytes() for path in self.dir.rglob("*")
                 if path.is_file() and self.tools not in path.parents}
        self.assertTrue(any(path.name == "journal.db" for path in texts))
        for name, value in SECRETS.items():
            for form in set(forms(value)):
                if len(form) >= 4:
                    for path, text in texts.items():
                        at = text.find(form.encode())
                        if at >= 0:
                            self.fail(f"{path.name} has the secret of {name} as {form!r}: …{text[max(0, at - 80):at + 60]!r}")


class Leaks(Bench):
    def steps(self):
        python = sys.executable
        show = f'[{python}, "{self.tools}/print.py", x]'
        def local(id, argv, more=""):
            return f'  - {{id: {id}, uses: local.run, on_failure: continue, register: {id}, with: {{argv: {argv}, read_only: true{more}}}}}\n'
        # What a secret command said is known once it was used.
        return ('  - {id: told, uses: notify, on_failure: continue, with: {message: hello, to: [own, hook, mail]}}\n' +
                local("every", show, ', env: {T: "${{ inputs.token }}"}') +
                local("pem", show, ', env: {T: "${{ inputs.pem }}"}') +
                local("fed", show, ', stdin: "${{ inputs.token }}"') +
                local("traced", '[sh, -xc, \': "$T"; exit 3\']', ', env: {T: "${{ inputs.token }}"}') +
                local("bash", '[bash, -xc, \'printf "%q\\n" "$T"; exit 3\']', ', env: {T: "${{ inputs.token }}"}') +
                local("environment", "[env]") +
                local("mine", f'[cat, "{self.tools}/file", "{self.tools}/say"]') +
                local("theirs", '[sh, -c, "cat /proc/$PPID/environ"]') +
                local("cut", f"[sh, -c, 'yes \"$T\" | head -c 3000000']", ', env: {T: "${{ inputs.token }}"}') +
                f'  - {{id: asked, uses: http.request, on_failure: continue, register: {{name: asked, as: json}}, with: {{url: "{self.url}/echo", headers: {{X-Token: "${{{{ inputs.token }}}}"}}}}}}\n')

    def runbook(self, extra=""):
        return self.write("leaky.yaml", "runbook: leaky\nsummary: prints what it should not\n"
                          "inputs: {token: {type: secret, required: true}, pem: {type: secret, required: true}}\n"
                          "notify: [{on: [start, end, failure], to: [hook, mail, own]}]\nsteps:\n" + self.steps() + extra)

    def run_it(self, *more):
        return self.lockstep("run", "./leaky.yaml", "-c", "orders", "--yes", "--set", "token=env:T0KEN",
                             "--set", "pem=env:PEM", *more)

    def test_nothing_that_is_printed_is_shown_or_kept(self):
        self.runbook()
        for name, more in {"text": (), "trace": ("--log-level", "trace"), "jsonl": ("--output", "jsonl"), "json": ("--output", "json")}.items():
            done = self.keep(name, self.run_it(*more))
            self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-2000:])
        self.assertIn(b"***", (self.dir / "jsonl.out").read_bytes())
        self.keep("show", self.lockstep("show"))
        self.keep("show-json", self.lockstep("show", "--output", "json"))
        self.keep("plan", self.lockstep("plan", "./leaky.yaml", "-c", "orders", "--set", "token=env:T0KEN", "--set", "pem=env:PEM", "--out", "saved.json"))
        self.keep("check", self.lockstep("check", "orders", "--output", "json"))
        self.keep("doctor", self.lockstep("doctor", "orders"))
        self.search()

    def test_what_was_printed_is_a_secret_for_later_steps(self):
        self.runbook('  - {id: again, uses: notify, with: {message: "${{ steps.every.stdout }}"}}\n')
        done = self.keep("text", self.run_it())
        self.assertEqual(done.returncode, 4, done.stdout + done.stderr)
        self.assertIn(b"holds a secret", done.stdout + done.stderr)
        resumed = self.keep("resumed", self.lockstep("resume", "--yes"))
        self.assertEqual(resumed.returncode, 4, resumed.stdout + resumed.stderr)
        self.assertIn(b"holds a secret", resumed.stdout + resumed.stderr)
        self.search()


def heeds(pid, number):
    """It does something of its own on that signal, or has it wait: one that is just starting dies of it."""
    fields = dict(line.split(":", 1) for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
    return (int(fields["SigCgt"], 16) | int(fields["SigBlk"], 16)) >> (number - 1) & 1


class Process(Bench):
    def test_children_get_no_secret_of_the_environment(self):
        self.write("env.yaml", "runbook: env\nsteps:\n  - {id: e, uses: local.run, register: e, with: {argv: [env], read_only: true}}\n")
        done = self.lockstep("run", "./env.yaml", "-c", "orders", "--yes", "--output", "jsonl")
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in (b"REST_PW", b"HOOK", b"LOCKSTEP_APPROVAL_KEY", b"T0KEN"):
            self.assertNotIn(name + b"=", done.stdout)
        self.assertIn(b"PATH=", done.stdout)

    def test_output_that_cannot_be_written_is_no_success(self):
        self.write("ok.yaml", "runbook: ok\nsteps:\n  - {id: e, uses: local.run, with: {argv: ['true'], read_only: true}}\n")
        self.assertEqual(self.lockstep("run", "./ok.yaml", "-c", "orders", "--yes").returncode, 0)
        commands = [["plan", "./ok.yaml", "-c", "orders"], ["plan", "./ok.yaml", "-c", "orders", "--output", "json"], ["schema"], ["runs"],
                    ["runs", "--output", "json"], ["show"], ["show", "--output", "json"], ["explain", "step.undo"], ["knowledge"], ["validate", "./ok.yaml"],
                    ["run", "./ok.yaml", "-c", "orders", "--yes", "--output", "jsonl"], ["run", "./ok.yaml", "-c", "orders", "--yes"], ["--version"], ["--help"]]
        for command in commands:
            with open("/dev/full", "wb") as full:
                done = self.lockstep(*command, out=full)
            self.assertNotEqual(done.returncode, 0, command)
            self.assertIn(b"could not be written", done.stderr, command)
            reader, writer = os.pipe()
            os.close(reader)
            done = self.lockstep(*command, out=writer)
            os.close(writer)
            self.assertNotEqual(done.returncode, 0, command)
        with open("/dev/full", "wb") as full:
            self.assertIn(self.lockstep("check", "orders", out=full).returncode, (2, 3))

    def ends_by(self, number, *args):
        process = subprocess.Popen([LOCKSTEP, *args], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.dir,
                                   env={"PATH": os.environ["PATH"], "HOME": str(self.dir)}, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, []))
        try:
            last = time.monotonic() + 30
            while not heeds(process.pid, number) and time.monotonic() < last:
                time.sleep(0.05)
            time.sleep(1)  # it gets to what it waits for
            self.assertIsNone(process.poll(), "it did not wait")
            process.send_signal(number)
            sent = time.monotonic()
            code = process.wait(20)
            self.assertLess(time.monotonic() - sent, 9)
            return code
        finally:
            process.kill()
            process.wait()

    def test_signals_end_what_has_begun_nothing(self):
        os.mkfifo(self.dir / "fifo")
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.assertEqual(self.ends_by(number, "validate", "./fifo"), 130)
        self.write("slow.yaml", f'clusters: {{orders: {{patroni: {{endpoints: ["{self.url}"], username: a, password: {{command: [sleep, "60"]}}}}}}}}\n')
        self.assertEqual(self.ends_by(signal.SIGINT, "check", "orders", "-i", "slow.yaml"), 130)

    def test_memory_is_private(self):
        os.mkfifo(self.dir / "fifo")
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        process = subprocess.Popen([LOCKSTEP, "validate", "./fifo"], cwd=self.dir, stdin=subprocess.DEVNULL)
        try:
            time.sleep(1)
            limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
            self.assertRegex(limits, r"Max core file size\s+0\s")
        finally:
            process.kill()
            process.wait()

    def test_a_missing_program_and_a_bad_url_are_no_unreachable_member(self):
        for name, step, code in (("missing", "uses: local.run, with: {argv: [/nonexistent/prog], read_only: true}", 4),
                                 ("url", 'uses: http.request, with: {url: "file:///etc/passwd"}', 4),
                                 ("blank", 'uses: http.request, with: {url: "http://x/a b"}', 4)):
            self.write("bad.yaml", f"runbook: bad\nsteps:\n  - {{id: e, {step}}}\n")
            done = self.lockstep("run", "./bad.yaml", "-c", "orders", "--yes")
            self.assertEqual(done.returncode, code, (name, done.stdout, done.stderr))

    def test_without_a_home_nobody_elses_is_taken(self):
        done = subprocess.run([LOCKSTEP, "runs"], env={"PATH": os.environ["PATH"]}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
                              preexec_fn=(lambda: os.setuid(54321)) if os.getuid() == 0 else None)
        if os.getuid() == 0:
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertIn(b"HOME", done.stderr)
            self.assertNotIn(b"/root", done.stderr)


if __name__ == "__main__":
    unittest.main()
