from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from malkoha.processing import packets
from malkoha.processing.packets import Flow, read
from tests.captures import ACK, RST, SYN, Making


def test_a_conversation_is_put_together(tmp_path: Path) -> None:
    making = Making()
    making.talk("203.0.113.9", 80, 1.0, (0, b"GET / "), (0, b"HTTP/1.1\r\n"), (1, b"HTTP/1.1 200 OK"))
    (flow,) = read(making.save(tmp_path / "c.pcap"), set()).tcp
    assert (flow.dst, flow.dport, flow.sent, flow.received, flow.answered) == ("203.0.113.9", 80, 16, 15, True)
    assert flow.stream(0) == b"GET / HTTP/1.1\r\n"
    assert flow.stream(1) == b"HTTP/1.1 200 OK"


def test_segments_out_of_order_twice_and_with_gaps() -> None:
    flow = Flow(src="a", sport=1, dst="b", dport=2, time=0, last=0, offset=0)
    flow.starts[0] = 0xFFFFFFFE
    flow.pieces[0].extend([(2, b"efgh"), (0xFFFFFFFE, b"abcd"), (0, b"cdef"), (0xFFFFFFFE, b"ab"), (50, b"lost")])
    assert flow.stream(0) == b"abcdefgh"
    assert flow.stream(1) == b""


def test_who_did_not_answer_and_who_refused(tmp_path: Path) -> None:
    making = Making()
    making.syn("203.0.113.1", 81, 1.0)
    making.syn("203.0.113.2", 82, 1.1, answer=RST | ACK)
    making.syn("203.0.113.3", 83, 1.2, answer=SYN | ACK)
    flows = read(making.save(tmp_path / "c.pcap"), set()).tcp
    assert [(flow.answered, flow.refused) for flow in flows] == [(False, False), (False, True), (True, False)]


def test_lookups_and_pings(tmp_path: Path) -> None:
    making = Making()
    making.lookup("www.example.org", 1.0, "198.51.100.4")
    making.ping("198.51.100.4", 2.0)
    wire = read(making.save(tmp_path / "c.pcap"), set())
    (lookup,) = wire.lookups
    assert (lookup.request, lookup.type, lookup.answered) == ("www.example.org", "A", True)
    assert lookup.answers == [{"type": "A", "data": "198.51.100.4"}]
    assert (wire.icmp[0]["type"], wire.icmp[0]["dst"], wire.icmp[0]["data"]) == (8, "198.51.100.4", "ping")


def test_the_same_ports_again_are_another_conversation(tmp_path: Path) -> None:
    making = Making()
    ends = making.syn("203.0.113.1", 81, 1.0, answer=SYN | ACK)
    making.segment(ends, 777_000, SYN, 9.0)
    assert len(read(making.save(tmp_path / "c.pcap"), set()).tcp) == 2


def test_bounds_are_kept_and_counted(tmp_path: Path, monkeypatch: object) -> None:
    packets_flows, packets.FLOWS = packets.FLOWS, 5
    try:
        making = Making()
        for port in range(1, 12):
            making.syn("203.0.113.1", port, 1.0)
        wire = read(making.save(tmp_path / "c.pcap"), set())
    finally:
        packets.FLOWS = packets_flows
    assert (len(wire.tcp), wire.omitted) == (5, 6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_torn_and_hostile_captures_never_raise(seed: int, changes: int) -> None:
    import tempfile

    making = Making()
    making.talk("203.0.113.9", 443, 1.0, (0, b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"), (1, b"x" * 50))
    making.lookup("a.example", 2.0)
    making.ping("8.8.8.8", 3.0)
    data = bytearray(making.file.getvalue())
    chance = random.Random(seed)
    for _ in range(changes):
        data[chance.randrange(24, len(data))] = chance.randrange(256)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "c.pcap"
        path.write_bytes(data[: chance.randrange(len(data))])
        wire = read(path, set())
        for flow in wire.tcp:
            flow.stream(0)
            flow.stream(1)


def test_what_is_no_capture_is_empty(tmp_path: Path) -> None:
    for content in (b"", b"x", b"\xff" * 100):
        (tmp_path / "c.pcap").write_bytes(content)
        assert read(tmp_path / "c.pcap", set()).packets == 0
