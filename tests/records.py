"""Build the tracer's binary records for tests: a ``Recording`` numbers and times them as the tracer would."""

from __future__ import annotations

import struct
from pathlib import Path

from malkoha.trace import records
from malkoha.trace.syscalls import X32_BIT, Abi, numbers

ABIS: dict[Abi, int] = {"x86-64": 0, "i386": 1, "x32": 2}
REAL_NS = 1_700_000_000_000_000_000
"""Calendar time of monotonic time 0."""


def blob(arg: int, data: bytes, *, part: int = 0, status: int = records.WHOLE, total: int | None = None) -> bytes:
    """A piece of memory as a record carries it."""
    head = records.BLOB.pack(arg, status, part, len(data), len(data) if total is None else total)
    return head + data + b"\0" * (-len(data) % 8)


def number_of(name: str, abi: Abi = "x86-64") -> int:
    """The number of a call, with the bit that x32 adds."""
    number = next(number for number, call in numbers(abi).items() if call.name == name)
    return number | X32_BIT if abi == "x32" else number


class Recording:
    """Records one behind the other; each takes the next sequence number and 1000 ns."""

    def __init__(self, *, clock: bool = True, pid: int = 100, comm: bytes = b"sample") -> None:
        self.data = b""
        self.seq = 0
        self.ns = 0
        self.pid = pid
        self.comm = comm
        if clock:
            self.clock(REAL_NS)

    def add(
        self, kind: int, body: bytes, *, tid: int | None = None, pid: int | None = None, flags: int = 0
    ) -> Recording:
        """Any record; ``tid`` and ``pid`` default to those of the recording."""
        pid = self.pid if pid is None else pid
        body += b"\0" * (-len(body) % 8)
        size = records.HEAD.size + len(body)
        self.data += records.HEAD.pack(size, kind, flags, self.seq, self.ns, pid if tid is None else tid, pid) + body
        self.seq += 1
        self.ns += 1000
        return self

    def pad(self, size: int) -> Recording:
        self.data += records.SIZE_TYPE.pack(size, records.PAD) + b"\0" * (size - records.SIZE_TYPE.size)
        return self

    def clock(self, real_ns: int) -> Recording:
        return self.add(records.CLOCK, records.CLOCK_BODY.pack(real_ns))

    def enter(
        self,
        call: str | int,
        args: tuple[int, ...] = (),
        *blobs: bytes,
        tid: int | None = None,
        pid: int | None = None,
        abi: Abi = "x86-64",
        late: bool = False,
    ) -> Recording:
        number = number_of(call, abi) if isinstance(call, str) else call
        body = struct.pack("<iiQ6Q16s", number, 1, 0x401000, *(*args, *(0,) * 6)[:6], self.comm)
        return self.add(
            records.ENTER, body + b"".join(blobs), tid=tid, pid=pid, flags=ABIS[abi] | (records.LATE if late else 0)
        )

    def exit(
        self,
        call: str | int,
        ret: int,
        *blobs: bytes,
        tid: int | None = None,
        pid: int | None = None,
        abi: Abi = "x86-64",
    ) -> Recording:
        number = number_of(call, abi) if isinstance(call, str) else call
        body = struct.pack("<iIq", number, 0, ret) + b"".join(blobs)
        return self.add(records.EXIT, body, tid=tid, pid=pid, flags=ABIS[abi])

    def call(
        self, call: str | int, args: tuple[int, ...] = (), ret: int = 0, *blobs: bytes, abi: Abi = "x86-64"
    ) -> Recording:
        """A call that returns at once; blobs are those of the entry."""
        return self.enter(call, args, *blobs, abi=abi).exit(call, ret, abi=abi)

    def fork(
        self, child_tid: int, child_pid: int | None = None, *, tid: int | None = None, pid: int | None = None
    ) -> Recording:
        child_pid = child_tid if child_pid is None else child_pid
        body = records.FORK_BODY.pack(child_tid, child_pid, self.pid if pid is None else pid, 1000, self.comm)
        return self.add(records.FORK, body, tid=tid, pid=pid)

    def exec(self, path: bytes, *argv: bytes, old_tid: int | None = None, pid: int | None = None) -> Recording:
        pid = self.pid if pid is None else pid
        body = records.EXEC_BODY.pack(pid if old_tid is None else old_tid, 1, 1000, 1001, 1002, 1003, self.comm)
        arguments = b"".join(item + b"\0" for item in argv)
        blobs = blob(0, path) + blob(1, path) + blob(2, arguments) + blob(3, b"/root")
        return self.add(records.EXEC, body + blobs, pid=pid)

    def task_exit(
        self, code: int = 0, *, group: bool = True, tid: int | None = None, pid: int | None = None
    ) -> Recording:
        return self.add(records.TASK_EXIT, records.TASK_EXIT_BODY.pack(code, group, self.comm), tid=tid, pid=pid)

    def adopt(self, pid: int, why: str, by: int, what: bytes = b"", *argv: bytes) -> Recording:
        body = records.ADOPT_BODY.pack(pid, pid, 1, 0, records.WHYS.index(why), by, self.comm)
        arguments = b"".join(item + b"\0" for item in argv)
        return self.add(records.ADOPT, body + blob(0, what) + blob(1, b"/bin/exe") + blob(2, arguments) + blob(3, b"/"))

    def signal(self, number: int, *, sender: int = 0, handled: bool = False) -> Recording:
        return self.add(records.SIGNAL, records.SIGNAL_BODY.pack(number, 0, sender, handled))

    def text(self, line: bytes) -> Recording:
        return self.add(records.TEXT, line)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.data)
        return path
