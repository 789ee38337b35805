"""One connection to the agent's port: frames out, answers and streams in, each with a deadline.

In: the UNIX socket of the machine's agent port. A thread of its own reads all that comes, so that the guest never
waits for the host. Everything from the guest is hostile: nothing is kept but the answer that is waited for, and what
belongs to no frame is counted and dropped.
"""

from __future__ import annotations

import itertools
import logging
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from malkoha.errors import GuestError
from malkoha.inguest import protocol

log = logging.getLogger(__name__)

Head = dict[str, Any]

READ = 256 << 10
RETRY_S = 0.05
POLL_S = 0.1
TICK_S = 1.0
FLUSH_AFTER_S = 3.0
"""How long a greeting may stay without an answer: then a broken frame has swallowed it, which is to be completed."""
QUIET_S = 10.0
"""After that long without a word from a guest that should be running, it is asked whether it lives."""
DEAD_S = 60.0
"""After that long without any answer it does not."""


class NoAnswerError(GuestError):
    """The agent did not answer, so nobody knows whether it did what was asked."""


class Channel:
    """A session with the agent; requests come from one thread, frames are read in another."""

    def __init__(self, on_stream: Callable[[str, Head, bytes], None], hopeless: Callable[[], str]) -> None:
        """Prepare a session; ``hopeless`` says why no answer can come any more, "" while one can."""
        self._on_stream = on_stream
        self._hopeless = hopeless
        self._socket: socket.socket | None = None
        self._reader: threading.Thread | None = None
        self._closing = threading.Event()
        self._decoder = protocol.Decoder()
        self._ids = itertools.count(1)
        self._nonce = ""
        self._changed = threading.Condition()
        self._waiting = 0
        self._answer: tuple[Head, bytes] | None = None
        self._greeted = False
        self._echoed = False
        self._loaded = False
        self._heard_at = 0.0
        self._asked_at = 0.0
        self.watch = False
        """Whether silence means death: while a sample runs, and not while a request takes long."""
        self.trouble = ""
        """Why the channel is of no use any more."""
        self.dropped = 0
        """Frames that nobody had asked for."""

    @property
    def alive(self) -> bool:
        """Whether the port is connected and the agent gave no reason to think that it is gone."""
        return self._socket is not None and not self.trouble

    @property
    def skipped(self) -> int:
        """Bytes from the guest that belonged to no frame."""
        return self._decoder.skipped

    # -- connection ------------------------------------------------------------------------------------------------

    def connect(self, path: Path, deadline_s: float) -> None:
        """Connect to the port and begin to read."""
        if self._socket is not None:
            raise GuestError("this channel has been connected already")
        end = time.monotonic() + deadline_s
        while True:
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                connection.connect(str(path))
                break
            except OSError as error:
                connection.close()
                if time.monotonic() > end:
                    raise GuestError("the guest's agent port cannot be reached", str(error)) from error
                time.sleep(RETRY_S)
        connection.setblocking(False)
        self._socket = connection
        self._reader = threading.Thread(target=self._read, args=(connection,), name="guest-reader", daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End the session; harmless when there is none."""
        self._closing.set()
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                log.debug("the guest's port was closed by the other side")
        if self._reader is not None:
            self._reader.join()
            self._reader = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def load(self, body: bytes, deadline_s: float) -> None:
        """Give the starter in a freshly booted guest the agent's code, and wait until it runs."""
        end = time.monotonic() + deadline_s
        self._send(protocol.encode({"do": "load"}, body), end)
        if not self._wait(lambda: self._loaded, end):
            raise self._silence("the guest did not load the agent", deadline_s)

    def greet(self, deadline_s: float, *, again: bool = False) -> None:
        """Begin a session with an agent that runs already; when there is one, only ``again`` greets."""
        if self._greeted and not again:
            return
        end = time.monotonic() + deadline_s
        with self._changed:
            self._nonce, self._echoed = secrets.token_hex(16), False
        hello = {"do": "hello", "id": 0, "nonce": self._nonce}
        self._send(protocol.encode(hello), end)
        while not self._wait(lambda: self._echoed, min(end, time.monotonic() + FLUSH_AFTER_S)):
            if self.trouble or self._hopeless() or time.monotonic() > end:
                raise self._silence("the agent in the guest does not answer", deadline_s)
            self._send(protocol.FLUSH + protocol.encode({**hello, "flush": True}), end)

    # -- requests --------------------------------------------------------------------------------------------------

    def tell(self, head: Head, body: bytes, end: float) -> None:
        """Send a request that has no answer; ``end`` is a time.monotonic()."""
        self._send(_encode(head, body), end)

    def ask(self, head: Head, body: bytes, wait_s: float) -> tuple[Head, bytes]:
        """Send a request and return its answer; GuestError with what the guest says when it refuses."""
        self.greet(wait_s)
        end = time.monotonic() + wait_s
        number = next(self._ids)
        with self._changed:
            self._waiting, self._answer = number, None
        try:
            self._send(_encode({**head, "id": number}, body), end)
            self._wait(lambda: self._answer is not None, end)
        finally:
            answer = self._stop_waiting()
        if answer is None:
            raise self._silence(f"the agent in the guest did not answer {head['do']!r}", wait_s)
        error = answer[0].get("error")
        if error is not None:
            raise GuestError(error[:4096] if isinstance(error, str) else "the agent in the guest refuses")
        return answer

    def _stop_waiting(self) -> tuple[Head, bytes] | None:
        """Return the answer that has come, if any; later ones are dropped."""
        with self._changed:
            answer, self._waiting, self._answer = self._answer, 0, None
        return answer

    def _silence(self, what: str, waited_s: float) -> GuestError:
        return NoAnswerError(what, self.trouble or self._hopeless() or f"nothing in {waited_s:.3g} s")

    def _wait(self, done: Callable[[], bool], end: float) -> bool:
        """Wait until something is true or the channel is of no use."""
        with self._changed:
            while not done() and not self.trouble:
                left = end - time.monotonic()
                self._changed.wait(max(min(left, POLL_S), 0.0))
                if not done() and (left <= 0 or self._hopeless()):
                    break
            return done()

    def _send(self, data: bytes, end: float) -> None:
        view = memoryview(data)
        while view:
            if self._socket is None:
                raise GuestError("the agent in the guest is not connected")
            if self.trouble:
                raise NoAnswerError("the agent in the guest is gone", self.trouble)
            try:
                view = view[self._socket.send(view) :]
            except BlockingIOError:
                if time.monotonic() > end or self._hopeless():
                    why = self._hopeless() or "its time is over"
                    raise NoAnswerError("the agent in the guest takes nothing more", why) from None
                select.select([], [self._socket], [], POLL_S)
            except OSError as error:
                raise NoAnswerError("the agent in the guest is gone", str(error)) from error

    # -- what comes, in the reader's thread --------------------------------------------------------------------------

    def _read(self, connection: socket.socket) -> None:
        self._heard_at = time.monotonic()
        try:
            while not self._closing.is_set():
                if not select.select([connection], [], [], TICK_S)[0]:
                    self._check_silence(connection)
                    continue
                data = connection.recv(READ)
                if not data:
                    self._end("the connection was closed")
                    return
                self._heard_at = time.monotonic()
                for head, body in self._decoder.feed(data):
                    self._take(head, body)
        except OSError as error:
            self._end(str(error))
        except Exception as error:
            log.exception("the guest's port is not read any more")
            self._end(f"{type(error).__name__}: {error}")

    def _end(self, why: str) -> None:
        with self._changed:
            if not self._closing.is_set():
                self.trouble = self.trouble or why
            self._changed.notify_all()

    def _check_silence(self, connection: socket.socket) -> None:
        """Ask a quiet guest whether it lives, and give it up when it stays quiet."""
        now = time.monotonic()
        quiet = now - self._heard_at
        if not self.watch or quiet < QUIET_S:
            return
        if quiet > DEAD_S:
            self._end(f"the agent in the guest said nothing for {quiet:.0f} s")
        elif now - self._asked_at > QUIET_S:
            self._asked_at = now
            # the socket takes it whole or not at all, unless it is full: then nobody reads at the other end anyway
            connection.send(protocol.encode({"do": "ping", "id": -1}))

    def _take(self, head: Head, body: bytes) -> None:
        """Sort one frame; before the greeting is answered only what the starter says counts."""
        stream = head.get("stream")
        if not isinstance(stream, str):
            self._take_answer(head, body)
        elif stream == "empty" and (self._loaded or self._greeted):
            self._end("the agent in the guest was killed")
        elif stream == "failed" and not self._greeted:
            self._end(f"the agent could not be loaded: {str(head.get('error'))[-1000:]}")
        elif stream == "loaded" and not self._greeted:
            with self._changed:
                self._loaded = True
                self._changed.notify_all()
        elif self._greeted:
            self._on_stream(stream, head, body)
        else:
            self.dropped += 1

    def _take_answer(self, head: Head, body: bytes) -> None:
        number = head.get("id")
        with self._changed:
            if number == 0 and self._nonce and head.get("nonce") == self._nonce:
                self._greeted = self._echoed = True
            elif self._greeted and self._waiting and number == self._waiting and self._answer is None:
                self._answer = (head, body)
            elif number != -1:
                self.dropped += 1
            self._changed.notify_all()


def _encode(head: Head, body: bytes) -> bytes:
    try:
        return protocol.encode(head, body)
    except protocol.ProtocolError as error:
        raise GuestError(f"the request {head['do']!r} is too large for the guest", str(error)) from error
