"""Signatures that fail are stopped and named; the others go on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from malkoha.model.event import Event
from malkoha.signatures import runner
from malkoha.signatures.base import Evidence, Scene, Signature
from malkoha.signatures.judging import judge
from malkoha.signatures.runner import Limits
from malkoha.trace import stap, store
from malkoha.trace.store import Row, Trace

HELLO = Path(__file__).parents[2] / "data" / "traces" / "helloworld.stap"


class Opens(Signature):
    name = "opens"
    description = "Opens a file"
    severity = 1
    attack = ("T1083",)
    syscalls = frozenset({"openat"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        path = scene.opened(event)
        return Evidence(path, "file") if path else None


class Raises(Opens):
    name = "raises"
    severity = 5

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        raise ValueError("broken")


class Loops(Opens):
    name = "loops"

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        while True:
            time.monotonic()


class Clings(Opens):
    """Catches whatever interrupts it."""

    name = "clings"

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        while True:
            try:
                time.monotonic()
            except BaseException:  # noqa: BLE001 - what a broken rule may do
                continue


class Hoards(Opens):
    name = "hoards"

    def __init__(self) -> None:
        self.kept: list[bytearray] = []

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        while True:
            self.kept.append(bytearray(b"x") * 10_000_000)


class Dies(Opens):
    name = "dies"

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        os._exit(1)


class Brk(Opens):
    syscalls = frozenset({"brk"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        return Evidence("brk", "call")


class RaisesAtTheEnd(Opens):
    name = "raises_at_the_end"

    def on_end(self, sections: Mapping[str, Any]) -> Iterable[Evidence]:
        raise KeyError("section")


class Section(Signature):
    name = "section"
    description = "Looks at a section"
    severity = 2
    attack = ("T1027",)

    def on_end(self, sections: Mapping[str, Any]) -> Iterable[Evidence]:
        return [Evidence(text, "string") for text in sections["strings"]]


@pytest.fixture
def trace(tmp_path: Path) -> Trace:
    path = tmp_path / "events.parquet"
    store.write(stap.parse(HELLO), path)
    return Trace(path)


def test_marks_point_to_their_call(trace: Trace) -> None:
    (match,), errors = runner.run(trace, {}, [Opens])
    assert errors == []
    assert (match.name, match.markcount) == ("opens", 5)
    ioc, call = match.marks[-2:]
    assert (ioc.type, ioc.ioc, ioc.pid) == ("ioc", "/etc/resolv.conf", 703)
    assert call.call is not None
    assert (call.type, call.pid, call.cid, call.call.api) == ("call", 703, 1, "openat")


def test_what_the_launcher_does_is_not_judged(trace: Trace) -> None:
    assert runner.run(trace, {}, [Brk]) == ([], [])


def test_a_signature_that_raises_takes_nothing_with_it(trace: Trace) -> None:
    matches, errors = runner.run(trace, {"strings": ["a"]}, [Raises, Opens, RaisesAtTheEnd, Section])
    assert [match.name for match in matches] == ["section", "opens", "raises_at_the_end"]
    assert errors == [
        "signature raises failed: ValueError: broken",
        "signature raises_at_the_end failed: KeyError: 'section'",
    ]


QUICK = Limits(call_s=0.2, total_s=5.0, memory=400 << 20)


@pytest.mark.parametrize(
    ("broken", "line"),
    [
        (Loops, "signature loops was stopped: it took more than 0.2 s for one event"),
        (Clings, "signature clings was stopped: it "),
        (Dies, "signature dies was stopped: its process ended with status 1"),
    ],
)
def test_a_signature_that_hangs_is_stopped(trace: Trace, broken: type[Signature], line: str) -> None:
    matches, errors = runner.run(trace, {}, [broken, Opens], QUICK)
    assert [match.name for match in matches] == ["opens"]
    (error,) = errors
    assert error.startswith(line)


def test_a_signature_that_eats_memory_is_stopped(trace: Trace) -> None:
    limits = Limits(call_s=60.0, total_s=60.0, memory=400 << 20)
    matches, errors = runner.run(trace, {}, [Hoards, Opens], limits)
    assert [match.name for match in matches] == ["opens"]
    assert errors == ["signature hoards was stopped: it took more than 400 MiB of memory"]


def test_marks_are_bounded_and_counted() -> None:
    lines = [
        f'Mon Nov 23 21:00:00 2026.000000 x@1[5] openat(AT_FDCWD, "/tmp/{number}", O_RDONLY) = 3\n'
        for number in range(200)
    ]
    rows = [Row(0, number, stap.parse_line(line.encode(), number)) for number, line in enumerate(lines)]
    (match,), _ = judge(rows, [], {}, [Opens])
    assert (len(match.marks), match.markcount) == (50, 200)
