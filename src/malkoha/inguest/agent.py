"""The resident listener: takes files and requests from the host, starts the sample, sends what it writes.

Runs in the guest from memory, started by bootstrap.py, which gives it the port. It is one thread: it answers one
request after the other, and between them forwards the sample's output. While the host is not connected it does nothing
at all, and the sample waits when its pipes are full.
"""

from __future__ import annotations

import os
import platform
import pwd
import select
import signal
import time
from collections.abc import Callable

from . import files, memory, network, protocol, starting, tracer
from .refused import Refused

Head = protocol.Head
Handler = Callable[[Head, bytes], Head]

PORT_READ = 256 << 10
PIECE = 4096
"""The port's driver gives one buffer of that size a read; a vector of such pieces takes many in one call."""
ABSENT_S = 0.02


class GoneError(Exception):
    """The host is not connected any more."""


class Agent:
    """One port, the launcher, and the pipes of the sample."""

    def __init__(self, port: int, dress: dict[str, str] | None = None) -> None:
        self.port = port
        self.decoder = protocol.Decoder()
        self.greeted = False
        self.files = files.Files()
        self.starter = starting.Starter(dress)
        self.buffer = bytearray(PORT_READ)
        self.pieces = [memoryview(self.buffer)[i : i + PIECE] for i in range(0, PORT_READ, PIECE)]
        self.handlers: dict[str, Handler] = {
            "hello": self.hello,
            "ping": lambda head, body: {},
            "facts": lambda head, body: facts(),
            "clock": clock,
            "put": self.files.put,
            "more": self.files.more,
            "get": self.files.get,
            "listdir": self.files.listdir,
            "maps": memory.maps,
            "memory": memory.piece,
            "network": lambda head, body: network.connect(head),
            "stage": lambda head, body: tracer.stage(self.starter),
            "arm": lambda head, body: tracer.arm(self.starter, head),
            "settle": lambda head, body: tracer.settle(head),
            "prepare": lambda head, body: starting.prepare(head),
            "launch": self.starter.launch,
            "signal": self.starter.signal,
        }

    def serve(self) -> None:
        """Handle whatever comes, for ever."""
        while True:
            try:
                self.step()
            except GoneError:
                self.forget()
                time.sleep(ABSENT_S)

    def step(self) -> None:
        """Wait for the next thing to do, and do it."""
        poll = select.poll()
        poll.register(self.port, select.POLLIN)
        if self.greeted:
            for source in self.starter.sources():
                poll.register(source, select.POLLIN)
        events = dict(poll.poll())
        state = events.pop(self.port, 0)
        if state & (select.POLLHUP | select.POLLERR):
            raise GoneError
        if state:
            self.on_port()
        for source in events:
            for head, body in self.starter.read(source):
                self.send(head, body)

    def forget(self) -> None:
        """Drop what belongs to the session that has ended."""
        self.greeted = False
        self.decoder = protocol.Decoder()
        self.files.abandon()

    def send(self, head: Head, body: bytes = b"") -> None:
        """Send one frame, waiting for room as long as the host is connected."""
        self.write(protocol.encode(head, body))

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        poll = select.poll()
        poll.register(self.port, select.POLLOUT)
        while view:
            try:
                view = view[os.write(self.port, view) :]
            except BlockingIOError:
                if any(state & (select.POLLHUP | select.POLLERR) for _, state in poll.poll()):
                    raise GoneError from None
            except OSError:
                raise GoneError from None

    def on_port(self) -> None:
        """Take bytes of the host and do the requests that are whole."""
        try:
            size = os.readv(self.port, self.pieces)
        except BlockingIOError:
            return
        except OSError:
            raise GoneError from None
        if not size:
            raise GoneError
        for head, body in self.decoder.feed(memoryview(self.buffer)[:size]):
            self.answer(head, body)

    def answer(self, head: Head, body: bytes) -> None:
        """Do one request and answer it, whatever happens; one without a number wants no answer."""
        piece = b""
        try:
            handler = self.handlers.get(str(head.get("do")))
            if handler is None:
                raise Refused(f"unknown request {head.get('do')!r}")
            result = handler(head, body)
            piece = result.pop("body", b"")
        except Refused as refused:
            result = {"error": str(refused)}
        except OSError as error:
            result = {"error": described(error), "errno": error.errno or 0}
        except Exception as error:  # noqa: BLE001 - the host shall know, and the agent must go on
            result = {"error": f"{type(error).__name__}: {error}"[:2000]}
        if "id" in head:
            self.send({**result, "id": head["id"]}, piece)

    def hello(self, head: Head, body: bytes) -> Head:
        """Begin a session; when asked to, first complete whatever broken frame the host may wait for."""
        self.forget()
        if head.get("flush"):
            self.write(protocol.FLUSH)
        self.greeted = True
        return {"nonce": head["nonce"]}


def described(error: OSError) -> str:
    """Say what the system said."""
    text = os.strerror(error.errno or 0)
    return f"{text}: {os.fsencode(error.filename).decode('utf-8', 'backslashreplace')}" if error.filename else text


def clock(head: Head, body: bytes) -> Head:
    """Set the guest's clock: it stood still while the machine was saved."""
    time.clock_settime_ns(time.CLOCK_REALTIME, head["unix_ns"])
    return {}


def facts() -> Head:
    """Tell what this guest is."""
    users = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall() if entry.pw_shell.endswith("sh")}
    return {"uname": list(os.uname()), "python": platform.python_version(), "users": users}


def main(port: int, dress: dict[str, str] | None = starting.DRESS) -> None:
    """Serve on the port; never returns. ``dress`` is what the launcher writes where, to look like a login."""
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # what is needed later is loaded now, so that it is in memory when the machine is saved
    facts()
    agent = Agent(port, dress)
    agent.send({"stream": "loaded"})
    agent.serve()
