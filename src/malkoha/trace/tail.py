"""The events of a run that still goes on: trace/records.bin, as far as it is there, in; events, by and by, out.

A call is told when it has returned, everything else at once; so the order is that in which things were over, not the
order of ``seq``. Memory is bounded by one piece of the file. The file that decode.py reads when the run has ended is
what counts: here a return that a thread gives under another id (an execve of a thread that is not the first) is missed.
"""

from __future__ import annotations

from pathlib import Path

from malkoha.model.event import Event
from malkoha.trace import columns, records
from malkoha.trace.calls import SEQ, Calls
from malkoha.trace.decode import Decoder, returns_of
from malkoha.trace.pairing import Pairs

MAX_WAITING = 4 << 20
"""Bytes of entries that are kept until their calls return; beyond, the oldest are never told."""


class Tail:
    """Follows one records.bin; ``offset`` is how much of it has been read."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        """Begin at ``offset``, which an earlier Tail of the same file had come to."""
        self.path = path
        self.offset = 0
        self.broken = False
        """Whether records were met that make no sense; nothing comes after them."""
        self._decoder = Decoder(path)
        self._calls = Calls()
        self._waiting = b""
        while self.offset < offset and self._read(offset - self.offset):
            pass

    def more(self) -> list[Event]:
        """Return what has come since; empty when there is nothing new yet."""
        found: list[Event] = []
        while not found and (events := self._read(records.MAX_RECORD)) is not None:
            found = events
        return found

    def _read(self, size: int) -> list[Event] | None:
        """Read at most ``size`` bytes on; None when no whole record is there."""
        if self.broken or not self.path.exists():
            return None
        with self.path.open("rb") as file:
            file.seek(self.offset)
            new, sense = records.whole(file.read(min(size, records.MAX_RECORD)))
            self.broken = not sense and not new.data
            if not new.data:
                return None
            self.offset += len(new.data)
            # entries that wait for their return are put in front: so every piece stands for itself
            chunk, _ = records.whole(self._waiting + new.data)
            pairs = Pairs()
            entries = pairs.feed(chunk)
            data, returns = returns_of(chunk, entries, [], file)
        batch = self._decoder.batch(chunk, data, returns, self._calls)
        waiting = sorted(pairs.waiting.values())
        heads = [records.HEAD.unpack_from(chunk.data, place) for place in waiting]
        pieces = [chunk.data[place : place + head[0]] for place, head in zip(waiting, heads, strict=True)]
        while sum(map(len, pieces)) > MAX_WAITING:
            pieces.pop(0)
        self._waiting = b"".join(pieces)
        open_calls = {head[3] & SEQ for head in heads}
        return [event for event in columns.to_events(batch) if event.kind != "syscall" or event.seq not in open_calls]
