"""The command line as its users call it: a process of its own, on a home of its own, with the real home's images.

Images, armed snapshots and the answer of the KVM probe are those of the real home, through symbolic links: they are
made once and never changed. Everything else (tasks, analyses, running machines) belongs to the test.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import malkoha
from malkoha.store import Home, Store
from tests.live.shell_guest import processes

PACKAGE = Path(malkoha.__file__).parent
ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
LONG_S = 300.0
"""Longer than anything here takes on a busy machine; a test that reaches it hangs."""

Report = dict[str, Any]
Process = dict[str, Any]
Word = str | bytes | Path


@dataclass(frozen=True)
class Done:
    """How one command ended."""

    status: int
    out: bytes
    err: str

    @property
    def last_line(self) -> str:
        lines = self.err.splitlines()
        return lines[-1] if lines else ""


@dataclass(frozen=True)
class Analysis:
    """One analysis that came to a report."""

    report: Report
    store: Store
    done: Done

    @property
    def id(self) -> str:
        return self.store.root.name

    @property
    def own(self) -> Report:
        found: Report = self.report["malkoha"]
        return found

    @property
    def ended(self) -> str:
        return str(self.own["trace"]["ended"])

    @property
    def processes(self) -> list[Process]:
        found: list[Process] = self.report["behavior"]["processes"]
        return found

    @property
    def stdout(self) -> bytes:
        return self.store.stdout.read_bytes()

    @property
    def stderr(self) -> bytes:
        return self.store.stderr.read_bytes()

    def named(self, name: str) -> list[Process]:
        return [process for process in self.processes if process["process_name"] == name]

    def one(self, name: str) -> Process:
        (found,) = self.named(name)
        return found

    def tree(self) -> list[Any]:
        """Return the process tree as nested names: [name, child, child, ...]."""
        return [_names(node) for node in self.report["behavior"]["processtree"]]

    def sql(self, query: str) -> list[Any]:
        """Return the rows of a query on the events."""
        from malkoha.trace.store import Trace

        return [tuple(row) for row in Trace(self.store.events).sql(query, limit=100_000).rows]

    def number(self, query: str) -> int:
        return int(self.sql(query)[0][0])


def _names(node: Process) -> list[Any]:
    return [node["process_name"], *map(_names, node["children"])]


def calls(process: Process, api: str) -> list[Report]:
    """Return a process's calls of one name, with their arguments under their man-page names."""
    return [
        {**call, "named": dict(zip(call["argument_names"], call["arguments"].values(), strict=True))}
        for call in process["calls"]
        if call["api"] == api
    ]


class Malkoha:
    """The command ``malkoha`` on one home."""

    def __init__(self, root: Path, real: Home) -> None:
        self.home = Home(root)
        self._begun: list[Running] = []
        root.mkdir(parents=True, exist_ok=True)
        for ours, theirs in (
            (self.home.images, real.images),
            (self.home.snapshots, real.snapshots),
            (self.home.cache, real.cache),
        ):
            ours.symlink_to(theirs)
        if real.config.exists():
            shutil.copyfile(real.config, self.home.config)

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a user without settings of his own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALKOHA_", "COVERAGE_"))}
        return kept | {"MALKOHA_HOME": str(self.home.root), "PYTHONPATH": str(PACKAGE.parent), **more}

    def command(self, *words: Word) -> list[Word]:
        return [sys.executable, "-m", "malkoha.cli", *words]

    def run(self, *words: Word, before: Sequence[Word] = (), timeout_s: float = LONG_S, **more: str) -> Done:
        """Run a command to its end; ``before`` are the words of a program that starts it."""
        done = subprocess.run(
            [*before, *self.command(*words)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=self.environment(**more),
            timeout=timeout_s,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr.decode("utf-8", "backslashreplace"))

    def begin(self, *words: Word, **more: str) -> Running:
        """Start a command and return it while it runs."""
        running = Running(self.home, self.command(*words), self.environment(**more))
        self._begun.append(running)
        return running

    def abandon(self) -> None:
        """End what a test that failed has left running."""
        for running in self._begun:
            running.close()
        self._begun.clear()

    def analyze(self, sample: Path | bytes, *options: Word) -> Analysis:
        """Analyse a sample; the analysis has to succeed."""
        return self.told(self.run("analyze", "--json", "--no-open", *options, "--", sample))

    def told(self, done: Done) -> Analysis:
        """Return the analysis whose report a finished command has printed."""
        assert done.status == 0, done.err
        report: Report = json.loads(done.out)
        return Analysis(report, self.home.analysis(report["info"]["id"]), done)

    def tasks(self) -> list[Report]:
        """Return the tasks as the command lists them, newest first."""
        done = self.run("tasks", "--json")
        assert done.status == 0, done.err
        found: list[Report] = json.loads(done.out)
        return found

    def assert_nothing_left(self) -> None:
        """No process, socket, overlay, lock or half-made folder of this home is left."""
        until(lambda: not processes(self.home), 20, lambda: f"machines still run: {processes(self.home)}")
        assert not self.home.run.exists() or list(self.home.run.iterdir()) == []
        assert [path for path in self.home.root.rglob("*") if path.is_socket() or path.suffix == ".part"] == []


class Running:
    """A command that runs, with its output in files."""

    def __init__(self, home: Home, command: Sequence[Word], environment: dict[str, str]) -> None:
        self._home = home
        self._before = analyses(home)
        self._out: IO[bytes] = tempfile.TemporaryFile()
        self._err: IO[bytes] = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err, env=environment
        )

    @property
    def err(self) -> str:
        size = os.fstat(self._err.fileno()).st_size
        return os.pread(self._err.fileno(), size, 0).decode("utf-8", "backslashreplace")

    def end(self, number: signal.Signals | None = None, timeout_s: float = LONG_S) -> Done:
        """Send it a signal, if one is given, and wait for its end."""
        if number is not None:
            self.process.send_signal(number)
        try:
            self.process.wait(timeout_s)
            out = os.pread(self._out.fileno(), os.fstat(self._out.fileno()).st_size, 0)
            return Done(self.process.returncode, out, self.err)
        finally:
            self.close()

    def close(self) -> None:
        """Kill it if it still runs; harmless when it was ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._out.close()
        self._err.close()

    def until_recording(self) -> Store:
        """Wait until the analysis has recorded a few calls of its sample."""

        def newest() -> Store | None:
            numbers = analyses(self._home) - self._before
            store = self._home.analysis(max(numbers)) if numbers else None
            return store if store and store.records.exists() and store.records.stat().st_size > 50_000 else None

        until(lambda: newest() is not None or self.process.poll() is not None, LONG_S, lambda: self.err)
        store = newest()
        assert store is not None, self.err
        assert self.process.poll() is None, self.err
        return store


def analyses(home: Home) -> set[int]:
    """Return the ids of all analyses of a home."""
    return {int(path.name) for path in home.analyses.iterdir()} if home.analyses.is_dir() else set()


def until(done: Callable[[], bool], timeout_s: float, why: Callable[[], str]) -> None:
    """Wait for something that is seen only by looking; fail with ``why`` when it does not come."""
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)


def script(folder: Path, text: str, name: str = "sample.sh") -> Path:
    """Write a shell script."""
    path = folder / name
    path.write_text("#!/bin/bash\n" + text)
    return path


def compiled(source: Path | str, target: Path, *options: str) -> Path:
    """Compile a static C program with the host's compiler; ``source`` is a file or the text itself."""
    if isinstance(source, str):
        path = target.with_suffix(".c")
        path.write_text(source)
        source = path
    command = [
        "gcc",
        "-O1",
        "-pthread",
        *([] if "-shared" in options else ["-static"]),
        "-o",
        str(target),
        *options,
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return target


def lines_of(data: bytes) -> Iterator[str]:
    """Yield the lines of a text that only newlines end."""
    yield from data.decode("ascii").split("\n")[:-1]
