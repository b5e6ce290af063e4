"""What keeps people out, one by one, and what lockstep says about it: sudo, TLS and allowlists, PostgreSQL from here.

That the whole work can be done in these ways is shown by the other tests under LOCKSTEP_REACH."""

import contextlib
import pathlib
import re

from harness import LAB_RUN, MEMBERS, LiveTest, file_of, inventory, lab

OPSPW = ["--user", "opspw", "--become", "sudo"]
ROOT_BY_PASSWORD = [*OPSPW, "--become-password", str(LAB_RUN / "opspw.password")]


class ReachTest(LiveTest):
    reach = set()

    def write(self, name, text):
        path = pathlib.Path(self.work.name) / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        return path

    def with_inventory(self, *options, replace=()):
        """An inventory with these options of the lab, and with lines changed by regular expressions."""
        text = inventory(*options, reach=self.reach)
        for pattern, replacement in replace:
            text, count = re.subn(pattern, replacement, text)
            self.assertGreater(count, 0, pattern)
        return self.write("changed.yaml", text)

    def said(self, result):
        """Everything that it told, as one line: texts are wrapped for people."""
        return " ".join((result.out + result.err).split())

    def assert_check_fine(self, **more):
        result = self.check(**more)
        self.assertEqual((result.code, result.json["findings"]), (0, []), str(result))

    def assert_says(self, result, code, *texts):
        self.assertEqual(result.code, code, str(result))
        for text in texts:
            self.assertIn(text, self.said(result))

    @contextlib.contextmanager
    def file_on(self, member, path, text, mode=0o440):
        """A file that a member has for a while. The one that was there comes back."""
        at = file_of(member, path)
        before = at.read_bytes() if at.exists() else None
        at.write_text(text, encoding="utf-8")
        at.chmod(mode)
        try:
            yield
        finally:
            at.write_bytes(before) if before is not None else at.unlink()

    def sudoers(self, text, member="n2"):
        return self.file_on(member, "/etc/sudoers.d/test", text + "\n")

    @contextlib.contextmanager
    def without(self, member, *programs):
        for program in programs:
            lab("ssh", member, f"mv {program} {program}.away")
        try:
            yield
        finally:
            for program in programs:
                lab("ssh", member, f"mv {program}.away {program}")


class Sudo(ReachTest):
    def test_a_password_goes_to_sudo_and_nowhere_else(self):
        runbook = self.write_runbook(
            "runbook: own\nsteps:\n"
            "  - {id: who, on: n2, uses: ssh.run, with: {shell: '{ id -un; cat; } >/run/lab-said', stdin: was sent}}\n"
            "  - {id: conf, uses: patroni.config, with: {patch: {retry_timeout: 5}}}\n")
        password = (LAB_RUN / "opspw.password").read_text().strip()
        by_password = self.with_inventory(*ROOT_BY_PASSWORD)
        strict = "Defaults lecture=always, timestamp_timeout=0, use_pty, log_output, log_input"
        for rules in ("", strict):  # as it comes, and with everything that stands in the way
            with self.sudoers(rules):
                self.assert_check_fine(inventory=by_password)
                result = self.lockstep("run", runbook, "--yes", "--output", "json", inventory=by_password)
                self.assertEqual(result.code, 0, str(result))
                self.assertEqual(lab("ssh", "n2", "cat /run/lab-said; rm /run/lab-said"), "root\nwas sent")
            self.assertNotIn(password, result.out + result.err)
        for path in self.state_folder.rglob("*"):
            if path.is_file():
                self.assertNotIn(password.encode(), path.read_bytes(), path)
        # Everything that a member keeps and shows; what its sudo logged was in a pipe of its own, and not the script's input.
        found = lab("ssh", "n2", "cat >/run/lab-word; journalctl -q | grep -cFf /run/lab-word; "
                    "grep -rlFf /run/lab-word /var /etc /home /tmp 2>/dev/null; rm /run/lab-word", input=password + "\n",
                    check=False)
        self.assertEqual(found.split(), ["0"], found)
        lab("ssh", "n2", "rm -rf /var/log/sudo-io")

    def test_no_password_where_one_is_wanted(self):
        result = self.check(inventory=self.with_inventory(*OPSPW))
        self.assert_says(result, 2, "sudo wants a password of opspw", "ssh.become_password",
                         "`opspw ALL=(root) NOPASSWD: /bin/sh`")
        self.assertEqual(self.findings(result), {("member.unreachable", m) for m in MEMBERS})
        self.assert_refused(self.upgrade("4.1.5-2", "--output", "json", inventory=self.with_inventory(*OPSPW)),
                            16, "member.unreachable", "NOPASSWD")

    def test_a_wrong_password_is_offered_once(self):
        wrong = self.with_inventory(*OPSPW, "--become-password", str(self.write("wrong", "wrong\n")))
        count = "journalctl -q -t sudo | grep -c 'incorrect password attempt'"
        before = int(lab("ssh", "n2", count, check=False) or 0)
        self.assert_says(self.check(inventory=wrong), 2, "sudo does not take the password of opspw")
        self.assertEqual(int(lab("ssh", "n2", count)), before + 1)
        self.assertNotIn("incorrect password attempts", lab("ssh", "n2", "journalctl -q -t sudo"))

    def test_what_sudoers_do_not_allow_and_a_terminal_that_they_want(self):
        by_password = self.with_inventory(*ROOT_BY_PASSWORD)
        with self.sudoers("opspw ALL=(root) !/bin/sh"):
            self.assert_says(self.check(inventory=by_password), 2, "sudo does not allow opspw to become root")
        with self.sudoers("Defaults:opspw requiretty"):
            doctor = self.lockstep("doctor", inventory=by_password)
            self.assert_says(doctor, 16, "requiretty", "Defaults:opspw !requiretty")
        with self.without("n2", "/usr/bin/sudo"):
            self.assert_says(self.check(inventory=by_password), 2, "there is no sudo")

    def test_doctor_prints_the_lines_that_help(self):
        plain = self.with_inventory("--user", "opspw", "--become", "sudo")
        doctor = self.lockstep("doctor", "--output", "json", inventory=plain)
        self.assertEqual(doctor.code, 16, str(doctor))
        root = next(w for w in doctor.json["ways"] if (w["member"], w["way"]) == ("n2", "root"))
        with contextlib.ExitStack() as stack:
            for member in MEMBERS:
                stack.enter_context(self.sudoers("\n".join(root["sudoers"]), member))
            doctor = self.lockstep("doctor", inventory=plain)
            self.assertEqual(doctor.code, 0, str(doctor))
            self.assertLessEqual(max(map(len, doctor.out.splitlines())), 100)
        stays = self.lockstep("doctor", inventory=self.with_inventory("--user", "opspw"))
        self.assert_says(stays, 16, "Only looking works", "SQL")


class Postgres(ReachTest):
    def setUp(self):
        for member in MEMBERS:
            self.addCleanup(self.set_tls, member, "reset ssl", "reset ssl_cert_file", "reset ssl_key_file")
            self.set_tls(member, "set ssl = on", "set ssl_cert_file = '/etc/patroni/tls/member.pem'",
                         "set ssl_key_file = '/etc/patroni/tls/member.key'")

    def set_tls(self, member, *settings):
        for setting in (*settings, None):
            lab("sql", member, f"alter system {setting}" if setting else "select pg_reload_conf()")

    def by_dsn(self, dsn):
        return self.with_inventory(replace=[("      via: ssh\n", f"      via: direct\n      dsn: {dsn}\n")])

    def test_from_here_with_certificates_and_a_password_from_elsewhere(self):
        password = (LAB_RUN / "superuser.password").read_text().strip()
        passfile = self.write("pgpass", f"*:5432:*:postgres:{password}\n")
        verified = f"user=postgres sslmode=verify-full sslrootcert={LAB_RUN}/tls/ca.pem"
        self.assert_check_fine(inventory=self.by_dsn(f"{verified} passfile={passfile}"))
        services = self.write("services", f"[lab]\n{verified.replace(' ', chr(10))}\npassword={password}\n")
        self.assert_check_fine(inventory=self.by_dsn("service=lab"), environment={"PGSERVICEFILE": str(services)})
        with self.subTest("what is wrong is said"):
            none = self.write("none", "")
            self.assert_says(self.check(inventory=self.by_dsn(f"{verified} passfile={none}")), 2, "password", "passfile")
            other = f"user=postgres sslmode=verify-full sslrootcert={LAB_RUN}/tls/operator.pem passfile={passfile}"
            self.assert_says(self.check(inventory=self.by_dsn(other)), 2, "certificate verify failed", "sslrootcert")
            self.assert_says(self.check(inventory=self.by_dsn("service=nothing")), 2, "nothing", "PGSERVICEFILE")

    def test_no_psql_on_the_member(self):
        with self.without("n3", "/usr/bin/psql", "/usr/lib/postgresql/17/bin/psql"):
            result = self.check()
            self.assert_says(result, 2, "there is no psql on the member", "Install the PostgreSQL client on the member")
            self.assertIn(("member.unreachable", "n3"), self.findings(result))


class Rest(ReachTest):
    def test_tls_is_not_spoken(self):
        https = self.with_inventory(replace=[(r"http://198", "https://198")])
        self.assert_says(self.check(inventory=https), 3, "The server speaks http on this port")

    def test_behind_a_firewall_and_on_a_loopback(self):
        by_ssh = self.with_inventory("--via", "ssh")
        runbook = self.write_runbook("runbook: own\nsteps:\n"
                                     "  - {id: conf, uses: patroni.config, with: {patch: {retry_timeout: 5}}}\n")
        for member in MEMBERS:
            lab("break", "close-rest", member)
            self.addCleanup(lab, "mend", "close-rest", member)
        self.assert_says(self.check(), 3, "no endpoint of the cluster answers")
        self.assert_check_fine(inventory=by_ssh)
        plan = self.lockstep("plan", runbook, inventory=by_ssh)
        self.assert_says(plan, 0, "PATCH http://198.18.0.11:8008/config", "by the member's own curl, over SSH")
        result = self.lockstep("run", runbook, "--yes", "--output", "json", inventory=by_ssh)
        self.assertEqual(result.code, 0, str(result))
        with self.without("n3", "/usr/bin/curl"):
            self.assert_says(self.check(inventory=by_ssh), 2, "there is no curl on the member", "Install curl there")
        with self.patroni_with("n3", "listen: 198.18.0.13:8008", "listen: 127.0.0.1:8008"):
            self.assert_check_fine(inventory=by_ssh)

    @contextlib.contextmanager
    def patroni_with(self, member, before, after):
        config = file_of(member, "/etc/patroni/config.yml").read_text()
        self.assertIn(before, config)
        reload = "systemctl reload patroni; sleep 4"  # it listens anew in its next loop
        with self.file_on(member, "/etc/patroni/config.yml", config.replace(before, after), 0o640):
            lab("ssh", member, reload)
            yield
        lab("ssh", member, reload)

    def test_an_allowlist_without_us(self):
        lists = "restapi:\n  allowlist: [198.18.0.99]\n  allowlist_include_members: true\n"
        with self.patroni_with("n2", "restapi:\n", lists):
            self.assert_says(self.check(), 2, "Access is denied", "restapi.allowlist", "patroni.via: ssh")
            self.assert_check_fine(inventory=self.with_inventory("--via", "ssh"))


class RestWithCertificates(ReachTest):
    reach = {"tls"}

    def test_who_shows_what(self):
        self.assert_check_fine()
        with self.subTest("by its own curl, with our certificate"):
            self.assert_check_fine(inventory=self.with_inventory("--via", "ssh"))
        for via in ([], ["--via", "ssh"]):
            with self.subTest("no certificate of ours", via=via):
                none = self.with_inventory(*via, replace=[(r"      (cert|key)_file: .*\n", "")])
                self.assert_says(self.check(inventory=none), 3, "client certificate", "restapi.verify_client")
            with self.subTest("one of somebody else", via=via):
                tls = LAB_RUN / "tls"
                lab_ca = self.with_inventory(*via, replace=[(r"ca_file: .*", f"ca_file: {tls}/operator.pem")])
                self.assert_says(self.check(inventory=lab_ca), 3, "as ca_file")
        with self.subTest("http where TLS is wanted"):
            http = self.with_inventory(replace=[(r"https://", "http://")])
            self.assert_says(self.check(inventory=http), 3, "try https://")

    def test_doctor_tells_how(self):
        doctor = self.lockstep("doctor")
        self.assert_says(doctor, 0, "https, verified, with a certificate")
        self.assertLessEqual(max(map(len, doctor.out.splitlines())), 100)
