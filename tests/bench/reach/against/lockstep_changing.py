"""The same with steps that may change something: each is started once under its key, in the member's spool."""

from . import lockstep

NAME = "lockstep, changing"
CHANGES = True


def prepare(job):
    lockstep.make_journal(job)
    lockstep.write(job, False)


missing, command, answers, finish = lockstep.missing, lockstep.command, lockstep.answers, lockstep.finish
