"""A bare loop over libssh2: ../loop.cpp."""

import os

NAME = "bare libssh2"


def missing(tools):
    return "" if os.access(tools / "reach_loop", os.X_OK) else f"no {tools / 'reach_loop'}: ninja reach_loop"


def prepare(job):
    (job.folder / "addresses").write_text("".join(f"{address}\n" for address in job.hosts.addresses))


def command(job):
    return ["sh", "-c", 'exec "$0" "$1" "$2" "$3" <"$4"', str(job.tools / "reach_loop"), str(job.hosts.key), str(job.steps),
            job.command, str(job.folder / "addresses")]


def answers(job, out):
    return out.count(job.answer)


def finish(_job):
    pass
