"""What the simulator keeps of each conversation: one line of JSON, and the payloads as files named by their hash.

FOLDER/sessions.jsonl     one Session a line, in order of their ends
FOLDER/payloads/<sha256>  what the guest sent or was given; bounded in size and number
"""

from __future__ import annotations

import hashlib
import time
from pathlib import Path
from typing import Any

import msgspec

PREVIEW = 2048
STEPS = 400
"""Remarks that one session may have."""
PAYLOAD_MB = 64
PAYLOADS = 2000
SESSIONS = 50_000


class Payload(msgspec.Struct, kw_only=True):
    """One piece of content that went over the wire."""

    kind: str
    """sent (by the guest) or received (by the guest)."""
    name: str = ""
    """What it was called there: a path of a URL, a file name; never a path of this machine."""
    size: int
    sha256: str
    stored: bool = False


class Session(msgspec.Struct, kw_only=True):
    """One conversation of the guest with one service; times in seconds since the epoch."""

    started: float
    ended: float = 0.0
    transport: str
    src: str
    sport: int
    dst: str
    dport: int
    service: str = ""
    tls: dict[str, Any] | None = None
    sent: int = 0
    """Bytes of content from the guest, after TLS."""
    received: int = 0
    steps: list[dict[str, Any]] = []
    steps_total: int = 0
    payloads: list[Payload] = []
    preview_sent: str = ""
    """The first bytes that the guest sent, those that are no text as ``\\xNN``."""
    preview_received: str = ""


class Journal:
    """All sessions of one run; bounded, and what was left out is counted."""

    def __init__(self, folder: Path) -> None:
        self.sessions = 0
        self.omitted = 0
        self._folder = folder
        self._open: dict[int, Session] = {}
        self._left = PAYLOAD_MB << 20
        self._stored: set[str] = set()
        (folder / "payloads").mkdir(parents=True, exist_ok=True)
        self._file = (folder / "sessions.jsonl").open("ab")

    def begin(self, transport: str, source: tuple[str, int], target: tuple[str, int]) -> Session:
        session = Session(
            started=round(time.time(), 6),
            transport=transport,
            src=source[0],
            sport=source[1],
            dst=target[0],
            dport=target[1],
        )
        self._open[id(session)] = session
        return session

    def step(self, session: Session, **fields: Any) -> None:
        """Add a remark: a request, a login, a command."""
        session.steps_total += 1
        if len(session.steps) < STEPS:
            session.steps.append(
                {"time": round(time.time(), 6), **{key: shown(value) for key, value in fields.items()}}
            )

    def payload(self, session: Session, kind: str, content: bytes, name: str = "") -> Payload:
        """Keep content as an artefact, once for each hash."""
        digest = hashlib.sha256(content).hexdigest()
        kept = Payload(kind=kind, name=shown(name)[:1024], size=len(content), sha256=digest)
        if digest not in self._stored and len(content) <= self._left and len(self._stored) < PAYLOADS:
            (self._folder / "payloads" / digest).write_bytes(content)
            self._stored.add(digest)
            self._left -= len(content)
        kept.stored = digest in self._stored
        if len(session.payloads) < STEPS:
            session.payloads.append(kept)
        return kept

    def traffic(self, session: Session, sent: bytes = b"", received: bytes = b"") -> None:
        """Count content and keep its beginning."""
        if sent:
            session.sent += len(sent)
            if len(session.preview_sent) < PREVIEW:
                session.preview_sent += shown(sent[:PREVIEW])
        if received:
            session.received += len(received)
            if len(session.preview_received) < PREVIEW:
                session.preview_received += shown(received[:PREVIEW])

    def end(self, session: Session) -> None:
        """Write a session that is over; harmless when it was written."""
        if self._open.pop(id(session), None) is None:
            return
        if self.sessions >= SESSIONS:
            self.omitted += 1
            return
        session.ended = round(time.time(), 6)
        self._file.write(msgspec.json.encode(session) + b"\n")
        self.sessions += 1

    def close(self) -> None:
        """Write what is still open."""
        for session in list(self._open.values()):
            self.end(session)
        self._file.close()


def shown(value: Any) -> Any:
    """Turn bytes of the guest into text that JSON can hold and a reader can see."""
    if isinstance(value, bytes):
        text = value.decode("utf-8", "backslashreplace")
        return "".join(c if c.isprintable() or c in "\r\n\t" else f"\\x{ord(c):02x}" for c in text)[:8192]
    return value[:8192] if isinstance(value, str) else value
