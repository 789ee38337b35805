"""Carries frames between QEMU and the namespace, keeps each of them, and tells of every port before it is reached.

In: the stream socket of QEMU's network card (each frame after its length, four bytes, big endian) and the namespace's
link. Since every frame passes here, a port gets its listener when the first packet to it comes by, so that all 65,535
of them are open without one being held in advance, and no packet filter of the kernel is needed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from collections.abc import Callable

from malkoha.network.capture import Capture

READ = 1 << 18
FRAMES = 256
"""Frames that are taken from the namespace in one go."""
LONGEST = 65_550
OUT_LIMIT = 4 << 20
"""Bytes for the guest that may wait; beyond, the namespace's own queue fills, which is how TCP learns of it."""
TCP, UDP = 6, 17
_SYN, _SYN_ACK = 0x02, 0x12
_LENGTH = struct.Struct(">I")


def destination(frame: bytes | memoryview) -> tuple[int, int] | None:
    """Return protocol and port of a frame that may begin something: a TCP SYN or a UDP packet, else None."""
    kind = frame[12:14]
    if kind == b"\x08\x00" and len(frame) >= 34:
        protocol, start = frame[23], 14 + (frame[14] & 15) * 4
        if (frame[20] & 0x1F) | frame[21]:
            return None
    elif kind == b"\x86\xdd" and len(frame) >= 54:
        protocol, start = frame[20], 54
    else:
        return None
    if protocol == TCP and len(frame) >= start + 14 and frame[start + 13] & _SYN_ACK == _SYN:
        return TCP, int.from_bytes(frame[start + 2 : start + 4])
    if protocol == UDP and len(frame) >= start + 4:
        return UDP, int.from_bytes(frame[start + 2 : start + 4])
    return None


class Pump:
    """Both directions, on the running loop; ends when QEMU closes its end."""

    def __init__(self, wire: socket.socket, capture: Capture, expect: Callable[[int, int], None]) -> None:
        self.ended = asyncio.Event()
        self.dropped = 0
        """Frames that the namespace did not take, or that made no sense."""
        self._wire, self._capture, self._expect = wire, capture, expect
        self._link = -1
        self._in = bytearray()
        self._out = bytearray()
        self._loop = asyncio.get_running_loop()
        self._known: set[tuple[int, int]] = set()
        self.on_frame: Callable[[bytes], bytes | None] | None = None
        """Answers a frame of the guest where there is no namespace."""
        self.admit: Callable[[bytes], bool] | None = None
        """Tells whether the namespace may have a frame of the guest; one that may not can be delivered later."""
        wire.setblocking(False)

    def start(self, link: int | None) -> None:
        """Begin; without a link every frame of the guest is kept and goes nowhere."""
        self._loop.add_reader(self._wire.fileno(), self._from_guest)
        if link is not None:
            self._link = link
            os.set_blocking(link, False)
            self._loop.add_reader(link, self._to_guest)

    def stop(self) -> None:
        """Take what is there already, then end."""
        if not self.ended.is_set():
            with contextlib.suppress(OSError):
                self._from_guest()
        self._end()

    def forget(self, protocol: int, port: int) -> None:
        """Ask again for that port when something comes to it."""
        self._known.discard((protocol, port))

    def _end(self) -> None:
        if self._wire.fileno() >= 0:
            self._loop.remove_reader(self._wire.fileno())
            self._loop.remove_writer(self._wire.fileno())
            self._wire.close()
        if self._link >= 0:
            self._loop.remove_reader(self._link)
            self._link = -1
        self.ended.set()

    def _from_guest(self) -> None:
        try:
            data = self._wire.recv(READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._end()
            return
        self._in += data
        at = 0
        while len(self._in) - at >= 4:
            (size,) = _LENGTH.unpack_from(self._in, at)
            if size > LONGEST:
                # QEMU is not what it was: nothing that follows can be told apart
                self.dropped += 1
                self._end()
                return
            if len(self._in) - at - 4 < size:
                break
            self._frame(bytes(self._in[at + 4 : at + 4 + size]))
            at += 4 + size
        del self._in[:at]

    def _frame(self, frame: bytes) -> None:
        self._capture.write(frame)
        if self._link < 0:
            answer = self.on_frame(frame) if self.on_frame is not None else None
            if answer is not None:
                self.answer(answer)
            return
        if self.admit is None or self.admit(frame):
            self.deliver(frame)

    def deliver(self, frame: bytes) -> None:
        """Give a frame of the guest to the namespace."""
        wanted = destination(frame)
        if wanted is not None and wanted not in self._known:
            self._known.add(wanted)
            self._expect(*wanted)
        try:
            os.write(self._link, frame)
        except OSError:
            self.dropped += 1

    def answer(self, frame: bytes) -> None:
        """Send the guest a frame that no namespace has made."""
        self._capture.write(frame)
        self._send(frame)

    def _to_guest(self) -> None:
        for _ in range(FRAMES):
            try:
                frame = os.read(self._link, LONGEST)
            except BlockingIOError:
                break
            except OSError:
                self._loop.remove_reader(self._link)
                break
            self._capture.write(frame)
            self._out += _LENGTH.pack(len(frame)) + frame
        self._flush()

    def _send(self, frame: bytes) -> None:
        if len(self._out) > OUT_LIMIT:
            self.dropped += 1
            return
        self._out += _LENGTH.pack(len(frame)) + frame
        self._flush()

    def _flush(self) -> None:
        if self.ended.is_set():
            return
        try:
            while self._out:
                del self._out[: self._wire.send(self._out)]
        except BlockingIOError:
            self._loop.add_writer(self._wire.fileno(), self._flush)
            if len(self._out) > OUT_LIMIT and self._link >= 0:
                self._loop.remove_reader(self._link)
            return
        except OSError:
            self._end()
            return
        self._loop.remove_writer(self._wire.fileno())
        if self._link >= 0:
            self._loop.add_reader(self._link, self._to_guest)
