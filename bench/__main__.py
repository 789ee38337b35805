"""Measure and write bench/results.json: ``python -m bench [--runs N] [GROUP ...]``.

The groups ``start``, ``helloworld`` and ``flood`` go through the command line that users have, on the armed snapshot of
the default image, which is made first when there is none. Each figure is the median of its runs; the ratios compare
figures of the same session. Groups that are not measured keep their last figures.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import captures, network, parsing, queues, recorders, rest, signatures
from malkoha.config import home_from

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results.json"
COMMAND = [sys.executable, "-m", "malkoha.cli"]
FLOOD_CALLS = 400_000


def analyze(sample: Path, *more: str) -> tuple[dict[str, Any], float]:
    """Run one analysis; return its report and how long the command took, in seconds."""
    started = time.monotonic()
    done = subprocess.run([*COMMAND, "analyze", "--json", *more, "--", str(sample)], check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout), time.monotonic() - started


def median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


def figure(value: float, unit: str, against: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "against": against}


def helloworld(runs: int) -> dict[str, Any]:
    """Time the whole of the ordinary case, stage by stage."""
    timings: dict[str, list[float]] = {}
    for _ in range(runs):
        report, took = analyze(ROOT / "samples" / "helloworld.sh")
        timings.setdefault("command_s", []).append(took)
        for name, value in report["malkoha"]["timings"].items():
            if value is not None:
                timings.setdefault(name, []).append(value)
    return {
        f"helloworld.{name}": figure(median(values), "s", f"samples/helloworld.sh, {runs} runs")
        for name, values in sorted(timings.items())
    }


def flood(runs: int) -> dict[str, Any]:
    """Time 400,000 calls made as fast as the guest can, by dd's own clock."""
    seconds, lost, events = [], 0, 0
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "flood.sh"
        sample.write_text("#!/bin/sh\nexec dd if=/dev/zero of=/dev/null bs=1 count=200000\n")
        for _ in range(runs):
            report, _ = analyze(sample)
            said = report["malkoha"]["output"]["stderr"]
            found = re.search(r"copied, ([0-9.]+) s", said)
            if found:
                seconds.append(float(found[1]))
            lost += report["malkoha"]["trace"]["lost"]
            events = report["malkoha"]["trace"]["events"]
    what = f"dd bs=1 count=200000 in the guest, {runs} runs"
    taken = median(seconds)
    return {
        "flood.seconds": figure(taken, "s", what),
        "flood.calls_per_second": figure(round(FLOOD_CALLS / taken), "1/s", what),
        "flood.events": figure(events, "events", what),
        "flood.lost": figure(lost, "events", what),
    }


def start(runs: int) -> dict[str, Any]:
    """Time the start of the command line itself."""
    values = []
    for _ in range(runs):
        started = time.monotonic()
        subprocess.run([*COMMAND, "--help"], check=True, stdout=subprocess.DEVNULL)
        values.append(time.monotonic() - started)
    return {"start.help_s": figure(median(values), "s", f"malkoha --help, {runs} runs")}


def _long_trace(runs: int, *, ten_million: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / "busy.sh"
        sample.write_text(parsing.BUSY)
        report, _ = analyze(sample)
    return parsing.figures(home_from().analysis(report["info"]["id"]).records, min(runs, 3), ten_million=ten_million)


def parse(runs: int) -> dict[str, Any]:
    """Parse and query a trace of a million events that repeats that of a busy script."""
    return _long_trace(runs, ten_million=False)


def parse_ten_million(runs: int) -> dict[str, Any]:
    """Do the same with ten million; it needs some gigabytes of disk."""
    return _long_trace(1 if runs < 3 else 2, ten_million=True)


GROUPS: dict[str, Callable[[int], dict[str, Any]]] = {
    "start": start,
    "helloworld": helloworld,
    "flood": flood,
    "recorders": recorders.measure,
    "kprobe": recorders.measure_kprobe,
    "signatures": signatures.figures,
    "captures": captures.figures,
    "network": network.measure,
    "rest": rest.measure,
    "queue": queues.figures,
    "throughput": queues.throughput,
    "parse": parse,
    "ten-million": parse_ten_million,
}
"""What can be measured; each takes the number of runs and gives named figures."""


def kept() -> dict[str, Any]:
    """Return the figures of the last session, as far as they can be read."""
    try:
        figures: dict[str, Any] = json.loads(RESULTS.read_text())["figures"]
    except (OSError, ValueError, KeyError):
        return {}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"which to measure (all but ten-million): {', '.join(GROUPS)}"
    )
    options = parser.parse_args()
    if unknown := set(options.groups) - set(GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    analyze(ROOT / "samples" / "helloworld.sh")
    figures = kept()
    host = {"machine": platform.machine(), "system": platform.release(), "python": platform.python_version()}
    for group in options.groups or [name for name in GROUPS if name != "ten-million"]:
        found = GROUPS[group](options.runs)
        figures |= found
        RESULTS.write_text(json.dumps({"host": host, "figures": figures}, indent=1) + "\n")
        for name, entry in found.items():
            print(f"{name:40} {entry['value']:>14} {entry['unit']:6} {entry['against']}")


if __name__ == "__main__":
    main()
