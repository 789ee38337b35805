"""A simulated internet without a namespace: ARP, ping, UDP and TCP over IPv4, for every address, frame by frame.

It takes the kernel's place where this host makes no network namespaces. The services behind it are the same; each TCP
connection is one end of a socket pair. The process stands in the host's own network then, so ``confine`` takes from it
what it could reach that with. Between a guest and this process nothing is lost or changes its order, which is why
little of RFC 9293 is needed: no reassembly, no congestion control, one timer.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from typing import Any

import dpkt

from malkoha.network.addresses import GATEWAY_MAC, GUEST
from malkoha.network.ports import Packet, Ports
from malkoha.network.pump import TCP, UDP, Pump
from malkoha.network.refusal import Ends

MAC = bytes.fromhex(GATEWAY_MAC.replace(":", ""))
MSS, PLAIN_MSS = 1460, 536
LARGEST_DATAGRAM = 1472
HELD = 128 << 10
"""Bytes for the guest that one connection keeps; beyond, its service waits."""
AGAIN_S, TIMES = 1.0, 8
"""When what the guest has not acknowledged is sent again, and how often, with twice the pause each time."""
CONNECTIONS = 4000
_ICMP, _ECHO, _ECHO_REPLY = 1, 8, 0
_MASK = 0xFFFFFFFF
_FIN, _SYN, _RST, _PSH, _ACK = 1, 2, 4, 8, 16
_REACHING = frozenset({"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"})


def confine() -> None:
    """Refuse from now on whatever would make this process speak to anybody: bind, connect, send to, look up."""

    def refuse(event: str, words: tuple[Any, ...]) -> None:
        if event in _REACHING or (event == "socket.sendmsg" and words[1] is not None):
            raise PermissionError(f"{event}: the simulated internet has no namespace of its own")

    sys.addaudithook(refuse)


class Stack:
    """Everything that a guest can send to, on the running loop."""

    def __init__(self, pump: Pump, ports: Ports) -> None:
        self.ports = ports
        self._pump = pump
        self._guest = socket.inet_aton(GUEST)
        self._connections: dict[Ends, _Connection] = {}
        self._number = 0

    def frame(self, frame: bytes) -> None:
        """Answer one frame of the guest; what makes no sense is left alone."""
        try:
            read = dpkt.ethernet.Ethernet(frame)
            if isinstance(read.data, dpkt.arp.ARP):
                self._neighbour(read)
            elif isinstance(read.data, dpkt.ip.IP) and not (read.data.mf or read.data.offset):
                self._packet(read)
        except (dpkt.UnpackError, AttributeError, ValueError, IndexError):
            return

    def send(self, to: bytes, source: bytes, protocol: int, payload: dpkt.Packet) -> None:
        """Send the guest one packet that comes from an address."""
        self._number = self._number + 1 & 0xFFFF
        packet = dpkt.ip.IP(src=source, dst=self._guest, p=protocol, ttl=64, id=self._number, data=payload)
        packet.len = len(packet)
        self._pump.answer(bytes(dpkt.ethernet.Ethernet(src=MAC, dst=to, type=0x800, data=packet)))

    def forget(self, ends: Ends) -> None:
        """Know a connection no more."""
        self._connections.pop(ends, None)

    def close(self) -> None:
        """Leave everything as it is."""
        for connection in list(self._connections.values()):
            connection.drop()

    def _neighbour(self, read: dpkt.ethernet.Ethernet) -> None:
        """Be every address of the link but the guest's own (RFC 826)."""
        asked = read.data
        if asked.op != dpkt.arp.ARP_OP_REQUEST or asked.tpa == self._guest:
            return
        told = dpkt.arp.ARP(op=dpkt.arp.ARP_OP_REPLY, sha=MAC, spa=asked.tpa, tha=asked.sha, tpa=asked.spa)
        self._pump.answer(bytes(dpkt.ethernet.Ethernet(src=MAC, dst=read.src, type=0x806, data=told)) + bytes(18))

    def _packet(self, read: dpkt.ethernet.Ethernet) -> None:
        packet, inner = read.data, read.data.data
        if packet.src != self._guest or packet.dst == self._guest or packet.dst[0] >= 224 or read.dst[0] & 1:
            return  # to a group or to everybody on a link where nobody else is
        if packet.p == _ICMP and inner.type == _ECHO:
            self.send(read.src, packet.dst, _ICMP, dpkt.icmp.ICMP(type=_ECHO_REPLY, data=inner.data))
        elif packet.p == UDP:
            self._datagram(read.src, packet.dst, inner)
        elif packet.p == TCP:
            self._segment(read.src, packet.dst, inner)

    def _datagram(self, to: bytes, host: bytes, asked: dpkt.udp.UDP) -> None:
        def reply(answer: bytes) -> None:
            told = dpkt.udp.UDP(sport=asked.dport, dport=asked.sport, data=answer[:LARGEST_DATAGRAM])
            told.ulen = len(told)
            self.send(to, host, UDP, told)

        source, target = (GUEST, asked.sport), (socket.inet_ntoa(host), asked.dport)
        self.ports.datagram(Packet(bytes(asked.data), source, target, reply))

    def _segment(self, to: bytes, host: bytes, segment: dpkt.tcp.TCP) -> None:
        ends = Ends(GUEST, segment.sport, socket.inet_ntoa(host), segment.dport)
        known = self._connections.get(ends)
        opens = segment.flags & (_SYN | _ACK | _RST) == _SYN
        if known is not None and opens and segment.seq + 1 & _MASK != known.first:
            known.drop()  # the guest uses the port again
            known = None
        if known is not None:
            known.segment(segment)
        elif opens and len(self._connections) < CONNECTIONS:
            self._connections[ends] = _Connection(self, ends, to, host, segment)
        elif not segment.flags & _RST:
            told = dpkt.tcp.TCP(sport=segment.dport, dport=segment.sport, seq=segment.ack, flags=_RST, win=0)
            self.send(to, host, TCP, told)


class _Connection:
    """One TCP connection; the service has the other end of ``near``."""

    def __init__(self, stack: Stack, ends: Ends, to: bytes, host: bytes, opening: dpkt.tcp.TCP) -> None:
        self.first = opening.seq + 1 & _MASK
        """Number of the guest's first byte."""
        self._stack, self._ends, self._to, self._host = stack, ends, to, host
        self._loop = asyncio.get_running_loop()
        self._near, self._far = socket.socketpair()
        self._near.setblocking(False)
        self._far.setblocking(False)
        self._wanted = self.first
        self._unacknowledged = int.from_bytes(os.urandom(4))
        self._window = opening.win
        self._mss = min(_mss(opening), MSS)
        self._held = bytearray()
        """What the guest has not acknowledged yet; the first ``_flying`` bytes of it are on their way."""
        self._flying = 0
        self._open = False
        self._over = self._fin_sent = self._done = self._guest_over = False
        """The service has ended; that was sent; the guest has acknowledged it; the guest has ended."""
        self._timer: asyncio.TimerHandle | None = None
        self._tries = 0
        self._greet()

    def segment(self, segment: dpkt.tcp.TCP) -> None:
        """Take one segment of the guest."""
        if segment.flags & _RST:
            self.drop()
            return
        if segment.flags & _SYN:
            self._greet()
            return
        if segment.flags & _ACK:
            self._acknowledged(segment.ack)
            self._window = segment.win
        if self._open and (segment.data or segment.flags & _FIN):
            self._take(segment)
        if self._done and self._guest_over:
            self.drop()
        elif self._near.fileno() >= 0:
            self._push()

    def drop(self) -> None:
        """Forget the connection without another word."""
        self._stack.forget(self._ends)
        self._stop_timer()
        if self._near.fileno() >= 0:
            self._loop.remove_reader(self._near)
        self._near.close()
        if not self._open:
            self._far.close()

    # -- from the guest --------------------------------------------------------------------------------------------

    def _acknowledged(self, number: int) -> None:
        gone = number - self._unacknowledged & _MASK
        if not self._open:
            if gone == 1:
                self._open = True
                self._unacknowledged = number
                self._stop_timer()
                self._loop.add_reader(self._near, self._readable)
                source, target = (self._ends.src, self._ends.sport), (self._ends.dst, self._ends.dport)
                self._stack.ports.take(self._far, source, target)
            return
        if not 0 < gone <= self._flying + self._fin_sent:
            return
        content = min(gone, self._flying)
        del self._held[:content]
        self._flying -= content
        self._unacknowledged = number
        self._stop_timer()
        if gone > content:
            self._fin_sent, self._done = False, True
        elif not self._over:
            self._loop.add_reader(self._near, self._readable)

    def _take(self, segment: dpkt.tcp.TCP) -> None:
        """Give the service what is new; what it has no room for is not acknowledged, and comes again."""
        known = self._wanted - segment.seq & _MASK
        data = bytes(segment.data)
        if known <= len(data):
            data = data[known:]
            try:
                taken = self._near.send(data) if data else 0
            except BlockingIOError:
                taken = 0
            except OSError:
                self._say(_RST | _ACK)
                self.drop()
                return
            self._wanted = self._wanted + taken & _MASK
            if segment.flags & _FIN and taken == len(data) and not self._guest_over:
                self._guest_over = True
                self._wanted = self._wanted + 1 & _MASK
                with contextlib.suppress(OSError):
                    self._near.shutdown(socket.SHUT_WR)
        self._say(_ACK)

    # -- to the guest ----------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = self._near.recv(HELD)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._held += data
        self._over = not data
        if self._over or len(self._held) >= HELD:
            self._loop.remove_reader(self._near)
        self._push()

    def _push(self) -> None:
        """Send what the guest's window has room for, and the end when all is sent."""
        while (room := min(self._window - self._flying, len(self._held) - self._flying, self._mss)) > 0:
            data = bytes(self._held[self._flying : self._flying + room])
            self._say(_ACK | _PSH, data)
            self._flying += room
        if self._over and self._flying == len(self._held) and not (self._fin_sent or self._done):
            self._say(_ACK | _FIN)
            self._fin_sent = True
        if self._held or self._fin_sent:
            self._start_timer()

    def _greet(self) -> None:
        if not self._open:
            self._say(_SYN | _ACK, options=b"\x02\x04" + MSS.to_bytes(2))
            self._start_timer()

    def _say(self, flags: int, data: bytes = b"", options: bytes = b"") -> None:
        told = dpkt.tcp.TCP(
            sport=self._ends.dport,
            dport=self._ends.sport,
            seq=self._unacknowledged + self._flying + self._fin_sent & _MASK,
            ack=self._wanted,
            flags=flags,
            win=65535,
            opts=options,
            data=data,
        )
        told.off = 5 + len(options) // 4
        self._stack.send(self._to, self._host, TCP, told)

    def _start_timer(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(AGAIN_S * 2**self._tries, self._again)

    def _stop_timer(self) -> None:
        self._tries = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        self._timer = None
        self._tries += 1
        if self._tries > TIMES:
            self.drop()
        elif not self._open:
            self._greet()
        else:
            self._flying, self._fin_sent = 0, False
            self._window = max(self._window, 1)
            self._push()


def _mss(segment: dpkt.tcp.TCP) -> int:
    """Return the largest segment that the guest takes (RFC 9293, section 3.7.1)."""
    for kind, value in dpkt.tcp.parse_opts(segment.opts):
        if kind == dpkt.tcp.TCP_OPT_MSS and len(value) == 2:
            return max(int.from_bytes(value), PLAIN_MSS)
    return PLAIN_MSS
