"""Commands from calls and from exec events."""

from __future__ import annotations

from typing import Any

from malkoha.model.event import Event
from malkoha.signatures.commands import command_of


def event(kind: str, api: str, args: dict[str, Any]) -> Event:
    return Event(seq=1, kind=kind, time_ns=1, pid=1, tid=1, api=api, args=args)  # type: ignore[arg-type]


def test_a_call_and_its_names() -> None:
    command = command_of(event("syscall", "execve", {"p0": "x", "p1": ["-sh", "-i"], "p2": []}), "/tmp/x")
    assert command.exe == "/tmp/x"
    assert command.names == {"x", "sh"}
    assert command.line == "-sh -i"


def test_execveat_and_unreadable_arguments() -> None:
    command = command_of(event("syscall", "execveat", {"p0": "3", "p1": "a", "p2": "0x7ffe", "p3": []}))
    assert (command.exe, command.argv) == ("a", ("0x7ffe",))


def test_an_exec_event_of_a_script() -> None:
    args = {"filename": "/tmp/s.sh", "exe": "/usr/bin/dash", "argv": ["/bin/sh", "/tmp/s.sh", "a"]}
    command = command_of(event("exec", "", args))
    assert command.names == {"dash", "s.sh", "sh"}
    assert command.script == "/tmp/s.sh"
    assert command_of(event("exec", "", {"filename": "/bin/ls", "exe": "/bin/ls", "argv": ["ls"]})).script == ""


def test_an_applet_of_busybox() -> None:
    args = {"filename": "/bin/busybox", "exe": "/bin/busybox", "argv": ["busybox", "wget", "http://x"]}
    assert "wget" in command_of(event("exec", "", args)).names
