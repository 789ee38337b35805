"""Memory that was kept, in the report."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from malkoha.errors import ProcessingError
from malkoha.model.memory import ProcessDump, Region
from malkoha.model.process import Process
from malkoha.processing import memory
from malkoha.processing.base import Earlier
from malkoha.processing.memory import MachineMemoryModule, ProcessMemoryModule
from tests.unit.processing.folder import analysis

PROCESSES = [
    Process(key=1, pid=90, launcher=True),
    Process(key=2, pid=100, name="gone"),
    Process(key=3, pid=101, name="sh"),
]


@pytest.fixture(autouse=True)
def trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "Trace", lambda path: SimpleNamespace(processes=PROCESSES))


def test_nothing_was_kept(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    assert not ProcessMemoryModule.applies(facts)
    assert not MachineMemoryModule.applies(facts)


def test_what_was_kept(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    facts.store.memory.mkdir()
    heap = Region(start=0x1000, end=0x3000, protect="rw-p", path="[heap]", offset=0, size=0x1000)
    dumps = [ProcessDump(pid=101, time_ns=1_500_000_000, regions=[heap], size=0x1000)]
    facts.store.memory_index.write_bytes(msgspec.json.encode(dumps))
    facts.store.machine_memory.write_bytes(b"x" * 4096)
    (found,) = ProcessMemoryModule().run(facts, Earlier({}))
    assert (found.pid, found.key, found.process_name, found.taken) == (101, 3, "sh", 1.5)
    assert (found.file, found.size, found.cut) == ("memory/101.dmp", 0x1000, 0x1000)
    (region,) = found.regions
    assert (region.addr, region.end, region.protect, region.path) == ("0x1000", "0x3000", "rw-p", "[heap]")
    machine = MachineMemoryModule().run(facts, Earlier({}))
    assert (machine.file, machine.size, machine.ended_before) == ("memory.dmp", 4096, 1)


def test_a_damaged_index_is_said(tmp_path: Path) -> None:
    facts = analysis(tmp_path)
    facts.store.memory.mkdir()
    facts.store.memory_index.write_bytes(b"{")
    with pytest.raises(ProcessingError, match="damaged"):
        ProcessMemoryModule().run(facts, Earlier({}))
