"""Show the arguments of one system call: numbers by their kind, memory by what it holds.

``rendering`` builds once what is to be done for one call of one ABI; its ``show`` is then used for each event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from operator import call as apply
from typing import Any

from malkoha.trace import constants, sockets
from malkoha.trace.records import CUT, UNREADABLE, WHOLE, Blob, text
from malkoha.trace.structs import Layout, layout
from malkoha.trace.syscalls import Abi, Argument, Call

CUT_MARK = "..."
"""Ends a string of which the tracer took only the beginning."""

# A trace shows the same few numbers over and over: descriptors, sizes, the addresses of buffers.
_remember = lru_cache(16384)

Number = Callable[[int], str]
Memory = Callable[[Blob, Any], Any]
"""Shows a blob, given what has been shown for that argument so far: the number, or the blobs before."""


@_remember
def _int(value: int) -> str:
    value &= 0xFFFFFFFF
    return str(value - 0x1_0000_0000 if value & 0x8000_0000 else value)


def _long(value: int) -> str:
    return str(value - (1 << 64) if value >> 63 else value)


def _at(value: int) -> str:
    number = _int(value)
    return "AT_FDCWD" if number == "-100" else number


@_remember
def _pointer(value: int) -> str:
    return hex(value) if value else "NULL"


_NUMBERS: dict[str, Number] = {
    "int": _int,
    "fd": _int,
    "at": _at,
    "uint": lambda value: str(value & 0xFFFFFFFF),
    "ulong": _remember(str),
    "size": _remember(str),
    "hex": _remember(hex),
    "ptr": _pointer,
    "mode": lambda value: constants.show(value & 0xFFFF, "o"),
    "clone": lambda value: constants.show(value, "clone"),
}


def _number(kind: str, abi: Abi) -> Number:
    if kind == "long":
        return _int if abi == "i386" else _long
    plain = _NUMBERS.get(kind)
    if plain is not None:
        return plain
    if constants.known(kind):
        return lambda value: constants.show(value & 0xFFFFFFFF, kind)
    return _pointer


def _string(blob: Blob, _: object = None) -> str:
    shown = text(blob.data)
    return shown if blob.status == WHOLE else shown + CUT_MARK


def strings(blob: Blob, _: object = None) -> list[str]:
    """Show strings that stand one behind the other, each with its NUL; what is missing at the end is marked."""
    items = [text(item) for item in blob.data.split(b"\0")]
    if not items[-1]:
        items.pop()
    return items if blob.status == WHOLE else [*items, CUT_MARK]


def _address(blob: Blob, _: object = None) -> dict[str, str]:
    return sockets.address(blob.data)


def _add_part(message: dict[str, Any], blob: Blob, abi: Abi) -> None:
    """Parts of a message: 0 the header, 1 the address, 2 the content, 3 the control data."""
    part = blob.part & 3
    if part == 1 and blob.data:
        message["msg_name"] = sockets.address(blob.data)
    elif part == 2:
        message["data"] = _string(blob)
        message["length"] = str(blob.total)
    elif part == 3 and blob.data:
        message["control"] = sockets.control(blob.data, abi)


def _message(abi: Abi) -> Memory:
    def render(blob: Blob, earlier: Any) -> Any:
        message = earlier if isinstance(earlier, dict) else {}
        _add_part(message, blob, abi)
        return message

    return render


def _messages(abi: Abi) -> Memory:
    def render(blob: Blob, earlier: Any) -> Any:
        messages = earlier if isinstance(earlier, list) else []
        # of each message the header comes first, so a part never runs ahead by more than one message
        if blob.part >> 2 >= len(messages):
            messages.append({})
        _add_part(messages[min(blob.part >> 2, len(messages) - 1)], blob, abi)
        return messages

    return render


def _array(known: Layout) -> Memory:
    def render(blob: Blob, _: object) -> Any:
        return [known.render(blob.data[i : i + known.size]) for i in range(0, len(blob.data), known.size)]

    return render


def _structure(known: Layout) -> Memory:
    return lambda blob, earlier: known.render(blob.data) if blob.data else earlier


_MEMORY: dict[str, Memory] = {
    **dict.fromkeys(("path", "str", "in", "out", "iov", ">iov"), _string),
    **dict.fromkeys(("sa", ">sa"), _address),
    "argv": strings,
}


def _memory(argument: Argument, abi: Abi) -> Memory | None:
    kind = argument.kind
    if kind in ("msg", ">msg"):
        return _message(abi)
    if kind == "mmsg":
        return _messages(abi)
    if kind in _MEMORY:
        return _MEMORY[kind]
    known = layout(kind[1:], abi) if kind[0] in "<>" else None
    if known is None:
        return None
    return _array(known) if kind == "<pollfd" else _structure(known)


class Rendering:
    """How one call of one ABI is shown."""

    def __init__(self, call: Call, abi: Abi) -> None:
        self.name = call.name
        self.abi = abi
        self._names = [argument.name for argument in call.arguments]
        self._numbers = [_number(argument.kind, abi) for argument in call.arguments]
        self._memory = {
            position: (argument.name, render)
            for position, argument in enumerate(call.arguments)
            if (render := _memory(argument, abi)) is not None
        }

    def show(self, values: Sequence[int], blobs: Sequence[Blob]) -> dict[str, Any]:
        """Name and show every argument; where memory could not be read the pointer stands.

        When an argument was read twice (again at return) the last reading that succeeded counts.
        """
        if self.abi == "i386":
            values = [value & 0xFFFFFFFF for value in values]
        shown: dict[str, Any] = dict(zip(self._names, map(apply, self._numbers, values), strict=True))
        for blob in blobs:
            field = self._memory.get(blob.arg)
            if field is not None and (blob.status < UNREADABLE or not _useless(blob, blobs)):
                name, render = field
                shown[name] = render(blob, shown[name])
        return shown


def _useless(blob: Blob, blobs: Sequence[Blob]) -> bool:
    """Tell whether a blob that broke off holds nothing, or less than another reading of the same memory."""
    return not blob.data or any(
        other.arg == blob.arg and other.part == blob.part and other.status <= CUT for other in blobs
    )


def rendering_of_unknown(nr: int, abi: Abi) -> Rendering:
    """Return how a call without a row in the table is shown: by its number, with all six words."""
    words = tuple(Argument(f"arg{i}", "hex") for i in range(6))
    return Rendering(Call(f"syscall_{nr & 0xFFFFFFFF}", None, None, words), abi)


@cache
def rendering(call: Call, abi: Abi) -> Rendering:
    """Return the one rendering of a call for an ABI."""
    return Rendering(call, abi)
