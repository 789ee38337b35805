"""Processes and calls for report.html: from the report to compressed columns, unpacked by the page when it needs them.

Each process has a block of its own, so that a page with 50,000 calls is read and shown as fast as one with 50. A block
is JSON, gzip, Base64: nothing of the sample stands in the page's HTML, and no character of it can end the element that
holds the block. Times are whole microseconds since the first process was seen.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

from malkoha.reporting.phrases import phrase
from malkoha.reporting.wording import argument_kinds, cause_text, exit_text, items, mapping, number

TEXT = 4096
"""Characters that the page shows of one text of a call."""
ENTRIES = 256
"""Entries of one list or structure."""
COMMAND = 1024
DEPTH = 8
MARKS = 240
"""Marks of one kind on a process's bar: more cannot be told apart."""

EXEC, NETWORK, CHANGE = 0, 1, 2

_CHANGES = (
    "unlink unlinkat rename renameat renameat2 mkdir mkdirat rmdir link linkat symlink symlinkat truncate ftruncate "
    "chmod fchmod fchmodat fchmodat2 chown lchown fchown fchownat mknod mknodat creat"
)
_CHANGING = frozenset(_CHANGES.split())
_OPENS = frozenset({"open", "openat", "openat2"})
_WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC")
_TALKS = "connect accept accept4 bind listen send sendto sendmsg sendmmsg recv recvfrom recvmsg recvmmsg"
_TALKING = frozenset(_TALKS.split())
_INTERNET = ("AF_INET", "PF_INET", "AF_PACKET", "PF_PACKET")


def pack(value: Any) -> str:
    """Compress a JSON value into Base64; lone surrogates survive as JSON escapes."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=5, mtime=0)).decode("ascii")


def cut(value: Any, limit: int = TEXT, depth: int = 0) -> Any:
    """Bound a text, list or structure; the end of what was cut says how much is missing."""
    if isinstance(value, str):
        return value if len(value) <= limit else f"{value[:limit]}… ({len(value) - limit:,} more characters)"
    if isinstance(value, list):
        if depth >= DEPTH:
            return "…"
        head = [cut(item, limit, depth + 1) for item in value[:ENTRIES]]
        return head if len(value) <= ENTRIES else [*head, f"… ({len(value) - ENTRIES:,} more)"]
    if isinstance(value, Mapping):
        if depth >= DEPTH:
            return "…"
        chosen = list(value.items())[:ENTRIES]
        return {str(key)[:256]: cut(item, limit, depth + 1) for key, item in chosen}
    if value is None or isinstance(value, (bool, int)):
        return value
    return str(value)[:limit]


class Processes:
    """The processes of one report in the order of its tree, with the block of each."""

    def __init__(self, report: Mapping[str, Any]) -> None:
        behavior = mapping(report.get("behavior"))
        listed = [mapping(process) for process in items(behavior.get("processes"))]
        self.placed = list(_in_tree_order(listed, items(behavior.get("processtree"))))
        touched = [mapping(entry) for entry in items(behavior.get("generic"))]
        positions = {id(process): position for position, process in enumerate(listed)}
        self._touched = {
            id(process): mapping(touched[position].get("summary"))
            for process in listed
            if (position := positions[id(process)]) < len(touched)
            and touched[position].get("pid") == process.get("pid")
        }
        seen = [number(process.get("first_seen")) for process in listed if number(process.get("first_seen"))]
        self.begin = min(seen, default=0.0)
        self._evidence = _evidence(items(report.get("signatures")))

    def index(self) -> dict[str, Any]:
        """Give what the tree and the timeline need of all processes, as columns."""
        rows = [self._row(process, depth) for process, depth in self.placed]
        columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {"key": []}
        end = max((row["first"] if row["ended"] is None else row["ended"] for row in rows), default=0)
        return {"begin": self.begin, "span": max(1, end, self._last_call()), **columns}

    def blocks(self) -> Iterator[dict[str, Any]]:
        """Yield what the page shows of each process once it is chosen: its facts and its calls, as columns."""
        for process, _ in self.placed:
            yield {
                "images": [
                    [
                        self._time(image.get("time")),
                        *(cut(str(image.get(name, ""))) for name in ("path", "command_line", "cwd")),
                    ]
                    for image in map(mapping, items(process.get("images"))[:ENTRIES])
                ],
                "names": cut(list(dict.fromkeys(map(str, items(process.get("names")))))[:32], 64),
                "touched": {
                    str(name): cut([phrase(str(name), entry) for entry in items(entries)], 1024)
                    for name, entries in self._touched.get(id(process), {}).items()
                },
                "evidence": {str(cid): found for cid, found in self._evidence_of(process).items()},
                "calls": _columns([mapping(call) for call in items(process.get("calls"))], self.begin),
            }

    def _row(self, process: Mapping[str, Any], depth: int) -> dict[str, Any]:
        ended, killed = process.get("ended"), process.get("exit_signal")
        status = exit_text(process.get("exit_code"), killed, ended)
        calls = [mapping(call) for call in items(process.get("calls"))]
        return {
            "key": process.get("key", process.get("pid")),
            "pid": int(number(process.get("pid"))),
            "ppid": int(number(process.get("ppid"))),
            "depth": depth,
            "name": cut(str(process.get("process_name", "?")), 256),
            "exe": cut(str(process.get("exe") or ""), COMMAND),
            "command": cut(str(process.get("command_line", "")), COMMAND),
            "first": self._time(process.get("first_seen")),
            "ended": None if ended is None else self._time(ended),
            "exit": status,
            "bad": 2 if killed else 1 if status not in ("0", "", "running") else 0,
            "threads": int(number(process.get("threads"), 1)),
            "total": int(number(process.get("calls_total"), len(calls))),
            "shown": len(calls),
            "cause": cut(cause_text(process.get("cause")), 256),
            "evidence": len(self._evidence_of(process)),
            "marks": self._marks(process, calls),
        }

    def _time(self, seconds: Any) -> int:
        return round((number(seconds, self.begin) - self.begin) * 1e6)

    def _last_call(self) -> int:
        return max(
            (self._time(mapping(calls[-1]).get("time")) for p, _ in self.placed if (calls := items(p.get("calls")))),
            default=0,
        )

    def _evidence_of(self, process: Mapping[str, Any]) -> dict[int, list[int]]:
        return self._evidence.get(("key", process.get("key")), {}) or self._evidence.get(
            ("pid", process.get("pid")), {}
        )

    def _marks(self, process: Mapping[str, Any], calls: list[Any]) -> list[list[int]]:
        found: list[set[int]] = [set(), set(), set()]
        found[EXEC].update(self._time(mapping(image).get("time")) for image in items(process.get("images")))
        sockets: set[str] = set()
        for call in calls:
            kind = _kind(call, sockets)
            if kind is not None:
                found[kind].add(self._time(call.get("time")))
        return [_thinned(sorted(times)) for times in found]


def _in_tree_order(listed: list[Mapping[str, Any]], tree: list[Any]) -> Iterator[tuple[Mapping[str, Any], int]]:
    """Yield every process with its depth as the tree nests them, those that it does not hold last."""
    by_key = {process.get("key", process.get("pid")): process for process in listed}
    stack = [(mapping(node), 0) for node in reversed(tree)]
    while stack:
        node, depth = stack.pop()
        process = by_key.pop(node.get("key", node.get("pid")), None)
        if process is not None:
            yield process, depth
        stack.extend((mapping(child), depth + 1) for child in reversed(items(node.get("children"))))
    for process in by_key.values():
        yield process, 0


def _evidence(signatures: list[Any]) -> dict[tuple[str, Any], dict[int, list[int]]]:
    """Tell for each process which of its calls made which signatures match (by their position in the report)."""
    found: dict[tuple[str, Any], dict[int, list[int]]] = {}
    for position, match in enumerate(signatures):
        for mark in map(mapping, items(mapping(match).get("marks"))):
            if isinstance(mark.get("cid"), int):
                owner = ("pid", mark.get("pid")) if mark.get("key") is None else ("key", mark.get("key"))
                numbers = found.setdefault(owner, {}).setdefault(mark["cid"], [])
                if position not in numbers:
                    numbers.append(position)
    return found


def _thinned(times: list[int]) -> list[int]:
    """Keep at most 240 marks, spread evenly over those that there are."""
    if len(times) <= MARKS:
        return times
    return [times[position * (len(times) - 1) // (MARKS - 1)] for position in range(MARKS)]


def _kind(call: Mapping[str, Any], sockets: set[str]) -> int | None:
    """Tell what kind of mark a call gets; ``sockets`` keeps the descriptors that lead to a network."""
    api, failed = str(call.get("api", "")), bool(call.get("status"))
    if api not in _CHANGING and api not in _OPENS and api not in _TALKING and api not in ("socket", "close"):
        return None
    values = [str(value) for value in mapping(call.get("arguments")).values()]
    first = values[0] if values else ""
    if api == "socket" and first.startswith(_INTERNET) and not failed:
        sockets.add(str(call.get("return_value", "")))
    elif api == "close":
        sockets.discard(first)
    elif api in _TALKING:
        inside = first in sockets or any(name in value for value in values[1:] for name in _INTERNET)
        if inside and api.startswith("accept") and not failed:
            sockets.add(str(call.get("return_value", "")))
        return NETWORK if inside else None
    elif not failed and (api in _CHANGING or any(flag in value for value in values[1:] for flag in _WRITING)):
        return None if any(value.startswith("/dev/") for value in values[:2]) else CHANGE
    return None


_COLUMNS = ("seq", "time", "took", "tid", "ip", "api", "names", "category", "values", "returned", "error")


class _Table:
    """Numbers values in the order in which they are met."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[Any, int] = {}

    def put(self, key: Any, value: Any) -> int:
        found = self._numbers.setdefault(key, len(self.values))
        if found == len(self.values):
            self.values.append(value)
        return found


def _columns(calls: list[Mapping[str, Any]], begin: float) -> dict[str, Any]:
    apis, names, categories, errors = _Table(), _Table(), _Table(), _Table()
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    add = {name: column.append for name, column in columns.items()}
    for call in calls:
        api, status = str(call.get("api", "?"))[:64], str(call.get("status") or "")[:64]
        labels = tuple(str(name)[:64] for name in items(call.get("argument_names"))[:16])
        category = str(call.get("category") or "")[:32]
        took = call.get("duration")
        add["seq"](int(number(call.get("seq"))))
        add["time"](round((number(call.get("time"), begin) - begin) * 1e6))
        add["took"](None if took is None else round(number(took) * 1e6))
        add["tid"](int(number(call.get("tid"), number(call.get("pid")))))
        add["ip"](str(call.get("instruction_pointer", ""))[:32])
        add["api"](apis.put(api, [api, argument_kinds(api)]))
        add["names"](names.put(labels, labels))
        add["category"](categories.put(category, category))
        add["values"]([cut(value) for value in mapping(call.get("arguments")).values()])
        add["returned"](str(call.get("return_value", ""))[:64])
        add["error"](errors.put(status, status))
    tables = {"apis": apis.values, "labels": names.values, "categories": categories.values, "errors": errors.values}
    return {**tables, **columns}
