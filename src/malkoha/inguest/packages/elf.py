"""ELF programs: started directly, after a look at what the kernel and the loader will say (elf(5))."""

from __future__ import annotations

import os
import struct
from typing import BinaryIO

from .base import Package, Unfit, shown

MAGIC = b"\x7fELF"
ET_REL, ET_EXEC, ET_DYN, ET_CORE, PT_INTERP = 1, 2, 3, 4, 3
EM_386, EM_X86_64 = 3, 62
NO_PROGRAM = {ET_REL: "but an object file or a kernel module", ET_CORE: "but a core dump"}
MACHINES = {
    2: "sparc", 4: "m68k", 8: "mips", 15: "parisc", 20: "powerpc", 21: "powerpc64", 22: "s390x", 40: "arm", 42: "sh4",
    43: "sparc64", 45: "arc", 50: "ia64", 93: "arc", 94: "xtensa", 183: "arm64", 195: "arcv2", 243: "riscv",
    258: "loongarch",
}  # fmt: skip
MAX_SEGMENTS = 512
MAX_PATH = 4096
CORRUPT = "this ELF file is corrupt"


class Elf(Package):
    """Programs in ELF form for x86-64 and i386, static or dynamic."""

    name = "elf"

    def accepts(self, head: bytes, name: bytes) -> bool:
        del name
        return head.startswith(MAGIC)

    def command(self, sample: bytes, arguments: list[bytes]) -> list[bytes]:
        with open(sample, "rb") as file:
            check(file)
        return [sample, *arguments]


def check(file: BinaryIO) -> None:
    """Say why this program cannot run here, where that is certain; the kernel decides the rest."""
    head = file.read(64)
    if not head.startswith(MAGIC):
        raise Unfit("this is no ELF file")
    if len(head) < 52 or head[4] not in (1, 2) or head[5] not in (1, 2) or (head[4] == 2 and len(head) < 64):
        raise Unfit(f"{CORRUPT}: its header is not whole")
    order, wide = "<" if head[5] == 1 else ">", head[4] == 2
    kind, machine = struct.unpack_from(order + "HH", head, 16)
    check_machine(machine, order, wide)
    if kind not in (ET_EXEC, ET_DYN):
        raise Unfit(f"this ELF file is no program {NO_PROGRAM.get(kind, f'(type {kind})')}")
    (entry,) = struct.unpack_from("<Q" if wide else "<I", head, 24)
    wanted = loader(file, head, wide)
    if wanted is None and kind == ET_DYN and entry == 0:
        raise Unfit("this ELF file is a shared library: it has no place to start at")
    if wanted is not None and not os.path.exists(wanted):
        raise Unfit(f"it needs the loader {shown(wanted)}, which the guest does not have")


def check_machine(machine: int, order: str, wide: bool) -> None:
    """Refuse what is for another processor."""
    if order == "<" and (machine, wide) in {(EM_X86_64, True), (EM_386, False)}:
        return
    if machine == EM_X86_64 and order == "<":
        raise Unfit("it is for the x32 ABI, which the guest's kernel has switched off")
    if machine in {EM_X86_64, EM_386}:
        raise Unfit(f"{CORRUPT}: its class or byte order is none that its processor has")
    name = MACHINES.get(machine, f"processor {machine}")
    article = "an" if name[0] in "aeiou" else "a"
    byte_order = ", big-endian" if order == ">" and name in {"mips", "arm", "arc"} else ""
    raise Unfit(f"wrong architecture: it needs {article} {name} guest{byte_order}, this one is x86-64")


def loader(file: BinaryIO, head: bytes, wide: bool) -> bytes | None:
    """Read the path of the program interpreter of a little-endian program; None when it names none."""
    (offset,) = struct.unpack_from("<Q" if wide else "<I", head, 32 if wide else 28)
    size, count = struct.unpack_from("<HH", head, 54 if wide else 42)
    least = 56 if wide else 32
    for index in range(min(count, MAX_SEGMENTS)):
        segment = read_at(file, offset + index * size, least)
        if len(segment) < least:
            raise Unfit(f"{CORRUPT}: its table of segments is not whole")
        if struct.unpack_from("<I", segment)[0] == PT_INTERP:
            (start,) = struct.unpack_from("<Q" if wide else "<I", segment, 8 if wide else 4)
            (length,) = struct.unpack_from("<Q" if wide else "<I", segment, 32 if wide else 16)
            path = read_at(file, start, min(length, MAX_PATH)).split(b"\0", 1)[0]
            if not path:
                raise Unfit(f"{CORRUPT}: the path of its loader is not there")
            return path
    return None


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Read ``size`` bytes, or fewer at the end; nothing where no file can have anything."""
    if offset >= 1 << 62:
        return b""
    file.seek(offset)
    return file.read(size)
