"""Frames that a route carries, and the one that refuses."""

from __future__ import annotations

import socket

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.network.refusal import Ends, carried, opening, reset

GUEST, HOST = b"\x0a\x14\0\x33", b"\x5d\xb8\xd7\x0e"
GUEST6, HOST6 = socket.inet_pton(socket.AF_INET6, "fd00::51"), socket.inet_pton(socket.AF_INET6, "2606:4700::1")
TH = dpkt.tcp


def framed(payload: dpkt.Packet, protocol: int, *, six: bool = False) -> bytes:
    if six:
        packet = dpkt.ip6.IP6(src=GUEST6, dst=HOST6, nxt=protocol, hlim=64, plen=len(payload), data=payload)
        return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, type=0x86DD, data=packet))
    packet = dpkt.ip.IP(src=GUEST, dst=HOST, p=protocol, ttl=64, data=payload)
    packet.len = len(packet)
    return bytes(dpkt.ethernet.Ethernet(src=b"\2" * 6, dst=b"\4" * 6, type=0x800, data=packet))


def tcp(flags: int) -> dpkt.tcp.TCP:
    return dpkt.tcp.TCP(sport=40000, dport=81, seq=0xFFFFFFFF, flags=flags, win=65535)


@pytest.mark.parametrize("six", [False, True])
def test_a_connection_that_is_refused_is_reset(six: bool) -> None:
    frame = framed(tcp(TH.TH_SYN), 6, six=six)
    assert carried(frame) == ""
    host = "2606:4700::1" if six else "93.184.215.14"
    guest = "fd00::51" if six else "10.20.0.51"
    assert opening(frame) == Ends(guest, 40000, host, 81)
    answer = dpkt.ethernet.Ethernet(reset(frame))
    assert (answer.src, answer.dst) == (b"\4" * 6, b"\2" * 6)
    back = answer.data.data
    assert (answer.data.src, answer.data.dst) == ((HOST6, GUEST6) if six else (HOST, GUEST))
    assert (back.sport, back.dport, back.flags) == (81, 40000, TH.TH_RST | TH.TH_ACK)
    assert back.ack == 0
    assert back.sum


def test_what_opens_nothing_is_let_through() -> None:
    for flags in (TH.TH_ACK, TH.TH_SYN | TH.TH_ACK, TH.TH_RST, TH.TH_FIN):
        assert opening(framed(tcp(flags), 6)) is None
    assert opening(framed(dpkt.udp.UDP(sport=1, dport=2), 17)) is None


def test_kinds_that_no_route_carries_have_names() -> None:
    echo = dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=1, seq=1))
    assert carried(framed(echo, 1)) == "icmp"
    assert carried(framed(dpkt.icmp6.ICMP6(type=128, data=b"\0" * 8), 58, six=True)) == "icmp"
    assert carried(framed(dpkt.icmp6.ICMP6(type=135, data=b"\0" * 8), 58, six=True)) == ""
    report = b"\x3a\0\x05\x02\0\0\1\0" + bytes(dpkt.icmp6.ICMP6(type=143, data=b"\0" * 8))
    assert carried(framed(dpkt.udp.UDP(report), 0, six=True)) == ""
    assert carried(framed(dpkt.udp.UDP(sport=1, dport=2), 47)) == "protocol 47"
    assert carried(b"\0" * 12 + b"\x88\xcc" + b"\0" * 50) == "other"
    assert carried(b"") == "other"


@given(st.binary(max_size=90), st.sampled_from([b"\x08\x00", b"\x86\xdd", b"\x08\x06"]))
def test_torn_frames_do_no_harm(body: bytes, kind: bytes) -> None:
    frame = b"\2" * 12 + kind + body
    carried(frame)
    if opening(frame) is not None:
        reset(frame)
