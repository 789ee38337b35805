"""Dual-use programs: what is known to be seen of each must be found, by rule, in the report and in the trace.

In: the rows of programs/public.jsonl (a command and regular expressions that hold on the command's strace), and
analysis folders. Out: for each expectation how often it was found. The material is no part of the repository.
"""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import strace
from malkoha.trace.store import Trace

IMAGE = "programs"
LIMIT = 5_000_000
"""Lines of one trace that are looked at."""
# The expectations come from a machine with a network card of this name and address.
_PREPARE = """#!/bin/bash
ip link show eth0 >/dev/null 2>&1 || ip link add eth0 type dummy 2>/dev/null
ip addr add 10.9.9.1/24 dev eth0 2>/dev/null; ip link set eth0 up 2>/dev/null; ip link set lo up 2>/dev/null
cd /root
"""


@dataclass(frozen=True)
class Expectation:
    """What must be seen of a program: a pattern, and how many calls at least it must fit."""

    pattern: str
    least: int


@dataclass(frozen=True)
class Program:
    """One program with its command and what is expected of it."""

    name: str
    package: str
    binary: str
    command: str
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True)
class Finding:
    """How often an expectation was found among the calls of the report, and of the whole trace."""

    expectation: Expectation
    in_report: int
    in_trace: int

    @property
    def reported(self) -> bool:
        """Whether the report shows it."""
        return self.in_report >= self.expectation.least

    @property
    def traced(self) -> bool:
        """Whether the trace holds it."""
        return self.in_trace >= self.expectation.least


def programs(path: Path) -> list[Program]:
    """Read the rows; without the file there are none."""
    rows = [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    return [
        Program(
            name=row["id"],
            package=row["package"],
            binary=row.get("binary", ""),
            command=row["command"],
            expectations=tuple(
                Expectation(check["regex"], int(check.get("min", 1)))
                for check in row["strace_checks"]
                if check.get("ok", True)
            ),
        )
        for row in rows
    ]


def script(program: Program) -> str:
    """Give the script that is run in a guest."""
    return f"{_PREPARE}{program.command}\n"


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """Show the calls of a report; of a process whose execve calls are cut off, the programs that it ran."""
    for process in report["behavior"]["processes"]:
        ran = False
        for call in process["calls"]:
            ran = ran or call["api"] in ("execve", "execveat")
            yield strace.line(call["api"], list(call["arguments"].values()), call["return_value"], call["status"])
        if process.get("exit_signal"):
            yield f"+++ killed by {signal_name(process['exit_signal'])} +++"
        elif process.get("exit_code") is not None:
            yield f"+++ exited with {process['exit_code']} +++"
        for image in () if ran else process["images"]:
            yield f"execve({strace.quote(image['path'])}, [{image['command_line']}]) = 0"


def signal_name(number: int) -> str:
    """Name a signal; one that has no name is a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def trace_lines(folder: Path) -> Iterator[str]:
    """Show all calls of a trace."""
    for number, row in enumerate(Trace(folder / "events.parquet").rows()):
        if number >= LIMIT:
            return
        event = row.event
        yield strace.line(event.api, list(event.args.values()), event.ret_text, event.errno)


def check(folder: Path, expectations: Iterable[Expectation]) -> list[Finding]:
    """Count how often each expectation is found in an analysis."""
    listed = list(expectations)
    report = json.loads((folder / "report.json").read_bytes())
    in_report = _count(report_lines(report), listed)
    in_trace = _count(trace_lines(folder), listed)
    return [Finding(*found) for found in zip(listed, in_report, in_trace, strict=True)]


def started(folder: Path, binary: str) -> bool:
    """Tell whether an analysis shows that a program was started, by the last part of its path."""
    report = json.loads((folder / "report.json").read_bytes())
    name = binary.rsplit("/", 1)[-1]
    return any(
        name == image["path"].rsplit("/", 1)[-1] or f"/{name} " in f"/{image['command_line']} "
        for process in report["behavior"]["processes"]
        for image in process["images"]
    )


def _count(lines: Iterable[str], expectations: list[Expectation]) -> list[int]:
    patterns = [re.compile(expectation.pattern) for expectation in expectations]
    found = [0] * len(patterns)
    for line in lines:
        for place, pattern in enumerate(patterns):
            if pattern.search(line):
                found[place] += 1
    return found


def outcome(runs: Iterable[tuple[Program, Path | None]]) -> dict[str, Any]:
    """Check all programs with the folders of their analyses; give totals and what is missing."""
    expected = reported = traced = 0
    missing: list[str] = []
    not_run: list[str] = []
    absent: list[str] = []
    for program, folder in runs:
        if folder is None:
            not_run.append(program.name)
            continue
        if not started(folder, program.binary):
            absent.append(f"{program.name} (package {program.package})")
        for finding in check(folder, program.expectations):
            expected += 1
            reported += finding.reported
            traced += finding.traced
            if not finding.reported:
                wanted = finding.expectation
                missing.append(
                    f"{program.name} (analysis {folder.name}): {wanted.pattern} x{wanted.least}: "
                    f"{finding.in_report} in the report, {finding.in_trace} in the trace"
                )
    return {
        "found": {
            "found": reported,
            "of": expected,
            "percent": round(100 * reported / expected, 1) if expected else None,
        },
        "in_traces": traced,
        "missing": missing,
        "not_run": not_run,
        "absent": absent,
    }
