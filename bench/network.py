"""How quickly a simulated internet is there, and how many conversations it holds; no guest, real namespaces.

The host's kernel stands in for a guest's (tests/network_guest.py): all frames pass through the process that a guest's
frames pass through.
"""

from __future__ import annotations

import json
import resource
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from malkoha.config import Settings
from malkoha.network.authority import Authority
from malkoha.network.route import Route
from malkoha.store import Store
from tests import network_guest

RATE = 500
SECONDS = 6

HOLD = f"""
import asyncio, json, time

async def one(number, open_at, held):
    await asyncio.sleep(max(0.0, open_at - time.monotonic()))
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("203.0.113.9", 4444)
    writer.write(b"line %d\\n" % number)
    answer = await reader.readline()
    held.append(time.monotonic() - began)
    await asyncio.sleep(max(0.0, end - time.monotonic()))
    alive = not reader.at_eof()
    writer.close()
    return answer == b"OK\\n" and alive

async def main():
    global end
    began = time.monotonic() + 0.5
    end = began + {SECONDS} + 1
    held = []
    tasks = [one(number, began + number / {RATE}, held) for number in range({RATE * SECONDS})]
    done = await asyncio.gather(*tasks, return_exceptions=True)
    held.sort()
    print(json.dumps([sum(each is True for each in done), held[len(held) // 2], held[int(len(held) * 0.99)]]))

import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))
asyncio.run(main())
"""
REQUESTS = 3000
ASK = f"""
import asyncio, json, time

async def ask(number):
    async with room:
        reader, writer = await asyncio.open_connection("203.0.113.9", 80)
        writer.write(b"GET /%d HTTP/1.0\\r\\n\\r\\n" % number)
        answer = await reader.read()
        writer.close()
        return answer.startswith(b"HTTP/1.1 200")

async def main():
    global room
    room = asyncio.Semaphore(200)
    began = time.monotonic()
    done = await asyncio.gather(*map(ask, range({REQUESTS})), return_exceptions=True)
    print(json.dumps([sum(each is True for each in done), time.monotonic() - began]))

asyncio.run(main())
"""


def measure(runs: int) -> dict[str, Any]:
    """Time starts, hold connections that come at a steady rate, and make requests as fast as they are answered."""
    starts, burnt, held, middle, late, rates = [], [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        authority = Path(folder) / "authority"
        Authority.make(authority)
        for number in range(runs):
            burnt.append(_start_alone(Store(Path(folder) / f"{number}-start").create(), authority))
            store = Store(Path(folder) / str(number)).create()
            began = time.monotonic()
            with Route("sim", store, authority, Settings()) as route:
                route.ready()
                starts.append(time.monotonic() - began)
                with route.take_wire() as wire:
                    alive, median, slow = json.loads(network_guest.run(wire, HOLD))
            held.append(alive)
            middle.append(median * 1000)
            late.append(slow * 1000)
            store = Store(Path(folder) / f"{number}-requests").create()
            with Route("sim", store, authority, Settings()) as route:
                route.ready()
                with route.take_wire() as wire:
                    answered, took = json.loads(network_guest.run(wire, ASK))
            rates.append(answered / took)
    what = f"{RATE} connections a second for {SECONDS} s, all kept open, {runs} runs"
    figures = {
        "network.start_s": (starts, "s", f"simulated internet ready in its namespace, {runs} runs"),
        "network.start_cpu_s": (burnt, "s", "processor time of a start and an end, of all processes in it"),
        "network.held": (held, "of " + str(RATE * SECONDS), what),
        "network.first_answer_ms": (middle, "ms", what + ", median"),
        "network.late_answer_ms": (late, "ms", what + ", 99th percentile"),
        "network.requests_per_s": (rates, "1/s", f"{REQUESTS} HTTP conversations, 200 at a time, {runs} runs"),
    }
    return {
        name: {"value": round(statistics.median(values), 3), "unit": unit, "against": against}
        for name, (values, unit, against) in figures.items()
    }


def _start_alone(store: Store, authority: Path) -> float:
    """Start and end a network and return what that took of the processor, which other work does not lengthen."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with Route("sim", store, authority, Settings()) as route:
        route.ready()
        route.take_wire().close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
