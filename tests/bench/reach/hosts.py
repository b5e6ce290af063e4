"""Many hosts on this machine: an sshd each, in one network namespace, at the far end of a link that can be slow.

Each host has mounts of its own (/run, /root, and an overlay on /var/lib), so that what is left on a member is left on that
member alone. apt has its cache there, as on any machine but the images of containers. A small server plays Patroni for all of
them. Nothing of the machine itself is touched.
"""

import os
import pathlib
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
CLIENT_ADDRESS = "198.18.0.1"
COMMAND = "cat /proc/sys/kernel/random/boot_id"

SSHD_CONFIG = """
PidFile none
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
UsePAM no
StrictModes no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
UseDNS no
LogLevel ERROR
MaxStartups 1000:30:2000
"""

HOST = """
set -e
mount -t tmpfs tmpfs /run && mkdir /run/sshd
mount -t tmpfs tmpfs /root
mount -t tmpfs tmpfs /mnt && mkdir /mnt/upper /mnt/work
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/mnt/upper,workdir=/mnt/work /var/lib
mount --bind "$1/apt/conf.d" /etc/apt/apt.conf.d
exec /usr/sbin/sshd -D -e -f "$1/sshd_config" -o "ListenAddress=$2"
"""


APT_CONFIG = """
Dir::Cache "{folder}/apt";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
"""


class Trouble(Exception):
    """What did not work, in words for the user."""


def call(*argv, **more):
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(argv[:6])} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def name_of(number):
    return f"n{number + 1:03}"


def address_of(number):
    return f"198.18.{16 + number // 200}.{number % 200 + 1}"


class Hosts:
    """`count` hosts whose packets take `delay` milliseconds to them and back. Use with `with`."""

    def __init__(self, count, delay, folder, delay_link):
        self.count, self.delay, self.folder = count, delay, pathlib.Path(folder)
        self.delay_link = delay_link
        self.near, self.far = f"lsreach{os.getpid()}a", f"lsreach{os.getpid()}b"
        self.children = []

    @property
    def names(self):
        return [name_of(number) for number in range(self.count)]

    @property
    def addresses(self):
        return [address_of(number) for number in range(self.count)]

    @property
    def key(self):
        return self.folder / "user_key"

    @property
    def known_hosts(self):
        return self.folder / "known_hosts"

    def __enter__(self):
        try:
            self.make_keys()
            self.make_apt_cache()
            self.make_link()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for child in self.children:
            child.terminate()
        for child in self.children:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
        for space in (self.near, self.far):
            self.end_all_in(space)
            subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)

    def end_all_in(self, space):
        """Sessions outlive their sshd: whatever still has this namespace of ours."""
        found = subprocess.run(["ip", "netns", "pids", space], check=False, capture_output=True, text=True)
        for pid in found.stdout.split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass

    def make_keys(self):
        for name in ("host_key", "user_key"):
            call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bench", "-f", str(self.folder / name))
        public = " ".join((self.folder / "host_key.pub").read_text().split()[:2])
        self.known_hosts.write_text("".join(f"{address} {public}\n" for address in self.addresses))
        (self.folder / "sshd_config").write_text(SSHD_CONFIG.format(folder=self.folder))

    def make_apt_cache(self):
        settings = self.folder / "apt/conf.d"
        settings.mkdir(parents=True)
        (settings / "cache.conf").write_text(APT_CONFIG.format(folder=self.folder))
        call("unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc/apt/apt.conf.d && apt-cache gencaches', "sh", str(settings))

    def make_link(self):
        for space in (self.near, self.far):
            call("ip", "netns", "add", space)
            call("ip", "-n", space, "link", "set", "lo", "up")
        if not (self.delay == 0 or self.has_netem()):
            self.start_delay_link()
        else:
            call("ip", "-n", self.near, "link", "add", "wan", "type", "veth", "peer", "name", "wan", "netns", self.far)
            for space in (self.near, self.far) if self.delay else ():
                call("tc", "-n", space, "qdisc", "add", "dev", "wan", "root", "netem", "delay", f"{self.delay / 2}ms",
                     "limit", "100000")
        call("ip", "-n", self.near, "address", "add", f"{CLIENT_ADDRESS}/15", "dev", "wan")
        for address in self.addresses:
            call("ip", "-n", self.far, "address", "add", f"{address}/15", "dev", "wan")
        for space in (self.near, self.far):
            call("ip", "-n", space, "link", "set", "wan", "txqueuelen", "10000", "up")

    def has_netem(self):
        tried = subprocess.run(["tc", "-n", self.near, "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"],
                               check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["tc", "-n", self.near, "qdisc", "del", "dev", "lo", "root"], check=False, stderr=subprocess.DEVNULL)
        return tried.returncode == 0

    def start_delay_link(self):
        if not os.access(self.delay_link, os.X_OK):
            raise Trouble(f"this kernel has no netem, and there is no {self.delay_link}: build it (ninja reach_delay_link)")
        link = subprocess.Popen([self.delay_link, self.near, self.far, str(self.delay / 2)], stdout=subprocess.PIPE, text=True)
        self.children.append(link)
        if link.stdout.readline().strip() != "ready":
            raise Trouble("the slow link does not come up")

    def start(self):
        far = ["ip", "netns", "exec", self.far]
        for address in self.addresses:
            self.children.append(subprocess.Popen(
                [*far, "unshare", "--mount", "--propagation", "private", "sh", "-c", HOST, "sh", str(self.folder), address],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL))
        self.children.append(subprocess.Popen(
            [*far, sys.executable, "-I", str(HERE / "patroni.py"), str(self.count)], stdin=subprocess.DEVNULL))
        wanted = {f"{address}:{port}" for address in self.addresses for port in (22, 8008)}
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            listening = {line.split()[3] for line in call(*far, "ss", "-Hltn").splitlines()}
            if wanted <= listening:
                return
            time.sleep(0.1)
        raise Trouble("not every host has come up within a minute")

    def inside(self, *argv):
        """A command line that runs where the hosts can be reached."""
        return ["ip", "netns", "exec", self.near, *argv]
