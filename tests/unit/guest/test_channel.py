"""Sessions of one channel: connecting, sending against a full port, and who may speak when."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from malkoha.errors import GuestError
from malkoha.guest.channel import Channel, NoAnswerError
from tests.fake_guest import FakeGuest, polite


def ignore(stream: str, head: dict[str, object], body: bytes) -> None:
    del stream, head, body


def hopeful() -> str:
    return ""


def test_connected_once_only(tmp_path: Path) -> None:
    guest = FakeGuest(tmp_path / "agent", polite)
    channel = Channel(ignore, hopeful)
    states = [channel.alive]
    channel.connect(tmp_path / "agent", 5)
    states.append(channel.alive)
    with pytest.raises(GuestError, match="connected already"):
        channel.connect(tmp_path / "agent", 5)
    channel.close()
    assert [*states, channel.alive] == [False, True, False]
    guest.close()


def test_the_socket_is_waited_for(tmp_path: Path) -> None:
    channel = Channel(ignore, hopeful)
    before = time.monotonic()
    with pytest.raises(GuestError, match="cannot be reached"):
        channel.connect(tmp_path / "agent", 0.3)
    assert time.monotonic() - before >= 0.3


def test_a_guest_that_takes_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "agent"))
        listener.listen(1)
        channel = Channel(ignore, hopeful)
        channel.connect(tmp_path / "agent", 5)
        with pytest.raises(NoAnswerError, match="takes nothing more"):
            channel.tell({"do": "more"}, b"", time.monotonic() + 5)
            for _ in range(100):
                channel.tell({"do": "more"}, bytes(200_000), time.monotonic() + 0.2)
        channel.close()


def test_too_large_a_request_is_refused_here(tmp_path: Path) -> None:
    channel = Channel(ignore, hopeful)
    with pytest.raises(GuestError, match="'put' is too large"):
        channel.tell({"do": "put"}, bytes(1 << 21), time.monotonic())


def test_an_error_that_is_no_text(tmp_path: Path) -> None:
    from malkoha.inguest.protocol import encode

    guest = FakeGuest(
        tmp_path / "agent",
        lambda head: polite(head) if head["do"] == "hello" else encode({"id": head["id"], "error": [1]}),
    )
    channel = Channel(ignore, hopeful)
    channel.connect(tmp_path / "agent", 5)
    with pytest.raises(GuestError, match="the agent in the guest refuses"):
        channel.ask({"do": "ping"}, b"", 5)
    channel.close()
    guest.close()
