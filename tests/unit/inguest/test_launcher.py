"""The launcher as it is started in a guest: its text on standard input, requests over descriptor 3."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from malkoha.inguest import starting


class Launcher:
    def __init__(self, dress: dict[str, str]) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.control.settimeout(30)
        start = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); os.closerange(4, 100); "
            "os.execv(sys.executable, ['launcher'])"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", start, str(theirs.fileno())], stdin=subprocess.PIPE, pass_fds=[theirs.fileno()]
        )
        theirs.close()
        assert self.process.stdin is not None
        with self.process.stdin as feed:
            feed.write(starting.launcher_text(dress))
        assert self.answer() == {"ready": self.process.pid}

    def ask(self, argv: list[str], output: int, **changes: Any) -> dict[str, Any]:
        request = {
            "argv": argv,
            "env": {"A": "\xff"},
            "cwd": "/",
            "uid": 0,
            "gid": 0,
            "groups": None,
            "shell": False,
            "file": "",
        }
        with open(os.devnull, "rb") as null:
            text = starting.in_memory(json.dumps({**request, **changes}).encode())
            socket.send_fds(self.control, [b"launch"], [null.fileno(), output, output, text])
            os.close(text)
        return self.answer()

    def answer(self) -> dict[str, Any]:
        reply: dict[str, Any] = json.loads(self.control.recv(4096))
        return reply

    def end_of(self, reply: dict[str, Any]) -> int:
        """Return the wait status of a child that was started."""
        end = self.answer()
        assert end["pid"] == reply["pid"]
        status: int = end["status"]
        return status


@pytest.fixture
def dressed(tmp_path: Path) -> Path:
    return tmp_path / "dress"


@pytest.fixture
def running(dressed: Path) -> Iterator[Launcher]:
    launcher = Launcher({str(dressed): "worn", "/proc/nothing/such": "x"})
    yield launcher
    launcher.control.close()
    assert launcher.process.wait(30) == 0


def test_it_dresses_as_far_as_the_guest_allows(running: Launcher, dressed: Path) -> None:
    assert dressed.read_text() == "worn"
    assert Path(f"/proc/{running.process.pid}/comm").read_text() == "sshd-session\n"


def test_a_child_and_its_end(running: Launcher, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        script = 'printf "%s|" "$A" "$PWD" "$1"; exit 7'
        started = running.ask(["/bin/sh", "-c", script, "x", "\xe9"], out.fileno(), cwd=str(tmp_path))
        assert os.waitstatus_to_exitcode(running.end_of(started)) == 7
    assert (tmp_path / "out").read_bytes().split(b"|") == [b"\xff", os.fsencode(tmp_path), b"\xe9", b""]


def test_a_session_of_its_own_and_nothing_open(running: Launcher, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        started = running.ask(["/bin/sh", "-c", "cat /proc/$$/stat; ls /proc/$$/fd"], out.fileno())
        assert running.end_of(started) == 0
    stat, *descriptors = (tmp_path / "out").read_text().splitlines()
    fields = stat.rpartition(")")[2].split()
    assert [int(fields[1]), int(fields[3])] == [running.process.pid, started["pid"]]
    assert descriptors == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("argv", "changes", "stage", "number"),
    [
        (["/no/such/program"], {}, "exec", errno.ENOENT),
        (["/"], {}, "exec", errno.EACCES),
        (["/bin/sh", "a\0b"], {}, "exec", errno.EINVAL),
        (["/bin/sh"], {"cwd": "/no/such/folder"}, "cwd", errno.ENOENT),
        (["/bin/sh"], {"env": {"A=B": "c"}}, "exec", errno.EINVAL),
    ],
)
def test_what_failed_is_told_and_it_goes_on(
    running: Launcher, argv: list[str], changes: dict[str, Any], stage: str, number: int
) -> None:
    with open(os.devnull, "wb") as out:
        assert running.ask(argv, out.fileno(), **changes) == {"stage": stage, "errno": number}
        assert running.end_of(running.ask(["/bin/sh", "-c", "exit 0"], out.fileno())) == 0


def test_sh_gets_what_the_kernel_does_not_know(running: Launcher, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('echo "$0" "$@"\n')
    program.chmod(0o755)
    with (tmp_path / "out").open("wb") as out:
        assert running.ask([str(program), "a"], out.fileno()) == {"stage": "exec", "errno": errno.ENOEXEC}
        assert running.end_of(running.ask([str(program), "a"], out.fileno(), shell=True)) == 0
    assert (tmp_path / "out").read_text() == f"{program} a\n"
