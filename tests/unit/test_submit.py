from __future__ import annotations

import errno
import os
import shlex
import socket
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from malkoha import submit
from malkoha.config import Analysis, Routes, Settings
from malkoha.errors import ConfigError, HostError, MalkohaError, SubmitError
from malkoha.model.task import Options, Status
from malkoha.store import Home

SETTINGS = Settings(analysis=Analysis(max_sample_mb=1))


def left_behind(home: Home) -> list[str]:
    return [entry.name for entry in home.analyses.iterdir()] if home.analyses.exists() else []


def make(tmp_path: Path, name: bytes = b"sample.sh", content: bytes = b"#!/bin/sh\necho hi\n") -> bytes:
    path = os.path.join(os.fsencode(tmp_path), name)
    with open(path, "wb") as file:
        file.write(content)
    return path


def test_a_script(home: Home, tmp_path: Path) -> None:
    task = submit.submit(home, SETTINGS, make(tmp_path), Options(timeout_s=9), priority=3)
    store = home.analysis(task.id)
    assert task.sample is not None
    assert (task.id, task.status, task.priority, task.options.timeout_s) == (1, Status.PENDING, 3, 9)
    assert task.sample.name == b"sample.sh"
    assert task.sample.size == 18
    assert task.sample.sha256 == "299001868fb8c02fd431c336c6d058f5558c5dff5b5af5e6fe04b870a6a9cbba"
    assert "shell script" in task.sample.type
    assert store.sample.read_bytes() == b"#!/bin/sh\necho hi\n"
    assert store.sample.stat().st_mode & 0o777 == 0o600
    assert submit.load(store) == task


def test_the_type_of_an_elf(home: Home) -> None:
    task = submit.submit(home, Settings(), os.path.realpath(sys.executable), Options())
    assert task.sample is not None
    assert task.sample.type.startswith("ELF 64-bit")


@pytest.mark.parametrize(
    "name", [b"a b", b'it\'s "q"', b"new\nline", b"\xff\xfe", b"-rf", b"--help", "żółw".encode(), b"x" * 255]
)
def test_any_name_is_kept(home: Home, tmp_path: Path, name: bytes) -> None:
    task = submit.submit(home, SETTINGS, make(tmp_path, name), Options())
    assert task.sample is not None
    assert task.sample.name == name
    assert task.target.isprintable()
    assert submit.load(home.analysis(task.id)) == task


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.binary(min_size=1, max_size=200).filter(lambda name: b"\0" not in name and b"/" not in name))
def test_names_survive_json_and_can_be_shown(name: bytes) -> None:
    assert submit.shown(name).isprintable()
    assert submit.shown(name) != ""


def test_symlinks_are_followed(home: Home, tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "link").symlink_to("sample.sh")
    task = submit.submit(home, SETTINGS, str(tmp_path / "link"), Options())
    assert task.sample is not None
    assert (task.sample.name, task.sample.size) == (b"link", 18)


def test_relative_and_dashed_paths(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, b"-x")
    monkeypatch.chdir(tmp_path)
    assert submit.submit(home, SETTINGS, "-x", Options()).target == "-x"


def refused(home: Home, target: str | bytes, *words: str) -> None:
    with pytest.raises(SubmitError) as caught:
        submit.submit(home, SETTINGS, target, Options())
    line = str(caught.value)
    assert line.isprintable()
    assert caught.value.exit_status == 2
    for word in words:
        assert word in line
    assert left_behind(home) == []


def test_what_is_no_file_is_refused(home: Home, tmp_path: Path) -> None:
    refused(home, str(tmp_path / "nothing"), "there is no such file")
    refused(home, str(tmp_path / "nothing\n\x1b[2J"), r"\n\x1b[2J")
    refused(home, str(tmp_path), "is a directory")
    refused(home, str(tmp_path) + "/", "is a directory")
    refused(home, make(tmp_path, content=b""), "is empty")
    refused(home, "/dev/null", "a device")
    refused(home, b"a\0b", "cannot be a file")
    refused(home, "", "no such file")
    os.mkfifo(tmp_path / "fifo")
    refused(home, str(tmp_path / "fifo"), "a FIFO")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        refused(home, str(tmp_path / "socket"), "socket")
    (tmp_path / "loop").symlink_to("loop")
    refused(home, str(tmp_path / "loop"), "circle")
    (tmp_path / "dangling").symlink_to("nowhere")
    refused(home, str(tmp_path / "dangling"), "no such file")
    refused(home, make(tmp_path) + b"/below", "not a directory")
    refused(home, str(tmp_path / ("x" * 300)), "too long")


def test_too_large(home: Home, tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate((1 << 20) + 1)
    refused(home, str(tmp_path / "big"), "too large", "at most 1", "analysis.max_sample_mb")
    with (tmp_path / "fits").open("wb") as file:
        file.truncate(1 << 20)
    task = submit.submit(home, SETTINGS, str(tmp_path / "fits"), Options())
    assert task.sample is not None
    assert task.sample.size == 1 << 20


def test_a_file_that_grows_is_bounded(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make(tmp_path)
    monkeypatch.setattr(os, "read", lambda fd, size: b"x" * size)
    refused(home, path, "too large")


def test_unreadable(home: Home, tmp_path: Path) -> None:
    path = make(tmp_path)
    os.chmod(path, 0)
    root = os.geteuid() == 0
    if root:  # may read everything, so become somebody who may not
        os.seteuid(65534)
    try:
        with pytest.raises(SubmitError, match="not readable for you"):
            submit.submit(home, SETTINGS, path, Options())
    finally:
        if root:
            os.seteuid(0)
    assert left_behind(home) == []


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://h/f", "http://", "http://h/a b"])
def test_urls_that_cannot_be_fetched_are_refused_clearly(home: Home, url: str) -> None:
    refused(home, url, "cannot be fetched")


def test_a_url_is_fetched_in_the_guest(home: Home) -> None:
    url = "http://example.org/x?a='$(id)'&b=1"
    task = submit.submit(home, SETTINGS, url, Options(network="sim"))
    script = home.analysis(task.id).sample.read_text()
    assert (task.category, task.target) == ("url", url)
    assert task.sample is not None
    assert task.sample.size == len(script)
    # the shell that runs it takes the URL as one word, whatever stands in it
    words = shlex.split(next(line for line in script.splitlines() if line.startswith("curl")))
    assert url in words
    with pytest.raises(SubmitError, match="needs a network"):
        submit.submit(home, SETTINGS, url, Options(network="none"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"package": "nonsense"}, "no package 'nonsense'"),
        ({"network": "wormhole"}, "no network mode 'wormhole'"),
        ({"network": "internet"}, "set routes.internet in config.toml"),
        ({"network": "tor"}, "the network tor is not set up on this machine"),
        ({"engine": "magic"}, "no engine 'magic'"),
        ({"timeout_s": 0}, "timeout of 0 s"),
        ({"timeout_s": float("nan")}, "timeout of nan s"),
        ({"timeout_s": -1}, "timeout"),
        ({"timeout_s": 1e9}, "timeout"),
        ({"user": "Robert'; --"}, "not a name of a user"),
        ({"image": "../x"}, "not a name of an image"),
        ({"arguments": "'open"}, "cannot be split"),
        ({"arguments": "a\0b"}, "NUL"),
        ({"time": "warp"}, "no time 'warp'"),
        ({"time": "skip", "network": "sim"}, "after the guest's own deadlines"),
        ({"extra": {"follow": "maybe"}}, "follow=maybe"),
    ],
)
def test_options_that_cannot_be_right(home: Home, tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SubmitError) as caught:
        submit.submit(home, SETTINGS, make(tmp_path), msgspec.structs.replace(Options(), **changes))
    assert words in str(caught.value)
    assert left_behind(home) == []


def test_known_packages_are_accepted() -> None:
    for name in submit.package_names():
        submit.check(Options(package=name), SETTINGS.routes)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_is_one_line_and_leaves_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(fd: int, size: int) -> bytes:
        raise OSError(number, os.strerror(number))

    path = make(tmp_path)
    monkeypatch.setattr(os, "read", full)
    with pytest.raises(HostError, match="no space is left under") as caught:
        submit.submit(home, SETTINGS, path, Options())
    assert caught.value.exit_status == 3
    assert left_behind(home) == []


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError, match="cannot be written"):
        submit.submit(Home(tmp_path / "file" / "home"), SETTINGS, make(tmp_path), Options())


def test_interruption_leaves_nothing(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(head: bytes) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(submit, "describe", interrupt)
    with pytest.raises(KeyboardInterrupt):
        submit.submit(home, SETTINGS, make(tmp_path), Options())
    assert left_behind(home) == []


def test_ids_are_never_given_twice(home: Home, tmp_path: Path) -> None:
    with ProcessPoolExecutor(4) as pool:
        ids = list(pool.map(submit.reserve, [home] * 40))
    assert sorted(ids) == list(range(1, 41))
    home.last_id.unlink()
    home.analysis(77).create()
    assert submit.reserve(home) == 78
    home.last_id.write_text("nonsense")
    assert submit.reserve(home) == 78


def test_load_says_what_is_wrong(home: Home) -> None:
    with pytest.raises(SubmitError, match="no analysis 5"):
        submit.load(home.analysis(5))
    store = home.analysis(6).create()
    store.task.write_text("{")
    with pytest.raises(MalkohaError, match="cannot be read"):
        submit.load(store)


def test_a_route_that_is_set_up_can_be_asked_for() -> None:
    submit.check(Options(network="tor"), Routes(tor="127.0.0.1:9050"))
    submit.check(Options(network="vpn"), Routes(vpn="interface:wg0", resolver="9.9.9.9"))


@pytest.mark.parametrize(
    ("routes", "words"),
    [
        ({"vpn": "interface:wg0"}, "the network vpn has no name server (set routes.resolver"),
        ({"vpn": "interface:wg0", "resolver": "9.9.9"}, "routes.resolver cannot be '9.9.9'"),
        ({"vpn": "interface:wg0", "resolver": "9.9.9.9", "blocked_networks": ("1.2.3.4/99",)}, "blocked_networks"),
    ],
)
def test_a_route_that_is_set_up_by_halves_is_an_error(routes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        submit.check(Options(network="vpn"), Routes(**routes))
    assert words in str(caught.value)
