"""clush (ClusterShell) over connections that are there already: one call a step."""

import shutil

from . import openssh

NAME = "clush, warm"
PACKAGES = ["clustershell"]

LOOP = r"""
n=0
while [ $((n = n + 1)) -le "$2" ]; do clush -f 50 -b -S -o "-F $1" -w "$3" "$4" </dev/null || exit; done
"""


def missing(_tools):
    return "" if shutil.which("clush") else "clush is not installed"


def prepare(job):
    openssh.warm_up(job)


def command(job):
    return ["sh", "-c", LOOP, "sh", str(job.folder / "ssh_config"), str(job.steps), ",".join(job.hosts.addresses), job.command]


def answers(job, out):
    """-b: one answer for all that said the same."""
    return out.count(job.answer) * job.hosts.count


def finish(job):
    openssh.cool_down(job)
