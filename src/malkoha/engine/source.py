"""Put the SystemTap scripts of the two engines together; what is copied at a call is generated from syscalls.tbl."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal

from malkoha.trace.structs import layout
from malkoha.trace.syscalls import Abi, Call, numbers

Engine = Literal["tracepoint", "kprobe"]

RING_CHUNKS = 8
"""Chunks of 4 MiB: what the host may be late by before the guest has to wait for it."""

OPTIONS = ("-D", "STAPCONF_UPROBE_UNREGISTER_EXPORTED", "-B", "KCFLAGS=-w")
"""For SystemTap 5.1 on kernel 6.12. Its runtime looks for uprobe_unregister(), which that kernel no longer has and we
do not use: told that the kernel exports it, it does not look. ``-w`` gets its tracepoint queries past -Werror."""

ENGINE_OPTIONS: dict[Engine, tuple[str, ...]] = {
    "tracepoint": OPTIONS,
    "kprobe": (*OPTIONS, "-D", "MAXSTRINGLEN=2048", "-D", "MAXMAPENTRIES=2048"),
}

_FLAT = {
    "path": "OP_STRING",
    "str": "OP_STRING",
    "argv": "OP_STRINGS",
    "in": "OP_BUFFER",
    "sa": "OP_BUFFER",
    "iov": "OP_IOVEC",
    "msg": "OP_MESSAGE",
    "mmsg": "OP_MESSAGES",
    "out": "OP_OUT_BUFFER",
    ">sa": "OP_OUT_ADDRESS",
    ">iov": "OP_OUT_IOVEC",
    ">msg": "OP_OUT_MESSAGE",
}


_NARROW = frozenset({"int", "uint"})


def _operation(call: Call, position: int, abi: Abi) -> str:
    argument = call.arguments[position]
    code, index, size = _FLAT.get(argument.kind, ""), argument.length, 0
    if not code and argument.kind[0] in "<>":
        known = layout(argument.kind[1:], abi)
        if known is None:
            return ""
        size = known.size
        code = "OP_OUT_STRUCT" if argument.kind[0] == ">" else "OP_STRUCT"
        if argument.kind == "<pollfd":
            code = "OP_ARRAY"
        elif index is not None:
            code, size = "OP_BUFFER", 0
    narrow = " | INDEX_NARROW" if index is not None and call.arguments[index].kind in _NARROW else ""
    return f"[{position}] = {{ {code}, {index or 0}{narrow}, {size} }}" if code else ""


def calls(abi: Abi) -> str:
    """Write the C table that says what each call's arguments point to."""
    rows = []
    for number, call in sorted(numbers(abi).items()):
        operations = [_operation(call, i, abi) for i in range(len(call.arguments))]
        if any(operations):
            rows.append(f"\t[{number}] = {{ {{ {', '.join(filter(None, operations))} }} }}, /* {call.name} */")
    name = "calls_32" if abi == "i386" else "calls_64"
    return f"static const struct call {name}[] = {{\n" + "\n".join(rows) + "\n};\n"


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def script(engine: Engine) -> str:
    """Return the whole script, ready for ``stap -g -p4``."""
    native = f"#define RING_CHUNKS {RING_CHUNKS}\n" + _text("ring.c") + _text("follow.c")
    if engine == "tracepoint":
        capture = _text("capture.c")
        marker = "struct rec_enter {"
        native += capture.replace(marker, calls("x86-64") + "\n" + calls("i386") + "\n" + marker, 1)
    else:
        native += _text("lines.c")
    return "%{\n" + native + "%}\n\n" + _text("follow.stp") + "\n" + _text(f"{engine}.stp")
