"""Scripts that came over standard input."""

from __future__ import annotations

from pathlib import Path

import pytest

from malkoha.model.files import Buffer
from malkoha.processing import buffer
from malkoha.processing.base import Earlier
from malkoha.processing.buffer import BufferModule
from malkoha.trace.decode import Decoder
from malkoha.trace.store import write
from tests.records import Recording, blob
from tests.unit.processing.folder import analysis

AT_FDCWD = 2**64 - 100


def section(folder: Path, recording: Recording) -> list[Buffer]:
    facts = analysis(folder)
    write(Decoder(recording.write(facts.store.records)).events(), facts.store.events)
    return BufferModule().run(facts, Earlier({}))


def read(recording: Recording, data: bytes, size: int | None = None, fd: int = 0) -> Recording:
    size = len(data) if size is None else size
    piece = blob(1, data, status=0 if size == len(data) else 1, total=size)
    return recording.enter("read", (fd, 0x1000, 8192)).exit("read", size, piece)


def shell(path: bytes = b"/usr/bin/dash") -> Recording:
    return Recording().fork(100, pid=90).exec(path, b"sh", pid=100)


def test_nobody_interprets(tmp_path: Path) -> None:
    assert section(tmp_path, read(shell(b"/usr/bin/cat"), b"data")) == []


def test_a_script_is_put_together(tmp_path: Path) -> None:
    recording = read(read(shell(), b"echo one\n"), b"echo two\n")
    read(read(recording, b"not the input", fd=3), b"")
    (entry,) = section(tmp_path, recording)
    assert (entry.pid, entry.process_name, entry.size, entry.text) == (100, "dash", 18, "echo one\necho two\n")
    assert (entry.cut, entry.source) == (0, "unknown")


def test_characters_may_come_byte_by_byte(tmp_path: Path) -> None:
    recording = shell(b"/bin/bash")
    for byte in "é...\n".encode():
        read(recording, bytes([byte]))
    (entry,) = section(tmp_path, recording)
    assert (entry.text, entry.size, entry.cut) == ("é...\n", 6, 0)


def test_what_the_trace_does_not_hold_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "TEXT", 12)
    recording = read(read(shell(b"/usr/bin/python3.13"), b"0123456789", size=5000), b"abcd")
    (entry,) = section(tmp_path, recording)
    assert (entry.text, entry.size, entry.cut) == ("0123456789ab", 5004, 4992)


def test_after_an_exec_it_is_another_program(tmp_path: Path) -> None:
    recording = read(shell(), b"exec cat\n")
    read(recording.exec(b"/usr/bin/cat", b"cat", pid=100), b"data")
    (entry,) = section(tmp_path, recording)
    assert entry.text == "exec cat\n"


def test_who_is_at_the_other_end(tmp_path: Path) -> None:
    recording = Recording().fork(100, pid=90).exec(b"/bin/bash", b"bash", pid=100)
    recording.enter("pipe", (0x1000,)).exit("pipe", 0, blob(0, b"\x03\0\0\0\x04\0\0\0"))
    recording.fork(101).fork(102)
    recording.pid = 101
    recording.call("dup2", (4, 1), 1).call("close", (3,)).call("close", (4,)).exec(b"/usr/bin/curl", b"curl")
    recording.call("write", (1, 0x1000, 3), 3, blob(1, b"id\n"))
    recording.pid = 102
    recording.call("dup2", (3, 0), 0).call("close", (3,)).call("close", (4,)).exec(b"/bin/sh", b"sh")
    (entry,) = section(tmp_path, read(recording, b"id\n"))
    assert (entry.pid, entry.source, entry.source_pids) == (102, "processes", [101])


def test_entries_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(buffer, "ENTRIES", 1)
    recording = read(shell(), b"first\n").fork(101)
    recording.pid = 101
    read(recording.exec(b"/bin/sh", b"sh"), b"second\n")
    assert [entry.text for entry in section(tmp_path, recording)] == ["first\n"]


def test_a_script_behind_a_name_of_a_descriptor(tmp_path: Path) -> None:
    recording = Recording().fork(100, pid=90).exec(b"/bin/bash", b"bash", pid=100)
    recording.enter("pipe", (0x1000,)).exit("pipe", 0, blob(0, b"\x3f\0\0\0\x3e\0\0\0")).fork(101).fork(102)
    recording.pid = 101
    recording.call("dup2", (62, 1), 1).exec(b"/usr/bin/curl", b"curl")
    recording.call("write", (1, 0x1000, 3), 3, blob(1, b"id\n"))
    recording.pid = 102
    recording.call("close", (62,)).exec(b"/bin/bash", b"bash", b"/dev/fd/63")
    recording.call("openat", (AT_FDCWD, 0x1000, 0), 3, blob(1, b"/dev/fd/63"))
    recording.call("dup2", (3, 255), 255).call("close", (3,)).call("openat", (AT_FDCWD, 0, 0), 3, blob(1, b"/etc/x"))
    read(recording, b"i", fd=255)
    read(recording, b"no script", fd=3)
    read(recording, b"d\n", fd=255)
    (entry,) = section(tmp_path, recording)
    assert (entry.pid, entry.text, entry.source, entry.source_pids) == (102, "id\n", "processes", [101])
