"""Put the SystemTap scripts of the two engines together; what is copied at a call is generated from syscalls.tbl."""

from __future__ import annotations

from importlib.resources import files
from typing import Literal, get_args

from malkoha.trace import memory
from malkoha.trace.structs import layout
from malkoha.trace.syscalls import IDENTITY_CALLS, LOCAL_CALLS, Abi, Argument, Call, Unit, multiplexed, numbers

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
    "mbuf": "OP_QUEUED",
    "fprog": "OP_FILTER",
    "sigarg": "OP_SIGNALS",
    "out": "OP_OUT_BUFFER",
    ">sa": "OP_OUT_ADDRESS",
    ">iov": "OP_OUT_IOVEC",
    ">msg": "OP_OUT_MESSAGE",
    ">mmsg": "OP_OUT_MESSAGES",
    ">mbuf": "OP_OUT_QUEUED",
    "<handle": "OP_HANDLE",
    "=handle": "OP_HANDLE | OP_AGAIN",
}
_IN: dict[Unit, str] = {"": "OP_STRUCT", "bytes": "OP_BUFFER", "elements": "OP_ARRAY", "bits": "OP_BITS"}
_OUT: dict[Unit, str] = {
    "": "OP_OUT_STRUCT",
    "bytes": "OP_OUT_BYTES",
    "elements": "OP_OUT_ARRAY",
    "bits": "OP_OUT_BITS",
    "pages": "OP_OUT_PAGES",
    "pointed": "OP_OUT_POINTED",
    "returned": "OP_OUT_RETURNED",
    "result": "OP_OUT_BUFFER",
}
_SIZED = frozenset(("", "elements", "returned"))
"""Units of which the engine has to know the size of one."""

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


def _operation(arguments: tuple[Argument, ...], position: int, abi: Abi) -> str:
    argument = arguments[position]
    kind, sign, name = argument.kind, argument.kind[0], argument.kind[1:]
    code, size = _FLAT.get(kind, ""), 0
    if kind == "iocbs":
        code, size = "OP_POINTERS", _size("iocb", abi)
    elif not code and sign in "<>=?!":
        size = _size(name, abi) if argument.unit in _SIZED else 0
        if argument.unit in _SIZED and not size:
            return ""
        if sign in "<=":
            code = _IN[argument.unit] + (" | OP_AGAIN" if sign == "=" else "")
        else:
            code = {">": _OUT[argument.unit], "?": "OP_OUT_POSITIVE", "!": "OP_OUT_INTERRUPTED"}[sign]
    index = argument.length
    narrow = " | INDEX_NARROW" if index is not None and arguments[index].kind in _NARROW else ""
    return f"[{position}] = {{ {code}, {index or 0}{narrow}, {size} }}" if code else ""


def _size(name: str, abi: Abi) -> int:
    """Bytes of a structure; 0 when it is not known."""
    known = layout(name, abi)
    return memory.SIZES.get(name, 0) if known is None else known.size


def _operations(arguments: tuple[Argument, ...], abi: Abi) -> str:
    """Write a ``struct operations``: what each argument points to, and which of them concern entry and return."""
    found = [_operation(arguments, i, abi) for i in range(len(arguments))]
    at_return = [i for i, text in enumerate(found) if "OP_OUT_" in text or "OP_AGAIN" in text]
    at_entry = [i for i, text in enumerate(found) if text and "OP_OUT_" not in text]
    masks = (sum(1 << i for i in positions) for positions in (at_entry, at_return))
    return f"{{ {{ {', '.join(filter(None, found))} }}, {', '.join(map(str, masks))} }}" if any(found) else ""


def _variants(number: int, call: Call, abi: Abi) -> list[str]:
    """Write the variants of one call for which other memory is copied than for its plain form.

    The narrow ones stand first. Where a wide one differs, all narrow ones are needed.
    """
    plain = _operations(call.arguments, abi)
    rows = [(variant, _operations(variant.arguments, abi)) for variant in call.variants]
    wide = any(operations != plain and len(variant.conditions) == 1 for variant, operations in rows)
    found = []
    for variant, operations in sorted(rows, key=lambda row: -len(row[0].conditions)):
        first, *more = variant.conditions
        if operations == plain and not (more and wide):
            continue
        for values in variant.values():
            second, other = (more[0].argument, values[1]) if more else ("ANY", 0)
            condition = f"{first.argument}, {second}, {first.mask:#x}, {values[0]:#x}, {other:#x}"
            found.append(f"\t{{ {number}, {condition}, {operations or '{ }'} }}, /* {call.name} */")
    return found


Table = Literal["64", "32", "multiplexed"]


def calls(name: Table) -> str:
    """Write the C tables that say what each call's arguments point to."""
    abi: Abi = "x86-64" if name == "64" else "i386"
    known = multiplexed() if name == "multiplexed" else numbers(abi)
    rows: list[str] = []
    variants: list[str] = []
    for number, call in sorted(known.items()):
        operations = _operations(call.arguments, abi)
        own = _variants(number, call, abi)
        identity = call.name in IDENTITY_CALLS and name != "multiplexed"
        local = LOCAL_CALLS.get(call.name)
        if operations or own or identity:
            rest = (f", .variants = {len(variants) + 1}" if own else "") + (", .identity = 1" if identity else "")
            rest += "" if local is None else f", .local = {local + 1}"
            rows.append(f"\t[{number}] = {{ .plain = {operations or '{ }'}{rest} }}, /* {call.name} */")
        variants += own
    return (
        f"static const struct call calls_{name}[] = {{\n" + "\n".join(rows) + "\n};\n"
        f"static const struct variant variants_{name}[] = {{\n" + "\n".join(variants) + "\n};\n"
    )


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
    follow = "".join(map(_text, ("identity.c", "follow.c", "handed.c", "firmware.c", "age.c", "pulse.c")))
    native = f"#define RING_CHUNKS {RING_CHUNKS}\n" + _text("ring.c") + files_c + follow
    if engine == "tracepoint":
        capture = _text("capture.c")
        marker = "struct rec_enter {"
        native += (
            _text("copying.c")
            + _text("sockets.c")
            + capture.replace(marker, "\n".join(map(calls, get_args(Table))) + "\n" + marker, 1)
        )
    else:
        native += _text("lines.c")
    return "%{\n" + native + "%}\n\n" + _text("follow.stp") + "\n" + _text(f"{engine}.stp")
