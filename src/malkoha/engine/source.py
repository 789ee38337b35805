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


FILE_CALLS: dict[str, tuple[str, int]] = {
    **dict.fromkeys(
        ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendfile", "sendfile64"), ("FILE_WRITE", 0)
    ),
    **dict.fromkeys(("ftruncate", "ftruncate64", "fallocate"), ("FILE_WRITE", 0)),
    **dict.fromkeys(("copy_file_range", "splice"), ("FILE_WRITE", 2)),
    **dict.fromkeys(("open", "openat", "openat2", "creat", "open_by_handle_at", "memfd_create"), ("FILE_OPEN", 0)),
    **dict.fromkeys(("mmap", "mmap2"), ("FILE_MAP", 4)),
    "close": ("FILE_CLOSE", 0),
    "dup2": ("FILE_CLOSE", 1),
    "dup3": ("FILE_CLOSE", 1),
    "reboot": ("FILE_REBOOT", 0),
}
"""What a call means for files (engine/files.c), and which argument is the descriptor; FILE_OPEN returns it."""

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


_TABLES = "static u8 file_call_of("


def file_calls(abi: Abi) -> str:
    """Write the C table that says what each call means for files."""
    rows = [
        f"\t[{number}] = {' | '.join([FILE_CALLS[call.name][0], str(FILE_CALLS[call.name][1])])}, /* {call.name} */"
        for number, call in sorted(numbers(abi).items())
        if call.name in FILE_CALLS and not (abi == "i386" and call.name == "mmap")
    ]
    return f"static const u8 file_calls_{'32' if abi == 'i386' else '64'}[] = {{\n" + "\n".join(rows) + "\n};\n"


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def script(engine: Engine) -> str:
    """Return the whole script, ready for ``stap -g -p4``."""
    files_c = _text("files.c").replace(_TABLES, file_calls("x86-64") + "\n" + file_calls("i386") + "\n" + _TABLES, 1)
    native = f"#define RING_CHUNKS {RING_CHUNKS}\n" + _text("ring.c") + files_c + _text("follow.c")
    if engine == "tracepoint":
        capture = _text("capture.c")
        marker = "struct rec_enter {"
        native += capture.replace(marker, calls("x86-64") + "\n" + calls("i386") + "\n" + marker, 1)
    else:
        native += _text("lines.c")
    return "%{\n" + native + "%}\n\n" + _text("follow.stp") + "\n" + _text(f"{engine}.stp")
