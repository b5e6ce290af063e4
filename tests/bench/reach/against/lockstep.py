"""lockstep itself: a runbook with so many `ssh.run` steps, cold start to exit, with its journal on this disk."""

import json
import os
import shutil
import subprocess

NAME = "lockstep"
CHANGES = False

INVENTORY = """
clusters:
  bench:
    patroni: {{endpoints: [{endpoints}]}}
    ssh: {{user: root, identity_file: {key}, known_hosts: {known_hosts}}}
"""
STEP = """      - id: step{n}
        uses: ssh.run
        with: {{argv: [{argv}]{read_only}}}
"""
RUNBOOK = """
runbook: reach
summary: As many commands as there are to run
steps:
  - id: all
    on: members
    strategy: {{batch: all}}
    steps:
{steps}"""


def missing(_tools):
    path = binary()
    return "" if os.access(path, os.X_OK) else f"no {path}: ./setup builds it, LOCKSTEP_BINARY names another"


def binary():
    here = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("LOCKSTEP_BINARY", os.path.join(here, "../../../../build/release/bin/lockstep"))


def write(job, read_only):
    hosts = job.hosts
    endpoints = ", ".join(f'"http://{address}:8008"' for address in hosts.addresses[:3])
    (job.folder / "inventory.yaml").write_text(
        INVENTORY.format(endpoints=endpoints, key=hosts.key, known_hosts=hosts.known_hosts))
    argv = ", ".join(job.command.split())
    steps = "".join(STEP.format(n=n + 1, argv=argv, read_only=", read_only: true" if read_only else "")
                    for n in range(job.steps))
    (job.folder / "reach.yaml").write_text(RUNBOOK.format(steps=steps))


def make_journal(job):
    """Making it the first time is nobody's daily work."""
    shutil.rmtree(job.folder / "state", ignore_errors=True)
    subprocess.run([binary(), "runs", "--state", str(job.folder / "state")], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def prepare(job):
    make_journal(job)
    write(job, True)


def command(job):
    return [binary(), "run", str(job.folder / "reach.yaml"), "--yes", "--output", "json", "-i",
            str(job.folder / "inventory.yaml"), "--state", str(job.folder / "state")]


def answers(_job, out):
    return sum(step["state"] == "succeeded" for step in json.loads(out)["steps"])


def finish(_job):
    pass
