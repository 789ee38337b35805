"""The one table of system calls, read by the engine's generator, by the decoder and by the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Literal

import msgspec

from malkoha.trace import constants

Abi = Literal["x86-64", "i386", "x32"]
Unit = Literal["", "bytes", "elements", "bits", "pages", "pointed", "returned", "result"]

X32_BIT = 0x40000000
RETURN_PART = 0x100
"""Bit of a blob's part: read at return, of memory that was read at entry as well."""

IDENTITY = 7
"""Argument of the blob that tells who a task is: ids, capabilities, namespaces (engine/identity.c)."""

_SETTING = ("uid", "gid", "reuid", "regid", "resuid", "resgid", "fsuid", "fsgid", "groups")
IDENTITY_CALLS = frozenset(
    [*(f"set{name}{bits}" for name in _SETTING for bits in ("", "32")), "capset", "unshare", "setns"]
)
"""Calls that may change who the caller is; when they succeed, their record tells it."""

LOCAL = 6
"""Argument of the blob that tells the address that a socket itself has (engine/sockets.c)."""
LOCAL_CALLS = {"connect": 1, "sendto": 4}
"""Calls that may give a socket its address, and the argument that has to be there for that; their record tells it."""

_UNITS: dict[str, Unit] = {",": "bytes", "[": "elements", "#": "bits", "%": "pages", "@": "pointed"}
_ARGUMENT = re.compile(r"(\w+):([<>=?!]?\w+)(?:([,\[#%@])(\d|r))?")
_CONDITION = re.compile(r"(\d)(?:&(0x[0-9a-f]+))?:(\S+)")


class Argument(msgspec.Struct, frozen=True):
    """One argument: its man-page name, its kind, and what its length follows from."""

    name: str
    kind: str
    length: int | None = None
    """Index of the argument that holds the length."""
    unit: Unit = ""
    """What is counted there; of ``returned`` elements and ``result`` bytes there are as many as the call returns."""


class Condition(msgspec.Struct, frozen=True):
    """Values of one argument, of which the bits in ``mask`` count."""

    argument: int
    mask: int
    values: tuple[int, ...]


class Variant(msgspec.Struct, frozen=True):
    """The arguments of a call when others of them have certain values, such as those of ioctl(2) for one request."""

    conditions: tuple[Condition, ...]
    arguments: tuple[Argument, ...]

    def values(self) -> Iterator[tuple[int, ...]]:
        """Yield every combination of the conditions' values."""
        return product(*(condition.values for condition in self.conditions))


class Call(msgspec.Struct, frozen=True):
    """One system call; a number is None where the architecture has no such call."""

    name: str
    number_64: int | None
    number_32: int | None
    arguments: tuple[Argument, ...]
    multiplexed: str = ""
    """``sN`` or ``iN``: on i386 also operation N of socketcall(2) or ipc(2)."""
    variants: tuple[Variant, ...] = ()


def _argument(text: str) -> Argument:
    found = _ARGUMENT.fullmatch(text)
    if found is None:
        raise ValueError(f"not an argument: {text}")
    name, kind, sign, length = found.groups()
    if length == "r":
        return Argument(name, kind, None, "returned" if sign == "[" else "result")
    return Argument(name, kind, int(length), _UNITS[sign]) if sign else Argument(name, kind)


def _number(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _variant(of: tuple[Argument, ...], conditions: str, changes: str) -> Variant:
    """Read a row that begins with ``=``; ``of`` are the arguments of the call in its plain form."""
    arguments = list(of)
    for change in changes.split():
        position, _, text = change.partition("=")
        if text == "-":
            del arguments[int(position) :]
        else:
            arguments[int(position)] = _argument(text)
    found = []
    for text in conditions.split():
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise ValueError(f"not a condition: {text}")
        place = int(match[1])
        # a condition on a value names it as the same row, or else the plain form, shows it
        kind = arguments[place].kind if place < len(arguments) else of[place].kind
        known = {word: value for value, word in constants.ENUMS.get(_BASES.get(kind, kind), {}).items()}
        values = tuple(known[word] if word in known else int(word, 0) for word in match[3].split(","))
        found.append(Condition(place, int(match[2] or "0xffffffff", 16), values))
    return Variant(tuple(found), tuple(arguments))


_BASES = {"futex": "futex_base"}


@cache
def table() -> tuple[Call, ...]:
    """Read syscalls.tbl; rows keep the order of the file."""
    rows: list[Call] = []
    for line in files(__package__).joinpath("syscalls.tbl").read_text(encoding="ascii").splitlines():
        if not line or line.startswith("#"):
            continue
        first, second, name, *rest = line.split("\t")
        if first == "=":
            base = rows[-1]
            variants = (*base.variants, _variant(base.arguments, second, name))
            rows[-1] = msgspec.structs.replace(base, variants=variants)
            continue
        direct, _, multiplexed = second.partition("+")
        if direct[0] in "si":
            direct, multiplexed = "-", direct
        arguments = tuple(map(_argument, rest[0].split())) if rest else ()
        rows.append(Call(name, _number(first), _number(direct), arguments, multiplexed))
    return tuple(rows)


@cache
def numbers(abi: Abi) -> dict[int, Call]:
    """Map the numbers of one ABI to calls; x32 numbers are given without X32_BIT."""
    if abi == "i386":
        return {call.number_32: call for call in table() if call.number_32 is not None}
    known = {call.number_64: call for call in table() if call.number_64 is not None}
    if abi == "x32":
        named = {call.name: call for call in known.values()}
        known |= {number: named[name] for number, name in enumerate(_X32, start=512)}
    return known


_X32 = [
    "rt_sigaction", "rt_sigreturn", "ioctl", "readv", "writev", "recvfrom", "sendmsg", "recvmsg", "execve",
    "ptrace", "rt_sigpending", "rt_sigtimedwait", "rt_sigqueueinfo", "sigaltstack", "timer_create", "mq_notify",
    "kexec_load", "waitid", "set_robust_list", "get_robust_list", "vmsplice", "move_pages", "preadv", "pwritev",
    "rt_tgsigqueueinfo", "recvmmsg", "sendmmsg", "process_vm_readv", "process_vm_writev", "setsockopt",
    "getsockopt", "io_setup", "io_submit", "execveat", "preadv2", "pwritev2",
]  # fmt: skip
"""Calls that x32 has numbers of its own for, from 512 on."""


IPC_BASE = 32
"""Operations of ipc(2) stand behind those of socketcall(2) in ``multiplexed()``."""


@cache
def multiplexed() -> dict[int, Call]:
    """Map operations of socketcall(2), and of ipc(2) from IPC_BASE on, to the calls that they make."""
    return {
        int(call.multiplexed[1:]) + (IPC_BASE if call.multiplexed[0] == "i" else 0): call
        for call in table()
        if call.multiplexed
    }


def find(abi: int, nr: int) -> tuple[Abi, Call | None]:
    """Return the ABI and the call of a record: by its low byte of flags (capture.c) and its number."""
    if abi == MULTIPLEXED:
        return "i386", multiplexed().get(nr)
    name = _ABIS[min(abi, 2)]
    return name, numbers(name).get(nr & ~X32_BIT if name == "x32" else nr)


_ABIS: tuple[Abi, ...] = ("x86-64", "i386", "x32")
MULTIPLEXED = 3
"""In a record's flags: a call by way of socketcall(2) or ipc(2)."""


@cache
def by_name() -> dict[str, Call]:
    """Map names to calls; where i386 has a row of its own, that of x86-64 counts."""
    return {call.name: call for call in reversed(table())}


_HEAD = """# System calls

Written by `make docs` from `malkoha/trace/syscalls.tbl`; a test fails when the two differ.

Each row is one call: its numbers on x86-64 and i386 (`-`: it has none; x32 uses the numbers of x86-64 with bit 30 set,
and from 512 on some of its own), its name, and its arguments as `name:kind`, named as the Linux man-pages do. `s5` and
`i11` are operations of `socketcall` and `ipc` on i386, which are shown as the call that they make. A number that is not
in the table is shown as `syscall_N` with six hexadecimal arguments. A row that begins with "when" belongs to the call
above it and says which arguments are different when one of them has a certain value. The kind says how an argument is
shown, and which memory goes with it:

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
| `mmsg,N`, `>mmsg` | the same of N messages, of those received | at entry, at return, the first 4 |
| `mbuf,N`, `>mbuf` | type and text of a message of System V | at entry, at return, up to 1,024 bytes |
| `fprog` | length and instructions of a BPF filter | at entry, the first 128 |
| `sigarg` | the signal mask that a pointer and a size lead to | at entry |
| `iocbs[N` | the structures that N pointers lead to | at entry, the first 16 |
| `<NAME`, `>NAME` | fields of a structure of `structs.py`, or as `memory.py` shows it | at entry, at return |
| `=NAME` | the same; `{"entry": .., "return": ..}` where the call changed it | at entry and at return |
| `?NAME`, `!NAME` | the same | at return, if the result is positive; if the call was interrupted |
| `<NAME,N`, `>NAME,r` | the same | as many bytes as argument N, or the result, says |
| `<NAME[N`, `>NAME[r` | list of them | as many elements as argument N, or the result, says |
| `=NAME#N`, `>NAME%N`, `>NAME@N` | the same | N bits, a byte for each page of N bytes, bytes as argument N points to |
| any other | names of that set in `constants.py`, such as `O_RDWR\\|O_CLOEXEC` | |

What could not be read at entry is read again at return, since the kernel has fetched the page by then. A text of which
only the beginning was recorded ends in `...`; where nothing could be read, the pointer stands.

| x86-64 | i386 | call | arguments |
|---:|---:|---|---|
"""


def markdown() -> str:
    """Write docs/syscalls.md."""
    return _HEAD + "".join(row for call in table() for row in _rows(call))


def _rows(call: Call) -> Iterator[str]:
    direct = "" if call.number_32 is None else str(call.number_32)
    narrow = " ".join(filter(None, (direct, call.multiplexed))) or "-"
    wide = "-" if call.number_64 is None else str(call.number_64)
    yield f"| {wide} | {narrow} | {call.name} | {_cells(call.arguments)} |\n"
    for variant in call.variants:
        when = " and ".join(_when(condition, variant.arguments) for condition in variant.conditions)
        yield f"| | | when {when} | {_cells(variant.arguments)} |\n"


def _when(condition: Condition, arguments: tuple[Argument, ...]) -> str:
    argument = arguments[condition.argument] if condition.argument < len(arguments) else None
    kind = argument.kind if argument is not None and constants.known(argument.kind) else "d"
    return ", ".join(constants.show(value, kind) for value in condition.values)


def _cells(arguments: tuple[Argument, ...]) -> str:
    signs = {unit: sign for sign, unit in _UNITS.items()} | {"returned": "[r", "result": ",r", "": ""}
    return " ".join(
        f"`{item.name}:{item.kind}{signs[item.unit]}{'' if item.length is None else item.length}`" for item in arguments
    )
