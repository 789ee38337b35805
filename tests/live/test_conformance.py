"""One guest run: nearly every call of the kernel, held against what the program and what strace say about it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from malkoha.machinery.image import Image
from malkoha.model.event import Event
from malkoha.trace import records
from malkoha.trace.decode import Decoder, Reading
from tests.conformance import compare, known, programs, strace_lines
from tests.conformance.compare import Comparison
from tests.live.commandline import Malkoha

pytestmark = pytest.mark.live


class Run:
    """What one run of all groups left."""

    def __init__(self, path: Path, output: dict[str, str]) -> None:
        decoder = Decoder(path)
        self.threads: dict[int, list[Event]] = defaultdict(list)
        for event in decoder.events():
            if event.kind == "syscall":
                self.threads[event.tid].append(event)
        self.reading = decoder.reading
        self.output = output
        self.words: dict[int, tuple[int, ...]] = {}
        self.numbers: dict[int, int] = {}
        data = path.read_bytes()
        for offset, _, kind in records.scan(data):
            if kind == records.ENTER:
                fields = records.ENTER_RECORD.unpack_from(data, offset)
                self.words[fields[3]], self.numbers[fields[3]] = fields[10:16], fields[7]


@pytest.fixture(scope="module")
def run(shared: Malkoha, image: Image, tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = shared.analyze(programs.sample(image, tmp_path_factory.mktemp("conform")), "--timeout", "600")
    assert found.ended == "all processes gone"
    assert found.own["trace"]["lost"] == 0
    return Run(found.store.records, programs.output(found.stdout))


@pytest.fixture(scope="module")
def beside_strace(run: Run) -> Comparison:
    found = Comparison()
    for path, text in sorted(run.output.items()):
        _, _, name = path.partition("/")
        if name.startswith("trace."):
            lines = list(strace_lines.lines(text))
            events = run.threads[int(name.removeprefix("trace."))]
            if lines[0].name == "execve":  # before it the new process was strace itself
                events = events[[event.api for event in events].index("execve") :]
            compare.against_strace(events, run.words, lines, found)
    return found


@pytest.fixture(scope="module")
def beside_program(run: Run) -> Comparison:
    found = Comparison()
    for group in programs.GROUPS:
        said = compare.sayings(run.output[f"{group}/said"])
        for tid in dict.fromkeys(one.tid for one in said):
            own = [one for one in said if one.tid == tid]
            compare.against_program(run.threads[tid], run.words, run.numbers, own, found)
    return found


def test_every_record_makes_sense(run: Run) -> None:
    assert run.reading == Reading(records=run.reading.records)


def test_every_group_ran_to_its_end_alone_and_under_strace(run: Run) -> None:
    for group in programs.GROUPS:
        assert compare.sayings(run.output[f"{group}/said"]), group
        assert compare.sayings(run.output[f"{group}/traced"]), group


def test_events_are_what_the_program_says_that_it_did(beside_program: Comparison) -> None:
    assert beside_program.different == []
    assert beside_program.events > 900
    assert len({name for _, name in beside_program.syscalls}) >= known.LEAST_SYSCALLS


def test_events_are_what_strace_says(beside_strace: Comparison) -> None:
    unexplained = [
        (reason, ours, theirs)
        for reason, ours, theirs in beside_strace.different
        if known.explanation(ours.partition("(")[0], reason) is None
    ]
    assert unexplained == []
    assert len({name for _, name in beside_strace.syscalls}) >= known.LEAST_SYSCALLS
    assert beside_strace.equal >= known.LEAST_EQUAL * beside_strace.events


def test_calls_of_both_gates_and_of_x32_are_among_them(beside_strace: Comparison) -> None:
    calls: dict[str, int] = defaultdict(int)
    for abi, _ in beside_strace.syscalls:
        calls[abi] += 1
    assert calls["x86-64"] > 330
    assert calls["i386"] > 75
    assert calls["x32"] >= 4
