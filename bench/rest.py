"""How many requests a second the service answers on list and view while two analyses run, and how long they wait.

A server with two slots and the images of the user's own home; a thousand tasks in its table. The client speaks HTTP
over kept connections from one process on the same machine, so its own work and that of two guests is in the figure.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from malkoha.client import Client
from malkoha.config import Settings, home_from
from malkoha.model.task import Options, Status
from malkoha.store import Home
from malkoha.submit import submit
from malkoha.tasks import Tasks

CONNECTIONS = 8
SECONDS = 10.0
TASKS = 1000
WAIT_S = 600.0
BUSY = b"#!/bin/sh\nwhile :; do cat /etc/passwd >/dev/null; ls -l /etc >/dev/null; done\n"
PATHS = ("/tasks/list/50", "/tasks/view/1", "/api/v1/tasks?limit=50", "/api/v1/tasks/1")


@contextmanager
def served(home: Home) -> Iterator[tuple[str, int]]:
    """Run ``malkoha serve`` with two slots and yield its address and its process id."""
    command = [sys.executable, "-m", "malkoha.cli", "serve", "--port", "0", "--slots", "2"]
    said = home.root / "said"
    with said.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors, env={**os.environ, "MALKOHA_HOME": str(home.root)})
        try:
            deadline = time.monotonic() + WAIT_S
            while (found := re.search(r"listens on (http://\S+:\d+)/", said.read_text())) is None:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(said.read_text())
                time.sleep(0.05)
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait(120)


def fill(home: Home, folder: Path) -> None:
    """Put a thousand tasks that are over into the table."""
    sample = folder / "a.sh"
    sample.write_bytes(b"#!/bin/sh\n")
    with Tasks(home) as tasks:
        for _ in range(TASKS):
            task = tasks.add(submit(home, Settings(), str(sample), Options()))
            tasks.move(task.id, Status.FAILED_ANALYSIS)


async def ask(host: str, port: int, paths: tuple[str, ...], until: float, waits: list[float]) -> None:
    """Ask for these paths in turn over one connection, and note how long each answer took."""
    reader, writer = await asyncio.open_connection(host, port)
    turn = 0
    while time.monotonic() < until:
        path = paths[turn % len(paths)]
        turn += 1
        began = time.monotonic()
        writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = re.search(r"content-length: (\d+)", head)
        if not head.startswith("http/1.1 200") or length is None:
            raise RuntimeError(head)
        await reader.readexactly(int(length[1]))
        waits.append(time.monotonic() - began)
    writer.close()


async def load(address: str, paths: tuple[str, ...]) -> list[float]:
    """Keep all connections busy and return the seconds that each answer took."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    waits: list[float] = []
    until = time.monotonic() + SECONDS
    await asyncio.gather(*(ask(host, int(port), paths, until, waits) for _ in range(CONNECTIONS)))
    return waits


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has taken, in seconds (proc(5), stat: utime and stime)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(runs: int) -> dict[str, Any]:
    """Measure requests a second with nothing else to do, and while two analyses run."""
    own = home_from()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.root.mkdir()
        for name in ("images", "snapshots", "cache"):
            (home.root / name).symlink_to(own.root / name)
        fill(home, Path(folder))
        busy = Path(folder) / "busy.sh"
        busy.write_bytes(BUSY)
        with served(home) as (address, pid), Client(address) as client:
            alone = [asyncio.run(load(address, PATHS)) for _ in range(min(runs, 3))]
            made = [client.submit(busy, timeout_s=SECONDS * 4 * runs + 60, network="none") for _ in range(2)]
            deadline = time.monotonic() + WAIT_S
            while not all(_runs(home, task.id) for task in made):
                if time.monotonic() > deadline:
                    raise RuntimeError("the two analyses did not begin")
                time.sleep(0.2)
            before = cpu_s(pid)
            beside = [asyncio.run(load(address, PATHS)) for _ in range(min(runs, 3))]
            spent = (cpu_s(pid) - before) / sum(map(len, beside))
            if any(client.task(task.id).status != "running" for task in made):
                raise RuntimeError("an analysis ended while the requests were counted")
            for task in made:
                client.cancel(task.id)
    cost = {"value": round(1000 * spent, 3), "unit": "ms", "against": "processor time of the service for one request"}
    return _figures("alone", alone) | _figures("beside_two", beside) | {"rest.cpu_ms": cost}


def _runs(home: Home, task_id: int) -> bool:
    records = home.analysis(task_id).records
    return records.exists() and records.stat().st_size > 1 << 20


def _figures(name: str, runs: list[list[float]]) -> dict[str, Any]:
    busy = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs"
    what = f"list and view, {CONNECTIONS} connections, {TASKS} tasks, {busy}"
    rate = statistics.median(len(waits) for waits in runs) / SECONDS
    late = statistics.median(sorted(waits)[int(len(waits) * 0.95)] for waits in runs)
    return {
        f"rest.{name}_per_second": {"value": round(rate), "unit": "1/s", "against": what},
        f"rest.{name}_p95_s": {"value": round(late, 4), "unit": "s", "against": what},
    }
