"""Somebody hostile on a member's host: a local user, a service account, root of one member. It costs what is theirs."""

from harness import MEMBERS, NEW, NEWEST, PACKAGE, LiveTest, file_of, lab, leader, member_versions, on_each, wait_until

FOLDER = "/var/lib/lockstep"
HOME = "/home/mallory"

# A process `postgres` of its own, with a data directory of its own and a psql in it, whose pid comes before the postmaster's in
# the order of /proc. $1: pid or fifo.
FAKE = r"""
set -e
useradd -m mallory 2>/dev/null || true
d=/home/mallory/pg
rm -rf $d && mkdir -p $d && chmod 755 /home/mallory
cp /bin/sleep $d/postgres
printf '#!/bin/sh\nid >>/var/tmp/lab-proof\nexec /usr/bin/psql "$@"\n' >$d/psql
chmod 755 $d/psql && chown -R mallory $d
postmaster=$(head -n 1 /var/lib/postgresql/*/*/postmaster.pid | head -n 1)
cat >/run/lab-fake <<END
cd $d
for try in \$(seq 500); do
  ./postgres 3600 >/dev/null 2>&1 </dev/null &
  pid=\$!
  if [ "\$(printf '%s\n' \$pid $postmaster | LC_ALL=C sort | head -n 1)" = \$pid ]; then break; fi
  kill \$pid
done
rm -f postmaster.pid
if [ KIND = fifo ]; then mkfifo postmaster.pid; else printf '%s\n' \$pid $d 1 5432 /var/run/postgresql localhost >postmaster.pid; fi
END
chmod 755 /run/lab-fake
setsid runuser -u mallory -- /bin/sh /run/lab-fake >/dev/null 2>&1 </dev/null
"""
FORGET = ("for p in /proc/[0-9]*; do if [ \"$(stat -c %U $p)\" = mallory ]; then kill -9 ${p#/proc/}; fi; done 2>/dev/null; "
          "userdel -rf mallory 2>/dev/null; rm -rf /home/mallory /run/lab-fake /var/tmp/lab-proof; true")
SHELLS = ("n=0; for p in /proc/[0-9]*; do read -r c <$p/comm || continue; "
          "case $c in sh|dash|timeout|runuser) n=$((n+1)) ;; esac; done 2>/dev/null; echo $n")

# A package of that version whose postinst leaves a proof, with sums that fit.
EVIL = r"""
set -e
rm -rf /run/lab-evil && mkdir -p /run/lab-evil/DEBIAN '{folder}'
printf 'Package: patroni\nVersion: {version}\nArchitecture: all\nMaintainer: m <m@x.y>\nDescription: evil\n' >/run/lab-evil/DEBIAN/control
printf '#!/bin/sh\nid >>/var/tmp/lab-proof\n' >/run/lab-evil/DEBIAN/postinst
chmod 755 /run/lab-evil /run/lab-evil/DEBIAN /run/lab-evil/DEBIAN/postinst
rm -f '{folder}'/*
dpkg-deb -b /run/lab-evil '{folder}/patroni_{version}_all.deb' >/dev/null
cd '{folder}' && sha256sum ./*.deb >complete
rm -rf /run/lab-evil
"""


def plant_kept(member, version):
    lab("ssh", member, EVIL.format(folder=f"{FOLDER}/kept/patroni={PACKAGE[version]}", version=PACKAGE[version]))


def proof(member):
    return file_of(member, "/var/tmp/lab-proof").exists()


def shells(member):
    return int(lab("ssh", member, SHELLS))


class LocalUser(LiveTest):
    """Any account with a shell."""

    seconds_per_test = 60

    def tearDown(self):
        lab("ssh", "n2", FORGET)
        self.reset()

    def assert_healthy(self):
        found = self.check()
        self.assertEqual((found.code, found.json["findings"]), (0, []), str(found))
        member = next(m for m in found.json["members"] if m["name"] == "n2")
        self.assertTrue(member["disk"]["total_bytes"], str(found))
        self.assertEqual(len(member["on_host"]["postmasters"]), 1, str(found))
        self.assertFalse(proof("n2"), "mallory's psql was run")
        return found

    def test_whose_process_is_called_postgres_is_not_believed(self):
        lab("ssh", "n2", FAKE.replace("KIND", "pid"))
        self.assert_healthy()
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        self.assertFalse(proof("n2"), str(result))

    def test_whose_postmaster_pid_is_a_fifo_holds_nothing_up(self):
        before = shells("n2")
        lab("ssh", "n2", FAKE.replace("KIND", "fifo"))
        for _ in range(3):
            self.assertLess(self.assert_healthy().seconds, 12)
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, NEWEST))
        wait_until(lambda: shells("n2") <= before, 30, "no shell of ours stays behind")

    def test_cannot_read_the_word_that_marks_sections(self):
        lab("ssh", "n2", "useradd -m mallory 2>/dev/null; cat >/run/lab-fake <<'END'\n"
            "while :; do cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n' >>/home/mallory/seen; done\nEND\n"
            "chmod 755 /run/lab-fake; setsid runuser -u mallory -- /bin/sh /run/lab-fake >/dev/null 2>&1 </dev/null &")
        self.assert_healthy()
        seen = file_of("n2", f"{HOME}/seen").read_text(encoding="utf-8", errors="replace")
        self.assertIn("marker=@", seen, "he has seen the script")
        self.assertNotRegex(seen, r"marker=@[0-9a-f]{8}-[0-9a-f]{4}-")


class ServiceAccount(LiveTest):
    """The account of a service to which systemd gave /var/lib/lockstep, as earlier units did."""

    seconds_per_test = 60

    def setUp(self):
        lab("ssh", "n1", "useradd -r lockstep 2>/dev/null; systemd-run --quiet --wait -p User=lockstep -p StateDirectory=lockstep "
            "-p StateDirectoryMode=0700 /bin/true")

    def tearDown(self):
        on_each(lambda m: lab("ssh", m, f"rm -rf {FOLDER} /run/lockstep /var/tmp/lab-proof; userdel lockstep 2>/dev/null; true"))
        self.reset()

    def test_is_refused_by_name_and_nothing_of_his_runs(self):
        plant_kept("n1", NEW)
        lab("ssh", "n1", f"chown -R lockstep {FOLDER}")
        found = self.check()
        self.assertIn(("host.foreign_folder", "n1"), self.findings(found), str(found))
        self.assertIn("it belongs to lockstep", str(found))
        doctor = self.lockstep("doctor")
        self.assertIn("it belongs to lockstep", doctor.out, str(doctor))
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertNotEqual(result.code, 0, str(result))
        self.assertIn("it belongs to lockstep", result.out + result.err)
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, NEW))
        self.assertFalse(proof("n1"))
        self.assertEqual(lab("ssh", "n1", f"stat -c %U {FOLDER}").strip(), "lockstep", "nothing is mended that is his")

    def test_what_he_kept_is_not_installed_although_it_is_roots_again(self):
        plant_kept("n1", NEW)
        lab("ssh", "n1", f"chown -R root:root {FOLDER}")
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        result = self.rollback()
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, NEW))
        self.assertFalse(proof("n1"), str(result))


class KeptSince(LiveTest):
    """A package that was exchanged between the run and its rollback."""

    seconds_per_test = 90

    def tearDown(self):
        on_each(lambda m: lab("ssh", m, "rm -f /var/tmp/lab-proof"))
        self.reset()

    def test_is_not_the_one_on_record(self):
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        for member in MEMBERS:
            plant_kept(member, NEW)
        result = self.rollback()
        self.assertEqual(result.code, 12, str(result))
        self.assertIn("does not hold what was kept", result.out + result.err)
        self.assertFalse(any(proof(member) for member in MEMBERS), str(result))
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, NEWEST))


class HostileMember(LiveTest):
    """Root of one member writes what he likes where lockstep keeps its lock."""

    seconds_per_test = 60

    def tearDown(self):
        on_each(lambda m: lab("ssh", m, f"rm -f {FOLDER}/fence.lab {FOLDER}/lock.lab"))
        self.reset()

    def fences(self):
        return on_each(lambda m: lab("ssh", m, f"cat {FOLDER}/fence.lab 2>/dev/null || echo 0").strip())

    def write(self, member, file, text):
        lab("ssh", member, f"mkdir -p -m 700 {FOLDER}; printf '{text}' >{FOLDER}/{file}; chmod 600 {FOLDER}/{file}")

    def test_whose_fence_is_odd_keeps_it_for_himself(self):
        self.write("n3", "fence.lab", "999999999999999999\\n")
        found = self.check()
        self.assertEqual((found.code, self.findings(found)), (1, {("member.fence_odd", "n3")}), str(found))
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        fences = self.fences()
        self.assertEqual(len(set(fences.values())), 1, fences)
        self.assertLess(int(fences["n3"]), 1000, fences)
        self.assertEqual(self.check().json["findings"], [])

    def test_whose_fence_is_odd_is_put_right_by_name(self):
        for text in ("999999999999999999\\n", "junk\\n"):
            self.write("n3", "fence.lab", text)
            result = self.lockstep("unlock", "lab", "--reset-fence", "--yes", "--reason", "n3 was broken into")
            self.assertEqual(result.code, 0, str(result))
            self.assertLess(int(self.fences()["n3"]), 1000, str(result))
        again = self.lockstep("unlock", "lab", "--reset-fence", "--yes")
        self.assertEqual(again.code, 2, str(again))

    def test_whose_lock_never_expires_keeps_nobody_out(self):
        self.write("n3", "lock.lab", "id=cafe\\nrun=nobody\\nwho=eve@n3\\nsince=1\\nrenewed=1\\nexpires=99999999999\\nfence=1\\nleft=\\n")
        result = self.upgrade(PACKAGE[NEWEST], "--output", "json")
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(member_versions(), dict.fromkeys(MEMBERS, NEWEST))
        self.assertIn(leader(), MEMBERS)
