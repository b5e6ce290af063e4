"""Ansible with mitogen's strategy: a Python on each host that stays."""

import glob
import shutil

from . import ansible

NAME = "Ansible, mitogen"
PACKAGES = ["ansible-core", "ansible-mitogen"]


def plugins():
    found = glob.glob("/usr/lib/python3/dist-packages/ansible_mitogen/plugins/strategy")
    return found[0] if found else ""


def missing(tools):
    return ansible.missing(tools) or ("" if plugins() else "mitogen is not installed")


def prepare(job):
    shutil.rmtree(job.folder / "tmp", ignore_errors=True)
    ansible.write(job, f"strategy_plugins = {plugins()}\nstrategy = mitogen_linear\n")


command, answers, finish = ansible.command, ansible.answers, ansible.finish
