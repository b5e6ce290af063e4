"""Runs one command where the members can be reached, and notes from outside how long the cluster was paused.

usage: measure.py ETCD_URL OUTPUT_FILE COMMAND...

It does not poll: etcd is asked to report each change of Patroni's configuration, which is where a pause is written. So the
measuring costs Patroni nothing, and is the same for whatever command is measured. The command's peak memory is what the
kernel says of it (ru_maxrss). The process that starts it is a small one, because a process inherits the peak of its parent.
"""

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

COMMAND_SECONDS = 240
CONFIG_KEY = b"/service/lab/config"  # Patroni's default namespace, the lab's scope

LAUNCHER = """
import os, sys, time
begun = time.time()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
own = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")][0]
with os.fdopen(3, "w") as report:
    print(begun, time.time(), os.waitstatus_to_exitcode(status), usage.ru_maxrss, own, file=report)
"""


class PauseWatch(threading.Thread):
    """The times at which the pause was set and lifted in the DCS, as etcd reports them."""

    def __init__(self, url):
        super().__init__(daemon=True)
        self.changes, self.error, self.ready = [], None, threading.Event()
        address = urllib.parse.urlsplit(url)
        self.connection = http.client.HTTPConnection(address.hostname, address.port, timeout=COMMAND_SECONDS + 60)

    def run(self):
        try:
            request = {"create_request": {"key": base64.b64encode(CONFIG_KEY).decode()}}
            self.connection.request("POST", "/v3/watch", json.dumps(request))
            answer = self.connection.getresponse()
            while line := answer.readline():
                self.note(time.time(), json.loads(line)["result"])
        except Exception as error:  # pylint: disable=broad-except
            self.error = repr(error)

    def note(self, now, result):
        if result.get("created"):
            self.ready.set()
        for event in result.get("events", []):
            paused = bool(json.loads(base64.b64decode(event["kv"]["value"])).get("pause"))
            if not self.changes or self.changes[-1][1] != paused:
                self.changes.append((now, paused))

    def paused_seconds(self):
        """From the first moment it was set to the last one; None: never, or not lifted."""
        begun = [at for at, paused in self.changes if paused]
        if not begun or self.changes[-1][1]:
            return None
        return self.changes[-1][0] - begun[0]


def main(url, output, *command):
    watch = PauseWatch(url)
    watch.start()
    if not watch.ready.wait(10):
        sys.exit(f"measure: etcd does not report changes: {watch.error}")
    reading, writing = os.pipe()
    with open(output, "w", encoding="utf-8") as out, open(output + ".err", "w", encoding="utf-8") as err:
        # The launcher expects its report's descriptor as number 3.
        launcher = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", f"import os; os.dup2({writing}, 3)\n" + LAUNCHER, *command],
            stdin=subprocess.DEVNULL, stdout=out, stderr=err, pass_fds=[writing])
    os.close(writing)
    try:
        launcher.wait(COMMAND_SECONDS)
    except subprocess.TimeoutExpired:
        sys.exit(f"measure: {command[0]} does not end within {COMMAND_SECONDS} s")  # our caller ends the whole group
    report = os.fdopen(reading).read().split()
    time.sleep(0.2)  # an event may be on its way
    begun, ended, code, peak_kb, floor_kb = (float(word) for word in report)
    print(json.dumps({"begun": begun, "ended": ended, "exit": int(code), "paused": watch.paused_seconds(),
                      "peak_mb": peak_kb / 1024, "peak_floor_mb": floor_kb / 1024, "watch_error": watch.error}))


if __name__ == "__main__":
    main(*sys.argv[1:])
