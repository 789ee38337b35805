import os
import socket
import subprocess

from hypothesis import given
from hypothesis import strategies as st

from malkoha.machinery.watch import Ring, Watcher


@given(limit=st.integers(1, 50), chunks=st.lists(st.binary(max_size=80)))
def test_a_ring_keeps_the_end_and_counts_the_rest(limit: int, chunks: list[bytes]) -> None:
    ring = Ring(limit)
    for chunk in chunks:
        ring.add(chunk)
    whole = b"".join(chunks)
    assert ring.bytes() == whole[-limit:]
    assert ring.dropped == max(0, len(whole) - limit)


def test_the_last_line_is_fit_to_be_shown() -> None:
    ring = Ring(1000)
    assert ring.last_line() == ""
    ring.add(b"first\n\x1b[31mred\xff \n\n  \n")
    assert ring.last_line() == "?[31mred\N{REPLACEMENT CHARACTER}"
    ring.add(b"y" * 900)
    assert len(ring.last_line()) == 300


def watch(script: str) -> tuple[Watcher, list[int]]:
    qmp_here, qmp_there = socket.socketpair()
    console_here, console_there = socket.socketpair()
    stderr_here, stderr_there = os.pipe()
    process = subprocess.Popen(
        ["sh", "-c", script], stdout=console_there.fileno(), stderr=stderr_there, stdin=qmp_there.fileno()
    )
    for end in (qmp_there, console_there):
        end.close()
    os.close(stderr_there)
    ended: list[int] = []
    watcher = Watcher(
        process,
        qmp=qmp_here.fileno(),
        console=console_here.fileno(),
        stderr=stderr_here,
        on_qmp=lambda: bool(qmp_here.recv(100)),
        on_end=ended.append,
    )
    try:
        assert watcher.join(10)
        return watcher, ended
    finally:
        qmp_here.close()
        console_here.close()
        os.close(stderr_here)


def test_what_was_said_just_before_the_end_is_kept() -> None:
    watcher, ended = watch("echo console; echo message >&0; echo trouble >&2; exit 3")
    assert watcher.console.bytes() == b"console\n"
    assert watcher.stderr.last_line() == "trouble"
    assert ended == [3]


def test_a_flood_is_bounded() -> None:
    watcher, ended = watch("head -c 3000000 /dev/zero; exit 0")
    assert len(watcher.console.bytes()) == watcher.console.limit
    assert watcher.console.dropped == 3_000_000 - watcher.console.limit
    assert ended == [0]


def test_a_signal_is_a_negative_status() -> None:
    _, ended = watch("kill -9 $$")
    assert ended == [-9]
