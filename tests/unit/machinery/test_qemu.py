import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from malkoha.errors import HostError, MachineError
from malkoha.machinery import disk, running
from malkoha.machinery.command import MachineSpec
from malkoha.machinery.qemu import Machine
from malkoha.store import Home

Install = Callable[[str], Machine]

TALK = """
import json, os, socket, sys
words = sys.argv
def fd(name):
    return int(next(w for w in words if w.startswith("socket,id=" + name)).split("fd=")[1].split(",")[0])
qmp = socket.socket(fileno=fd("qmp"))
console = socket.socket(fileno=fd("console"))
def say(**message):
    qmp.sendall(json.dumps(message).encode() + b"\\n")
say(QMP={})
lines = qmp.makefile("rb")
def serve(answers=lambda name: None):
    for line in lines:
        request = json.loads(line)
        name = request["execute"]
        if name == "cont":
            say(event="RESUME")
        answers(name)
        say(**{"return": {}, "id": request["id"]})
        if name == "quit":
            sys.exit(0)
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a program in QEMU's place and return a machine that uses it."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    for name in ("kernel", "initrd"):
        (tmp_path / name).write_text(name)
    (tmp_path / "disk").write_bytes(disk.empty_qcow2(1 << 20))

    def install(body: str) -> Machine:
        program = tmp_path / "bin" / "qemu"
        program.write_text(body)
        program.chmod(0o755)
        spec = MachineSpec(tmp_path / "kernel", tmp_path / "initrd", tmp_path / "disk", memory_mb=8, binary="qemu")
        return Machine(spec, Home(tmp_path / "home"))

    return install


def script(body: str) -> str:
    return f"#!/usr/bin/env python3\n{TALK}\n{body}\n"


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_missing_qemu_is_an_error_of_the_host(install: Install, tmp_path: Path) -> None:
    machine = install("")
    (tmp_path / "bin" / "qemu").unlink()
    with pytest.raises(HostError, match="apt install qemu-system-x86"):
        machine.start()
    machine.close()


def test_what_qemu_says_when_it_refuses_is_told_and_nothing_is_left(install: Install, tmp_path: Path) -> None:
    before = open_files()
    machine = install("#!/bin/sh\necho first >&2\necho 'qemu: no such machine' >&2\nexit 1\n")
    with pytest.raises(MachineError, match="no such machine"), running(machine):
        pass
    assert machine.state() in {"dead", "off"}
    assert open_files() == before
    assert list((tmp_path / "home" / "run").iterdir()) == []


@pytest.mark.parametrize("missing", ["kernel", "initrd", "disk"])
def test_an_incomplete_image_is_told_before_qemu_starts(install: Install, tmp_path: Path, missing: str) -> None:
    machine = install(script("serve()"))
    (tmp_path / missing).unlink()
    with pytest.raises(MachineError, match=f"{missing} is missing"):
        machine.start()
    assert machine.pid is None
    machine.close()


def test_a_guest_that_powers_off_is_off(install: Install) -> None:
    body = "say(event='SHUTDOWN', data={'reason': 'guest-shutdown'})"
    machine = install(script(f"serve(lambda name: {body} if name == 'query-status' else None)"))
    with running(machine):
        machine.qmp("query-status")
        machine.qmp("quit")
        assert machine.wait(5)
        assert machine.state() == "off"
        assert machine.end_reason == "guest-shutdown"


def test_a_reset_after_a_panic_is_called_a_panic(install: Install) -> None:
    body = "console.sendall(b'Kernel panic - not syncing: test')\nsay(event='SHUTDOWN', data={'reason': 'guest-reset'})"
    machine = install(script(f"serve(lambda name: exec({body!r}) if name == 'query-status' else None)"))
    with running(machine):
        machine.qmp("query-status")
        machine.qmp("quit")
        assert machine.wait(5)
    assert machine.end_reason == "guest-panic"
    assert b"not syncing" in machine.console


def test_a_qemu_that_crashes_is_dead_and_says_its_last_line(install: Install) -> None:
    machine = install(script("serve(lambda name: os.abort() if name == 'query-status' else None)"))
    with running(machine):
        with pytest.raises(MachineError, match="QEMU is gone"):
            machine.qmp("query-status")
        assert machine.wait(5)
        assert machine.state() == "dead"
        assert "signal 6" in machine.end_reason
        assert machine.memory.read(0, 4) == bytes(4)


def test_a_qemu_that_does_not_answer_is_killed(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malkoha.machinery.qemu.QUIT_S", 0.2)
    stuck = "import time\nserve(lambda name: time.sleep(60) if name == 'quit' else None)"
    machine = install(script(stuck))
    before = time.monotonic()
    with running(machine):
        pid = machine.pid
    assert time.monotonic() - before < 10
    assert not Path(f"/proc/{pid}").exists()
    assert machine.state() == "off"


def test_disk_errors_are_counted(install: Install) -> None:
    machine = install(script("serve(lambda name: say(event='BLOCK_IO_ERROR') if name == 'query-status' else None)"))
    with running(machine):
        machine.qmp("query-status")
        machine.qmp("query-status")
        assert machine.disk_errors == 2


def test_the_agent_waits_at_a_socket_without_a_name(install: Install, tmp_path: Path) -> None:
    greet = "serve(lambda name: name == 'query-status' and agent.accept()[0].sendall(b'hi'))"
    body = f"agent = socket.socket(fileno=fd('agent'))\n{greet}"
    machine = install(script(body))
    with running(machine), socket.socket(socket.AF_UNIX) as client:
        assert list((tmp_path / "home" / "run").iterdir()) == []
        client.connect(str(machine.agent_socket))
        machine.qmp("query-status")
        assert client.recv(10) == b"hi"


def test_a_home_with_a_very_long_path_works(install: Install, tmp_path: Path) -> None:
    machine = install(script("serve()"))
    deep = Machine(machine.spec, Home(tmp_path / ("x" * 200) / "home"))
    with running(deep), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(deep.agent_socket))
    machine.close()


def test_the_migration_that_fails_is_told(install: Install) -> None:
    body = (
        "def answers(name):\n"
        "    if name == 'migrate-incoming':\n"
        "        say(event='MIGRATION', data={'status': 'setup'})\n"
        "        say(event='MIGRATION', data={'status': 'failed'})\n"
        "serve(answers)"
    )
    machine = install(script(body))
    with running(machine), pytest.raises(MachineError, match="could not be moved"):
        machine.migrate("migrate-incoming", "fd:state")


def test_nothing_can_be_asked_of_a_machine_that_was_not_started(install: Install) -> None:
    machine = install("")
    for ask in (lambda: machine.qmp("quit"), lambda: machine.memory, lambda: machine.agent_socket):
        with pytest.raises(MachineError):
            ask()
    assert machine.console == b""
    assert machine.written == 0
    assert machine.wait(0)
    machine.close()
