"""Ansible with what makes it fast: `command`, pipelining, ControlPersist, fifty forks, no facts gathered."""

import shutil

from . import openssh

NAME = "Ansible"
PACKAGES = ["ansible-core"]


def missing(_tools):
    return "" if shutil.which("ansible-playbook") else "ansible is not installed"


def write(job, more=""):
    ssh_args = " ".join(f"-o {key}={value}" for key, value in openssh.options(job).items() if key not in ("User", "ControlPath"))
    (job.folder / "ansible.cfg").write_text(
        "[defaults]\nforks = 50\ngathering = explicit\ninterpreter_python = /usr/bin/python3\nstdout_callback = minimal\n"
        f"local_tmp = {job.folder}/tmp\n{more}"
        f"[ssh_connection]\npipelining = True\nssh_args = -o ControlMaster=auto -o ControlPersist=60s {ssh_args}\n"
        f"control_path = {job.folder}/a-%%h\n")
    (job.folder / "hosts").write_text("".join(f"{name} ansible_host={address} ansible_user=root\n"
                                              for name, address in zip(job.hosts.names, job.hosts.addresses)))
    tasks = "".join(f"  - name: step {n + 1}\n    ansible.builtin.command: {job.command}\n    changed_when: false\n"
                    for n in range(job.steps))
    (job.folder / "play.yml").write_text(f"- hosts: all\n  gather_facts: false\n  tasks:\n{tasks}")


def prepare(job):
    write(job)


def command(job):
    return ["env", f"ANSIBLE_CONFIG={job.folder}/ansible.cfg", "ansible-playbook", "-i", str(job.folder / "hosts"),
            str(job.folder / "play.yml")]


def answers(job, out):
    return out.count(job.answer)


def finish(job):
    """Its masters stay for a minute."""
    job.end_masters("a-")
