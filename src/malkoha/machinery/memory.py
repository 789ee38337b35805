"""The guest's memory, seen from the host.

QEMU's RAM is a memfd that malkoha made, so both look at the same pages: what the guest writes can be read here without
any device or process in between, and it stays when QEMU is gone. Addresses come from the guest and are hostile: each is
checked against the memory that exists.
"""

from __future__ import annotations

import contextlib
import mmap
import os

from malkoha.errors import HostError, MachineError

MIB = 1 << 20
FOUR_GIB = 1 << 32


def low_memory(size: int) -> int:
    """Return how much of ``size`` bytes of RAM lies below 4 GiB on QEMU's q35; the rest follows at 4 GiB.

    Source: hw/i386/pc_q35.c.
    """
    return min(size, 0x8000_0000 if size >= 0xB000_0000 else 0xB000_0000)


class GuestMemory:
    """All RAM of one guest, addressed by physical address in bytes."""

    def __init__(self, size: int) -> None:
        """Make zeroed memory of ``size`` bytes (a multiple of the page size); pages are taken only when touched."""
        self.size = size
        self._low = low_memory(size)
        try:
            self.fd = os.memfd_create("guest", os.MFD_CLOEXEC)
        except OSError as error:
            raise HostError("The guest's memory cannot be made", str(error)) from error
        try:
            os.ftruncate(self.fd, size)
            self._map = mmap.mmap(self.fd, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except (OSError, ValueError) as error:
            os.close(self.fd)
            raise HostError(f"The guest's memory of {size // MIB} MB cannot be mapped", str(error)) from error
        self._whole = memoryview(self._map)

    def offset(self, physical: int, size: int) -> int:
        """Return where a physical range lies in the memory file; MachineError when it is not wholly RAM."""
        end = physical + size
        if size >= 0 and physical >= 0:
            if end <= self._low:
                return physical
            if physical >= FOUR_GIB and end - FOUR_GIB <= self.size - self._low:
                return physical - FOUR_GIB + self._low
        raise MachineError("The guest names memory that it does not have", f"{size} bytes at {physical:#x}")

    def view(self, physical: int, size: int) -> memoryview:
        """Return the range itself, without a copy; the guest may change it at any moment.

        Release it before ``close``, or the memory stays mapped for as long as the view lives.
        """
        start = self.offset(physical, size)
        if self._whole.nbytes == 0:
            raise MachineError("The guest's memory is no longer there", "the machine was closed")
        return self._whole[start : start + size]

    def read(self, physical: int, size: int) -> bytes:
        """Copy ``size`` bytes out of the guest."""
        with self.view(physical, size) as part:
            return bytes(part)

    def write(self, physical: int, data: bytes | bytearray | memoryview) -> None:
        """Copy bytes into the guest."""
        with self.view(physical, len(data)) as part:
            part[:] = data

    def close(self) -> None:
        """Give the memory back; views that are still held keep it until they are released."""
        if self.fd < 0:
            return
        os.close(self.fd)
        self.fd = -1
        whole, self._whole = self._whole, memoryview(b"")
        with contextlib.suppress(BufferError):
            whole.release()
            self._map.close()
