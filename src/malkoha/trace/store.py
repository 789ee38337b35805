"""events.parquet for readers: scans, pages of one process, filters, statistics, and a user's own queries with DuckDB.

columns.py writes the file; docs/trace.md lists its columns.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec

from malkoha.errors import TraceError, UsageError
from malkoha.model.event import Event
from malkoha.model.process import Process
from malkoha.trace import columns, pages
from malkoha.trace.columns import COLUMNS
from malkoha.trace.pages import Places
from malkoha.trace.writer import PLACES, PROCESSES, STATS, WriteStats, unpack, write, write_batches

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

__all__ = ["Row", "Table", "Trace", "WriteStats", "write", "write_batches"]

MEMORY_LIMIT = "512MB"
SCAN = 20_000
"""Rows that a scan reads at once."""


class Row(msgspec.Struct, frozen=True):
    """An event with the key of its process and, for calls, its number within that process."""

    process: int
    index: int | None
    event: Event


class Table(msgspec.Struct, frozen=True):
    """Answer to a query; ``cut`` tells that there were more rows than asked for."""

    columns: list[str]
    rows: list[tuple[Any, ...]]
    cut: bool


class Trace:
    """Reads one events.parquet. Each method opens what it needs and closes it; the object itself holds no file."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self.path = path
        try:
            self._footer: dict[bytes, bytes] = pq.read_metadata(path).metadata or {}
            self.stats = msgspec.json.decode(self._footer.get(STATS, b""), type=WriteStats)
        except (OSError, pa.ArrowException, msgspec.MsgspecError) as error:
            raise self._damaged(error) from error

    @cached_property
    def processes(self) -> list[Process]:
        """All processes, the launcher included, in order of appearance."""
        found: list[Process] = self._unpacked(PROCESSES, list[Process])
        return found

    @cached_property
    def _places(self) -> list[Places]:
        found: list[Places] = self._unpacked(PLACES, list[Places])
        return found

    def _unpacked(self, key: bytes, form: type[Any]) -> Any:
        import pyarrow as pa

        try:
            return msgspec.json.decode(unpack(self._footer.get(key, b"")), type=form)
        except (OSError, ValueError, pa.ArrowException, msgspec.MsgspecError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> TraceError:
        why = str(error).split("\n", 1)[0]
        return TraceError(f"cannot read the events in {self.path.name}", why, "run `malkoha process ID` again")

    def count(self) -> int:
        """Number of events of all kinds."""
        return self.stats.events

    def rows(
        self, apis: Collection[str] | None = None, kinds: Collection[str] = ("syscall",), *, text: bool = False
    ) -> Iterator[Row]:
        """Scan the trace in order, in bounded memory, for some calls (all when None) and kinds of events.

        ``raw`` is filled with ``text`` only, since it is as large as all the rest.
        """
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        names = [name for name in COLUMNS if text or name != "raw"]
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=SCAN, columns=names):
                keep = pc.is_in(batch["kind"].cast(pa.string()), value_set=pa.array(list(kinds), pa.string()))
                if apis is not None:
                    wanted = pa.array([*apis, ""], pa.string())
                    keep = pc.and_(keep, pc.is_in(batch["api"].cast(pa.string()), value_set=wanted))
                yield from _rows_of(batch.filter(keep))

    def calls(self, process: int, offset: int = 0, limit: int = 100) -> list[Row]:
        """Give one page of the calls of the process with this key, in order of the trace."""
        keys = (process, *self.stats.merged.get(process, ()))
        last = offset + limit - 1
        groups = [group for group in self._places if any(group.holds(key, 0, last) for key in keys)]
        if len(groups) > pages.GROUPS and last < pages.PAGE and pages.beside(self.path).exists():
            return self._select(
                "owner = ? ORDER BY seq LIMIT ? OFFSET ?", [process, limit, offset], pages.beside(self.path)
            )
        if len(keys) > 1:
            named = ", ".join(str(int(key)) for key in keys)
            where = f"kind = 'syscall' AND \"process\" IN ({named}) ORDER BY seq LIMIT ? OFFSET ?"
            return self._select(where, [limit, offset])
        groups = [group for group in groups if group.holds(process, offset, last)]
        if not groups:
            return []
        begin, end = min(group.first_seq for group in groups), max(group.last_seq for group in groups)
        where = 'seq BETWEEN ? AND ? AND "process" = ? AND "index" BETWEEN ? AND ? ORDER BY "index"'
        return self._select(where, [begin, end, process, offset, last])

    def head(self, limits: dict[int, tuple[int, int]]) -> Iterator[Row]:
        """Scan for the calls of several processes: key -> first index and how many; in order of the trace."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        keys = pa.array(list(limits), pa.int32())
        starts = pa.array([first for first, _ in limits.values()], pa.int64())
        ends = pa.array([first + number for first, number in limits.values()], pa.int64())
        with pq.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=SCAN):
                position = pc.index_in(batch["process"], value_set=keys)
                index = batch["index"].cast(pa.int64())
                keep = pc.and_(
                    pc.greater_equal(index, pc.take(starts, position)), pc.less(index, pc.take(ends, position))
                )
                yield from _rows_of(batch.filter(keep))

    def filter(
        self,
        *,
        pid: int | None = None,
        process: int | None = None,
        syscall: str | Collection[str] | None = None,
        kind: str | Collection[str] | None = None,
        failed: bool | None = None,
        text: str | None = None,
        after_ns: int | None = None,
        before_ns: int | None = None,
        from_seq: int | None = None,
        to_seq: int | None = None,
        offset: int = 0,
        limit: int = 1000,
    ) -> list[Row]:
        """Find events by what they have, in order of the trace.

        ``text`` is looked for in arguments and raw lines, without regard to case. The times are those of ``time_ns``:
        from ``after_ns`` on, up to before ``before_ns``; ``from_seq`` and ``to_seq`` are the first and the last.
        """
        where = Where().add("pid = ?", pid).add("time_ns >= ?", after_ns).add("time_ns < ?", before_ns)
        where.add("seq >= ?", from_seq).add("seq <= ?", to_seq)
        where.choose("api", syscall).choose("kind", kind).add("(errno <> '') = ?", failed)
        if process is not None:
            where.choose('"process"', [process, *self.stats.merged.get(process, ())])
        where.add("(contains(lower(args), lower(?)) OR contains(lower(coalesce(raw, '')), lower(?)))", text)
        return self._select(f"{where.text} ORDER BY seq LIMIT ? OFFSET ?", [*where.values, limit, offset])

    def find(
        self,
        *,
        from_seq: int = 0,
        process: int | None = None,
        limit: int = 200,
        time_s: float = 5.0,
        **tests: Any,
    ) -> tuple[list[Row], int | None]:
        """Find the next events from a place on; ``tests`` are those of ``filter``.

        Row groups are read a few at a time until enough is found or the time is over. Also returns where to go on; None
        at the end of the trace.
        """
        until = time.monotonic() + time_s
        keys = None if process is None else [process, *self.stats.merged.get(process, ())]
        groups = [group for group in self._places if group.last_seq >= from_seq and _has(group, keys)]
        rows: list[Row] = []
        step = 1
        while groups:
            some, groups = groups[:step], groups[step:]
            begin, end = max(from_seq, some[0].first_seq), some[-1].last_seq
            rows += self.filter(process=process, from_seq=begin, to_seq=end, limit=limit + 1 - len(rows), **tests)
            if len(rows) > limit:
                return rows[:limit], rows[limit].event.seq
            if groups and time.monotonic() > until:
                return rows, groups[0].first_seq
            step = min(2 * step, 16)
        return rows, None

    def apistats(self) -> dict[int, dict[str, int]]:
        """Count the calls by process key and name."""
        query = "SELECT process, api, count(*) FROM events WHERE kind = 'syscall' GROUP BY ALL ORDER BY 1, 3 DESC, 2"
        stats: dict[int, dict[str, int]] = {}
        with self._connect() as connection:
            for process, api, number in connection.execute(query).fetchall():
                stats.setdefault(process, {})[api] = number
        return stats

    def sql(self, query: str, *, limit: int = 10_000, timeout_s: float = 30.0) -> Table:
        """Run one SELECT of a user on the view ``events``.

        It can reach no file but this trace, change nothing, and has bounded memory and time. Raises UsageError for what
        is not a SELECT or fails, also when it takes too long.
        """
        import duckdb

        with self._connect() as connection:
            try:
                statements = connection.extract_statements(query)
                if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                    raise UsageError("only a single SELECT can be run", mend="docs/trace.md describes the view events")
                timer = threading.Timer(timeout_s, connection.interrupt)
                timer.daemon = True
                timer.start()
                try:
                    cursor = connection.execute(statements[0])
                    rows = cursor.fetchmany(limit + 1)
                finally:
                    timer.cancel()
                names = [column[0] for column in cursor.description or []]
            except duckdb.InterruptException as error:
                raise UsageError("the query took too long", f"it was stopped after {timeout_s:g} s") from error
            except duckdb.Error as error:
                raise UsageError("the query failed", str(error).splitlines()[0]) from error
        return Table(names, rows[:limit], cut=len(rows) > limit)

    def _connect(self, path: Path | None = None) -> duckdb.DuckDBPyConnection:
        """Open a connection that knows one file as the view ``events`` and nothing else of this machine."""
        import duckdb

        connection = duckdb.connect(":memory:", config={"threads": 2, "memory_limit": MEMORY_LIMIT})
        name = str((path or self.path).absolute()).replace("'", "''")
        connection.execute("SET temp_directory = ''")
        connection.execute("SET python_enable_replacements = false")
        connection.execute(f"SET allowed_paths = ['{name}']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        connection.execute(f"CREATE VIEW events AS SELECT * FROM read_parquet('{name}')")  # noqa: S608
        return connection

    def _select(self, where: str, values: list[Any], path: Path | None = None) -> list[Row]:
        names = ", ".join(f'"{name}"' for name in COLUMNS)
        with self._connect(path) as connection:
            rows = connection.execute(f"SELECT {names} FROM events WHERE {where}", values).fetchall()  # noqa: S608
        return [_row(dict(zip(COLUMNS, row, strict=True))) for row in rows]


class Where:
    """Gathers the conditions of a query and their values."""

    def __init__(self) -> None:
        self._tests: list[str] = []
        self.values: list[Any] = []

    @property
    def text(self) -> str:
        return " AND ".join(self._tests) or "true"

    def add(self, test: str, value: Any) -> Self:
        """Add a condition with as many values as it has marks, unless the value is None."""
        if value is not None:
            self._tests.append(test)
            self.values.extend([value] * test.count("?"))
        return self

    def choose(self, column: str, wanted: Any) -> Self:
        """Add that a column has one value, or one of several; nothing for None."""
        if wanted is None or isinstance(wanted, str):
            return self.add(f"{column} = ?", wanted)
        self._tests.append(f"{column} IN ({', '.join('?' for _ in wanted)})" if wanted else "false")
        self.values.extend(wanted)
        return self


_decode_args = msgspec.json.Decoder(dict[str, Any]).decode


def _has(group: Places, keys: Sequence[int] | None) -> bool:
    """Tell whether a row group has calls of one of these processes; of all of them when None."""
    return keys is None or any(group.holds(key, 0, 1 << 62) for key in keys)


def _row(values: dict[str, Any]) -> Row:
    args = _decode_args(values.pop("args"))
    return Row(values.pop("process"), values.pop("index"), Event(args=args, **values))


def _rows_of(batch: pa.RecordBatch) -> Iterator[Row]:
    """Turn columns back into events."""
    places = (columns.plain(batch.column(name)) for name in columns.PLACE)
    yield from map(Row, *places, columns.to_events(batch))
