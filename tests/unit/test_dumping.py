"""Memory of processes and of the machine is kept, within bounds and whatever the guest says."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from malkoha import dumping
from malkoha.dumping import Dumps, regions
from malkoha.errors import GuestError
from malkoha.guest.channel import NoAnswerError
from malkoha.machinery.memory import GuestMemory
from malkoha.model.memory import ProcessDump
from malkoha.store import Store

MAPS = b"""\
1000-3000 r-xp 00000000 08:01 12 /tmp/sample
3000-4000 ---p 00000000 00:00 0
5000-6000 r--p 00000000 08:01 99 /usr/lib/libc.so.6
6000-7000 rw-p 00001000 08:01 99 /usr/lib/libc.so.6
8000-9000 rwxp 00000000 00:00 0 [heap]
a000-b000 r--p 00000000 00:00 0 [vvar]
nonsense
ffffffffff600000-ffffffffff601000 r-xp 00000000 00:00 0 [vsyscall]
"""


class Guest:
    """Processes whose memory holds the number of its page."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.silent = False

    def maps(self, pid: int) -> bytes:
        if pid == 404:
            raise GuestError("No such file or directory")
        return MAPS

    def memory(self, pid: int, address: int, size: int) -> bytes:
        self.asked.append((pid, address))
        if self.silent:
            raise NoAnswerError("the agent did not answer")
        if address >= 0x2800 and address < 0x3000:
            raise GuestError("Input/output error")
        end = 0x2800 if address < 0x2800 else address + size
        return bytes([address >> 12]) * min(size, end - address)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path).create()


def index(store: Store) -> list[ProcessDump]:
    return msgspec.json.decode(store.memory_index.read_bytes(), type=list[ProcessDump])


def test_what_only_repeats_a_file_comes_last() -> None:
    found = [(region.start, region.protect, region.path) for region in regions(MAPS)]
    assert found == [
        (0x1000, "r-xp", "/tmp/sample"),
        (0x6000, "rw-p", "/usr/lib/libc.so.6"),
        (0x8000, "rwxp", "[heap]"),
        (0x5000, "r--p", "/usr/lib/libc.so.6"),
    ]


def test_regions_lie_one_behind_the_other(store: Store) -> None:
    assert Dumps(store, 1 << 20).processes(Guest(), [77], lambda: False) == []
    (dump,) = index(store)
    data = store.process_memory(77).read_bytes()
    assert dump.size == len(data) == 0x1800 + 3 * 0x1000
    assert [(region.offset, region.size) for region in dump.regions] == [
        (0, 0x1800), (0x1800, 0x1000), (0x2800, 0x1000), (0x3800, 0x1000),
    ]  # fmt: skip
    assert {data[region.offset] for region in dump.regions} == {1, 6, 8, 5}


def test_bounds(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dumping, "PROCESSES", 2)
    trouble = Dumps(store, 0x1900).processes(Guest(), [1, 404, 3, 4], lambda: False)
    assert trouble == [
        "memory of process 404: No such file or directory",
        "memory: 2 processes were not dumped: the limit is 2",
    ]
    assert store.process_memory(1).stat().st_size == 0x1900


def test_an_agent_that_is_lost(store: Store) -> None:
    guest = Guest()
    guest.silent = True
    trouble = Dumps(store, 1 << 20).processes(guest, [1, 2], lambda: bool(guest.asked))
    assert trouble[0].startswith("memory of process 1: the agent did not answer")
    assert trouble[1:] == ["memory: 1 processes were not dumped: the agent or the time was gone"]
    assert index(store) == []


def test_the_memory_of_the_machine(store: Store) -> None:
    memory = GuestMemory(1 << 20)
    memory.write(0x5000, b"here")
    Dumps(store, 1).machine(memory)
    data = store.machine_memory.read_bytes()
    assert (len(data), data[0x5000:0x5004]) == (1 << 20, b"here")
    assert store.machine_memory.stat().st_blocks * 512 < 1 << 20
    memory.close()
