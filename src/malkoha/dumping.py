"""Memory of the guest on its way out (``--memory``): of each traced process that lives, and of the whole machine.

In: the agent, which reads /proc/PID/maps and mem, and the guest's memory on this host. Out: memory/PID.dmp with one
region behind the other, memory/index.json that says where which lies, and the sparse file memory.dmp.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, BinaryIO, Protocol

import msgspec

from malkoha.errors import GuestError
from malkoha.guest.channel import NoAnswerError
from malkoha.machinery.sparse import keep_memory
from malkoha.model.memory import ProcessDump, Region
from malkoha.store import Store

if TYPE_CHECKING:
    from malkoha.machinery.memory import GuestMemory

PIECE = 512 << 10
REGIONS = 4096
PROCESSES = 64
TOTAL_S = 60.0
_LINE = re.compile(rb"([0-9a-f]{1,16})-([0-9a-f]{1,16}) ([r-][w-][x-][ps]) [0-9a-f]+ \S+ [0-9]+ *([^\n]*)")


class Reader(Protocol):
    """What the agent is asked for."""

    def maps(self, pid: int) -> bytes: ...

    def memory(self, pid: int, address: int, size: int) -> bytes: ...


class Dumps:
    """Keeps the memory of one run, ``limit`` bytes of each process at most."""

    def __init__(self, store: Store, limit: int) -> None:
        self._store = store
        self._limit = limit

    def processes(self, guest: Reader, pids: Iterable[int], hopeless: Callable[[], bool]) -> list[str]:
        """Keep the memory of processes, in a bounded time, and return what went wrong.

        A process may be made so that reading its memory takes for ever: then the agent is lost, and this ends early.
        """
        self._store.memory.mkdir(exist_ok=True)
        end = time.monotonic() + TOTAL_S
        dumps: list[ProcessDump] = []
        trouble: list[str] = []
        for number, pid in enumerate(wanted := list(pids)):
            if number == PROCESSES or hopeless() or time.monotonic() > end:
                why = f"the limit is {PROCESSES}" if number == PROCESSES else "the agent or the time was gone"
                trouble.append(f"memory: {len(wanted) - number} processes were not dumped: {why}")
                break
            try:
                dumps.append(self._process(guest, pid, end))
            except GuestError as error:
                trouble.append(f"memory of process {pid}: {error}")
        self._store.memory_index.write_bytes(msgspec.json.encode(dumps))
        return trouble

    def machine(self, memory: GuestMemory) -> None:
        """Keep the memory of a machine that has stopped, as a sparse file."""
        keep_memory(memory, self._store.machine_memory)

    def _process(self, guest: Reader, pid: int, end: float) -> ProcessDump:
        dump = ProcessDump(pid=pid, time_ns=time.time_ns(), regions=regions(guest.maps(pid)))
        with self._store.process_memory(pid).open("xb") as file:
            for region in dump.regions:
                region.offset = dump.size
                room = min(region.end - region.start, self._limit - dump.size)
                region.size = _region(guest, pid, region.start, room, file, end)
                dump.size += region.size
        return dump


def regions(maps: bytes) -> list[Region]:
    """Read /proc/PID/maps: what is readable, in the order in which it is worth keeping.

    What only repeats a file (not writable, of a library) comes last, so that it is what a limit cuts off.
    """
    found = []
    for start, stop, protect, path in _LINE.findall(maps)[:REGIONS]:
        begin, end = int(start, 16), int(stop, 16)
        if protect[:1] == b"r" and begin < end < 1 << 63 and path not in (b"[vvar]", b"[vvar_vclock]", b"[vsyscall]"):
            text = path[:4096].decode("utf-8", "backslashreplace")
            found.append(Region(start=begin, end=end, protect=protect.decode(), path=text))
    first = next((region.path for region in found if region.path.startswith("/")), "")
    return sorted(found, key=lambda one: one.path.startswith("/") and one.path != first and "w" not in one.protect)


def _region(guest: Reader, pid: int, start: int, size: int, file: BinaryIO, end: float) -> int:
    """Copy one region up to its first hole; return its bytes."""
    done = 0
    while done < size and time.monotonic() < end:
        try:
            data = guest.memory(pid, start + done, min(PIECE, size - done))
        except NoAnswerError:
            raise
        except GuestError:
            break  # a page that the kernel cannot give, such as behind the end of a mapped file
        if not data:
            break
        done += file.write(data[: size - done])
    return done
