"""Memory and disks as sparse files: pages of zeros are holes, and only what is there is copied."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from malkoha.errors import MachineError

if TYPE_CHECKING:
    from malkoha.machinery.memory import GuestMemory

PAGE = 4096
BLOCK = 1 << 20


def keep_memory(memory: GuestMemory, target: Path) -> int:
    """Write the memory as a sparse file and return how many bytes of it are not zero."""
    used = 0
    with target.open("xb") as file:
        file.truncate(memory.size)
        position = 0
        while (extent := next_data(memory.fd, position, memory.size)) is not None:
            start, position = extent
            while start < position:
                block = os.pread(memory.fd, min(BLOCK, position - start), start)
                used += _write_pages(file.fileno(), block, start)
                start += len(block)
    return used


def next_data(fd: int, position: int, size: int) -> tuple[int, int] | None:
    """Return the next stretch of a sparse file that holds data, as start and end."""
    if position >= size:
        return None
    try:
        start = os.lseek(fd, position, os.SEEK_DATA)
    except OSError:
        return None
    return start, os.lseek(fd, start, os.SEEK_HOLE)


def _write_pages(fd: int, block: bytes, position: int) -> int:
    """Write the pages of a block that are not zero, neighbours together; return their bytes."""
    nothing = bytes(PAGE)
    written = 0
    start: int | None = None
    for at in range(0, len(block) + PAGE, PAGE):
        page = block[at : at + PAGE]
        empty = not page or page == nothing[: len(page)]
        if empty and start is not None:
            written += os.pwrite(fd, block[start:at], position + start)
            start = None
        elif not empty and start is None:
            start = at
    return written


def keep_file(source: int, target: Path) -> None:
    """Copy an open file, holes left out."""
    size = os.fstat(source).st_size
    with target.open("xb") as file:
        file.truncate(size)
        position = 0
        while (extent := next_data(source, position, size)) is not None:
            start, position = extent
            while start < position:
                block = os.pread(source, min(BLOCK, position - start), start)
                start += os.pwrite(file.fileno(), block, start)


class Filling:
    """Copies the saved memory into a guest's memory beside the start of QEMU."""

    def __init__(self, memory: GuestMemory, source: Path) -> None:
        self._memory = os.dup(memory.fd)
        self._size = memory.size
        self._source = source
        self._error: Exception | None = None
        self._abandoned = False
        self._thread = threading.Thread(target=self._run, name="malkoha-filling", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._copy()
        except OSError as error:
            self._error = error
        finally:
            os.close(self._memory)

    def _copy(self) -> None:
        with self._source.open("rb") as file:
            position = 0
            while (extent := next_data(file.fileno(), position, self._size)) is not None:
                start, position = extent
                while start < position and not self._abandoned:
                    # the duplicate shares its position with nobody who uses it
                    os.lseek(self._memory, start, os.SEEK_SET)
                    sent = os.sendfile(self._memory, file.fileno(), start, min(16 * BLOCK, position - start))
                    if sent == 0:
                        return
                    start += sent

    def done(self) -> None:
        """Wait until the memory is whole; MachineError when it could not be read."""
        self._thread.join()
        if self._error is not None:
            raise MachineError("The saved memory cannot be read", f"{self._source}: {self._error}")

    def abandon(self) -> None:
        """End early, or do nothing when it is done."""
        self._abandoned = True
        self._thread.join()
