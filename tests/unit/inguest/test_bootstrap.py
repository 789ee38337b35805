"""The starter of an image: takes one frame of sources, imports them from memory, survives everything else."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from malkoha.inguest import bootstrap, protocol

AGENT = """
from . import other
from .deep import leaf
def main(port):
    other.told.append((port, leaf.NAME))
    raise SystemExit
"""
SOURCES = {"ga": "", "ga.service": AGENT, "ga.other": "told = []", "ga.deep": "", "ga.deep.leaf": "NAME = __name__"}


@pytest.fixture(autouse=True)
def _imports_as_before() -> Iterator[None]:
    finders = list(sys.meta_path)
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name.partition(".")[0] == "ga"]:
        del sys.modules[name]


@pytest.fixture
def port() -> Iterator[tuple[int, socket.socket]]:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        yield theirs.fileno(), ours


def frame(sources: object = SOURCES) -> bytes:
    return protocol.encode({"do": "load"}, json.dumps(sources).encode())


def sent_in_pieces(ours: socket.socket, data: bytes) -> None:
    for at in range(0, len(data), 7):
        ours.sendall(data[at : at + 7])


def heard(ours: socket.socket) -> list[protocol.Head]:
    ours.setblocking(False)
    data = b""
    try:
        while piece := ours.recv(65536):
            data += piece
    except BlockingIOError:
        pass
    return [head for head, _ in protocol.Decoder().feed(data)]


def test_it_speaks_the_protocol() -> None:
    assert (bootstrap.MAGIC, bootstrap.LENGTHS.format) == (protocol.MAGIC, protocol.LENGTHS.format)
    assert (protocol.MAX_HEAD, protocol.MAX_BODY) == (bootstrap.LIMIT, bootstrap.LIMIT)


def test_packages_and_modules_from_memory() -> None:
    agent = bootstrap.load(json.dumps(SOURCES).encode())
    with pytest.raises(SystemExit):
        agent.main(5)
    assert sys.modules["ga.other"].__dict__["told"] == [(5, "ga.deep.leaf")]
    assert bootstrap.Sources(SOURCES).find_spec("json") is None


def test_a_second_load_replaces_the_first() -> None:
    bootstrap.load(json.dumps(SOURCES).encode())
    again = bootstrap.load(json.dumps({**SOURCES, "ga.service": "NUMBER = 2"}).encode())
    assert again.NUMBER == 2
    assert sum(isinstance(finder, bootstrap.Sources) for finder in sys.meta_path) == 1


def test_a_frame_in_pieces(port: tuple[int, socket.socket]) -> None:
    fd, ours = port
    data = frame()
    sender = threading.Thread(target=sent_in_pieces, args=(ours, data))
    sender.start()
    assert bootstrap.receive(fd) == json.dumps(SOURCES).encode()
    sender.join()


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x01GA",
        b"x" * 12,
        b"\0" * 70_000,
        bootstrap.LENGTHS.pack(bootstrap.MAGIC, 1, 1 << 31),
        bootstrap.MAGIC * 5,
    ],
)
def test_what_is_no_frame_is_passed_over(port: tuple[int, socket.socket], garbage: bytes) -> None:
    fd, ours = port
    ours.sendall(garbage + frame())
    assert bootstrap.receive(fd) == json.dumps(SOURCES).encode()


def test_what_cannot_be_loaded_is_told(port: tuple[int, socket.socket]) -> None:
    fd, ours = port
    broken = {**SOURCES, "ga.service": "1 +"}
    ours.sendall(protocol.encode({"id": 0, "do": "hello"}) + frame([]))
    ours.sendall(frame(broken) + frame())
    bodies = [bootstrap.receive(fd)]
    assert bodies == [b""]
    with pytest.raises(SystemExit):
        # what follows in the same piece went with it; the host sends the next one after an answer
        ours.sendall(frame([]))
        threading.Timer(0.2, ours.sendall, [frame(broken)]).start()
        threading.Timer(0.4, ours.sendall, [frame()]).start()
        bootstrap.serve(fd)
    said = heard(ours)
    assert said[0] == {"stream": "empty"}
    assert [head["stream"] for head in said[1:]] == ["failed", "failed"]
    assert "no sources" in said[1]["error"]
    assert "SyntaxError" in said[2]["error"]


def test_the_port_is_found_by_its_name_and_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ports, devices = tmp_path / "ports", tmp_path / "devices"
    monkeypatch.setattr(bootstrap, "PORTS", str(ports))
    monkeypatch.setattr(bootstrap, "DEVICES", str(devices))
    devices.mkdir()
    os.mkfifo(devices / "vport2p1")

    def appear() -> None:
        for number, name in enumerate(["something.else", bootstrap.PORT_NAME], 1):
            (ports / f"vport{number}p1").mkdir(parents=True)
            (ports / f"vport{number}p1" / "name").write_text(f"{name}\n")

    threading.Timer(0.1, appear).start()
    fd = bootstrap.open_port()
    assert os.readlink(f"/proc/self/fd/{fd}") == str(devices / "vport2p1")
    assert not os.get_blocking(fd)
    os.close(fd)


def test_it_looks_like_the_program_whose_name_it_has() -> None:
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import bootstrap; bootstrap.pose(); "
        "print(open('/proc/self/comm').read().strip(), open('/proc/self/cmdline', 'rb').read().rstrip(b'\\0'))"
    )
    folder = Path(bootstrap.__file__).parent
    said = subprocess.run([sys.executable, "-c", script, folder], capture_output=True, text=True, check=True).stdout
    assert said == "irqbalance b'/usr/sbin/irqbalance\\x00--foreground'\n"
