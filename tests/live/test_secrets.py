"""Secrets that commands print: on the members, here, and on the screen."""

import base64
import json
import pathlib

from harness import LiveTest, lab, on_each

SECRET = "s3cret-of-the-live-test/&\"x'"


class OfSecrets(LiveTest):
    RUNBOOK = """
runbook: own
summary: prints what it should not
inputs: {token: {type: secret, required: true}}
steps:
  - id: all
    on: members
    steps:
      - {id: reads, uses: ssh.run, on_failure: continue, register: r, with: {argv: [sh, -c, 'cat; exit 3'], stdin: "${{ inputs.token }}", read_only: true}}
      - {id: changes, uses: ssh.run, undo: none, with: {shell: 'read -r T; printf "%s\\n" "$T"; printf %s "$T" | base64 >&2', stdin: "${{ inputs.token }}"}}
"""

    def forms(self):
        return [SECRET, base64.b64encode(SECRET.encode()).decode(), SECRET.replace('"', '\\"')]

    def test_what_members_print_is_nowhere(self):
        runbook = self.write_runbook(self.RUNBOOK)
        for output in ("text", "jsonl"):
            done = self.lockstep("run", runbook, "--yes", "--set", "token=env:TOKEN", "--output", output, "--log-level", "trace",
                                 environment={"TOKEN": SECRET})
            self.assertEqual(done.code, 0, str(done))
            for form in self.forms():
                self.assertNotIn(form, done.out + done.err)
        self.assertIn("***", done.out)
        shown = json.dumps(self.show(), ensure_ascii=False)
        state = pathlib.Path(self.state_folder)
        for form in self.forms():
            self.assertNotIn(form, shown)
            for path in state.rglob("*"):
                if path.is_file():
                    self.assertNotIn(form.encode(), path.read_bytes(), path.name)
        for left in on_each(lambda member: lab("ssh", member, "grep -rlF s3cret-of-the-live-test /var/lib/lockstep /run/lockstep /tmp 2>/dev/null; true")).values():
            self.assertEqual(left.strip(), "")
