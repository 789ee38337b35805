"""The one table of system calls, read by the engine's generator, by the decoder and by the documentation."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Literal

import msgspec

Abi = Literal["x86-64", "i386", "x32"]

X32_BIT = 0x40000000


class Argument(msgspec.Struct, frozen=True):
    """One argument: its man-page name, its kind, and the index of the argument that holds its length, if any."""

    name: str
    kind: str
    length: int | None = None


class Call(msgspec.Struct, frozen=True):
    """One system call; a number is None where the architecture has no such call."""

    name: str
    number_64: int | None
    number_32: int | None
    arguments: tuple[Argument, ...]


def _argument(text: str) -> Argument:
    name, _, kind = text.partition(":")
    kind, _, length = kind.partition(",")
    return Argument(name, kind, int(length) if length else None)


def _number(text: str) -> int | None:
    return None if text == "-" else int(text)


@cache
def table() -> tuple[Call, ...]:
    """Read syscalls.tbl; rows keep the order of the file."""
    rows = []
    for line in files(__package__).joinpath("syscalls.tbl").read_text(encoding="ascii").splitlines():
        if line and not line.startswith("#"):
            number_64, number_32, name, *rest = line.split("\t")
            arguments = tuple(map(_argument, rest[0].split())) if rest else ()
            rows.append(Call(name, _number(number_64), _number(number_32), arguments))
    return tuple(rows)


@cache
def numbers(abi: Abi) -> dict[int, Call]:
    """Map the numbers of one ABI to calls; x32 numbers are given without X32_BIT."""
    if abi == "i386":
        return {call.number_32: call for call in table() if call.number_32 is not None}
    return {call.number_64: call for call in table() if call.number_64 is not None}


@cache
def by_name() -> dict[str, Call]:
    """Map names to calls; where i386 has a row of its own, that of x86-64 counts."""
    return {call.name: call for call in reversed(table())}


_HEAD = """# System calls

Written by `make docs` from `malkoha/trace/syscalls.tbl`; a test fails when the two differ.

Each row is one call: its numbers on x86-64 and i386 (`-`: it has none; x32 uses the numbers of x86-64 with bit 30 set),
its name, and its arguments as `name:kind`, named as the Linux man-pages do. A number that is not in the table is shown
as `syscall_N` with six hexadecimal arguments. The kind says how an argument is shown, and which memory goes with it:

| kind | shown as | memory recorded |
|---|---|---|
| `int`, `fd`, `long` | signed number | |
| `uint`, `ulong`, `size` | unsigned number | |
| `hex`, `ptr` | hexadecimal; `NULL` for a pointer that is 0 | |
| `mode` | octal | |
| `at` | number, or `AT_FDCWD` | |
| `path`, `str` | text | at entry, up to 4,096 bytes |
| `argv` | list of texts | at entry, up to 32,768 bytes |
| `in,N` | text | at entry, as many bytes as argument N says, up to 1,024 |
| `out` | text | at return, as many bytes as it says, up to 1,024 (8,192 if no more are read from descriptor 0) |
| `sa,N`, `>sa,N` | socket address | at entry, at return; its length is argument N |
| `iov,N`, `>iov,N` | text | what N buffers hold, at entry, at return, up to 1,024 bytes |
| `msg`, `>msg` | address, content and control data of a message | at entry, at return |
| `mmsg,N` | the same of N messages | at entry, the first 4 |
| `<NAME`, `>NAME` | fields of a structure of `structs.py` | at entry, at return |
| `<NAME,N` | the same | at entry, as many bytes (`pollfd`: elements) as argument N says |
| any other | names of that set in `constants.py`, such as `O_RDWR\\|O_CLOEXEC` | |

What could not be read at entry is read again at return, since the kernel has fetched the page by then. A text of which
only the beginning was recorded ends in `...`; where nothing could be read, the pointer stands.

| x86-64 | i386 | call | arguments |
|---:|---:|---|---|
"""


def markdown() -> str:
    """Write docs/syscalls.md."""
    return _HEAD + "".join(map(_row, table()))


def _row(call: Call) -> str:
    numbers = ("-" if number is None else str(number) for number in (call.number_64, call.number_32))
    arguments = " ".join(
        f"`{item.name}:{item.kind}" + (f",{item.length}`" if item.length is not None else "`")
        for item in call.arguments
    )
    return f"| {' | '.join(numbers)} | {call.name} | {arguments} |\n"
