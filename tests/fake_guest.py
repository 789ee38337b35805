"""A guest without a guest: a thread that answers requests on a UNIX socket as a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from malkoha.inguest import protocol
from malkoha.inguest.protocol import encode

Head = dict[str, Any]
Answer = Callable[[Head], bytes]


def polite(head: Head) -> bytes:
    """Answer as an agent would."""
    number, what = head.get("id"), head["do"]
    answers: dict[str, Head] = {
        "hello": {"nonce": head.get("nonce"), "version": 1},
        "prepare": {"package": "generic", "argv": ["/tmp/x", "\xff"]},
        "launch": {"pid": 77},
        "arm": {"line": "ring 1000"},
    }
    if what == "load":
        return encode({"stream": "loaded"})
    return encode({"id": number, **answers.get(what, {})})


class FakeGuest:
    """Takes one host at a time and answers each request with what ``answer`` makes of it."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[Head] = []
        self.connection: socket.socket | None = None
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self.connection = self._listener.accept()[0]
                decoder = protocol.Decoder()
                with self.connection as connection, contextlib.suppress(OSError):
                    while data := connection.recv(1 << 20):
                        for head, _ in decoder.feed(data):
                            self.asked.append(head)
                            connection.sendall(self.answer(head))

    def say(self, data: bytes) -> None:
        """Send something that nobody asked for."""
        assert self.connection is not None
        self.connection.sendall(data)

    def hang_up(self) -> None:
        """End the connection to the host, as when the guest's port is lost."""
        if self.connection is not None:
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Take no host any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        self._thread.join()
