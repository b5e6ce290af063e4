"""The rivals, one file each: NAME, missing() -> why it cannot take part, prepare(job), command(job) -> argv, answers(job, out)
-> how many answers of hosts are in its output, finish(job)."""
