"""Members of dnf's family. Debian has dnf and rpm, too: an os-release of Rocky makes the lab's members such, and their Patroni
comes from RPM packages that the lab has made, which restart the daemon as PGDG's do, from the %postun of the old one."""

import contextlib

from harness import MEMBERS, NEW, NEWEST, PACKAGE, lab, member_versions, on_each, wait_until
from test_packages import Packages

RELEASE = "1PGDG.lab1"
ROCKY = 'ID="rocky"\\nID_LIKE="rhel centos fedora"\\nVERSION_ID="9.6"\\nPLATFORM_ID="platform:el9"\\n'
BECOME = f"""
printf '{ROCKY}' >/run/lab-os-release
mount --bind /run/lab-os-release /usr/lib/os-release
dnf -y install patroni-{NEW}-{RELEASE} patroni-etcd-{NEW}-{RELEASE} postgresql17-server >/run/lab-dnf 2>&1 || {{ cat /run/lab-dnf >&2; exit 1; }}
systemctl restart patroni
"""
BE_DEBIAN = f"""
umount /usr/lib/os-release
rpm -e --justdb --noscripts patroni patroni-etcd postgresql17-server lab-shell
rm -f /etc/patroni/package.conf* /etc/patroni/*.rpm* /etc/dnf/plugins/versionlock.list.d/*
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --reinstall --allow-downgrades 'patroni={PACKAGE[NEW]}' >/dev/null 2>&1
systemctl restart patroni
"""


def rpm(version):
    return f"{version}-{RELEASE}"


def pause_all():
    lab("rest", "n1", "PATCH", "/config", '{"pause": true}')
    keys = "etcdctl get --prefix /service/lab/members/ --print-value-only"
    wait_until(lambda: lab("ssh", "n1", keys).count('"pause":true') == len(MEMBERS), 30, "every member's key says pause")


class OfDnf(Packages):
    seconds_per_test = 35

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        pause_all()
        on_each(lambda m: lab("ssh", m, BECOME))
        cls.settle()

    @classmethod
    def settle(cls):
        def each():
            return list(on_each(lambda m: lab("rest", m, "GET", "/patroni", check=False)).values())

        # A daemon that was just restarted is in the list still, as it was.
        wait_until(lambda: all('"running"' in text for text in each()), 60, "every daemon answers")
        wait_until(lambda: sum('"streaming"' in text for text in each()[1:]) == 2, 60, "every replica streams")
        lab("rest", "n1", "PATCH", "/config", '{"pause": null}')
        wait_until(lambda: all(text and '"pause"' not in text for text in each()), 30, "the pause is over")

    @classmethod
    def tearDownClass(cls):
        pause_all()
        on_each(lambda m: lab("ssh", m, BE_DEBIAN))
        cls.settle()
        cls.reset()
        super().tearDownClass()

    def installed(self):
        return on_each(lambda m: lab("ssh", m, "rpm -q --qf '%{VERSION}-%{RELEASE}' patroni").strip())

    @contextlib.contextmanager
    def without_repository(self):
        on_each(lambda m: lab("ssh", m, "mv /srv/rpms /srv/rpms.away; dnf -q clean all"))
        try:
            yield
        finally:
            on_each(lambda m: lab("ssh", m, "mv /srv/rpms.away /srv/rpms; dnf -q makecache"))

    def assert_all_have(self, version, why):
        self.assertEqual(self.installed(), dict.fromkeys(MEMBERS, rpm(version)), why)
        for member in MEMBERS:  # it goes with one version alone
            self.assertEqual(lab("ssh", member, "rpm -q --qf '%{VERSION}-%{RELEASE}' patroni-etcd"), rpm(version), why)
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, version), why)
        found = self.check()
        self.assertEqual((found.code, found.json["findings"]), (0, []), f"{found}{why}")

    def test_facts_are_of_rpm(self):
        seen = {m["name"]: m for m in self.check().json["members"]}
        for name in MEMBERS:
            self.assertEqual(seen[name]["os"]["package_tool"], "dnf")
            self.assertEqual(seen[name]["patroni"]["installed"], rpm(NEW))
            self.assertEqual(set(seen[name]["patroni"]["available"]), {rpm("3.0.2"), rpm(NEW), rpm(NEWEST)})

    def test_up_and_back_from_what_was_kept(self):
        lab("ssh", "n2", "echo '# by an admin' >>/etc/patroni/package.conf")
        before = self.identity()
        with self.writing():
            result = self.upgrade(NEWEST, "--output", "json")
            self.assertEqual(result.code, 0, str(result))
            self.assert_all_have(NEWEST, str(result))
            # The package has restarted each of them: no second time.
            restarts = {s["state"] for s in result.json["steps"] if s["id"].endswith(".restart")}
            self.assertLessEqual(restarts, {"already_done", "skipped"}, str(result))
            told = {s["member"]: s["message"] for s in result.json["steps"] if s["id"] == "replicas.install"}
            self.assertIn("/etc/patroni/package.conf.rpmnew", told["n2"], str(result))
            self.assertNotIn("rpmnew", told["n3"], str(result))
            self.assertIn("# by an admin", lab("ssh", "n2", "cat /etc/patroni/package.conf"))
            with self.without_repository():
                result = self.rollback()
            self.assertEqual(result.code, 0, str(result))
        self.assertEqual(self.identity(), before)
        self.assert_all_have(NEW, str(result))
        self.assertIn("# by an admin", lab("ssh", "n2", "cat /etc/patroni/package.conf"))

    def test_what_runs_is_what_the_plan_shows(self):
        plan = self.plan(rpm(NEWEST))
        self.assertEqual(plan.code, 0, str(plan))
        shown = next(s for s in plan.json["steps"] if s["id"] == "install")["actions"][0]["text"]
        self.assertTrue(shown.endswith(f" install patroni-{rpm(NEWEST)}"), shown)
        result = self.run_it(rpm(NEWEST))
        self.assertEqual(result.code, 0, str(result))
        called = lab("ssh", "n2", "dnf -q history info last")
        self.assertIn(shown.removeprefix("dnf "), " ".join(called.split()))
        self.assertEqual(self.rollback().code, 0)

    def test_locked_to_a_version(self):
        lab("ssh", "n2", "dnf -q versionlock add patroni")
        try:
            self.assert_refused(self.plan(rpm(NEWEST)), 4, "package.held", "versionlock delete patroni")
        finally:
            lab("ssh", "n2", "dnf -q versionlock clear")
        runbook = self.write_runbook(
            "runbook: hold\nsteps:\n"
            "  - {id: hold, on: n2, uses: package.hold, with: {package: patroni}}\n"
            "  - {id: look, on: n2, uses: ssh.run, with: {shell: 'dnf -q versionlock list | grep patroni-0:'}, undo: none}\n"
            "  - {id: unhold, on: n2, uses: package.unhold, with: {package: patroni}}\n", "hold")
        result = self.lockstep("run", runbook, "--yes", "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(lab("ssh", "n2", "dnf -q versionlock list 2>/dev/null"), "")

    def test_a_lock_of_another_dnf(self):
        with self.locked("/var/lib/dnf/rpmdb_lock.pid", 15, pid="pid"):
            plan = self.plan(rpm(NEWEST))
            self.assertIn("python3 (pid ", self.notes(plan), str(plan))
            result = self.run_it(rpm(NEWEST))
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(self.rollback().code, 0)

    def test_a_lock_of_rpm_that_stays(self):
        with self.locked("/var/lib/rpm/.rpm.lock", 150):
            result = self.run_it(rpm(NEWEST))
        self.assertEqual(result.json["state"], "failed", str(result))
        self.assertIn("the lock is held by python3 (pid ", self.step(result, "install")["message"], str(result))
        self.assertEqual(self.installed()["n2"], rpm(NEW))
        self.resume("--on-failure", "stop")

    def test_a_file_on_the_member(self):
        path = f"/srv/rpms/noarch/patroni-{rpm(NEWEST)}.noarch.rpm"
        self.assert_refused(self.plan("/etc/passwd", "file"), 4, "package.unavailable")
        result = self.run_it(path, "file")
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(member_versions()["n2"], NEWEST)
        self.assertEqual(self.rollback().code, 0)
        self.assertEqual(self.installed()["n2"], rpm(NEW))

    def test_no_way_back(self):
        with self.without_repository():
            plan = self.plan(rpm(NEWEST))
        self.assertEqual(plan.code, 4, str(plan))
