"""Every live test, on two labs side by side: whole classes, each on whichever lab is free, the longest first.

A class is a `python3 -m unittest` of its own. What one that has failed has printed is shown whole; a table of all of them ends it.
With `--within SECONDS` none is begun that would not end by then, as long as the others take here: those of ALWAYS come first,
whatever they take, then the others in an order that the day turns, so that each has its turn within days; the table names those
that were left out.
"""

import argparse
import contextlib
import dataclasses
import datetime
import itertools
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from harness import LAB, LAB_RUN

HERE = pathlib.Path(__file__).resolve().parent
# Seconds that no class comes near to; one that does hangs.
LIMIT = 900
# What every change has to pass: the main job, the way back, and attacks on them.
ALWAYS = ("test_main_job", "test_rollback", "test_attacks_rest", "test_attacks_host", "test_open_calls")
# Seconds that a lab which has the versions already is worth to a class.
NO_PACKAGES = 30


@dataclasses.dataclass
class Job:
    """A class of tests, in one of the ways to reach the members."""
    name: str
    tests: int
    expected: float
    versions: tuple
    environment: dict
    took: float = 0.0
    lab: str = ""
    status: int | None = None
    left_out: bool = False
    output: str = ""

    def __str__(self):
        return " ".join([*(f"{key}={value}" for key, value in self.environment.items()), self.name])


def tests_in(suite):
    for test in suite:
        yield from tests_in(test) if isinstance(test, unittest.TestSuite) else [test]


def all_jobs():
    loader = unittest.TestLoader()
    jobs = []
    for kind, tests in itertools.groupby(tests_in(loader.discover(str(HERE))), key=type):
        if loader.errors:
            raise ImportError(loader.errors[0])
        count = len(list(tests))
        jobs.append(Job(f"{kind.__module__}.{kind.__name__}", count, count * kind.seconds_per_test,
                        (kind.leader_patroni, kind.replica_patroni), {}))
    # The whole way once more, as most people reach their servers: as a plain user, and with certificates.
    whole_way = next(job for job in jobs if job.name == "test_main_job.FromMixedVersions")
    return [*jobs, dataclasses.replace(whole_way, environment={"LOCKSTEP_REACH": "sudo,tls,openssh"})]


class Lab:
    """A lab, and the process that has it to itself just now: first its own `up`, then one class after the other."""

    def __init__(self, suffix):
        self.name = os.environ["LOCKSTEP_LAB"] + suffix
        self.environment = {**os.environ, "LOCKSTEP_LAB": self.name, "LOCKSTEP_LAB_RUN": str(LAB_RUN) + suffix}
        self.job = self.process = self.output = self.begun = self.versions = None

    def begin(self, argv, **more):
        # A session of its own: a ctrl-C comes to us alone, and what the tests have started ends with them.
        self.output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # pylint: disable=consider-using-with
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            argv, cwd=HERE, env={**self.environment, **more}, stdin=subprocess.DEVNULL, stdout=self.output, stderr=subprocess.STDOUT,
            start_new_session=True)
        self.begun = time.monotonic()

    def up(self):
        self.down()
        self.begin([LAB, "up"])

    def down(self):
        subprocess.run([LAB, "down"], env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120,
                       check=False)

    def take(self, job):
        self.job, self.versions, job.lab = job, job.versions, self.name
        self.begin([sys.executable, "-m", "unittest", "-v", job.name], **job.environment)

    def free(self):
        """Nothing runs on it (any more). What has ended is judged here."""
        if self.process is not None:
            if self.process.poll() is None and time.monotonic() < self.begun + LIMIT:
                return False
            self.finish()
        return True

    def finish(self):
        self.stop()
        self.output.seek(0)
        said, status = self.output.read(), self.process.returncode
        self.output.close()
        self.process = None
        if self.job is None and status != 0:
            raise RuntimeError(f"the lab '{self.name}' does not come up:\n{said}")
        if self.job is not None:
            self.job.took, self.job.status, self.job.output = time.monotonic() - self.begun, status, said
            print(f"{'ok' if status == 0 else 'FAILED':6} {self.job.took:5.0f} s  {self.name}: {self.job}")
            if status != 0:
                print(said)
            self.job = None

    def stop(self):
        """Ends the process and all that it has started, gently first: a lab that is being built clears up."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGTERM)
                self.process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(20)

    def end(self):
        if self.process is not None:
            self.stop()
        self.down()


def next_job(waiting, versions):
    return max(waiting, key=lambda job: job.expected + (NO_PACKAGES if job.versions == versions else 0))


def in_turn(jobs):
    """Those of ALWAYS, then the others, whose first one is another each day."""
    first = [job for job in jobs if job.name.startswith(ALWAYS)]
    rest = [job for job in jobs if job not in first]
    turn = datetime.date.today().toordinal() * 7 % len(rest)
    return first + rest[turn:] + rest[:turn]


def fitting(waiting, jobs, left):
    """The first one that ends in time, by how long the others have taken on this machine; None: no more do."""
    ended = [job for job in jobs if job.status is not None]
    pace = max(1, sum(job.took for job in ended) / sum(job.expected for job in ended)) if ended else 1
    return next((job for job in waiting if job.name.startswith(ALWAYS) or pace * job.expected < left), None)


def run_all(jobs, labs, within):
    """All of them, or those that end within so many seconds."""
    waiting, last = list(jobs), time.monotonic() + (within or float("inf"))
    if within:
        waiting = in_turn(waiting)
    for lab in labs:
        lab.up()
    while waiting or any(lab.process for lab in labs):
        for lab in labs:
            if lab.free() and waiting:
                job = fitting(waiting, jobs, last - time.monotonic()) if within else next_job(waiting, lab.versions)
                if job is None:
                    for each in waiting:
                        each.left_out = True
                    waiting.clear()
                else:
                    waiting.remove(job)
                    lab.take(job)
        time.sleep(0.2)


def report(jobs, seconds):
    failed = [job for job in jobs if job.status]
    for job in failed:
        print(f"\n== {job}, on the lab '{job.lab}'\n{job.output[-6000:]}")
    print("\nseconds  tests  lab     class")
    for job in sorted(jobs, key=lambda job: job.took, reverse=True):
        state = "  left out" if job.left_out else {None: "  NOT RUN to its end", 0: ""}.get(job.status, "  FAILED")
        print(f"{job.took:7.0f}  {job.tests:5}  {job.lab:7} {job}{state}")
    print(f"{seconds:7.0f}  {sum(job.tests for job in jobs):5}  in all, {sum(job.took for job in jobs):.0f} s one after the other; "
          f"{len(failed)} of {len(jobs)} classes failed")


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--within", type=int, metavar="SECONDS", default=0, help="begin none that would end after that")
    within = options.parse_args().within
    # Also where whoever has started this ignores them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    begun, interrupted = time.monotonic(), 0
    jobs, labs = all_jobs(), [Lab(""), Lab("2")]
    try:
        run_all(jobs, labs, within)
    except KeyboardInterrupt:
        interrupted = 130
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for lab in labs:
            lab.end()
        report(jobs, time.monotonic() - begun)
    return interrupted or int(any(job.status != 0 and not job.left_out for job in jobs))


if __name__ == "__main__":
    sys.exit(main())
