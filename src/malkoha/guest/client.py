"""What the host asks of a guest: load the agent and the tracer, deliver the sample, start it, take what it writes.

In: the UNIX socket of the machine's agent port. Out: the sample delivered and started, its output as it comes, its exit
status. Whatever the guest says is hostile: frames are bounded, fields are checked, no path or name from it is used.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import msgspec

from malkoha.errors import GuestError
from malkoha.guest import payload
from malkoha.guest.channel import Channel, NoAnswerError
from malkoha.inguest import protocol
from malkoha.model.task import Options

Head = dict[str, Any]

CHUNK = 64 << 10
REQUEST_S = 30.0
LAUNCH_S = 30.0
NETWORK_S = 600.0
"""Hashing what the guest trusts takes 25 s of a quiet machine without KVM, and minutes of a busy one."""
SETTLE_S = 120.0
SAMPLE_FOLDER = b"/tmp"
LOADER_FOLDER = b"/run/fsck"
MAX_TEXT = 4096
MAX_WORDS = 4096
MAX_ARGUMENTS = 1 << 16
_NONSENSE = "the agent in the guest answers nonsense"
STREAMS = ("stdout", "stderr")


class Prepared(msgspec.Struct, frozen=True):
    """How the agent will start the sample."""

    package: str
    argv: list[bytes]
    shell: bool = False
    """Whether sh gets it when the kernel does not know what it is."""
    cwd: bytes = SAMPLE_FOLDER
    environment: dict[str, str] = {}
    """Packed names and values beyond those of a login."""
    stdin: bytes = b""


class Facts(msgspec.Struct, frozen=True):
    """What the guest says that it is."""

    uname: list[str]
    python: str
    users: dict[str, int]


def _ignore(stream: str, data: bytes) -> None:
    del stream, data


def _nothing() -> str:
    return ""


class GuestClient:
    """One session with the agent. Used by one thread; ``on_output`` is called in another."""

    def __init__(
        self,
        path: Path,
        on_output: Callable[[str, bytes], None] = _ignore,
        hopeless: Callable[[], str] = _nothing,
    ) -> None:
        """Prepare a session; ``hopeless`` says why no answer can come any more, "" while one can."""
        self._path = path
        self._on_output = on_output
        self._channel = Channel(self._on_stream, hopeless)
        self._open_streams: set[str] = set()
        self._sample = b""
        self._pid = 0
        self.agent_pid = 0
        """Process id of the agent, once the sample has been started."""
        self.exit_status: int | None = None
        """wait(2) status of the sample's first process, once it is known."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session; harmless when there is none."""
        self._channel.close()

    @property
    def alive(self) -> bool:
        """Whether the agent can be reached, as far as is known: a run goes on without it."""
        return self._channel.alive

    @property
    def trouble(self) -> str:
        """Why it is not alive any more."""
        return self._channel.trouble

    @property
    def finished(self) -> bool:
        """Whether the exit status and all output of the sample are here."""
        return self.exit_status is not None and not self._open_streams

    # -- session ---------------------------------------------------------------------------------------------------

    def connect(self, deadline_s: float) -> None:
        """Connect to the port; the first request makes sure that somebody answers on the other side."""
        self._channel.connect(self._path, deadline_s)

    def greet(self, deadline_s: float) -> None:
        """Begin a session with an agent that runs already."""
        self._channel.greet(deadline_s)

    def load_agent(self, deadline_s: float) -> None:
        """Wait for the starter in a freshly booted guest, give it the agent's code, and begin a session."""
        self._channel.load(payload.agent_payload(), deadline_s)
        self._channel.greet(REQUEST_S)

    def connect_network(self, wiring: Mapping[str, Any]) -> None:
        """Have the guest set its network card, its routes, its resolver and what it trusts."""
        self._ask({"do": "network", **wiring}, wait_s=NETWORK_S)

    def arm(self, module: bytes, name: str, loader: Mapping[str, bytes], deadline_s: float) -> str:
        """Load the tracer's module into the guest's kernel and return the line with which it announces itself.

        ``loader`` holds staprun, stapio and the libraries that they need, by their paths relative to one folder.
        """
        end = time.monotonic() + deadline_s
        self._ask({"do": "stage"}, wait_s=deadline_s)
        for path, content in loader.items():
            self.put(LOADER_FOLDER + b"/" + path.encode(), content, 0o755)
        self.put(LOADER_FOLDER + b"/" + name.encode() + b".ko", module, 0o600)
        left = max(end - time.monotonic(), 1.0)
        answer = self._ask({"do": "arm", "name": name, "deadline_s": left}, wait_s=left + 2 * REQUEST_S)
        return _text(answer, "line")

    def settle(self, name: str, age_s: int) -> None:
        """Have the guest forget how module ``name`` was loaded, once its clocks say that it is ``age_s`` old."""
        self._ask({"do": "settle", "name": name, "age_s": age_s}, wait_s=SETTLE_S)

    def answers(self, wait_s: float) -> bool:
        """Tell whether the agent is still there."""
        try:
            self._channel.greet(wait_s, again=True)
        except GuestError:
            return False
        return True

    def facts(self) -> Facts:
        """Ask the guest what it is."""
        try:
            return msgspec.convert(self._ask({"do": "facts"}), Facts)
        except msgspec.ValidationError as error:
            raise GuestError(_NONSENSE, str(error)) from error

    def set_clock(self) -> None:
        """Set the guest's clock to the host's."""
        self._channel.greet(REQUEST_S)
        self._ask({"do": "clock", "unix_ns": time.time_ns()})

    # -- files -----------------------------------------------------------------------------------------------------

    def put(self, path: bytes, content: bytes, mode: int, deadline_s: float | None = None) -> None:
        """Write a new file in the guest; what is there already is not overwritten."""
        view = memoryview(content)
        pieces = (view[at : at + CHUNK] for at in range(0, len(view), CHUNK))
        self._send_file(path, mode, pieces, REQUEST_S if deadline_s is None else deadline_s)

    def deliver(self, sample: Path, name: bytes, deadline_s: float) -> bytes:
        """Put the sample into the guest under its own name, executable, and return its path there."""
        if name in {b"", b".", b".."} or b"/" in name or b"\0" in name:
            raise GuestError("the sample cannot have that name in the guest", repr(name))
        path = SAMPLE_FOLDER + b"/" + name
        end = time.monotonic() + deadline_s
        try:
            with sample.open("rb") as file:
                self._send_file(path, 0o755, _pieces(file), deadline_s)
        except OSError as error:
            raise GuestError("the sample cannot be read", error.strerror or str(error)) from error
        except NoAnswerError as error:
            if not self.alive or time.monotonic() < end:
                raise
            raise GuestError("the sample could not be delivered in time", f"more than {deadline_s:g} s") from error
        self._sample = path
        return path

    def get(self, path: bytes, limit: int, deadline_s: float = REQUEST_S) -> bytes:
        """Read at most ``limit`` bytes of a regular file of the guest."""
        content = bytearray()
        end = time.monotonic() + deadline_s
        while len(content) < limit:
            size = min(limit - len(content), protocol.MAX_BODY)
            head = {"do": "get", "path": protocol.pack_bytes(path), "offset": len(content), "size": size}
            _, piece = self._channel.ask(head, b"", max(end - time.monotonic(), 0.0))
            content += piece[:size]
            if not piece:
                break
        return bytes(content)

    def maps(self, pid: int) -> bytes:
        """Read the map of a process's memory, as in /proc/PID/maps."""
        return self._channel.ask({"do": "maps", "pid": pid}, b"", REQUEST_S)[1]

    def memory(self, pid: int, address: int, size: int) -> bytes:
        """Read memory of a process from ``address`` on, up to the first hole."""
        head = {"do": "memory", "pid": pid, "address": address, "size": min(size, protocol.MAX_BODY)}
        return self._channel.ask(head, b"", REQUEST_S)[1][:size]

    def _send_file(self, path: bytes, mode: int, pieces: Iterator[bytes | memoryview], deadline_s: float) -> None:
        """Send a file without waiting for an answer until its end, where the guest tells what went wrong."""
        self._channel.greet(deadline_s)
        end = time.monotonic() + deadline_s
        head: Head = {"do": "put", "path": protocol.pack_bytes(path)}
        last, size = b"", 0
        for index, piece in enumerate(pieces):
            if index:
                self._channel.tell(head, last, end)
                head = {"do": "more"}
            last = bytes(piece)
            size += len(piece)
        self._ask({**head, "mode": mode, "size": size}, last, min(REQUEST_S, max(end - time.monotonic(), 0.0)))

    # -- sample ----------------------------------------------------------------------------------------------------

    def prepare(self, options: Options) -> Prepared:
        """Choose the package and the command for the delivered sample; GuestError says why the guest cannot run it.

        ``options.extra`` may hold ``cwd``, ``stdin`` (the text itself) and ``env.NAME``.
        """
        if len(options.arguments) > MAX_ARGUMENTS:
            raise GuestError("the arguments are too long", f"more than {MAX_ARGUMENTS} characters")
        try:
            arguments = [_packed(argument) for argument in shlex.split(options.arguments)]
        except ValueError as error:
            raise GuestError("the arguments cannot be split", str(error)) from error
        wanted = {"do": "prepare", "path": protocol.pack_bytes(self._sample), "package": options.package}
        answer = self._ask({**wanted, "arguments": arguments, "user": options.user})
        extra = {name: value for name, value in options.extra.items() if name.startswith("env.")}
        return Prepared(
            package=_text(answer, "package"),
            argv=_argv(answer),
            shell=answer.get("shell") is True,
            cwd=os.fsencode(options.extra["cwd"]) if "cwd" in options.extra else SAMPLE_FOLDER,
            environment={_packed(name.removeprefix("env.")): _packed(value) for name, value in extra.items()},
            stdin=os.fsencode(options.extra.get("stdin", "")),
        )

    def launch(self, prepared: Prepared, user: str) -> int:
        """Start the sample and return its process id in the guest.

        NoAnswerError when it may have been started all the same, any other GuestError when it was not.
        """
        launch: Head = {
            "do": "launch",
            "argv": [protocol.pack_bytes(item) for item in prepared.argv],
            "shell": prepared.shell,
            "user": user,
            "cwd": protocol.pack_bytes(prepared.cwd),
            "file": protocol.pack_bytes(self._sample),
            "env": prepared.environment,
        }
        self._open_streams = set(STREAMS)
        answer = self._ask(launch, prepared.stdin, LAUNCH_S)
        pid, agent = answer.get("pid"), answer.get("agent")
        if type(pid) is not int or not 1 < pid < 1 << 22:
            raise NoAnswerError(_NONSENSE, "no process id")
        self._pid = pid
        self.agent_pid = agent if type(agent) is int and 1 < agent < 1 << 22 else 0
        self._channel.watch = True
        return pid

    def start(self, options: Options) -> Prepared:
        """Prepare and launch the delivered sample."""
        prepared = self.prepare(options)
        self.launch(prepared, options.user)
        return prepared

    def stop_sample(self, signal: int = 9) -> None:
        """Send a signal to the process group that the sample was started in."""
        if self._pid:
            self._ask({"do": "signal", "pid": self._pid, "signal": signal})

    def _ask(self, head: Head, body: bytes = b"", wait_s: float | None = None) -> Head:
        return self._channel.ask(head, body, REQUEST_S if wait_s is None else wait_s)[0]

    def _on_stream(self, stream: str, head: Head, body: bytes) -> None:
        """Take what the guest says by itself, in the reader's thread."""
        if stream in STREAMS:
            self._on_output(stream, body)
        elif stream == "closed":
            self._open_streams.discard(str(head.get("name")))
        elif stream == "exited" and self.exit_status is None:
            status = head.get("status")
            if type(status) is int and 0 <= status < 1 << 16:
                self.exit_status = status


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _packed(text: str) -> str:
    """Carry a text of this host's user, bytes that are no UTF-8 included."""
    return protocol.pack_bytes(os.fsencode(text))


def _text(answer: Head, name: str) -> str:
    """Read a text of an answer, bounded."""
    value = answer.get(name)
    if not isinstance(value, str):
        raise GuestError(_NONSENSE, f"no {name}")
    return value[:MAX_TEXT]


def _argv(answer: Head) -> list[bytes]:
    """Read the command that the guest proposes."""
    argv = answer.get("argv")
    try:
        if isinstance(argv, list) and 0 < len(argv) <= MAX_WORDS:
            return [protocol.unpack_bytes(item) for item in argv]
    except (AttributeError, ValueError):
        pass
    raise GuestError(_NONSENSE, "no command")


__all__ = ["Facts", "GuestClient", "NoAnswerError", "Prepared"]
