"""Plays the REST API of Patroni for hosts that have none: as much as an observation asks. usage: patroni.py COUNT"""

import asyncio
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from hosts import address_of, name_of  # pylint: disable=wrong-import-position

COUNT = int(sys.argv[1])
CONFIG = {"ttl": 30, "loop_wait": 10, "retry_timeout": 10, "maximum_lag_on_failover": 1048576,
          "postgresql": {"use_pg_rewind": True, "use_slots": True}}


def listed(number):
    leads = number == 0
    return {"name": name_of(number), "role": "leader" if leads else "replica", "state": "running" if leads else "streaming",
            "api_url": f"http://{address_of(number)}:8008/patroni", "host": address_of(number), "port": 5432, "timeline": 1,
            **({} if leads else {"lag": 0})}


def status(number):
    leads = number == 0
    position = {"location": 67108864} if leads else {"received_location": 67108864, "replayed_location": 67108864,
                                                     "replayed_timestamp": None, "paused": False}
    return {"state": "running", "postmaster_start_time": "2026-11-20 08:00:00.000000+00:00",
            "role": "primary" if leads else "replica", "server_version": 170000, "xlog": position, "timeline": 1,
            **({} if leads else {"replication_state": "streaming"}), "dcs_last_seen": 1764000000,
            "database_system_identifier": "7570000000000000000",
            "patroni": {"version": "4.0.7", "scope": "bench", "name": name_of(number)}}


NUMBERS = {address_of(number): number for number in range(COUNT)}
CLUSTER = {"members": [listed(number) for number in range(COUNT)], "scope": "bench"}


def answer(method, path, number):
    if method == "PATCH":
        return 400, {}
    if path == "/cluster":
        return 200, CLUSTER
    if path == "/config":
        return 200, CONFIG
    if path == "/patroni":
        return 200, status(number)
    return 404, {}


async def serve(reader, writer):
    number = NUMBERS[writer.get_extra_info("sockname")[0]]
    try:
        while head := (await reader.readuntil(b"\r\n\r\n")).decode():
            method, path, _ = head.split(" ", 2)
            sizes = [line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
            await reader.readexactly(int(sizes[0]) if sizes else 0)
            code, document = answer(method, path, number)
            body = json.dumps(document).encode()
            writer.write(f"HTTP/1.1 {code} OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                         + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    servers = [await asyncio.start_server(serve, address, 8008, backlog=512) for address in NUMBERS]
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
