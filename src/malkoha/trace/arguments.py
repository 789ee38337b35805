"""Show the arguments of one system call: numbers by their kind, memory by what it holds.

``rendering`` builds once what is to be done for one call of one ABI; its ``show`` is then used for each event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, lru_cache
from operator import call as apply
from typing import Any

from malkoha.trace import constants, memory, sockets
from malkoha.trace.records import CUT, UNREADABLE, WHOLE, Blob, text
from malkoha.trace.structs import Array, Layout, elements, layout
from malkoha.trace.syscalls import IDENTITY, IDENTITY_CALLS, LOCAL, LOCAL_CALLS, RETURN_PART, Abi, Argument, Call

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
    "clone": constants.shown("clone"),
    "fan_mask64": constants.shown("fan_mask64"),
}


def _number(kind: str, abi: Abi) -> Number:
    if kind == "long":
        return _int if abi == "i386" else _long
    plain = _NUMBERS.get(kind)
    if plain is not None:
        return plain
    if constants.known(kind):
        named = constants.shown(kind)
        return lambda value: named(value & 0xFFFFFFFF)
    return _pointer


def _string(blob: Blob, _: object = None) -> str:
    shown = text(blob.data)
    return shown if blob.status == WHOLE else shown + CUT_MARK


def _gathered(blob: Blob, _: object = None) -> str:
    """Show what several buffers hold; no argument tells how much that is, so a mark does where it was cut."""
    return _string(blob) + (f" ({blob.total} bytes)" if blob.status == CUT else "")


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


def _list(show: Callable[[bytes], Any]) -> Memory:
    """Gather blobs of which each is one element."""

    def render(blob: Blob, earlier: Any) -> Any:
        return [*(earlier if isinstance(earlier, list) else []), show(blob.data)]

    return render


def _array(known: Layout | Array) -> Memory:
    def render(blob: Blob, _: object) -> Any:
        shown = elements(known, blob.data)
        if blob.status == CUT:
            shown.append(f"{CUT_MARK} {blob.total // known.size} in all")
        return shown

    return render


def _filter(blob: Blob, earlier: Any) -> Any:
    """Show a struct sock_fprog: part 0 is its length, part 1 the program."""
    if blob.part & 1:
        found = memory.instructions(blob.data, "x86-64")
        shown = {**earlier, "filter": found} if isinstance(earlier, dict) else {"filter": found}
        if blob.status == CUT:
            found.append(f"{CUT_MARK} {blob.total // 8} in all")
        return shown
    return {"len": str(int.from_bytes(blob.data[:2], "little"))}


_MEMORY: dict[str, Memory] = {
    **dict.fromkeys(("path", "str", "in", "out"), _string),
    **dict.fromkeys(("iov", ">iov"), _gathered),
    **dict.fromkeys(("sa", ">sa"), _address),
    "argv": strings,
    "fprog": _filter,
    "sigarg": lambda blob, _: constants.show(int.from_bytes(blob.data[:8], "little"), "sigset"),
}


def _shown(argument: Argument, abi: Abi) -> Callable[[bytes], Any] | None:
    """Return how the memory of a ``<``, ``>``, ``=``, ``?`` or ``!`` kind is shown, without regard to marks."""
    name = argument.kind[1:]
    shape = memory.SHAPES.get(name)
    if shape is not None:
        return lambda content: shape(content, abi)
    known = layout(name, abi)
    if known is None:
        return None
    return known.render


def _memory(argument: Argument, abi: Abi) -> Memory | None:
    kind = argument.kind
    if kind in ("msg", ">msg"):
        return _message(abi)
    if kind in ("mmsg", ">mmsg"):
        return _messages(abi)
    if kind in ("mbuf", ">mbuf"):
        return lambda blob, _: memory.queued(blob.data, abi) | ({"cut": str(blob.total)} if blob.status == CUT else {})
    if kind == "iocbs":
        return _list(lambda content: memory.control_block(content, abi))
    if kind in _MEMORY:
        return _MEMORY[kind]
    if kind[0] not in "<>=?!":
        return None
    if argument.unit in ("elements", "returned"):
        known = layout(kind[1:], abi)
        return None if known is None else _array(known)
    show = _shown(argument, abi)
    if show is None:
        return None
    if argument.unit == "result":  # of which there may be none
        return lambda blob, _: show(blob.data)
    return _both(show) if kind[0] == "=" else lambda blob, earlier: show(blob.data) if blob.data else earlier


def _both(show: Callable[[bytes], Any]) -> Memory:
    """Show memory that the call reads and changes: as it was, and as it was left where that differs."""

    def render(blob: Blob, earlier: Any) -> Any:
        if not blob.data:
            return earlier
        shown = show(blob.data)
        if not blob.part & RETURN_PART or isinstance(earlier, str) or shown == earlier:
            return shown
        return {"entry": earlier, "return": shown}

    return render


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
        if call.name in IDENTITY_CALLS:
            self._memory[IDENTITY] = ("identity", lambda blob, _: memory.identity(blob.data))
        if call.name in LOCAL_CALLS:
            self._memory[LOCAL] = ("local", lambda blob, _: sockets.address(blob.data))
        self._variants: dict[tuple[tuple[int, int], ...], dict[tuple[int, ...], Rendering]] = {}
        for variant in sorted(call.variants, key=lambda variant: -len(variant.conditions)):
            where = tuple((condition.argument, condition.mask) for condition in variant.conditions)
            found = Rendering(Call(call.name, None, None, variant.arguments), abi)
            self._variants.setdefault(where, {}).update(dict.fromkeys(variant.values(), found))

    def show(self, values: Sequence[int], blobs: Sequence[Blob]) -> dict[str, Any]:
        """Name and show every argument; where memory could not be read the pointer stands.

        When an argument was read twice (again at return) the last reading that succeeded counts.
        """
        for where, known in self._variants.items():
            found = known.get(tuple([values[argument] & mask for argument, mask in where]))
            if found is not None:
                return found.show(values, blobs)
        if self.abi == "i386":
            values = [value & 0xFFFFFFFF for value in values]
        shown: dict[str, Any] = dict(zip(self._names, map(apply, self._numbers, values), strict=True))
        for blob in blobs:
            field = self._memory.get(blob.arg)
            if field is not None and (blob.status < UNREADABLE or not _useless(blob, blobs)):
                name, render = field
                shown[name] = render(blob, shown.get(name))
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
