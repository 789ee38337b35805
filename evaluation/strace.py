"""Calls of a trace as the lines that strace(1) prints for them, so that expectations written for strace can be used.

In: a call's name and its arguments as report.json and events.parquet hold them. Out: one line. What strace shows and
malkoha does not record (addresses of buffers, for example) stands as malkoha has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from malkoha.trace import syscalls

_QUOTED = frozenset({"path", "str", "in", "out"})
_POINTER = re.compile(r"NULL|0x[0-9a-f]+")
_PLAIN = re.compile(r"[ !#-\[\]-~]+|(.)", re.DOTALL)
_ESCAPES = {"\n": "\\n", "\t": "\\t", "\r": "\\r", '"': '\\"', "\\": "\\\\", "\v": "\\v", "\f": "\\f"}


def quote(text: str) -> str:
    """Quote a string as C does; what is not ASCII stands in octal."""
    return '"' + _PLAIN.sub(lambda found: found[0] if found[1] is None else _escaped(found[0]), text) + '"'


def _escaped(character: str) -> str:
    known = _ESCAPES.get(character)
    return known or "".join(f"\\{byte:o}" for byte in character.encode("utf-8", "surrogatepass"))


@cache
def _kinds(api: str) -> tuple[str, ...]:
    call = syscalls.by_name().get(api)
    return tuple(argument.kind for argument in call.arguments) if call else ()


def line(api: str, arguments: Sequence[Any], result: str, error: str) -> str:
    """Show one call; ``arguments`` in the order of the man page."""
    kinds = _kinds(api)
    shown = [_shown(value, kinds[place] if place < len(kinds) else "") for place, value in enumerate(arguments)]
    if api in ("execve", "execveat"):
        place = 2 if api == "execve" else 3
        if len(arguments) > place and isinstance(arguments[place], list):
            shown[place] = f"0x7ffc /* {len(arguments[place])} vars */"
    elif api in ("open", "openat") and not re.search(r"O_CREAT|O_TMPFILE", shown[-2]):
        shown.pop()  # strace shows the mode only where it means something
    end = "?" if result == "" else f"-1 {error} ({error})" if error else result
    return f"{api}({', '.join(shown)}) = {end}"


def _shown(value: Any, kind: str) -> str:
    if isinstance(value, Mapping):
        return _address(value) if "sa_family" in value else _message(value) if "data" in value else _fields(value)
    if isinstance(value, list):
        if kind == "argv":
            return "[" + ", ".join(quote(str(item)) for item in value) + "]"
        return "[" + ", ".join(_shown(item, "") for item in value) + "]"
    text = str(value)
    if kind in ("iov", ">iov") and not _POINTER.fullmatch(text):
        return f"[{{iov_base={quote(text)}}}]"
    if kind in _QUOTED and not _POINTER.fullmatch(text):
        return quote(text)
    return text


def _fields(value: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{name}={_shown(item, '')}" for name, item in value.items()) + "}"


def _message(value: Mapping[str, Any]) -> str:
    name = f"msg_name={_shown(value['msg_name'], '')}, " if "msg_name" in value else ""
    return f"{{{name}msg_iov=[{{iov_base={quote(str(value['data']))}, iov_len={value.get('length', '?')}}}]}}"


def _address(value: Mapping[str, Any]) -> str:
    family = value["sa_family"]
    if family == "AF_INET" and "sin_addr" in value:
        rest = f'sin_port=htons({value.get("sin_port")}), sin_addr=inet_addr("{value["sin_addr"]}")'
    elif family == "AF_INET6" and "sin6_addr" in value:
        rest = (
            f"sin6_port=htons({value.get('sin6_port')}), sin6_flowinfo=htonl({value.get('flowinfo', 0)}), "
            f'inet_pton(AF_INET6, "{value["sin6_addr"]}", &sin6_addr), sin6_scope_id={value.get("scope_id", 0)}'
        )
    elif family == "AF_UNIX":
        path = str(value.get("sun_path", ""))
        rest = "sun_path=" + ("@" + quote(path[1:]) if path.startswith("@") else quote(path))
    else:
        return _fields(value)
    return f"{{sa_family={family}, {rest}}}"
