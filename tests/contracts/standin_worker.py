"""A worker as ``malkoha worker`` is one, but its machines are stand-ins: run by tests that kill it.

Beside each machine runs a process that has to die with the worker, as QEMU does; its number goes to a file.
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

sys.path.insert(0, str(Path(__file__).parents[2]))

import malkoha
from malkoha import config
from malkoha.config import Settings
from malkoha.machinery import running
from malkoha.machinery.spawn import spawn
from malkoha.model.task import Task
from malkoha.progress import Progress
from malkoha.store import Home, Store
from tests.contracts.standin import StandIn


class Analysis(ModuleType):
    """Takes the place of ``malkoha.analysis``."""

    def run(self, task: Task, home: Home, settings: Settings, progress: Progress, store: Store) -> None:
        store.create()
        _note(home, "runs", f"{task.id} {task.attempts}")
        with running(StandIn()) as machine, socket.socket(socket.AF_UNIX) as client:
            beside = spawn(["sleep", "1000"], stderr=subprocess.DEVNULL, environment=dict(os.environ))
            _note(home, "beside", str(beside.pid))
            client.connect(str(machine.agent_socket))
            client.sendall(b"hello\n")
            while client.recv(1) != b".":
                pass
            time.sleep(random.random() * 0.1)
            store.records.write_bytes(b"%d" % task.attempts)
            beside.kill()
            beside.wait()
        store.run.write_text("{}")

    def process(self, store: Store, settings: Settings, progress: Progress) -> dict[str, Any]:
        time.sleep(random.random() * 0.05)
        report = {"ran": int(store.records.read_bytes()), "folder": str(store.root)}
        store.report_json.write_bytes(msgspec.json.encode(report))
        return report


def _note(home: Home, name: str, line: str) -> None:
    with (home.root / name).open("a") as file:
        file.write(line + "\n")


def main() -> None:
    fake = Analysis("malkoha.analysis")
    sys.modules["malkoha.analysis"] = fake
    malkoha.analysis = fake  # type: ignore[attr-defined]
    from malkoha.cli import main as command

    assert config.home_from().root.is_dir()
    sys.exit(command(["worker"]))


if __name__ == "__main__":
    main()
