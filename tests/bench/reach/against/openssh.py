"""OpenSSH over connections that are there already (ControlMaster): a shell per host, a command after the other."""

import shutil
import subprocess

NAME = "OpenSSH, warm"

LOOP = r"""
for host in $3; do
  (
    n=0
    while [ $((n = n + 1)) -le "$2" ]; do ssh -F "$1" "$host" "$4" </dev/null || exit; done
  ) &
done
wait
"""


def missing(_tools):
    return "" if shutil.which("ssh") else "no ssh"


def options(job):
    """Of every rival that starts OpenSSH."""
    return {"User": "root", "IdentityFile": job.hosts.key, "IdentitiesOnly": "yes", "UserKnownHostsFile": job.hosts.known_hosts,
            "BatchMode": "yes", "LogLevel": "ERROR", "ControlPath": job.folder / "%h"}


def config(job):
    path = job.folder / "ssh_config"
    path.write_text("Host *\n" + "".join(f"  {key} {value}\n" for key, value in options(job).items()))
    return str(path)


def warm_up(job):
    """The connections are made beforehand and are not measured."""
    file = config(job)
    for start in range(0, job.hosts.count, 20):
        some = job.hosts.addresses[start:start + 20]
        starts = [subprocess.Popen(job.hosts.inside("ssh", "-F", file, "-M", "-N", "-f", "-o", "ControlPersist=yes", address),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) for address in some]
        if any(started.wait() for started in starts):
            raise RuntimeError("a master of OpenSSH does not come up")


def cool_down(job):
    ends = [subprocess.Popen(job.hosts.inside("ssh", "-F", str(job.folder / "ssh_config"), "-O", "exit", address),
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            for address in job.hosts.addresses]
    for end in ends:
        end.wait()


def prepare(job):
    warm_up(job)


def command(job):
    return ["sh", "-c", LOOP, "sh", str(job.folder / "ssh_config"), str(job.steps), " ".join(job.hosts.addresses), job.command]


def answers(job, out):
    return out.count(job.answer)


def finish(job):
    cool_down(job)
