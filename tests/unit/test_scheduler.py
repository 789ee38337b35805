from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from malkoha.config import Routes, Settings
from malkoha.scheduler import Slots, offers
from malkoha.store import Home


def until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def worker(folder: Path, body: str) -> tuple[str, ...]:
    """A program that notes its start in a file of its own and then does something."""
    folder.mkdir()
    note = f"import os, pathlib, signal, time; pathlib.Path({str(folder)!r}, str(os.getpid())).touch(); "
    return (sys.executable, "-c", note + body)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_worker_that_dies_is_replaced_and_none_is_left(home: Home, tmp_path: Path) -> None:
    home.root.mkdir()
    started = tmp_path / "started"
    with Slots(home, 2, worker(started, "time.sleep(600)")) as slots:
        until(lambda: len(list(started.iterdir())) == 2)
        first, second = slots.pids
        os.kill(first, signal.SIGKILL)
        until(lambda: len(list(started.iterdir())) == 3)
        assert second in slots.pids
        assert len(slots.pids) == 2
        assert slots.restarts == 1
        pids = [int(path.name) for path in started.iterdir()]
    assert all(is_gone(pid) for pid in pids)
    assert slots.pids == []


def test_a_worker_that_always_dies_is_not_started_all_the_time(home: Home, tmp_path: Path) -> None:
    home.root.mkdir()
    started = tmp_path / "started"
    with Slots(home, 1, worker(started, "")) as slots:
        until(lambda: slots.restarts == 3)
        assert slots._pauses[0] >= 2


def test_workers_are_asked_to_end(home: Home, tmp_path: Path) -> None:
    home.root.mkdir()
    started, ended = tmp_path / "started", tmp_path / "ended"
    body = f"signal.signal(15, lambda *_: (pathlib.Path({str(ended)!r}).touch(), os._exit(0))); "
    ready = tmp_path / "ready"
    body += f"pathlib.Path({str(ready)!r}).touch(); time.sleep(600)"
    with Slots(home, 1, worker(started, body)):
        until(ready.exists)
    assert ended.exists()


def test_what_a_machine_offers(home: Home) -> None:
    plain = offers(home, Settings())
    assert plain == ["default/x86-64/none", "default/x86-64/drop", "default/x86-64/sim"]
    routed = offers(home, Settings(routes=Routes(vpn="interface:wg0", resolver="9.9.9.9")))
    assert routed == [*plain, "default/x86-64/vpn"]
