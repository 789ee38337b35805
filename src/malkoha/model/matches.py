"""What signatures found, and the verdict on an analysis."""

from __future__ import annotations

from typing import Literal

import msgspec

from malkoha.model.behavior import Call

Level = Literal["clean", "suspicious", "malicious"]


class Mark(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One piece of evidence: a call, an indicator, or a remark."""

    type: Literal["call", "ioc", "generic"]
    pid: int | None = None
    cid: int | None = None
    """Number of the call among those of its process, counted from 0; it indexes ``calls`` where it is not cut off."""
    key: int | None = None
    call: Call | None = None
    category: str | None = None
    ioc: str | None = None
    description: str | None = None


class Match(msgspec.Struct, kw_only=True):
    """A signature that applied."""

    name: str
    description: str
    severity: int
    """1 (worth a look) to 5 (malicious on its own)."""
    ttp: dict[str, str]
    """ATT&CK id -> its name."""
    families: list[str] = []
    references: list[str] = []
    marks: list[Mark]
    """At most 50."""
    markcount: int


class Verdict(msgspec.Struct, kw_only=True):
    """What malkoha makes of it; docs/report.md explains the score."""

    score: float
    level: Level
    why: list[str]
