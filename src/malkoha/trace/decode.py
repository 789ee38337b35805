"""From trace/records.bin to events in the order in which they happened.

Two passes over the file, piece by piece. The first finds the returns that stand in a later piece than their entries,
so that the second can make one whole event a call, in the order of the entries, as columns. Memory stays bounded by one
piece and the calls that wait for their return. What cannot be understood is counted in ``Reading``, never raised.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from malkoha.model.event import Event
from malkoha.trace import columns, constants, memory, records, stap
from malkoha.trace.arguments import strings
from malkoha.trace.calls import NS, SEQ, Calls
from malkoha.trace.pairing import Pairs
from malkoha.trace.records import HEAD, Blob, Chunk
from malkoha.trace.syscalls import IDENTITY

if TYPE_CHECKING:
    import pyarrow as pa

    from malkoha.trace.calls import Words


@dataclass
class Reading:
    """What reading one trace met."""

    records: int = 0
    unread_bytes: int = 0
    """Bytes behind the first record that makes no sense, or of a torn last one."""
    orphans: int = 0
    """Returns whose entry is not in the trace."""
    bad_bytes: int = 0
    """Bytes inside records that should describe memory of the sample, but make no sense."""
    bad_lines: int = 0
    """Lines of the kprobe engine outside the grammar."""


class Decoder:
    """Reads one records.bin; ``reading`` is filled while ``batches`` or ``events`` is consumed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reading = Reading()
        self._offset_ns = 0
        self._lines = stap.Lines()
        self._make: dict[int, Callable[[bytes, int], Event]] = {
            records.FORK: self._fork,
            records.EXEC: self._exec,
            records.TASK_EXIT: self._task_exit,
            records.SIGNAL: self._signal,
            records.ADOPT: self._adopt,
        }

    def events(self) -> Iterator[Event]:
        """Yield every event, in order of ``seq``; an empty or missing file has none."""
        for batch in self.batches():
            yield from columns.to_events(batch)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the same as columns, some ten thousand events at once."""
        self.reading = Reading()
        self._offset_ns = 0
        self._lines = stap.Lines()
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            far = self._survey(file)
            pairs, shown = Pairs(), Calls()
            file.seek(0)
            for chunk in records.chunks(file):
                entries = pairs.feed(chunk)
                later = [(entry, far[entry]) for entry in pairs.waiting.values() if entry in far]
                data, returns = returns_of(chunk, entries, later, file)
                batch = self.batch(chunk, data, returns, shown)
                if len(batch):
                    yield batch
            self.reading.orphans += shown.orphans
            self.reading.bad_bytes += shown.bad_bytes
            self.reading.bad_lines = self._lines.unknown

    def _survey(self, file: BinaryIO) -> dict[int, int]:
        """Count what the file holds; return the entries whose returns stand in a later piece, with these."""
        pairs, far, end = Pairs(), dict[int, int](), 0
        for chunk in records.chunks(file):
            entries = pairs.feed(chunk)
            backs = chunk.starts[chunk.kinds == records.EXIT] * 8 + chunk.base
            elsewhere = (entries >= 0) & (entries < chunk.base)
            far.update(zip(entries[elsewhere].tolist(), backs[elsewhere].tolist(), strict=True))
            self.reading.orphans += int((entries < 0).sum())
            self.reading.records += len(chunk.starts)
            end = chunk.base + len(chunk.data)
        self.reading.unread_bytes = os.fstat(file.fileno()).st_size - end
        return far

    def batch(self, chunk: Chunk, data: bytes, returns: Words, shown: Calls) -> pa.RecordBatch:
        """Make the rows of one piece: calls all at once, what the scheduler did and lines of text one by one."""
        import numpy as np

        offsets = self._offsets(chunk)
        is_call, is_text = chunk.kinds == records.ENTER, chunk.kinds == records.TEXT
        others = np.flatnonzero(~is_call & ~is_text & (chunk.kinds != records.EXIT) & (chunk.kinds != records.CLOCK))
        starts = chunk.starts[is_call]
        made = shown.batch(data, starts, returns[starts], offsets[is_call])
        texts = np.flatnonzero(is_text)
        if len(starts) and not len(others) and not len(texts):
            return made
        events: list[Event] = []
        for place in others.tolist():
            self._offset_ns = int(offsets[place])
            events.append(self._make[int(chunk.kinds[place])](data, int(chunk.starts[place]) * 8))
        for place in texts.tolist():
            self._offset_ns = int(offsets[place])
            self._text(data, int(chunk.starts[place]) * 8)
        self._offset_ns = int(offsets[-1]) if len(offsets) else self._offset_ns
        order = np.argsort(np.concatenate((np.flatnonzero(is_call), others, texts)), kind="stable")
        parts = (made, columns.from_events(events), self._lines.batch())
        return columns.join([part for part in parts if len(part)] or [made]).take(order)

    def _offsets(self, chunk: Chunk) -> Words:
        """Tell for each record what makes calendar time of its monotonic time: that of the last clock record."""
        import numpy as np

        clocks = np.flatnonzero(chunk.kinds == records.CLOCK)
        words = np.frombuffer(chunk.data, "<u8")
        at = chunk.starts[clocks]
        found = (words[at + 4] & NS).astype(np.int64) - (words[at + 2] & NS).astype(np.int64)
        bounds = np.concatenate(([0], clocks, [len(chunk.kinds)]))
        offsets = np.repeat(np.concatenate(([self._offset_ns], found)), np.diff(bounds))
        self._offset_ns = int(offsets[-1]) if len(offsets) else self._offset_ns
        return offsets

    def _base(self, data: bytes, offset: int) -> dict[str, Any]:
        _, _, _, seq, mono_ns, tid, pid = HEAD.unpack_from(data, offset)
        return {"seq": seq & SEQ, "time_ns": (mono_ns & NS) + self._offset_ns, "tid": tid, "pid": pid}

    def _blobs(self, data: bytes, offset: int, kind: int) -> dict[int, Blob]:
        found: list[Blob] = []
        end = offset + HEAD.unpack_from(data, offset)[0]
        self.reading.bad_bytes += records.blobs(data, offset + records.MINIMUM[kind], end, found)
        return {blob.arg: blob for blob in found}

    def _fork(self, data: bytes, offset: int) -> Event:
        child_tid, child_pid, ppid, uid, comm = records.FORK_BODY.unpack_from(data, offset + HEAD.size)
        args = {
            "child_pid": child_pid,
            "child_tid": child_tid,
            "thread": child_pid != child_tid,
            "child_ppid": ppid,
            "uid": uid,
        }
        found = self._blobs(data, offset, records.FORK)
        if IDENTITY in found:
            args["identity"] = memory.identity(found[IDENTITY].data)
        return Event(kind="fork", comm=records.name(comm), args=args, **self._base(data, offset))

    def _exec(self, data: bytes, offset: int) -> Event:
        old_tid, ppid, uid, euid, gid, egid, comm = records.EXEC_BODY.unpack_from(data, offset + HEAD.size)
        found = self._blobs(data, offset, records.EXEC)
        paths = {i: records.text(found[i].data) if i in found else "" for i in (0, 1, 3)}
        args = {
            "filename": paths[0],
            "exe": paths[1],
            "argv": strings(found[2]) if 2 in found else [],
            "cwd": paths[3],
            "old_tid": old_tid,
            "uid": uid,
            "euid": euid,
            "gid": gid,
            "egid": egid,
            "envp": strings(found[4]) if 4 in found else [],
            "identity": memory.identity(found[IDENTITY].data) if IDENTITY in found else {},
        }
        return Event(kind="exec", ppid=ppid, comm=records.name(comm), args=args, **self._base(data, offset))

    def _task_exit(self, data: bytes, offset: int) -> Event:
        code, group_dead, comm = records.TASK_EXIT_BODY.unpack_from(data, offset + HEAD.size)
        args = {"code": code >> 8 & 0xFF, "signal": code & 0x7F, "core": bool(code & 0x80), "group": bool(group_dead)}
        return Event(kind="exit", comm=records.name(comm), args=args, **self._base(data, offset))

    def _signal(self, data: bytes, offset: int) -> Event:
        number, code, sender, handled = records.SIGNAL_BODY.unpack_from(data, offset + HEAD.size)
        args = {
            "signal": constants.SIGNALS.get(number, str(number)),
            "code": code,
            "sender": sender,
            "handled": bool(handled),
        }
        return Event(kind="signal", args=args, **self._base(data, offset))

    def _adopt(self, data: bytes, offset: int) -> Event:
        """The event belongs to the adopted process, whoever was running when the tracer noticed."""
        tid, pid, ppid, uid, why, by, comm = records.ADOPT_BODY.unpack_from(data, offset + HEAD.size)
        found = self._blobs(data, offset, records.ADOPT)
        what, exe, cwd = (records.text(found[i].data) if i in found else "" for i in (0, 1, 3))
        args = {
            "why": records.WHYS[why] if why < len(records.WHYS) else str(why),
            "what": what,
            "by": by,
            "exe": exe,
            "argv": strings(found[2]) if 2 in found else [],
            "cwd": cwd,
            "uid": uid,
        }
        base = {**self._base(data, offset), "tid": tid, "pid": pid}
        return Event(kind="adopt", ppid=ppid, comm=records.name(comm), args=args, **base)

    def _text(self, data: bytes, offset: int) -> None:
        size = HEAD.unpack_from(data, offset)[0]
        base = self._base(data, offset)
        line = data[offset + HEAD.size : offset + size].rstrip(b"\0\n")
        self._lines.add(line, base["seq"], (base["time_ns"], base["pid"], base["tid"]))


def returns_of(chunk: Chunk, entries: Words, later: list[tuple[int, int]], file: BinaryIO) -> tuple[bytes, Words]:
    """Map the start of each ENTER of a piece to that of its EXIT, -1 where there is none; both in words of 8 bytes.

    Returns that stand in later pieces are fetched and put behind the piece's own bytes.
    """
    import numpy as np

    found = np.full(len(chunk.data) // 8, -1, np.int64)
    here = entries >= chunk.base
    found[(entries[here] - chunk.base) >> 3] = chunk.starts[chunk.kinds == records.EXIT][here]
    parts, end = [chunk.data], len(chunk.data)
    for entry, back in later:
        if entry >= chunk.base:
            size, _ = records.SIZE_TYPE.unpack(os.pread(file.fileno(), records.SIZE_TYPE.size, back))
            parts.append(os.pread(file.fileno(), size, back))
            found[(entry - chunk.base) >> 3] = end >> 3
            end += size
    return b"".join(parts), found
