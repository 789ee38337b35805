"""From trace/records.bin to events in the order in which they happened.

Two passes over the mapped file. The first finds the records and pairs every call's entry with its return, so that the
second can make one whole event a call in the order of the entries; memory grows by 17 bytes an event. What cannot be
understood is counted in ``Reading``, never raised.
"""

from __future__ import annotations

import mmap
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from malkoha.model.event import Event
from malkoha.trace import constants, records, stap
from malkoha.trace.arguments import Rendering, rendering, rendering_of_unknown, strings
from malkoha.trace.records import ENTER_RECORD, EXIT_RECORD, HEAD, Blob, Data
from malkoha.trace.syscalls import X32_BIT, Abi, numbers

_ABIS: tuple[Abi, ...] = ("x86-64", "i386", "x32")
_ADDRESS_CALLS = frozenset({"mmap", "mmap2", "brk", "mremap", "shmat"})
_TASKS = frozenset({records.FORK, records.EXEC, records.TASK_EXIT})
_NS, _SEQ, _WORD = (1 << 62) - 1, (1 << 63) - 1, (1 << 64) - 1
"""Masks that no honest number needs: with them even a forged time or sequence fits a signed word."""


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
    """Reads one records.bin; ``reading`` is filled while ``events`` is consumed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.reading = Reading()
        self._offset_ns = 0
        self._calls: dict[tuple[int, int], Rendering] = {}
        self._make: dict[int, Callable[[Data, int, int], Event | None]] = {
            records.CLOCK: self._clock,
            records.ENTER: self._call,
            records.FORK: self._fork,
            records.EXEC: self._exec,
            records.TASK_EXIT: self._task_exit,
            records.SIGNAL: self._signal,
            records.TEXT: self._text,
        }

    def events(self) -> Iterator[Event]:
        """Yield every event, in order of ``seq``; an empty or missing file has none."""
        self.reading = Reading()
        self._offset_ns = 0
        if not self.path.exists() or not self.path.stat().st_size:
            return
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for kind, offset, back in zip(*self._pair(data), strict=True):
                event = self._make[kind](data, offset, back)
                if event is not None:
                    yield event

    def _pair(self, data: Data) -> tuple[bytearray, array[int], array[int]]:
        """Find all records but returns: types, offsets, and for each ENTER the offset of its EXIT (0: none)."""
        kinds, starts, returns = bytearray(), array("q"), array("q")
        waiting: dict[int, int] = {}
        end = orphans = exits = 0
        tid_of = records.TID.unpack_from
        for offset, size, kind in records.scan(data):
            end = offset + size
            if kind == records.EXIT:
                exits += 1
                entry = waiting.pop(tid_of(data, offset)[0], None)
                if entry is None:
                    orphans += 1
                else:
                    returns[entry] = offset
            elif kind != records.PAD:
                if kind == records.ENTER:
                    waiting[tid_of(data, offset)[0]] = len(starts)
                elif kind in _TASKS:
                    _follow_task(data, offset, kind, waiting)
                kinds.append(kind)
                starts.append(offset)
                returns.append(0)
        self.reading.records = len(starts) + exits
        self.reading.orphans = orphans
        self.reading.unread_bytes = len(data) - end
        return kinds, starts, returns

    def _clock(self, data: Data, offset: int, back: int) -> None:
        """All times count from the last clock record: monotonic time, shown on the calendar."""
        del back
        real_ns = records.CLOCK_BODY.unpack_from(data, offset + HEAD.size)[0] & _NS
        self._offset_ns = real_ns - (HEAD.unpack_from(data, offset)[4] & _NS)

    def _base(self, data: Data, offset: int) -> dict[str, Any]:
        _, _, _, seq, mono_ns, tid, pid = HEAD.unpack_from(data, offset)
        return {"seq": seq & _SEQ, "time_ns": (mono_ns & _NS) + self._offset_ns, "tid": tid, "pid": pid}

    def _call(self, data: Data, offset: int, back: int) -> Event:
        size, _, flags, seq, mono_ns, tid, pid, nr, ppid, ip, *values, comm = ENTER_RECORD.unpack_from(data, offset)
        blobs: list[Blob] = []
        left = 0
        if size > ENTER_RECORD.size:
            left = records.blobs(data, offset + ENTER_RECORD.size, offset + size, blobs)
        ret, duration_ns, ret_text, errno = None, None, "", ""
        shown = self._calls.get((flags & 0xFF, nr)) or self._rendering(flags & 0xFF, nr)
        if back:
            back_size, _, _, _, back_ns, _, _, back_nr, _, back_ret = EXIT_RECORD.unpack_from(data, back)
            if back_nr in (nr, -1):  # sigreturn has no number any more when it returns
                if back_size > EXIT_RECORD.size:
                    left += records.blobs(data, back + EXIT_RECORD.size, back + back_size, blobs)
                ret = back_ret
                duration_ns = max((back_ns & _NS) - (mono_ns & _NS), 0)
                if -4096 < ret < 0:
                    ret_text, errno = str(ret), constants.ERRNOS.get(-ret) or str(-ret)
                else:
                    ret_text = hex(ret & _WORD) if shown.name in _ADDRESS_CALLS else str(ret)
            else:
                self.reading.orphans += 1
        if left:
            self.reading.bad_bytes += left
        return Event(
            seq=seq & _SEQ,
            kind="syscall",
            time_ns=(mono_ns & _NS) + self._offset_ns,
            duration_ns=duration_ns,
            pid=pid,
            tid=tid,
            ppid=ppid,
            comm=records.name(comm),
            ip=ip,
            abi=shown.abi,
            api=shown.name,
            args=shown.show(values, blobs),
            ret=ret,
            ret_text=ret_text,
            errno=errno,
        )

    def _rendering(self, flags: int, nr: int) -> Rendering:
        """Find how a call is shown; only calls that exist are kept, since a sample may try all numbers."""
        abi = _ABIS[min(flags, 2)]
        call = numbers(abi).get(nr & ~X32_BIT if abi == "x32" else nr)
        if call is None:
            return rendering_of_unknown(nr, abi)
        self._calls[flags, nr] = found = rendering(call, abi)
        return found

    def _blobs(self, data: Data, offset: int, kind: int) -> dict[int, Blob]:
        found: list[Blob] = []
        end = offset + HEAD.unpack_from(data, offset)[0]
        self.reading.bad_bytes += records.blobs(data, offset + records.MINIMUM[kind], end, found)
        return {blob.arg: blob for blob in found}

    def _fork(self, data: Data, offset: int, back: int) -> Event:
        del back
        child_tid, child_pid, ppid, uid, comm = records.FORK_BODY.unpack_from(data, offset + HEAD.size)
        args = {
            "child_pid": child_pid,
            "child_tid": child_tid,
            "thread": child_pid != child_tid,
            "child_ppid": ppid,
            "uid": uid,
        }
        return Event(kind="fork", comm=records.name(comm), args=args, **self._base(data, offset))

    def _exec(self, data: Data, offset: int, back: int) -> Event:
        del back
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
        }
        return Event(kind="exec", ppid=ppid, comm=records.name(comm), args=args, **self._base(data, offset))

    def _task_exit(self, data: Data, offset: int, back: int) -> Event:
        del back
        code, group_dead, comm = records.TASK_EXIT_BODY.unpack_from(data, offset + HEAD.size)
        args = {"code": code >> 8 & 0xFF, "signal": code & 0x7F, "core": bool(code & 0x80), "group": bool(group_dead)}
        return Event(kind="exit", comm=records.name(comm), args=args, **self._base(data, offset))

    def _signal(self, data: Data, offset: int, back: int) -> Event:
        del back
        number, code, sender, handled = records.SIGNAL_BODY.unpack_from(data, offset + HEAD.size)
        args = {
            "signal": constants.SIGNALS.get(number, str(number)),
            "code": code,
            "sender": sender,
            "handled": bool(handled),
        }
        return Event(kind="signal", args=args, **self._base(data, offset))

    def _text(self, data: Data, offset: int, back: int) -> Event:
        del back
        size = HEAD.unpack_from(data, offset)[0]
        line = data[offset + HEAD.size : offset + size].rstrip(b"\0\n")
        base = self._base(data, offset)
        event = stap.parse_line(line)
        if event.kind == "unknown":
            self.reading.bad_lines += 1
            return Event(kind="unknown", raw=records.text(line), **base)
        event.seq, event.pid, event.tid = base["seq"], base["pid"], base["tid"]
        return event


def _follow_task(data: Data, offset: int, kind: int, waiting: dict[int, int]) -> None:
    """Keep ``waiting`` true: a task that begins or ends has no call that could still return.

    A thread that execs goes on under its leader's id, and so does its pending execve.
    """
    tid = records.TID.unpack_from(data, offset)[0]
    if kind == records.TASK_EXIT:
        waiting.pop(tid, None)
    elif kind == records.FORK:
        waiting.pop(records.FORK_BODY.unpack_from(data, offset + HEAD.size)[0], None)
    else:
        old_tid = records.EXEC_BODY.unpack_from(data, offset + HEAD.size)[0]
        if old_tid != tid and old_tid in waiting:
            waiting[tid] = waiting.pop(old_tid)
