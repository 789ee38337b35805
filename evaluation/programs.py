"""Dual-use programs: what is known to be seen of each must be found, by rule, in the report and in the trace.

In: the rows of programs/public.jsonl (a command and regular expressions that hold on the command's strace), and
analysis folders. Out: for each expectation how often it was found. The material is no part of the repository.

    python -m evaluation.programs run      run what was not run yet in the image ``programs`` (resumable)
    python -m evaluation.programs check    say what was found, program by program
    python -m evaluation.programs packages list the Debian packages that the image needs
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import strace
from malkoha.trace.store import Trace

ROOT = Path(__file__).parent.parent
IMAGE = "programs"
TIMEOUT_S = 60
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

    @property
    def key(self) -> str:
        """Name the run by what goes into it."""
        return f"{self.name}-{hashlib.sha256(script(self).encode()).hexdigest()[:12]}"


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


def material() -> Path:
    """Give the folder of the material; it need not be there."""
    named = os.environ.get("MALKOHA_EVAL")
    return Path(named) if named else ROOT.parent / "shared" / "eval"


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


def run(listed: Iterable[Program], notes: Path, jobs: int = 1) -> None:
    """Run the programs that were not run yet; notes of what was run stand in a folder."""
    notes.mkdir(parents=True, exist_ok=True)
    todo = [program for program in listed if not (notes / program.key).exists()]
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        waiting = {pool.submit(_one, program, notes): program for program in todo}
        for number, future in enumerate(as_completed(waiting), 1):
            print(f"{number}/{len(todo)} {waiting[future].name}: {future.result()}", flush=True)


def _one(program: Program, notes: Path) -> str:
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder) / f"{program.name}.sh"
        sample.write_text(script(program))
        command = [
            sys.executable, "-m", "malkoha.cli", "analyze", "--json", "--image", IMAGE, "--timeout", str(TIMEOUT_S),
            str(sample),
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        return (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["no answer"])[-1][:300]
    report = json.loads(done.stdout)
    (notes / program.key).write_text(str(report["info"]["id"]))
    trace = report["malkoha"]["trace"]
    return f"analysis {report['info']['id']}, {trace['events']} events, {trace['lost']} lost, {trace['ended']}"


def outcome(listed: Iterable[Program], notes: Path, analyses: Path) -> dict[str, Any]:
    """Check all programs that were run; give totals and what is missing."""
    expected = reported = traced = 0
    missing: list[str] = []
    not_run: list[str] = []
    absent: list[str] = []
    for program in listed:
        note = notes / program.key
        folder = analyses / note.read_text() if note.exists() else None
        if folder is None or not (folder / "report.json").is_file():
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
        "expected": expected,
        "reported": reported,
        "traced": traced,
        "missing": missing,
        "not_run": not_run,
        "absent": absent,
    }


def main(arguments: list[str]) -> int:
    """Run, check or list, as the module's head says."""
    listed = programs(material() / "programs" / "public.jsonl")
    home = Path(os.environ.get("MALKOHA_HOME", Path.home() / ".malkoha"))
    notes = home / "cache" / "evaluation-programs"
    command = arguments[0] if arguments else "check"
    if command == "packages":
        print(",".join(sorted({program.package for program in listed})))
    elif command == "run":
        run(listed, notes, int(arguments[1]) if len(arguments) > 1 else 1)
    elif command == "check":
        found = outcome(listed, notes, home / "analyses")
        for text in found["missing"]:
            print(f"missing  {text}")
        for text in found["absent"]:
            print(f"absent   {text} was never started")
        for text in found["not_run"]:
            print(f"not run  {text}")
        share = 100 * found["reported"] / (found["expected"] or 1)
        print(f"{found['reported']} of {found['expected']} expectations in the reports ({share:.1f} %), ", end="")
        print(f"{found['traced']} in the traces")
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
