"""Measure parsing and queries on long traces that repeat a real one.

A busy script is analysed once. Its records are repeated up to a million events, every repetition with other process
ids, times and addresses, a third of what its calls hand over and all of what they bring back changed a little, so that
what the parser keeps of earlier calls helps it no more than in a real trace. Parsing runs in a process of its own on
one core.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from malkoha.model.process import Process
from malkoha.trace import records, stap
from malkoha.trace.decode import Decoder
from malkoha.trace.store import Trace, write_batches

MILLION = 1_000_000
IDS = 5000
"""How far apart the ids of two repetitions are."""
SPREAD, SPREAD_IDS = 100, 1 << 30
"""How many processes have two calls in every repetition and so are spread over the whole trace, and their first id."""
BUSY = """#!/bin/bash
find /etc /usr/share -type f | head -2000 | while read -r f; do test -r "$f"; done
for i in $(seq 1 60); do grep -r root /etc/passwd | cut -d: -f1 >/dev/null; done
ls -lR /usr/lib >/dev/null; tar cf - /usr/share/perl 2>/dev/null | gzip | wc -c
for i in $(seq 1 300); do echo "$i" >"/tmp/f$i"; rm "/tmp/f$i"; done
"""


def repeat(source: Path, target: Path, events: int) -> int:
    """Write a trace of at least so many events; return their number."""
    random = np.random.default_rng(1)
    content = source.read_bytes()
    written = seq = count = 0
    with target.open("wb") as file:
        while written < events:
            data, starts, kinds = bytearray(content), *_index(content)
            words = np.frombuffer(data, "<u8")
            small, every = words.view("<i4"), np.frombuffer(data, np.uint8)
            words[starts + 1] = seq + np.arange(len(starts))
            words[starts + 2] += np.uint64(count * 10**9)
            entries, returns = starts[kinds == records.ENTER], starts[kinds == records.EXIT]
            _move(small, starts, kinds, count * IDS)
            _spread(small, starts, kinds)
            slide = np.uint64(int(random.integers(1, 1 << 20)) << 12)
            for places in (*(entries + word for word in range(5, 12)), returns + 5):
                value = words[places]
                words[places] = np.where((value > 1 << 40) & (value < 1 << 47), value + slide, value)
            long = entries[small[entries * 2] > records.ENTER_RECORD.size + 24]
            some = long[random.random(len(long)) < 0.3] * 8 + records.ENTER_RECORD.size + records.BLOB.size + 2
            every[some] = 97 + random.integers(0, 26, len(some))
            back = returns[small[returns * 2] > records.EXIT_RECORD.size + 24] * 8
            every[back + records.EXIT_RECORD.size + records.BLOB.size] = random.integers(0, 256, len(back))
            file.write(data)
            seq, count, written = seq + len(starts), count + 1, written + len(starts) - len(returns)
    return written


def _index(content: bytes) -> tuple[Any, Any]:
    found = [(offset // 8, kind) for offset, _, kind in records.scan(content) if kind != records.PAD]
    starts, kinds = zip(*found, strict=True)
    return np.array(starts), np.array(kinds)


def _move(small: Any, starts: Any, kinds: Any, by: int) -> None:
    """Give all tasks other ids."""
    fields = {records.ENTER: (9,), records.FORK: (8, 9, 10), records.EXEC: (8, 9)}
    for word in (6, 7):
        small[starts * 2 + word] += by
    for kind, places in fields.items():
        for word in places:
            small[starts[kinds == kind] * 2 + word] += by


def _spread(small: Any, starts: Any, kinds: Any) -> None:
    """Give some calls, the same in every repetition, to processes of which there is nothing else."""
    tids = small[starts * 2 + 6]
    whole = (kinds[:-1] == records.ENTER) & (kinds[1:] == records.EXIT) & (tids[:-1] == tids[1:])
    places = np.flatnonzero(whole)
    chosen = places[np.linspace(0, len(places) - 1, SPREAD * 2, dtype=np.int64)]
    for word in (6, 7):
        for place in (chosen, chosen + 1):
            small[starts[place] * 2 + word] = SPREAD_IDS + np.arange(len(chosen)) % SPREAD


def repeat_text(source: Path, target: Path, events: int) -> int:
    """Write lines of a log, repeated with other ids and addresses."""
    with tempfile.TemporaryFile("w+", encoding="ascii") as file:
        stap.write((event for event in Decoder(source).events() if len(str(event.args)) < 300), file)
        file.seek(0)
        lines = file.readlines()
    written = count = 0
    with target.open("w", encoding="ascii") as out:
        while written < events:
            out.writelines(_moved(line, count) for line in lines)
            written, count = written + len(lines), count + 1
    return written


def _moved(line: str, count: int) -> str:
    line = re.sub(r"\[(\d+)\] ", lambda found: f"[{int(found[1]) + count * IDS}] ", line, count=1)
    return re.sub(r"0x(7f|5)([0-9a-f]{5})", lambda found: f"0x{found[1]}{count:05x}", line)


def parse(source: Path, target: Path) -> dict[str, float]:
    """Parse on one core, in this process: its seconds of processor time, and the most memory that it held, in MB."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    started = time.process_time()
    stats = write_batches(stap.batches(source) if source.suffix == ".stap" else Decoder(source).batches(), target)
    spent = time.process_time() - started
    return {
        "s": round(spent, 3),
        "rss": _peak(),
        "events": stats.events,
    }


def _peak() -> int:
    """Give the most memory that this process held, in MiB; ru_maxrss would begin with what its parent held."""
    (line,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) >> 10


def pages(path: Path) -> dict[str, float]:
    """Milliseconds until the first page of a process is there, for some processes of every kind."""
    found = sorted((process for process in Trace(path).processes if process.calls), key=lambda process: process.calls)
    spread = [process for process in found if process.pid >= SPREAD_IDS]
    times = _page_times(path, [*found[:: max(len(found) // 15, 1)], *found[-3:]])
    return {
        "median": round(statistics.median(times), 1),
        "worst": round(max(times), 1),
        "spread": round(statistics.median(_page_times(path, spread[::10])), 1),
    }


def _page_times(path: Path, chosen: list[Process]) -> list[float]:
    times = []
    for process in chosen:
        started = time.monotonic()
        Trace(path).calls(process.key, 0, 100)
        times.append((time.monotonic() - started) * 1000)
    return times


def group_by(path: Path, runs: int) -> float:
    """Milliseconds for a count by name."""
    times = []
    for _ in range(runs):
        started = time.monotonic()
        Trace(path).sql("select api, count(*) from events group by api")
        times.append((time.monotonic() - started) * 1000)
    return round(statistics.median(times), 1)


def figures(source: Path, runs: int, *, ten_million: bool = False) -> dict[str, dict[str, Any]]:
    """Measure everything on repetitions of the records of one real run."""
    sizes = {"1m": MILLION} | ({"10m": 10 * MILLION} if ten_million else {})
    made: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "events.parquet"
        for name, events in (*sizes.items(), ("text", MILLION)):
            trace = Path(folder) / ("all.stap" if name == "text" else "records.bin")
            written = (repeat_text if name == "text" else repeat)(source, trace, events)
            command = [sys.executable, "-m", "bench.parsing", str(trace), str(target)]
            times = [json.loads(subprocess.run(command, check=True, stdout=-1).stdout) for _ in range(runs)]
            against = f"{written:,} events on one core, {runs} runs"
            figure = {"unit": "s", "against": against}
            made[f"parse.{name}_s"] = {"value": statistics.median(entry["s"] for entry in times)} | figure
            made[f"parse.{name}_rss"] = {
                "value": max(entry["rss"] for entry in times),
                "unit": "MB",
                "against": against,
            }
            trace.unlink()
            for what, value in (pages(target) if name != "text" else {}).items():
                made[f"page.{name}_{what}"] = {"value": value, "unit": "ms", "against": f"{written:,} events"}
            made[f"group_by.{name}"] = {"value": group_by(target, runs), "unit": "ms", "against": f"{written:,} events"}
    return made


if __name__ == "__main__":
    print(json.dumps(parse(Path(sys.argv[1]), Path(sys.argv[2]))))
