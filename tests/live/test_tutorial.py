"""docs/tutorial.md as it is written: its files, its commands, and what they print.

    ```yaml file=NAME               the file NAME
    ```yaml insert=NAME after="X"   these lines into NAME, after its line X
    ```console                      `$ ` is a command; what follows is all that it prints. … stands for any text in a line,
                                    a line of … for any lines. A command succeeds, unless `$ echo $?` says otherwise
    <!-- work_mem: VALUE -->        what every member runs with by now; `before`: what it did when all began
"""

import os
import pathlib
import re
import subprocess
import tempfile

from harness import LAB, LOCKSTEP, MEMBERS, ROOT, LiveTest, lab, wait_until

TUTORIAL = ROOT / "docs" / "tutorial.md"
EXAMPLE = ROOT / "docs" / "examples" / "work-mem.yaml"
PART = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$|^<!-- work_mem: (\S+) -->$", re.MULTILINE | re.DOTALL)


def parts():
    """Everything that is to be done, in order: (kind, words of the info string, text)."""
    for found in PART.finditer(TUTORIAL.read_text(encoding="utf-8")):
        if found[4]:
            yield "work_mem", "", found[4]
        else:
            yield found[1], found[2].strip(), found[3]


def commands(text):
    """(command, what it is said to print) of a console block."""
    for chunk in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = chunk.partition("\n")
        yield command, printed


def pattern(printed):
    """What fits the output that a reader is shown."""
    lines = [r"(?:[^\n]*\n)*?" if line == "…" else r"[^\n]*".join(map(re.escape, line.split("…"))) + r"\n"
             for line in printed.splitlines()]
    return re.compile("".join(lines))


def work_mem():
    return {member: lab("sql", member, "show work_mem").strip() for member in MEMBERS}


def alter(member, what):
    lab("sql", member, f"alter system {what}")
    lab("sql", member, "select pg_reload_conf()")


class Tutorial(LiveTest):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.work.name))
        self.status = 0
        self.environment = {**os.environ, "LOCKSTEP_INVENTORY": str(self.inventory), "LOCKSTEP_STATE": str(self.state_folder),
                            "PATH": str(pathlib.Path(LOCKSTEP).parent) + ":" + os.environ["PATH"]}
        self.addCleanup(self.give_back)

    def give_back(self):
        for member in MEMBERS:
            alter(member, "reset work_mem")
        self.reset()

    def shell(self, command):
        """What a reader sees of it, stdout first, with its exit status; $? and $ID are what they are by then."""
        done = subprocess.run([LAB, "exec", "--", "bash", "-c", f"(exit {self.status}); {command}"], cwd=self.folder,
                              env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=180,
                              check=False)
        return done.stdout + done.stderr, done.returncode

    def newest_run(self):
        listed, _ = self.shell("lockstep runs")
        return next(iter(re.findall(r"\d{8}-\d{6}-[0-9a-f]+", listed)), "")

    def do_console(self, _, text):
        listed = list(commands(text))
        for place, (command, printed) in enumerate(listed):
            self.environment["ID"] = self.newest_run() if "$ID" in command else ""
            seen, self.status = self.shell(command)
            what = f"$ {command}\n--- is said to print\n{printed}--- printed (exit {self.status})\n{seen}"
            self.assertTrue(pattern(printed).fullmatch(seen), what)
            if command != "echo $?" and [next_command for next_command, _ in listed[place + 1:place + 2]] != ["echo $?"]:
                self.assertEqual(self.status, 0, what)

    def do_yaml(self, words, text):
        name, after = re.fullmatch(r'(?:file|insert)=(\S+)(?: after="(.*)")?', words).groups()
        file = self.folder / name
        if after is not None:
            whole = file.read_text(encoding="utf-8")
            self.assertEqual(whole.count(after + "\n"), 1, after)
            text = whole.replace(after + "\n", after + "\n" + text)
        file.write_text(text, encoding="utf-8")

    def do_work_mem(self, _, value):
        wanted = self.before if value == "before" else dict.fromkeys(MEMBERS, value)
        # A server takes up a reload a moment after it was asked for.
        wait_until(lambda: work_mem() == wanted, 5, f"work_mem is {wanted}")

    def test_everything_that_it_says_is_so(self):
        """One member has a value of its own already, so that there are two kinds of what was there before."""
        alter("n3", "set work_mem = '8MB'")
        self.before = wait_until(lambda: (now := work_mem())["n3"] == "8MB" and now, 5, "n3 has a value of its own")
        self.assertNotEqual(self.before["n1"], "8MB")
        kinds = []
        for kind, words, text in parts():
            kinds.append(kind)
            {"yaml": self.do_yaml, "console": self.do_console, "work_mem": self.do_work_mem}[kind](words, text)
        self.assertGreater(kinds.count("console"), 5, "its blocks were not found")
        self.assertGreater(kinds.count("work_mem"), 3)

    def test_the_whole_one_is_the_example(self):
        whole = [text for kind, words, text in parts() if kind == "yaml" and words == "file=work-mem.yaml"][-1]
        example = re.sub(r"\A(#[^\n]*\n)+", "", EXAMPLE.read_text(encoding="utf-8"))
        self.assertEqual(example, whole)
