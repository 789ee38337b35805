"""Ends that find each other, and the bounds on what is remembered."""

from __future__ import annotations

import pytest

from malkoha.trace.fields import Endpoint
from malkoha.trace.objects import HOLDERS, NAMES, Descriptor, Wiring, is_loopback


@pytest.mark.parametrize(
    ("host", "inside"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("", False)],
)
def test_loopback(host: str, inside: bool) -> None:
    assert is_loopback(host) is inside


def test_holders_are_bounded() -> None:
    item = Wiring().new("pipe")
    for key in range(HOLDERS + 5):
        item.held_by(key)
    assert len(item.holders) == HOLDERS


def test_names_are_bounded_and_the_oldest_go() -> None:
    wiring = Wiring()
    for port in range(1, NAMES + 10):
        item = wiring.new("socket", flags="SOCK_STREAM")
        wiring.bind(item, Endpoint("AF_INET", "127.0.0.1", port))
        wiring.listen(item)
    old, new = wiring.new("socket"), wiring.new("socket")
    wiring.connect(old, Endpoint("AF_INET", "127.0.0.1", 1))
    wiring.connect(new, Endpoint("AF_INET", "127.0.0.1", NAMES + 9))
    first = wiring.accept(Descriptor("socket", local=Endpoint("AF_INET", "127.0.0.1", 1)), None)
    last = wiring.accept(Descriptor("socket", local=Endpoint("AF_INET", "127.0.0.1", NAMES + 9)), None)
    assert (first.other, last.other) == (None, new)


def test_a_datagram_socket_leads_to_who_bound_the_name() -> None:
    wiring = Wiring()
    log, sender = wiring.new("socket", flags="SOCK_DGRAM"), wiring.new("socket", flags="SOCK_DGRAM")
    wiring.bind(log, Endpoint("AF_UNIX", "/dev/log"))
    wiring.connect(sender, Endpoint("AF_UNIX", "/dev/log"))
    assert sender.other is log


def test_a_terminal_without_its_master() -> None:
    assert Wiring().slave("/dev/pts/3", {1}).path == "/dev/pts/3"
