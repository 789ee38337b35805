"""The first calls of processes that are thinly spread over a trace, gathered in a small file beside events.parquet.

A page of a process is read from the row groups that hold its calls. Where the first ``PAGE`` calls stand in more than
``GROUPS`` of them, opening these would take longer than reading the page, so copies of the calls are kept together.
In: events.parquet and what each of its row groups holds. Out: events.pages.parquet, only where a process needs it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from malkoha.trace.columns import COLUMNS

PAGE = 100
"""Calls of a process that are kept together."""
GROUPS = 16
"""Row groups that a page may be read from one by one."""
_ROWS = 2048
_MEMORY_LIMIT = "200MB"


class Places(msgspec.Struct, array_like=True):
    """Which calls of which processes a row group holds, so that a page of one process is found at once."""

    first_seq: int
    last_seq: int
    keys: list[int]
    """Keys of the processes that have calls there, in order of the keys."""
    first: list[int]
    """The lowest number of a call of each."""
    last: list[int]

    def holds(self, key: int, first: int, last: int) -> bool:
        """Tell whether one of these calls of a process is there."""
        place = bisect_left(self.keys, key)
        return (
            place < len(self.keys)
            and self.keys[place] == key
            and self.first[place] <= last
            and self.last[place] >= first
        )


def beside(events: Path) -> Path:
    """Name the file that belongs to a file of events."""
    return events.with_name(f"{events.stem}.pages{events.suffix}")


def thin(places: Iterable[Places], owners: dict[int, int]) -> set[int]:
    """Find the processes whose first page is spread over many row groups.

    ``owners`` maps the keys of what was merged into another process to that one's key.
    """
    spread: Counter[int] = Counter()
    for group in places:
        begun = zip(group.keys, group.first, strict=True)
        spread.update({owners.get(key, key) for key, first in begun if first < PAGE})
    return {key for key, number in spread.items() if number > GROUPS}


def write(events: Path, target: Path, keys: set[int], owners: dict[int, int]) -> None:
    """Copy the first calls of these processes, in order of process and trace. Raises duckdb.Error."""
    import duckdb
    import pyarrow as pa

    wanted = sorted([(key, key) for key in keys] + [(key, owner) for key, owner in owners.items() if owner in keys])
    columns = ", ".join(f'events."{name}"' for name in COLUMNS)
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": _MEMORY_LIMIT,
        "temp_directory": str(target.with_suffix(".spill")),
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.register(
            "wanted", pa.table({"key": [key for key, _ in wanted], "owner": [own for _, own in wanted]})
        )
        connection.execute(
            f"COPY (SELECT {columns}, owner FROM read_parquet($events) AS events JOIN wanted ON process = key "  # noqa: S608
            f'WHERE "index" < {PAGE} QUALIFY row_number() OVER (PARTITION BY owner ORDER BY seq) <= {PAGE} '
            f"ORDER BY owner, seq) TO '{_quoted(target)}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROWS})",
            {"events": str(events)},
        )


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
