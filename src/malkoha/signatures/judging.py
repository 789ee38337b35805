"""Judge the events of a trace: every signature is given what it asked for, in order of the trace.

In: rows and processes. Out: matches, and one line for each signature that failed. What a signature asks for is looked
up in tables (calls by name, paths in one index, commands by program), so most events meet no signature at all.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence
from typing import Any

import msgspec

from malkoha import attack
from malkoha.model.event import Event
from malkoha.model.matches import Mark, Match
from malkoha.model.process import Process
from malkoha.processing.behavior import call_of
from malkoha.signatures.base import Evidence, Scene, Signature, system_name
from malkoha.signatures.commands import Command, command_of
from malkoha.signatures.paths import Index
from malkoha.signatures.programs import SHELLS
from malkoha.signatures.touching import TOUCHING, touches
from malkoha.trace import descriptors
from malkoha.trace.descriptors import Tables, argument
from malkoha.trace.store import Row

MARKS = 50
SOUGHT = 10_000
"""Programs that are not there of which it is remembered that a process looked for them."""
_PROGRAM = re.compile(r"(?:/usr)?/bin/([^/]+)")
"""Where a shell looks at the end, when it did not find a program in the folders before."""
_EXECS = frozenset({"execve", "execveat"})
READING = frozenset({"read"})
SENDING = frozenset({"write", "sendto", "sendmsg", "writev"})
TEXTS = READING | SENDING
"""Calls whose buffers are texts; only those with a word that some signature looks for are needed."""

log = logging.getLogger(__name__)


class Overrun(BaseException):
    """A signature took more time or memory than it may; raised from the watch, through whatever it was doing."""


class Running:
    """One signature at work."""

    def __init__(self, signature: Signature, number: int) -> None:
        self.signature = signature
        self.number = number
        """Its place in the list of those at work, counted from 1."""
        self.name = signature.name
        self.marks: list[Mark] = []
        self.seen: set[tuple[int, str, str]] = set()
        self.count = 0
        self.calls = 0
        """How often it was asked."""
        self.spent_s = 0.0
        self.stopped = False

    def add(self, evidence: Evidence, row: Row | None) -> None:
        """Turn evidence into marks: the indicator once for each process, and the call behind it."""
        self.count += 1
        if len(self.marks) >= MARKS:
            return
        pid, key = (row.event.pid, row.process) if row else (None, None)
        seen = (-1 if key is None else key, evidence.category, evidence.ioc)
        if seen not in self.seen:
            self.seen.add(seen)
            self.marks.append(
                Mark(
                    type="ioc", pid=pid, key=key, category=evidence.category, ioc=evidence.ioc,
                    description=evidence.description or None,
                )
            )  # fmt: skip
        if row is not None and row.event.kind == "syscall" and len(self.marks) < MARKS:
            self.marks.append(Mark(type="call", pid=pid, key=key, cid=row.index, call=call_of(row.event)))

    def match(self) -> Match | None:
        """Make the match, if there was evidence."""
        signature = self.signature
        if not self.count:
            return None
        return Match(
            name=signature.name,
            description=signature.description,
            severity=signature.severity,
            ttp=attack.named(signature.attack),
            families=list(signature.families),
            references=list(signature.references),
            marks=self.marks,
            markcount=self.count,
        )


class Listeners:
    """Who is given what."""

    def __init__(self, signatures: Sequence[type[Signature]]) -> None:
        self.running = [Running(signature(), number) for number, signature in enumerate(signatures, 1)]
        self.by_call: dict[str, list[Running]] = {}
        self.by_program: dict[str, list[Running]] = {}
        self.by_line: list[Running] = []
        self.by_path: dict[str, Index[Running]] = {}
        """By what is done to a path."""
        self.by_script: list[Running] = []
        self.by_sends: list[Running] = []
        for one in self.running:
            signature = one.signature
            for api in signature.syscalls:
                self.by_call.setdefault(api, []).append(one)
            for program in signature.programs:
                self.by_program.setdefault(program, []).append(one)
            if signature.line is not None and not signature.programs:
                self.by_line.append(one)
            if signature.script is not None:
                self.by_script.append(one)
            if signature.sends is not None:
                self.by_sends.append(one)
            if signature.paths is not None:
                for access in signature.access:
                    self.by_path.setdefault(access, Index()).add(signature.paths, one)

    def commands(self, command: Command) -> list[Running]:
        """List who wants to see a command."""
        found = list(self.by_line)
        for name in sorted(command.names):
            found += self.by_program.get(name, ())
        return [one for one in dict.fromkeys(found) if _fits(one.signature, command)]


def _fits(signature: Signature, command: Command) -> bool:
    if signature.line is not None and not signature.line.search(command.line):
        return False
    return signature.unless is None or not signature.unless.search(command.line)


def wanted(signatures: Iterable[type[Signature]]) -> set[str]:
    """Name the calls that a judgement needs to see."""
    asked = {api for signature in signatures for api in signature.syscalls}
    return asked | ((descriptors.APIS | TOUCHING) - TEXTS) - {"pread64", "pwrite64", "readv"}


def needles(signatures: Iterable[type[Signature]]) -> str:
    """Make a pattern of all the words without which no text is looked at."""
    return "|".join(sorted({re.escape(word) for signature in signatures for word in signature.words}))


class Judge:
    """Takes the rows of a trace one by one; ``finish`` gives what the signatures made of them.

    The number of the signature that is at work is written to the first place of ``board``, where others may read it.
    """

    def __init__(
        self,
        processes: Sequence[Process],
        signatures: Sequence[type[Signature]],
        board: MutableSequence[int] | memoryview | None = None,
    ) -> None:
        self._board = [0] if board is None else board
        self._processes = {process.key: process for process in processes}
        self._tables = Tables(processes)
        self.scene = Scene(self._tables, self._processes)
        self.listeners = Listeners(signatures)
        self.errors: list[str] = []
        self.current: Running | None = None
        """The signature that is at work, for the watch."""
        self._execs: dict[int, Row] = {}
        self._missing: set[tuple[int, str]] = set()

    def feed(self, row: Row) -> None:
        """Judge one row; the launcher's calls and its set-up only advance the descriptor tables."""
        scene, event, process = self.scene, row.event, self._processes.get(row.process)
        scene.key = row.process
        scene.recorded = scene.recorded or event.kind in ("fork", "exec")
        launcher = process is not None and process.launcher
        if process is None or not (launcher or (row.index or 0) < process.setup_calls):
            self._judge(row)
        elif event.api in _EXECS:
            self._execs[row.process] = row
        self._tables.feed(row.process, event)
        if event.kind == "exec" and not launcher:
            # after the tables, so that descriptors that were to be closed are gone and ``exe`` is the new one
            self._run(row, command_of(event))

    def _judge(self, row: Row) -> None:
        event = row.event
        api = event.api if event.kind == "syscall" else event.kind
        for one in self.listeners.by_call.get(api, ()):
            self._ask(one, row, one.signature.on_event, event)
        if api in TEXTS:
            self._text(row)
        if api in TOUCHING:
            self._touch(row)
        elif api in _EXECS:
            if self.scene.recorded:
                self._execs[row.process] = row
            elif event.ret is None or event.ret == 0:
                path = self.scene.path(event, 1, 0) if api == "execveat" else self.scene.path(event, 0)
                self._run(row, command_of(event, path or ""))

    def _touch(self, row: Row) -> None:
        for touch in touches(row.event, self.scene):
            index = self.listeners.by_path.get(touch.access)
            for one in index.find(touch.path) if index is not None else ():
                if touch.ok or one.signature.attempts:
                    self._ask(one, row, one.signature.on_path, touch)
            self.scene.note_touch(touch)
            if touch.access == "probe" and row.event.errno == "ENOENT" and self.scene.program in SHELLS:
                sought = _PROGRAM.fullmatch(touch.path)
                if sought is not None:
                    self._sought(row, sought[1])

    def _sought(self, row: Row, name: str) -> None:
        """Tell rules on ordinary commands of a program that a shell looked for and that is not there."""
        if (row.process, name) in self._missing or len(self._missing) >= SOUGHT:
            return
        self._missing.add((row.process, name))
        command = Command("", name, (name,), frozenset({name}), name)

        def judged(signature: Signature) -> Callable[[Command, Scene], Evidence | None]:
            def judge(what: Command, scene: Scene) -> Evidence | None:
                evidence = signature.on_run(what, scene)
                return evidence and msgspec.structs.replace(
                    evidence, description="looked for; there is no such program"
                )

            return judge

        for one in self.listeners.by_program.get(name, ()):
            if one.signature.severity == 1 and _fits(one.signature, command):
                self._ask(one, row, judged(one.signature), command)

    def _text(self, row: Row) -> None:
        event, scene = row.event, self.scene
        if event.api in READING:
            asked = self.listeners.by_script if system_name(scene.exe) in SHELLS else []
        else:
            asked = self.listeners.by_sends if self._sends(event) else []
        if asked:
            self._search(asked, row, str(argument(event, 1)))

    def _sends(self, event: Event) -> bool:
        """Tell whether a call sends something over the network."""
        return self.scene.connection(argument(event, 0)) is not None or (
            event.api == "sendto" and "AF_INET" in str(argument(event, 4))
        )

    def _search(self, asked: Iterable[Running], row: Row, text: str) -> None:
        for one in asked:
            signature = one.signature
            pattern = signature.script if row.event.api not in SENDING else signature.sends
            found = pattern.search(text) if pattern is not None else None
            if found is not None:
                self._ask(one, row, signature.on_text, found[0])

    def _run(self, row: Row, command: Command) -> None:
        call = self._execs.pop(row.process, row)
        self.scene.note_run(row.process, command)
        for one in self.listeners.commands(command):
            self._ask(one, call, one.signature.on_run, command)
        if command.names & SHELLS and "-c" in command.argv[1:2] + command.argv[2:3]:
            self._search(self.listeners.by_script, call, command.line)

    def _ask(self, one: Running, row: Row, method: Callable[[Any, Scene], Evidence | None], what: Any) -> None:
        """Give one thing to a signature, and note what it makes of it; one that fails takes nothing with it."""
        if one.stopped:
            return
        one.calls += 1
        self.current = one
        self._board[0] = one.number
        try:
            evidence = method(what, self.scene)
            if evidence is not None:
                one.add(evidence, row)
        except (Exception, GeneratorExit, Overrun) as error:  # noqa: BLE001 - a broken rule must not take the others with it
            self._fail(one, error)
        finally:
            self.current = None

    def _end(self, one: Running, sections: Mapping[str, Any]) -> None:
        """Give the sections to a signature that wants them, as ``_ask`` does."""
        if one.stopped or type(one.signature).on_end is Signature.on_end:
            return
        one.calls += 1
        self.current = one
        self._board[0] = one.number
        try:
            for evidence in one.signature.on_end(sections):
                one.add(evidence, None)
        except (Exception, GeneratorExit, Overrun) as error:  # noqa: BLE001
            self._fail(one, error)
        finally:
            self.current = None

    def _fail(self, one: Running, error: BaseException) -> None:
        if isinstance(error, Overrun):
            self._stop(one, f"signature {one.name} was stopped: {error}")
            return
        log.error("signature %s failed", one.name, exc_info=error)
        said = "out of memory" if isinstance(error, MemoryError) else f"{type(error).__name__}: {error}"
        self._stop(one, f"signature {one.name} failed: {said}")

    def _stop(self, one: Running, line: str) -> None:
        one.stopped = True
        one.signature.__dict__.clear()  # whatever it hoards goes with it
        self.errors.append(line[:1000])

    def drop(self, one: Running, why: str) -> None:
        """Stop a signature from outside, between two events."""
        if not one.stopped:
            self._stop(one, f"signature {one.name} was stopped: {why}")

    def finish(self, sections: Mapping[str, Any]) -> tuple[list[Match], list[str]]:
        """Let the signatures judge the sections; give the matches, strongest first, and what failed."""
        for one in self.listeners.running:
            self._end(one, sections)
        matches = [match for match in (one.match() for one in self.listeners.running) if match is not None]
        return sorted(matches, key=lambda match: (-match.severity, match.name)), self.errors


def judge(
    rows: Iterable[Row],
    processes: Sequence[Process],
    sections: Mapping[str, Any],
    signatures: Sequence[type[Signature]],
) -> tuple[list[Match], list[str]]:
    """Judge rows in order of the trace, in this process and without a watch."""
    at_work = Judge(processes, signatures)
    for row in rows:
        at_work.feed(row)
    return at_work.finish(sections)


__all__ = ["Event", "Judge", "Overrun", "Running", "judge", "needles", "wanted"]
