"""Servers as people configure them: each works, or fails with its cause and the way out, by libssh2 and by the system's ssh.

A second sshd on n1, with a configuration of its own, is what lockstep reaches that member by."""

import contextlib
import pathlib
import re

from harness import LiveTest, lab, shell

PORT = 2222
FOLDER = "/run/lockstep-sshd"
RUNBOOK = """
runbook: reach
summary: Looks and touches by way of the server
steps:
  - {id: look, on: n1, uses: ssh.run, with: {shell: 'PROGRAM', read_only: true}, timeout: 20s, register: seen}
  - {id: same, on: n1, uses: assert, with: {that: EXPECTED}}
  - {id: touch, on: n1, uses: ssh.run, with: {argv: [touch, /run/lockstep-sshd/touched]}, undo: none}
"""


def runbook(program="printf out; printf err >&2", expected="steps.seen.stdout == 'out' && steps.seen.stderr == 'err'"):
    return RUNBOOK.replace("PROGRAM", program.replace("'", "''")).replace("EXPECTED", expected)


class SshServers(LiveTest):
    seconds_per_test = 8

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(cls.work.name)
        cls.host = re.search(r"\bn1: \{ssh: \{host: ([0-9.]+)", cls.inventory.read_text(encoding="utf-8"))[1]
        lab("ssh", "n1", f"mkdir -p {FOLDER} && cd {FOLDER} && for t in rsa ecdsa ed25519; do "
            "ssh-keygen -q -t $t -N '' -f host_$t; done; ssh-keygen -q -t ed25519 -N '' -f ca")
        for kind in ("rsa", "ed25519"):
            shell("ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(cls.folder / kind))
        shell("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(cls.folder / "signed"))
        (cls.folder / "ca").write_text(lab("ssh", "n1", f"cat {FOLDER}/ca"), encoding="utf-8")
        (cls.folder / "ca").chmod(0o600)
        shell("ssh-keygen", "-q", "-s", str(cls.folder / "ca"), "-I", "test", "-n", "root,shelly", str(cls.folder / "signed.pub"))
        keys = "".join((cls.folder / f"{kind}.pub").read_text(encoding="utf-8") for kind in ("rsa", "ed25519"))
        lab("ssh", "n1", f"cat >{FOLDER}/keys", input=keys)
        known = [lab("ssh", "n1", f"cut -d' ' -f1,2 {FOLDER}/host_{kind}.pub").strip() for kind in ("rsa", "ecdsa", "ed25519")]
        cls.known = cls.folder / "known"
        cls.known.write_text("".join(f"[{cls.host}]:{PORT} {key}\n" for key in known), encoding="utf-8")

    @classmethod
    def tearDownClass(cls):
        lab("ssh", "n1", f"rm -rf {FOLDER}")
        super().tearDownClass()

    @contextlib.contextmanager
    def sshd(self, *config, host_keys=("ed25519", "ecdsa", "rsa")):
        text = "\n".join([*config, f"Port {PORT}", *(f"HostKey {FOLDER}/host_{key}" for key in host_keys), "PermitRootLogin yes",
                          f"AuthorizedKeysFile {FOLDER}/keys", f"TrustedUserCAKeys {FOLDER}/ca.pub", "StrictModes no", "UsePAM no",
                          "AllowTcpForwarding yes", f"PidFile {FOLDER}/pid", ""])
        lab("ssh", "n1", f"cat >{FOLDER}/config && /usr/sbin/sshd -f {FOLDER}/config", input=text)
        try:
            yield
        finally:
            lab("ssh", "n1", f"rm -f {FOLDER}/touched; pkill -P $(cat {FOLDER}/pid); kill $(cat {FOLDER}/pid)", check=False)

    def inventory_of(self, client, key="ed25519", user="root", more=""):
        text = self.inventory.read_text(encoding="utf-8")
        ssh = (f"host: {self.host}, port: {PORT}, client: {client}, user: {user}, identity_file: {self.folder / key}, "
               f"known_hosts: {self.known}, config_file: none{more}")
        text = re.sub(r"(\bn1: \{ssh: \{)host: [0-9.]+", rf"\g<1>{ssh}", text)
        path = self.folder / f"{client}.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    def run_by(self, client, text=None, **more):
        file = self.write_runbook(text or runbook(), "reach")
        return self.lockstep("run", file, "--yes", "--output", "json", inventory=self.inventory_of(client, **more))

    def said(self, result):
        return " ".join((result.out + result.err).split())

    def assert_works(self, clients=("libssh2", "openssh"), text=None, **more):
        for client in clients:
            with self.subTest(client=client):
                result = self.run_by(client, text, **more)
                self.assertEqual(result.code, 0, str(result))
                lab("ssh", "n1", f"rm {FOLDER}/touched")

    def assert_only_openssh(self, cause, **more):
        """libssh2 alone says why, `auto` gets in and says so."""
        refused = self.run_by("libssh2", **more)
        self.assertEqual(refused.code, 16, str(refused))
        self.assertIn(cause, self.said(refused))
        self.assertIn("ssh.client: auto", self.said(refused))
        result = self.run_by("auto", **more)
        self.assertEqual(result.code, 0, str(result))
        self.assertEqual(result.err.count("by the system's ssh"), 1, result.err)
        self.assertIn(cause, result.err)
        doctor = self.lockstep("doctor", inventory=self.inventory_of("auto", **more))
        self.assertIn(f":{PORT} by openssh", doctor.out)

    def assert_says(self, code, cause, way_out, clients=("libssh2", "openssh"), text=None, **more):
        for client in clients:
            with self.subTest(client=client):
                result = self.run_by(client, text, **more)
                self.assertEqual(result.code, code, str(result))
                self.assertIn(cause, self.said(result))
                self.assertIn(way_out, self.said(result))

    def test_a_server_as_it_comes(self):
        with self.sshd():
            self.assert_works()

    def test_an_rsa_key_of_the_host_alone(self):
        with self.sshd(host_keys=["rsa"]):
            self.assert_only_openssh("no common host key type")

    def test_an_rsa_key_of_the_user(self):
        with self.sshd():
            self.assert_only_openssh("RSA key", key="rsa")

    def test_a_certificate_of_the_user(self):
        with self.sshd():
            self.assert_only_openssh("its certificate is not shown", key="signed")

    def test_nothing_but_etm_macs(self):
        with self.sshd("MACs hmac-sha2-512-etm@openssh.com", "Ciphers aes256-ctr"):
            self.assert_only_openssh("no common MAC")

    def test_a_jump_host(self):
        config = self.folder / "ssh_config"
        lab_key = re.search(r"identity_file: (\S+?)[,}\s]", self.inventory.read_text(encoding="utf-8"))[1]
        lab_known = re.search(r"known_hosts: (\S+?)[,}\s]", self.inventory.read_text(encoding="utf-8"))[1]
        bastion = self.host.rsplit(".", 1)[0] + ".12"
        config.write_text(f"Host {self.host}\n  ProxyJump bastion\nHost bastion\n  HostName {bastion}\n  User root\n"
                          f"  ProxyJump none\n  IdentityFile {lab_key}\n  UserKnownHostsFile {lab_known}\n", encoding="utf-8")
        with self.sshd():
            path = self.inventory_of("auto")
            path.write_text(path.read_text(encoding="utf-8").replace("config_file: none", f"config_file: {config}"), encoding="utf-8")
            result = self.lockstep("run", self.write_runbook(runbook(), "reach"), "--yes", "--output", "json", inventory=path)
            self.assertEqual(result.code, 0, str(result))
            self.assertIn("ProxyJump bastion", result.err)

    def test_one_session_at_a_time(self):
        with self.sshd("MaxSessions 1"):
            self.assert_works()

    def test_one_login_at_a_time(self):
        with self.sshd("MaxStartups 1:100:1"):
            self.assert_works()

    def test_no_session_at_all(self):
        with self.sshd("MaxSessions 0"):
            self.assert_says(16, "session", "MaxSessions")

    def test_a_server_that_closes_silent_channels(self):
        """What changes something is never silent for a second, what looks may be: then it has failed."""
        slow = runbook("sleep 4; printf out", "steps.seen.stdout == 'out'")
        with self.sshd("ChannelTimeout session:*=2"):
            self.assert_works(text=slow.replace("read_only: true}", "read_only: false}, undo: none"))
            self.assert_says(4, "without its exit status", "ChannelTimeout", text=slow)

    def test_a_banner_a_message_of_the_day_and_a_noisy_shell(self):
        lab("ssh", "n1", f"printf 'Authorized use only.\\n' >{FOLDER}/banner; printf 'echo hello\\necho world >&2\\n' >/root/.bashrc.lab; "
            "cp /root/.bashrc /root/.bashrc.kept; cat /root/.bashrc.lab >>/root/.bashrc; echo 'Welcome.' >/etc/motd")
        try:
            with self.sshd(f"Banner {FOLDER}/banner", "PrintMotd yes"):
                noisy = runbook(expected="steps.seen.stdout.endsWith('out') && steps.seen.stderr.endsWith('err')")
                self.assert_works(text=noisy)
        finally:
            lab("ssh", "n1", "mv /root/.bashrc.kept /root/.bashrc; rm -f /root/.bashrc.lab /etc/motd")

    def test_two_megabytes_bytes_that_are_no_text_and_a_child_in_the_background(self):
        with self.sshd():
            self.assert_works(text=runbook("head -c 2000000 /dev/zero | tr '\\0' x", "size(steps.seen.stdout) >= 1000000"))
            self.assert_works(text=runbook("printf 'a\\377\\0b'; sleep 30 & exit 0", "steps.seen.stdout.startsWith('a')"))

    def test_shells_of_the_login(self):
        """A plain user whose shell is no sh: each says what it does not take."""
        looks = "\n".join(line for line in runbook(expected="steps.seen.stdout == 'out'").splitlines() if "touch" not in line)
        for login_shell, code, cause in (("/bin/bash", 0, ""), ("/bin/dash", 0, ""), ("/usr/bin/rbash", 16, "restricted"),
                                         ("/usr/sbin/nologin", 16, "not available"), ("/usr/bin/python3", 16, "line 1")):
            lab("ssh", "n1", f"useradd -m -p '*' -s {login_shell} shelly")
            try:
                with self.sshd():
                    for client in ("libssh2", "openssh"):
                        with self.subTest(shell=login_shell, client=client):
                            result = self.run_by(client, looks, user="shelly")
                            self.assertEqual(result.code, code, str(result))
                            self.assertIn(cause, self.said(result))
                            self.assertIn("login shell" if code else "", self.said(result))
            finally:
                lab("ssh", "n1", "userdel -r shelly", check=False)
