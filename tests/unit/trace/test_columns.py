"""events.parquet is written whole or not at all, and holds every field."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from malkoha.model.event import Event
from malkoha.trace import columns, store
from malkoha.trace.store import Trace

DOCUMENT = Path(__file__).parents[3] / "docs" / "trace.md"


def call(seq: int, pid: int = 1, **rest: object) -> Event:
    fields: dict[str, Any] = {"seq": seq, "kind": "syscall", "time_ns": seq, "pid": pid, "tid": pid, "api": "read"}
    return Event(**fields | rest)


def test_every_field_survives(tmp_path: Path) -> None:
    event = Event(
        seq=1 << 40, kind="syscall", time_ns=1 << 60, duration_ns=5, pid=1, tid=2, ppid=3, comm="é\0", ip=(1 << 64) - 1,
        abi="x32", api="syscall_9", args={"a": ["x", {"b": "\0"}], "c": ""}, ret=-(1 << 63), ret_text="?",
        errno="EPERM", raw="r\n",
    )  # fmt: skip
    unknown = Event(seq=2, kind="unknown", time_ns=0, pid=0, tid=0, raw="garbage")
    path = tmp_path / "e.parquet"
    assert store.write([event, unknown], path).unknown == 1
    rows = list(Trace(path).rows(kinds=("syscall", "unknown"), text=True))
    assert [row.event for row in rows] == [event, unknown]
    assert [(row.process, row.index) for row in rows] == [(0, 0), (-1, None)]


def test_what_parquet_cannot_hold_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    store.write([call(1, comm="a\udcff", args={"p0": "\udc80", "p1": 1 << 70}, raw="\ud800")], path)
    (row,) = Trace(path).rows(text=True)
    assert (row.event.comm, row.event.raw, row.event.args) == (
        "a\\udcff",
        "\\ud800",
        {"p0": "\\udc80", "p1": str(1 << 70)},
    )


def test_every_column_is_documented() -> None:
    text = DOCUMENT.read_text()
    assert [name for name in columns.COLUMNS if f"| `{name}` |" not in text] == []
