"""The choice of a package, the environment of a login, and what is said when a start fails."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from malkoha.inguest import packages, protocol, starting
from malkoha.inguest.refused import Refused


def sample(folder: Path, content: bytes, name: str = "sample") -> bytes:
    (folder / name).write_bytes(content)
    return os.fsencode(folder / name)


def prepare(path: bytes, **changes: Any) -> tuple[str, list[bytes]]:
    reply = starting.prepare({"path": protocol.pack_bytes(path), **changes})
    return reply["package"], [protocol.unpack_bytes(item) for item in reply["argv"]]


def test_the_first_that_accepts_it(tmp_path: Path) -> None:
    path = sample(tmp_path, b"#!/bin/sh\n", "x.py")
    given = [protocol.pack_bytes(argument) for argument in (b"-a", b"b c", b"\xff")]
    assert prepare(path, arguments=given) == ("script", [path, b"-a", b"b c", b"\xff"])
    path = sample(tmp_path, b"no program", "x.txt")
    assert prepare(path) == ("generic", [path])


def test_the_one_that_was_asked_for(tmp_path: Path) -> None:
    path = sample(tmp_path, b"#!/no/such/shell\necho\n")
    name, argv = prepare(path, package="shell", arguments=["x"])
    assert name == "shell"
    assert os.path.basename(argv[0]) in (b"bash", b"sh")
    assert argv[1:] == [path, b"x"]
    assert prepare(path, package="generic") == ("generic", [path])


@pytest.mark.parametrize(
    ("content", "shell"),
    [
        (b"#!/bin/sh\n", False),
        (b"x", True),
        ("\tprintf 'Ü'\n".encode(), True),
        (b"a" + "€".encode()[:2], True),
        (b"a\0b", False),
        (b"\1\2", False),
        (bytes(range(128, 256)), False),
    ],
)
def test_sh_is_for_text_that_nobody_knows(tmp_path: Path, content: bytes, shell: bool) -> None:
    assert starting.prepare({"path": protocol.pack_bytes(sample(tmp_path, content))})["shell"] is shell


def test_it_says_why_not(tmp_path: Path) -> None:
    path = sample(tmp_path, b"#!/no/such/shell\n")
    with pytest.raises(Refused, match="no interpreter /no/such/shell in the guest"):
        prepare(path)
    with pytest.raises(Refused, match="this is no ELF file"):
        prepare(path, package="elf")
    known = ", ".join(package.name for package in packages.BUILT_IN)
    with pytest.raises(Refused, match=rf"there is no package 'pe' \(there are: {known}\)"):
        prepare(path, package="pe")
    with pytest.raises(Refused, match=r"the guest has no user 'nobody-here' \(it has: .*root"):
        prepare(path, user="nobody-here")


def test_a_sample_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        prepare(os.fsencode(tmp_path / "gone"))


def test_the_environment_of_a_login() -> None:
    root = starting.login(pwd.getpwnam("root"), "/tmp")
    assert (root["USER"], root["LOGNAME"], root["PWD"]) == ("root", "root", "/tmp")
    assert "/usr/sbin" in root["PATH"].split(":")
    user = pwd.struct_passwd(("joe", "x", 1000, 1000, "", "/home/joe", ""))
    assert starting.login(user, "/tmp") == {
        "SHELL": "/bin/sh",
        "PWD": "/tmp",
        "LOGNAME": "joe",
        "HOME": "/home/joe",
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "USER": "joe",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games",
    }


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({"stage": "exec", "errno": 8}, "the sample could not be executed: Exec format error (ENOEXEC)"),
        ({"stage": "cwd", "errno": 2}, "the folder to start in cannot be entered: No such file or directory (ENOENT)"),
        ({"stage": "user", "errno": 1}, "the user cannot be changed: Operation not permitted (EPERM)"),
        ({"errno": 99999}, "the sample could not be executed: Unknown error 99999 (99999)"),
    ],
)
def test_failures_by_name(reply: dict[str, Any], text: str) -> None:
    assert starting.failure(reply) == text


def test_a_file_without_a_name(tmp_path: Path) -> None:
    for folder in ("", str(tmp_path)):
        file = starting.in_memory(b"text", folder)
        assert os.read(file, 10) == b"text"
        assert not os.get_inheritable(file)
        os.close(file)
    assert list(tmp_path.iterdir()) == []
