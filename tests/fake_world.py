"""An analysis with a stand-in for the machine, its memory and its agent."""

from __future__ import annotations

import os
import struct
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import pytest

from malkoha import analysis, arming
from malkoha.config import Analysis, Settings
from malkoha.guest import client
from malkoha.inguest.protocol import encode
from malkoha.machinery import Machinery, State
from malkoha.machinery.memory import GuestMemory
from malkoha.machinery.snapshot import Snapshot
from malkoha.model.task import Options, Run, Sample, Task
from malkoha.progress import SILENT
from malkoha.store import Home, Store
from malkoha.trace import control, ring
from tests.fake_guest import FakeGuest, Head, polite
from tests.records import Recording

RING, CHUNK, CHUNKS = 4096, 65536, 2
FILES = 0x40000
FIELDS = ("magic", "chunks", "chunk_size", "head", "tail", "lost", "seq", "live", "started", "skipped")


class FakeMachine(Machinery):
    """A machine of memory alone, with a tracer's ring in it that a test writes."""

    name: ClassVar[str] = "fake"

    def __init__(self, folder: Path) -> None:
        self.end_reason = ""
        self.disk_errors = 0
        self.closed = 0
        self.fail: Exception | None = None
        self._folder = folder
        self._state: State = "off"
        self._memory = GuestMemory(1 << 20)
        chunks = [RING + 4096 + i * CHUNK for i in range(CHUNKS)]
        self.memory.write(RING, struct.pack(f"<{len(FIELDS)}Q", ring.MAGIC, CHUNKS, CHUNK, *[0] * 7))
        self.memory.write(RING + 8 * len(FIELDS), struct.pack(f"<{CHUNKS}Q", *chunks))
        self.memory.write(RING + ring._FILES, struct.pack("<Q", FILES))
        chunks = [FILES + 4096 + i * CHUNK for i in range(CHUNKS)]
        self.memory.write(FILES, struct.pack(f"<{len(FIELDS)}Q", ring.MAGIC, CHUNKS, CHUNK, *[0] * 7))
        self.memory.write(FILES + 8 * len(FIELDS), struct.pack(f"<{CHUNKS}Q", *chunks))

    def start(self) -> None:
        raise AssertionError("an analysis never boots from cold")

    def restore(self, snapshot: Snapshot) -> None:
        if self.fail is not None:
            raise self.fail
        self._state = "running"

    def stop(self) -> None:
        self._state = "off"

    def close(self) -> None:
        self.stop()
        self.closed += 1
        self._memory.close()

    def state(self) -> State:
        return self._state

    def end(self, state: State, reason: str) -> bytes:
        self.end_reason, self._state = reason, state
        return b""

    @property
    def agent_socket(self) -> Path:
        return self._folder / "agent"

    @property
    def memory(self) -> GuestMemory:
        return self._memory

    def set(self, **fields: int) -> None:
        for name, value in fields.items():
            self.memory.write(RING + 8 * FIELDS.index(name), struct.pack("<Q", value))

    def control(self, word: int) -> int:
        value: int = struct.unpack("<Q", self.memory.read(FILES + control.AT + 8 * word, 8))[0]
        return value

    def set_control(self, word: int, value: int) -> None:
        self.memory.write(FILES + control.AT + 8 * word, struct.pack("<Q", value))

    def record(self, data: bytes) -> None:
        self.memory.write(RING + 4096, data)
        self.set(head=len(data), seq=3)


class World:
    """Everything around one analysis."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.store: Store = self.home.analysis(1).create()
        self.store.sample.write_bytes(b"#!/bin/sh\n")
        self.machine = FakeMachine(folder)
        self.guest = FakeGuest(self.machine.agent_socket, self.answer)
        self.recording = Recording().fork(101).exec(b"/tmp/x", b"/tmp/x", pid=101).task_exit(pid=101)
        self.settings = Settings(analysis=Analysis(max_output_mb=1))
        self.on: dict[str, Callable[[Head], bytes]] = {"launch": self.launch}
        self.timers: list[threading.Timer] = []
        sample = Sample(name=b"x y", size=10, sha256="0" * 64, type="script")
        self.task = Task(id=1, target="x y", sample=sample, options=Options(timeout_s=30), added_at=datetime.now(UTC))

    def answer(self, head: Head) -> bytes:
        return self.on.get(head["do"], polite)(head)

    def later(self, wait_s: float, action: Callable[[], Any]) -> None:
        timer = threading.Timer(wait_s, action)
        self.timers.append(timer)
        timer.start()

    def began(self) -> bool:
        self.machine.record(self.recording.data)
        self.machine.set(live=1, started=1)
        return True

    def launch(self, head: Head) -> bytes:
        """The sample runs for a moment, writes, and ends."""
        self.began()
        self.later(0.05, lambda: self.machine.set(live=0))
        return polite(head) + self.last_words()

    @staticmethod
    def last_words(output: bytes = b"hello\n") -> bytes:
        closed = [encode({"stream": "closed", "name": name}) for name in ("stdout", "stderr")]
        return encode({"stream": "stdout"}, output) + encode({"stream": "exited", "status": 256}) + b"".join(closed)

    def timeout(self, seconds: float) -> None:
        self.task = msgspec.structs.replace(self.task, options=Options(timeout_s=seconds))

    def run(self, progress: Any = SILENT) -> Run:
        return analysis.run(self.task, self.home, self.settings, progress)

    def written(self) -> Run:
        return msgspec.json.decode(self.store.run.read_bytes(), type=Run)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path)
    armed = arming.Armed(Snapshot(tmp_path, "f", 1, 1), RING, "tracepoint", 1.0)
    monkeypatch.setattr(analysis, "prepare", lambda *given: SimpleNamespace(name="default", id="f" * 64))
    monkeypatch.setattr(arming, "armed", lambda *given, **more: (SimpleNamespace(accelerator="tcg"), armed))
    monkeypatch.setattr(analysis, "Machine", lambda spec, home: world.machine)
    monkeypatch.setattr(analysis, "GRACE_S", 0.3)
    monkeypatch.setattr(client, "REQUEST_S", 1.0)
    monkeypatch.setattr(client, "LAUNCH_S", 0.3)
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    yield world
    for timer in world.timers:
        timer.join()
    assert world.machine.closed == 1
    # the guest's end of the connection closes when its thread has seen that the host is gone
    deadline = time.monotonic() + 10
    while (
        now := (len(os.listdir("/proc/self/fd")), threading.active_count())
    ) > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert now <= before
    world.guest.close()
