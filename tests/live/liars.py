"""A REST API of Patroni that lies: a proxy before the lab's members, which passes on what they say but for what it is told to say.

`Liar` is for tests: an address of its own, or (`in_between`) in the place of every member, as somebody on the network would be. As a
program it is the proxy, in the operator's network of the lab.
"""

import argparse
import contextlib
import http.client
import http.server
import json
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

PORT = 9876
MARK = 0x4C11  # of the proxy's own connections, which are not led back to it
TABLE = 4011


class Lies:
    """What is said of the cluster instead of the truth. All of it may change while the proxy runs."""

    def __init__(self, options):
        self.options = options
        self.paused = False

    def answer(self, method, path, body):
        """Status and body, where nobody is asked; None: the truth, as told() makes it."""
        if self.options.fake_pause and method == "PATCH" and path == "/config" and "pause" in (body or {}):
            self.paused = bool(body["pause"])
            return 200, {"ttl": 20, "loop_wait": 3, "pause": self.paused}
        return None

    def told(self, path, said):
        if self.options.fake_pause and path in ("/config", "/patroni", "/cluster", "/leader"):
            said.pop("pause", None)
            if self.paused:
                said["pause"] = True
        if path == "/cluster":
            self.list_members(said["members"])
        return said

    def list_members(self, members):
        members[:] = [m for m in members if m["name"] not in self.options.drop]
        by_name = {m["name"]: m for m in members}
        for pair in self.options.swap:
            one, other = (by_name[name] for name in pair.split("="))
            one["host"], other["host"] = other["host"], one["host"]
        for name, host in (each.split("=", 1) for each in self.options.host):
            by_name[name]["host"] = host
        for name in self.options.mine:
            by_name[name]["api_url"] = f"http://127.0.0.1:{PORT}/patroni"


def ask(host, method, path, body, headers):
    """The member itself, past whoever is in between."""
    link = http.client.HTTPConnection(host, 8008, timeout=20)
    link.sock = socket.socket()
    link.sock.settimeout(20)
    link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
    link.sock.connect((host, 8008))
    try:
        link.request(method, path, body, headers)
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def handler_of(lies, options, log):
    class Handler(http.server.BaseHTTPRequestHandler):
        def serve(self):
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length) if length else None
            asked = (self.headers.get("Host") or "").split(":")[0]
            real = options.real if asked == "127.0.0.1" else asked
            log.write(json.dumps({"method": self.command, "path": self.path, "host": asked, "body": (sent or b"").decode(),
                                  "authorization": "Authorization" in self.headers}) + "\n")
            log.flush()
            try:
                body = json.loads(sent) if sent else None
            except ValueError:
                body = None
            invented = lies.answer(self.command, self.path, body)
            if invented:
                self.reply(invented[0], json.dumps(invented[1]).encode())
                return
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            try:
                status, said = ask(real, self.command, self.path, sent, headers)
            except OSError as error:
                self.reply(502, str(error).encode())
                return
            with contextlib.suppress(ValueError, KeyError):
                said = json.dumps(lies.told(self.path, json.loads(said))).encode()
            self.reply(status, said)

        do_GET = do_PATCH = do_POST = do_PUT = do_DELETE = serve

        def reply(self, status, body):
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    return Handler


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IP, 19, 1)  # IP_TRANSPARENT: an address that is not this host's
        super().server_bind()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--log", required=True)
    parser.add_argument("--real", required=True, help="the member behind the proxy's own address")
    parser.add_argument("--between", action="append", default=[], help="an address to stand in for")
    parser.add_argument("--drop", action="append", default=[], help="a member that is not listed")
    parser.add_argument("--mine", action="append", default=[], help="a member whose API is the proxy")
    parser.add_argument("--swap", action="append", default=[], metavar="ONE=OTHER", help="their hosts")
    parser.add_argument("--host", action="append", default=[], metavar="MEMBER=HOST")
    parser.add_argument("--fake-pause", action="store_true", help="a pause is answered, and not passed on")
    options = parser.parse_args()
    lies = Lies(options)
    with open(options.log, "a", encoding="utf-8") as log:
        handler = handler_of(lies, options, log)
        servers = [Server(("127.0.0.1", PORT), handler)] + [Server((address, 8008), handler) for address in options.between]
        for server in servers[1:]:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        log.write(json.dumps({"up": True}) + "\n")
        log.flush()
        servers[0].serve_forever()


def routes(addresses, verb):
    """What leads connections to port 8008 of these addresses to this host itself, as if the addresses were its own."""
    yield ["sh", "-c", f"echo {int(verb == 'add')} >/proc/sys/net/ipv4/conf/all/accept_local"]
    yield ["ip", "rule", verb, "pref", "90", "fwmark", str(MARK), "lookup", "main"]
    for address in addresses:
        yield ["ip", "route", verb, "local", address, "dev", "lo", "src", "127.0.0.1", "table", str(TABLE)]
        yield ["ip", "rule", verb, "pref", "100", "to", address, "ipproto", "tcp", "dport", "8008", "lookup", str(TABLE)]


class Liar:
    """A proxy that runs until it is closed. `url` is its own address; `requests()` is what it was asked."""

    url = f"http://127.0.0.1:{PORT}"

    def __init__(self, lab, real, *lies, between=()):
        self.lab, self.between = lab, list(between)
        self.log = tempfile.NamedTemporaryFile("r", prefix="lockstep-liar-", encoding="utf-8")
        argv = [lab, "exec", "--", sys.executable, str(pathlib.Path(__file__).resolve()), "--log", self.log.name, "--real", real, *lies]
        for address in self.between:
            argv += ["--between", address]
        for command in routes(self.between, "add") if self.between else ():
            subprocess.run([lab, "exec", "--", *command], check=True, timeout=60)
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)  # pylint: disable=consider-using-with
        try:
            self.wait()
        except BaseException:
            self.close()
            raise

    def wait(self):
        deadline = time.monotonic() + 30
        while not any(entry.get("up") for entry in self.entries()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the proxy did not come up: {self.process.poll()}")
            time.sleep(0.05)

    def entries(self):
        return [json.loads(line) for line in pathlib.Path(self.log.name).read_text(encoding="utf-8").splitlines() if line.endswith("}")]

    def requests(self, method=None):
        return [e for e in self.entries() if "method" in e and method in (None, e["method"])]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(20)
        for command in routes(self.between, "del") if self.between else ():
            subprocess.run([self.lab, "exec", "--", *command], check=False, timeout=60, stderr=subprocess.DEVNULL)
        self.between = []


if __name__ == "__main__":
    main()
