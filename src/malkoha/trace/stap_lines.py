"""Events of any engine as lines in Cuckoo's grammar, which stap.py reads.

No text of the sample can forge or split a line: delimiters and what is not printable ASCII stand as \\xNN.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from functools import cache
from typing import Any, TextIO

from malkoha.model.event import Event
from malkoha.trace import syscalls

KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*=")
"""Name of a member of a structure, with its equals sign."""
_BARE = re.compile(r"-?[0-9]+|0x[0-9a-f]+|[A-Z][A-Z0-9_]*(?:[|/](?:[A-Z][A-Z0-9_]*|0x[0-9a-f]+|[0-9]+))*")
_NO_RETURN = frozenset({"execve", "execveat"})
_STRING_KINDS = frozenset({"path", "str", "in", "out", "iov", ">iov", "argv"})

_PLAIN = frozenset(range(0x20, 0x7F)) - frozenset(b'()[]{},"\\')
_BYTES = tuple(
    chr(byte) if byte in _PLAIN else {0x0A: "\\n", 0x09: "\\t", 0x5C: "\\\\"}.get(byte, f"\\x{byte:02x}")
    for byte in range(256)
)
_COMM = str.maketrans(dict.fromkeys('@()[]{},"\\', "_"))


def _quoted(text: str) -> str:
    return '"' + "".join([_BYTES[byte] for byte in text.encode("utf-8", "surrogatepass")]) + '"'


def _render(value: Any, string: bool) -> str:
    if isinstance(value, str):
        return _quoted(value) if string or not _BARE.fullmatch(value) else value
    if isinstance(value, dict):
        if value and all(KEY.fullmatch(f"{key}=") for key in value):
            return "{" + ", ".join(f"{key}={_render(item, string=False)}" for key, item in value.items()) + "}"
        return "{" + ", ".join(_quoted(f"{key}={item}") for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_render(item, string) for item in value) + "]"
    return "NULL" if value is None else _render(str(value), string)


@cache
def _strings(api: str) -> tuple[bool, ...]:
    """Tell for each argument of a call whether it is text of the sample, which stands in quotes."""
    call = syscalls.by_name().get(api)
    return tuple(argument.kind in _STRING_KINDS for argument in call.arguments) if call else ()


def _comm(text: str) -> str:
    safe = "".join([character if " " <= character < "\x7f" else "_" for character in text[:15]])
    return safe.translate(_COMM)


def write_line(event: Event) -> str:
    """Give the line of one call, with its newline.

    Delimiters inside strings become \\xNN and the comm loses what could forge a line. A successful execve is written
    without a return value, as the grammar has it.
    """
    seconds, rest = divmod(event.time_ns, 1_000_000_000)
    stamp = time.asctime(time.gmtime(seconds))
    strings = _strings(event.api)
    arguments = ", ".join(
        _render(value, index < len(strings) and strings[index] and not str(value).startswith("0x") and value != "NULL")
        for index, value in enumerate(event.args.values())
    )
    line = f"{stamp}.{rest // 1000:06d} {_comm(event.comm)}@{event.ip:x}[{event.tid}] {_name(event.api)}({arguments})"
    returned = event.ret_text or ("" if event.ret is None else str(event.ret))
    if not re.fullmatch(r"-?[0-9]+|0x[0-9a-f]+|\?", returned):
        returned = "" if event.ret is None else str(event.ret)
    if not returned or (event.api in _NO_RETURN and event.ret == 0):
        return line + "\n"
    errno = f" ({event.errno})" if re.fullmatch(r"[A-Z0-9_]+", event.errno) else ""
    return f"{line} = {returned}{errno}\n"


def _name(api: str) -> str:
    return re.sub(r"\W", "_", api, flags=re.ASCII) or "_"


def write(events: Iterable[Event], file: TextIO) -> int:
    """Write the calls among the events as lines; return how many events have no line (fork, exec, exit, ...)."""
    left_out = 0
    for event in events:
        if event.kind == "syscall":
            file.write(write_line(event))
        else:
            left_out += 1
    return left_out
