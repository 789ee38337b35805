from __future__ import annotations

from typing import Any

from malkoha.model.event import Event
from malkoha.model.traffic import Origin
from malkoha.processing.attribution import Use, Uses, _message_peer
from malkoha.processing.packets import Flow, Lookup
from malkoha.trace.descriptors import Tables

PEER = {"sa_family": "AF_INET", "sin_port": "80", "sin_addr": "203.0.113.9"}


def flow(host: str, port: int, at: float, own: int = 4000) -> Flow:
    return Flow(src="10.20.0.51", sport=own, dst=host, dport=port, time=at, last=at, offset=0)


def use(pid: int, at: float, own: int = 0) -> Use:
    return Use(Origin(pid=pid, key=pid, process_name="p", api="connect", seq=pid, cid=0), at, own)


def test_connections_are_given_out_in_their_order() -> None:
    uses = Uses()
    for pid, at in ((1, 10.0), (2, 11.0)):
        uses._add(uses._connects, ("a", 80, 0), use(pid, at))
    first, second, third = (uses.of_tcp(flow("a", 80, at)) for at in (10.01, 11.01, 12.0))
    assert first is not None
    assert second is not None
    assert (first.pid, second.pid, third) == (1, 2, None)


def test_a_flow_before_any_call_has_no_cause() -> None:
    uses = Uses()
    uses._add(uses._connects, ("a", 80, 0), use(1, 20.0))
    assert uses.of_tcp(flow("a", 80, 10.0)) is None
    assert uses.of_tcp(flow("b", 80, 30.0)) is None


def test_datagrams_belong_to_the_last_call_before_them() -> None:
    uses = Uses()
    for pid, at in ((1, 10.0), (2, 10.2)):
        uses._add(uses._sends, ("a", 53, 0), use(pid, at))
    (early, late) = (uses.of_udp(flow("a", 53, at)) for at in (10.1, 10.3))
    assert early is not None
    assert late is not None
    assert (early.pid, late.pid) == (1, 2)


def test_lookups_go_by_name() -> None:
    uses = Uses()
    uses._add(uses._names, "a.example", use(3, 5.0))
    lookup = Lookup(request="A.example", type="A", answers=[], server="s", sport=1, time=5.1)
    cause = uses.of_lookup(lookup)
    assert cause is not None
    assert cause.pid == 3


def test_the_address_of_a_message() -> None:
    peer = _message_peer([{"msg_name": {"sa_family": "AF_INET", "sin_addr": "1.2.3.4", "sin_port": "53"}}])
    assert (peer.host, peer.port) == ("1.2.3.4", 53)
    assert _message_peer("x") is None


def test_the_port_of_the_socket_decides_before_the_order() -> None:
    uses = Uses()
    # the first call never made a packet, and those of 2 and 3 went out the other way round
    for pid, at, own in ((1, 10.0, 0), (2, 10.1, 4002), (3, 10.2, 4003), (2, 11.0, 4002)):
        uses._add(uses._connects, ("a", 80, own), use(pid, at, own))
    third = uses.of_tcp(flow("a", 80, 10.3, 4003))
    second = uses.of_tcp(flow("a", 80, 10.31, 4002))
    assert third is not None
    assert second is not None
    assert (third.pid, second.pid) == (3, 2)
    # what has a port that no call is known to have had is left to the calls whose port is not known
    first = uses.of_tcp(flow("a", 80, 10.4, 4444))
    assert first is not None
    assert first.pid == 1
    assert uses.of_tcp(flow("a", 80, 10.5, 4445)) is None


def test_datagrams_and_lookups_go_by_the_port_as_well() -> None:
    uses = Uses()
    for pid, at, own in ((1, 10.0, 4001), (2, 10.0, 4002)):
        uses._add(uses._sends, ("a", 53, own), use(pid, at, own))
        uses._add(uses._names, "a.example", use(pid, at, own))
    for pid in (1, 2):
        sent = uses.of_udp(flow("a", 53, 10.1, 4000 + pid))
        asked = uses.of_lookup(
            Lookup(request="a.example", type="A", answers=[], server="a", sport=4000 + pid, time=10.1)
        )
        assert sent is not None
        assert asked is not None
        assert (sent.pid, asked.pid) == (pid, pid)
    assert uses.of_udp(flow("a", 53, 10.1, 4999)) is None


def test_the_trace_tells_the_port_once_for_a_socket() -> None:
    uses, tables = Uses(), Tables([])
    calls: tuple[tuple[str, dict[str, Any], int], ...] = (
        ("socket", {"domain": "AF_INET", "type": "SOCK_STREAM", "protocol": "0"}, 3),
        ("connect", {"sockfd": "3", "addr": PEER, "addrlen": "16", "local": {**PEER, "sin_port": "4001"}}, 0),
        ("sendto", {"sockfd": "3", "buf": "x", "len": "1", "flags": "0", "dest_addr": "NULL", "addrlen": "0"}, 1),
    )
    for number, (api, arguments, ret) in enumerate(calls):
        event = Event(seq=number, kind="syscall", api=api, pid=7, tid=7, time_ns=number, args=arguments, ret=ret)
        uses.feed(7, event, tables, use(7, 0.0).cause)
        tables.feed(7, event)
    assert list(uses._connects) == list(uses._sends) == [("203.0.113.9", 80, 4001)]
