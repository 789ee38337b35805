"""Read single arguments of a call, whichever engine shows it: numbers, paths, flags, addresses, lists of descriptors.

Arguments are read by position, in the order of the man page, so that traces with and without names are read alike.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from malkoha.model.event import Event

_INTEGER = re.compile(r"-?[0-9]{1,10}")
_POINTER = re.compile(r"0x[0-9a-f]+")
_ADDRESS = re.compile(r"AF_\w+|[0-9a-fA-F:.]*[.:][0-9a-fA-F:.]*|[0-9]+")
_RIGHTS = re.compile(r"SCM_RIGHTS\[([0-9 -]*)\]")


class Endpoint(msgspec.Struct, frozen=True):
    """Where a socket leads: ``host`` is an address, a path for AF_UNIX, or empty."""

    family: str
    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def argument(event: Event, position: int) -> Any:
    """Give the argument at a position, counted from 0; empty text when it is missing."""
    values = event.args.values()
    return [*values][position] if position < len(values) else ""


def number(value: Any) -> int | None:
    """Read a descriptor or another small number from its text; None when it is none."""
    if value.__class__ is str and value.isdecimal() and len(value) <= 10:
        return int(value)
    if isinstance(value, int):
        return int(value)
    found = _INTEGER.match(value) if isinstance(value, str) else None
    return int(found[0]) if found else None


def path_argument(event: Event, position: int) -> str | None:
    """Give a path argument; None when its memory could not be read and a pointer stands there."""
    value = argument(event, position)
    if not isinstance(value, str) or value in ("", "NULL") or _POINTER.fullmatch(value):
        return None
    return value


def open_flags(event: Event) -> str:
    """Give the flags of an open call as text, whichever of the four it is."""
    value = argument(event, 2 if event.api in ("openat", "openat2") else 1)
    return str(value.get("flags", "")) if isinstance(value, dict) else str(value)


def endpoint(value: Any) -> Endpoint | None:
    """Read a socket address as either engine shows it: named fields, ``{AF_INET, 10.0.0.1, 53}``, or text."""
    if isinstance(value, dict):
        family = str(value.get("sa_family", ""))
        host = value.get("sin_addr") or value.get("sin6_addr") or value.get("sun_path") or ""
        return Endpoint(family, str(host), number(value.get("sin_port") or value.get("sin6_port") or ""))
    parts = [str(part) for part in value] if isinstance(value, list) else []
    if isinstance(value, str) and "AF_" in value:
        parts = _ADDRESS.findall(value)
    if not parts or not parts[0].startswith("AF_"):
        return None
    host = parts[1] if len(parts) > 1 else ""
    return Endpoint(parts[0], host, number(parts[2]) if len(parts) > 2 else None)


def pair(value: Any) -> list[int]:
    """Read the two descriptors that pipe and socketpair fill in; empty where only a pointer is known."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [fd for fd in map(number, value) if fd is not None]
    return []


def passed(message: Any) -> list[int]:
    """List the descriptors in the control messages of a sendmsg or recvmsg, cmsg(3)."""
    text = str(message.get("control", "")) if isinstance(message, dict) else ""
    return [int(word) for found in _RIGHTS.findall(text) for word in found.split() if word.lstrip("-").isdigit()]
