"""The first calls of processes that are spread thinly are gathered, and a page is the same with them and without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from malkoha.model.event import Event
from malkoha.trace import columns, pages, store, writer
from malkoha.trace.pages import Places
from malkoha.trace.store import Row, Trace


def call(seq: int, pid: int = 1, **rest: object) -> Event:
    fields: dict[str, Any] = {"seq": seq, "kind": "syscall", "time_ns": seq, "pid": pid, "tid": pid, "api": "read"}
    return Event(**fields | rest)


def scanned(trace: Trace, key: int, first: int, number: int) -> list[Row]:
    """Find a page without any index: go through all rows."""
    keys = {key, *trace.stats.merged.get(key, ())}
    return [row for row in trace.rows(text=True) if row.process in keys][first : first + number]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BATCH", 10)
    monkeypatch.setattr(writer, "ROW_GROUP", 30)
    monkeypatch.setattr(pages, "GROUPS", 3)
    monkeypatch.setattr(pages, "PAGE", 20)


@pytest.mark.usefixtures("small")
def test_pages_are_those_of_a_full_scan(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    made = (call(n, pid=n % 7 + 90 if n % 9 == 4 else 1 + n // 200, args={"p0": f"\u00e9{n}"}) for n in range(2000))
    store.write(made, path)
    trace = Trace(path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["e.pages.parquet", "e.parquet"]
    for process in trace.processes:
        for first, number in ((0, 20), (0, 5), (7, 13), (0, 100), (19, 2), (25, 10)):
            assert trace.calls(process.key, first, number) == scanned(trace, process.key, first, number)
    assert trace.calls(77) == trace.calls(-1) == []


@pytest.mark.usefixtures("small")
def test_the_first_page_is_read_from_the_small_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "e.parquet"
    store.write((call(n, pid=99 if n % 40 == 3 else 1) for n in range(600)), path)
    trace, asked = Trace(path), list[Path | None]()
    connect = Trace._connect

    def noting(self: Trace, path: Path | None = None) -> Any:
        asked.append(path)
        return connect(self, path)

    monkeypatch.setattr(Trace, "_connect", noting)
    rare = next(process for process in trace.processes if process.pid == 99)
    dense = next(process for process in trace.processes if process.pid == 1)
    assert [row.event.seq for row in trace.calls(rare.key, 0, 20)] == list(range(3, 600, 40))
    assert [row.index for row in trace.calls(dense.key, 0, 20)] == list(range(20))
    assert asked == [pages.beside(path), None]
    pages.beside(path).unlink()
    assert [row.event.seq for row in trace.calls(rare.key, 0, 20)] == list(range(3, 600, 40))


@pytest.mark.usefixtures("small")
def test_threads_that_were_seen_early_are_of_their_process(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    clone = call(500, api="clone", ret=2, args={"p0": "CLONE_THREAD"})
    rare = [call(n, pid=1 + n % 2) for n in range(0, 1000, 25) if n != 500]
    made = [call(n, pid=3) for n in range(1000) if n % 25]
    store.write(sorted([*rare, *made, clone], key=lambda event: event.seq), path)
    trace = Trace(path)
    key = next(process.key for process in trace.processes if process.pid == 1)
    assert trace.stats.merged
    assert pages.beside(path).exists()
    assert trace.calls(key, 0, 20) == scanned(trace, key, 0, 20)


@pytest.mark.usefixtures("small")
def test_nothing_is_left_of_the_pages_of_other_events(tmp_path: Path) -> None:
    path = tmp_path / "e.parquet"
    store.write((call(n, pid=99 if n % 40 == 3 else 1) for n in range(600)), path)
    store.write([call(1)], path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["e.parquet"]


def test_which_processes_are_thin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "GROUPS", 2)
    groups = [
        Places(0, 9, [1, 2, 3], [0, 0, 0], [2, 500, 0]),
        Places(10, 19, [1, 2, 4], [3, 501, 0], [4, 600, 1]),
        Places(20, 29, [1, 2, 5], [5, 601, 0], [9, 700, 1]),
    ]
    assert pages.thin(groups, {}) == {1}
    assert pages.thin(groups, {4: 3, 5: 3}) == {1, 3}
    assert groups[1].holds(2, 600, 700)
    assert not groups[1].holds(2, 601, 700)
    assert not groups[1].holds(7, 0, 9)
