from __future__ import annotations

from malkoha.model.report import Origin
from malkoha.processing.attribution import Use, Uses, _message_peer
from malkoha.processing.packets import Flow, Lookup


def flow(host: str, port: int, at: float) -> Flow:
    return Flow(src="10.20.0.51", sport=4000, dst=host, dport=port, time=at, last=at, offset=0)


def use(pid: int, at: float) -> Use:
    return Use(Origin(pid=pid, key=pid, process_name="p", api="connect", seq=pid, cid=0), at)


def test_connections_are_given_out_in_their_order() -> None:
    uses = Uses()
    for pid, at in ((1, 10.0), (2, 11.0)):
        uses._add(uses._connects, ("a", 80), use(pid, at))
    first, second, third = (uses.of_tcp(flow("a", 80, at)) for at in (10.01, 11.01, 12.0))
    assert first is not None
    assert second is not None
    assert (first.pid, second.pid, third) == (1, 2, None)


def test_a_flow_before_any_call_has_no_cause() -> None:
    uses = Uses()
    uses._add(uses._connects, ("a", 80), use(1, 20.0))
    assert uses.of_tcp(flow("a", 80, 10.0)) is None
    assert uses.of_tcp(flow("b", 80, 30.0)) is None


def test_datagrams_belong_to_the_last_call_before_them() -> None:
    uses = Uses()
    for pid, at in ((1, 10.0), (2, 10.2)):
        uses._add(uses._sends, ("a", 53), use(pid, at))
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
