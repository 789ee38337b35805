"""Frames to a pcap file (nanosecond form, link type Ethernet), written outside the guest and bounded."""

from __future__ import annotations

import struct
import time
from typing import BinaryIO

MAGIC_NS = 0xA1B23C4D
ETHERNET = 1
SNAPLEN = 65535
_HEAD, _RECORD = struct.Struct("<IHHiIII"), struct.Struct("<IIII")


class Capture:
    """One capture; what does not fit below ``limit`` bytes is counted."""

    def __init__(self, file: BinaryIO, limit: int) -> None:
        self.frames = 0
        self.dropped = 0
        self._file = file
        self._left = limit - _HEAD.size
        file.write(_HEAD.pack(MAGIC_NS, 2, 4, 0, 0, SNAPLEN, ETHERNET))

    def write(self, frame: bytes | memoryview, at_ns: int = 0) -> None:
        """Add one frame; ``at_ns`` is its time since the epoch, 0 for now."""
        size = len(frame)
        self._left -= size + _RECORD.size
        if self._left < 0:
            self._left = 0
            self.dropped += 1
            return
        seconds, rest = divmod(at_ns or time.time_ns(), 1_000_000_000)
        self._file.write(_RECORD.pack(seconds & 0xFFFFFFFF, rest, size, size))
        self._file.write(frame)
        self.frames += 1

    def flush(self) -> None:
        self._file.flush()
