"""Cuckoo's text form of a trace: lines of a SystemTap log to events; stap_lines.py goes the other way.

    Www Mmm dd HH:MM:SS YYYY.uuuuuu COMM@IP[TID] NAME(ARGS)[ = RET[ (ERRNO)]]

Nothing here raises on what a log contains: a line that is not understood becomes an event of kind ``unknown`` that
keeps the (bounded) line. Lines bear no zone; the guest's clock runs in UTC and so they are read.

Where Cuckoo's own parser errs, this one does the right thing: the list at the end of a structure without names loses
its closing bracket, strings are UTF-8 before they are Latin-1, and a comm that imitates a line does not become one.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import msgspec

from malkoha.errors import TraceError
from malkoha.model.event import Event
from malkoha.trace import columns
from malkoha.trace.stap_lines import write, write_line
from malkoha.trace.stap_values import arguments, text_of

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Counts", "Lines", "batches", "parse", "parse_line", "text_of", "write", "write_line"]

MAX_LINE = 4 << 20
"""Bytes of the longest line that is parsed; what is longer is kept as unknown, cut."""
MAX_RAW = 4096
"""Characters that are kept of a line that was not understood."""
_BLOCK = 1 << 20
_BATCH_BYTES = 8 << 20
KEPT_BYTES = 12 << 20
"""Characters of arguments, raw and shown, that are kept for when they come again."""
_MONTHS = {name: number for number, name in enumerate(calendar.month_abbr) if name}

# The comm is matched greedily within its 15 bytes: a comm like "a@1[2] x(" would otherwise forge the rest of its line,
# and the shortest true head of a line is longer than 15, so that no argument can be taken for a head.
_HEAD = re.compile(
    r"(\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4})\.(\d{6}) (.{0,15})@([0-9a-f]{1,16})\[(\d{1,10})\] (\w+)\(", re.DOTALL
)
_NAMES = ("seq", "kind", "time_ns", "pid", "tid", "comm", "ip", "api", "args", "ret", "ret_text", "errno", "raw")
_NEW: Any = object()
_TAIL = re.compile(r"(\S+)(?: \(([^()]*)\))?")


class Counts(msgspec.Struct):
    """What became of the lines of one log; ``unknown`` of them were kept raw, ``cut`` of these were too long."""

    lines: int = 0
    unknown: int = 0
    cut: int = 0


def _returned(tail: str) -> tuple[str, str, int | None] | None:
    """Read what stands behind ``) = ``: the value as it stands, errno, and the value as a signed 64-bit number."""
    match = _TAIL.fullmatch(tail.rstrip())
    if match is None:
        return None
    text = match[1]
    try:
        number = int(text, 16) if text[:2] == "0x" else int(text)
    except ValueError:
        return text, match[2] or "", None
    if number >= 1 << 63:
        number -= 1 << 64
    return text, match[2] or "", number if -(1 << 63) <= number < 1 << 63 else None


class _Clock:
    """Remembers the last second, which most lines share with the line before."""

    def __init__(self) -> None:
        self.text = ""
        self.second_ns = 0

    def read(self, text: str) -> int | None:
        if text != self.text:
            month = _MONTHS.get(text[4:7])
            if month is None:
                return None
            try:
                parts = (int(text[20:24]), month, int(text[8:10]), int(text[11:13]), int(text[14:16]), int(text[17:19]))
                seconds = calendar.timegm((*parts, 0, 0, 0))
            except (ValueError, OverflowError):
                return None
            if not 0 <= seconds < 9_000_000_000:
                return None
            self.text, self.second_ns = text, seconds * 1_000_000_000
        return self.second_ns


_clock = _Clock()


class Lines:
    """Collects lines and makes columns of them."""

    def __init__(self) -> None:
        self._values: list[Any] = []
        self._shown: dict[str, bytes] = {}
        self._tails: dict[str, tuple[str, str, int | None] | None] = {}
        self._held = 0
        self.unknown = 0
        """How many lines were not understood."""

    def __len__(self) -> int:
        return len(self._values) // len(_NAMES)

    def add(self, line: bytes, seq: int, base: tuple[int, int, int] | None = None, *, cut: bool = False) -> None:
        """Take one line, with or without its newline.

        Args are named p0, p1, ... as the text has no names. pid is the line's thread id, since the text has no other;
        processes.py finds the threads' processes. ``base`` is the time, pid and tid of a record that holds the line:
        its ids count, and its time where the line is not understood (or was ``cut``); then the event's kind is
        ``unknown``.
        """
        text = line.decode("latin-1")
        match = None if cut or len(line) > MAX_LINE else _HEAD.match(text)
        if match is not None:
            stamp, micro, comm, ip, thread, name = match.groups()
            second = _clock.read(stamp)
            body = self._body(text, match.end())
            if second is not None and body is not None:
                args, (ret_text, errno, ret) = body
                tid = int(thread)
                pid, tid = (tid, tid) if base is None else base[1:]
                if not text.isascii():
                    text, comm = text_of(line), text_of(comm.encode("latin-1"))
                time_ns = second + int(micro) * 1000
                shown = self._shown.get(args) or self._show(args)
                self._values += (
                    seq, "syscall", time_ns, pid, tid, comm, int(ip, 16), name, shown, ret, ret_text, errno, text
                )  # fmt: skip
                return
        self.unknown += 1
        time_ns, pid, tid = base or (0, 0, 0)
        raw = text_of(text[:MAX_RAW].encode("latin-1"))
        self._values += (seq, "unknown", time_ns, pid, tid, "", 0, "", b"{}", None, "", "", raw)

    def batch(self) -> pa.RecordBatch:
        """Make columns of the lines so far, and begin anew."""
        import pyarrow as pa

        found, self._values = self._values, []
        values: dict[str, Any] = {name: found[place :: len(_NAMES)] for place, name in enumerate(_NAMES)}
        for name in ("kind", "comm", "api", "errno"):
            values[name] = columns.strings(values[name]).dictionary_encode()
        zeros = [0] * len(values["seq"])
        values |= {"duration_ns": pa.nulls(len(zeros), pa.int64()), "ppid": zeros, "abi": (zeros, [""])}
        return columns.assemble(values)

    def _show(self, text: str) -> bytes:
        """Show arguments as JSON; the same come again and again."""
        found = columns.to_json(arguments(text))
        self._held += len(text) + len(found)
        if self._held > KEPT_BYTES:
            self._shown.clear()
            self._held = 0
        self._shown[text] = found
        return found

    def _body(self, text: str, start: int) -> tuple[str, tuple[str, str, int | None]] | None:
        """Split what follows the opening bracket into arguments, and return value, errno and number.

        Brackets inside strings are escaped, so the last ``) = `` ends the arguments; a log without escapes is still
        read rightly unless a string ends like a line.
        """
        end = text.rfind(") = ", start)
        if end >= 0:
            tail = text[end + 4 :]
            found = self._tails.get(tail, _NEW)
            if found is _NEW:
                found = _returned(tail)
                if len(tail) < 64:
                    if len(self._tails) > 10_000:
                        self._tails.clear()
                    self._tails[tail] = found
            if found is not None:
                return text[start:end], found
        rest = text[start:].rstrip()
        return (rest[:-1], ("", "", None)) if rest.endswith(")") else None


def parse_line(line: bytes, seq: int = 0) -> Event:
    """Read one line by itself; see ``Lines.add``."""
    lines = Lines()
    lines.add(line, seq)
    return next(columns.to_events(lines.batch()))


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Yield lines with their newline and whether they were cut at MAX_LINE; memory stays bounded without newlines."""
    rest, skipping = b"", False
    while block := file.read(_BLOCK):
        if skipping:
            _, newline, block = block.partition(b"\n")
            if not newline:
                continue
            skipping = False
        lines = (rest + block).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield line + b"\n", False
        if len(rest) > MAX_LINE:
            yield rest[:MAX_LINE], True
            rest, skipping = b"", True
    if rest:
        yield rest, False


def batches(path: Path, counts: Counts | None = None) -> Iterator[pa.RecordBatch]:
    """Read a log line by line in bounded memory; ``counts`` is filled on the way. Raises TraceError if unreadable."""
    counts = Counts() if counts is None else counts
    try:
        file = path.open("rb")
    except OSError as error:
        raise TraceError(f"cannot read the trace {path.name}", error.strerror or str(error)) from error
    lines, size = Lines(), 0
    with file:
        for line, cut in _lines(file):
            if line.isspace():
                continue
            lines.add(line, counts.lines, cut=cut)
            counts.lines += 1
            counts.cut += cut
            size += len(line)
            if len(lines) >= columns.BATCH or size > _BATCH_BYTES:
                counts.unknown, size = lines.unknown, 0
                yield lines.batch()
    counts.unknown = lines.unknown
    if len(lines):
        yield lines.batch()


def parse(path: Path, counts: Counts | None = None) -> Iterator[Event]:
    """Read the same as single events."""
    for batch in batches(path, counts):
        yield from columns.to_events(batch)
