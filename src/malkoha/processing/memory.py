"""Sections ``procmemory`` and ``memory``: what ``--memory`` has kept of processes and of the machine."""

from __future__ import annotations

import msgspec

from malkoha.errors import ProcessingError
from malkoha.model.files import MachineMemory, MemoryRegion, ProcessMemory
from malkoha.model.memory import ProcessDump
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.store import Store
from malkoha.trace.store import Trace


def _dumps(store: Store) -> list[ProcessDump]:
    if not store.memory_index.exists():
        return []
    try:
        return msgspec.json.decode(store.memory_index.read_bytes(), type=list[ProcessDump])
    except msgspec.MsgspecError as error:
        raise ProcessingError(f"{store.memory_index.name} of the memory of processes is damaged", str(error)) from error


class ProcessMemoryModule(Processing):
    """Make the section ``procmemory``."""

    name = "procmemory"

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        return facts.store.memory_index.exists()

    def run(self, facts: Facts, earlier: Earlier) -> list[ProcessMemory]:
        del earlier
        # of processes that shared a pid, the last lives
        processes = {process.pid: process for process in Trace(facts.store.events).processes}
        found = []
        for dump in _dumps(facts.store):
            process = processes.get(dump.pid)
            found.append(
                ProcessMemory(
                    pid=dump.pid,
                    key=process.key if process else None,
                    process_name=process.name if process else "",
                    taken=dump.time_ns / 1e9,
                    file=str(facts.store.process_memory(dump.pid).relative_to(facts.store.root)),
                    size=dump.size,
                    cut=sum(region.end - region.start for region in dump.regions) - dump.size,
                    regions=[
                        MemoryRegion(
                            addr=f"{region.start:#x}",
                            end=f"{region.end:#x}",
                            size=region.size,
                            offset=region.offset,
                            protect=region.protect,
                            path=region.path,
                        )
                        for region in dump.regions
                    ],
                )
            )
        return found


class MachineMemoryModule(Processing):
    """Make the section ``memory``."""

    name = "memory"

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        return facts.store.machine_memory.exists()

    def run(self, facts: Facts, earlier: Earlier) -> MachineMemory:
        del earlier
        path = facts.store.machine_memory
        told = path.stat()
        processes = sum(1 for process in Trace(facts.store.events).processes if not process.launcher)
        return MachineMemory(
            file=path.name,
            size=told.st_size,
            used=told.st_blocks * 512,
            ended_before=max(processes - len(_dumps(facts.store)), 0),
        )
