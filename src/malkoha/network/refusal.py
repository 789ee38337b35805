"""Which of a guest's packets a route that leads out carries, and the answer to a connection that is refused."""

from __future__ import annotations

import socket
from typing import NamedTuple

from malkoha.network.pump import TCP, UDP, destination

_ICMP, _ICMP6 = 1, 58
_NEIGHBOURS = frozenset(range(130, 138)) | {143}
"""Types of ICMPv6 that stay on a link: neighbours (RFC 4861), and who listens to which group (RFC 3810)."""
_HOP_BY_HOP = 0
_SYN, _FIN = 0x02, 0x01


class Ends(NamedTuple):
    """Who speaks to whom."""

    src: str
    sport: int
    dst: str
    dport: int


def carried(frame: bytes) -> str:
    """Return "" for a packet that the namespace may have, else the kind that no route carries."""
    kind = frame[12:14]
    if kind == b"\x08\x06":
        return ""
    if kind == b"\x08\x00" and len(frame) >= 34:
        protocol = frame[23]
    elif kind == b"\x86\xdd" and len(frame) >= 55:
        protocol, kind6 = frame[20], frame[54]
        if protocol == _HOP_BY_HOP and len(frame) >= 63 and frame[54] == _ICMP6:
            # the way in which listeners to groups report (RFC 2711)
            protocol, kind6 = _ICMP6, frame[62]
        if protocol == _ICMP6 and kind6 in _NEIGHBOURS:
            return ""
    else:
        return "other"
    if protocol in (TCP, UDP):
        return ""
    return "icmp" if protocol in (_ICMP, _ICMP6) else f"protocol {protocol}"


def opening(frame: bytes) -> Ends | None:
    """Return the ends of a TCP connection that a frame wants to open, else None."""
    wanted = destination(frame)
    if wanted is None or wanted[0] != TCP:
        return None
    if frame[12:14] == b"\x08\x00":
        family, source, target, start = socket.AF_INET, frame[26:30], frame[30:34], 14 + (frame[14] & 15) * 4
    else:
        family, source, target, start = socket.AF_INET6, frame[22:38], frame[38:54], 54
    sport = int.from_bytes(frame[start : start + 2])
    return Ends(socket.inet_ntop(family, source), sport, socket.inet_ntop(family, target), wanted[1])


def reset(frame: bytes) -> bytes:
    """Return the frame that refuses the connection which this one wants to open (RFC 9293, section 3.5.2)."""
    import dpkt

    asked = dpkt.ethernet.Ethernet(frame)
    packet = asked.data
    tcp = packet.data
    said = len(tcp.data) + bool(tcp.flags & _SYN) + bool(tcp.flags & _FIN)
    answer = dpkt.tcp.TCP(
        sport=tcp.dport,
        dport=tcp.sport,
        seq=0,
        ack=(tcp.seq + said) & 0xFFFFFFFF,
        flags=dpkt.tcp.TH_RST | dpkt.tcp.TH_ACK,
        win=0,
    )
    if isinstance(packet, dpkt.ip.IP):
        back = dpkt.ip.IP(src=packet.dst, dst=packet.src, p=TCP, ttl=64, data=answer)
        back.len = len(back)
    else:
        back = dpkt.ip6.IP6(src=packet.dst, dst=packet.src, nxt=TCP, hlim=64, plen=len(answer), data=answer)
    return bytes(dpkt.ethernet.Ethernet(src=asked.dst, dst=asked.src, type=asked.type, data=back))
