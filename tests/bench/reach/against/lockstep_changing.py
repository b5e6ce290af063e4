"""The same with steps that may change something: each is started once under its key, in the member's spool."""

import shutil

from . import lockstep

NAME = "lockstep, changing"
CHANGES = True


def prepare(job):
    shutil.rmtree(job.folder / "state", ignore_errors=True)
    lockstep.write(job, False)


missing, command, answers, finish = lockstep.missing, lockstep.command, lockstep.answers, lockstep.finish
