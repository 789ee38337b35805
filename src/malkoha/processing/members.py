"""What reading an archive gives: members, contents and remarks; and the limits at which it ends."""

from __future__ import annotations

from typing import Protocol

import msgspec


class Limits(msgspec.Struct, frozen=True):
    """Where reading ends, in bytes and numbers."""

    members: int = 1_000
    member: int = 256 << 20
    total: int = 512 << 20
    ratio: int = 250
    """How many times the archive's size may come out of it, once that is more than 64 MiB."""
    depth: int = 3
    """Archives within archives."""


class Member(msgspec.Struct):
    """One entry of an archive, or of an archive within it."""

    name: bytes
    """With the names of the archives that it lies in before it, separated by a slash."""
    size: int
    """As the archive says; what came out when that was read."""
    kind: str = "file"
    sha256: str = ""
    """Empty for what was not read; the content lies in the folder under this name."""
    encrypted: bool = False
    why: str = ""
    """Why it was not read."""


class Contents(msgspec.Struct):
    """What an archive holds."""

    format: str
    members: list[Member] = []
    password: str = ""
    """What opened its encrypted members."""
    remarks: list[str] = []
    """What was cut or is damaged."""


class Full(Exception):  # noqa: N818 - a limit, no failure
    """A limit was reached; the text says which."""


class Reading(Protocol):
    """What a reader may know of the reading that it is part of."""

    contents: Contents
    passwords: list[str]
    limits: Limits
    allowed: int
    """Bytes that may come out of the archive."""
