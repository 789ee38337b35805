"""Those who would notice a guest that gets out: listeners on this host and on its LAN, an ear on every card."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import select
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.worlds import ip

ETH_P_ALL = 3
DRAIN_S = 10.0
"""How long what is still in the queues of a busy host is read."""


@dataclass
class Witnesses:
    """What was heard so far; every entry says by whom."""

    port: int
    """TCP and UDP, on all addresses of this host and on the LAN's host."""
    marker: bytes
    here: str
    lan: str
    """Addresses of this host and of the other one on the LAN between them."""
    addresses: list[str]
    """All that lead to one of the listeners."""
    heard: list[str] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    """Cards that a frame with the marker has passed."""


@contextlib.contextmanager
def witnesses(marker: bytes) -> Iterator[Witnesses]:
    """Listen on this host, on a host beside it and on all cards, until the end; needs root."""
    with contextlib.ExitStack() as stack:
        lan = stack.enter_context(_namespace())
        name = uuid.uuid4().hex
        near = f"mk{name[:8]}"
        # a LAN of its own for each, since tests of several checkouts may run at once
        first = int(ipaddress.ip_address("10.208.0.0")) + int(name[:5], 16) // 4 * 4
        here, other = (str(ipaddress.ip_address(first + at)) for at in (1, 2))
        ip("link", "add", near, "type", "veth", "peer", "name", "lan0", "netns", str(lan))
        ip("link", "set", near, "up")
        ip("address", "add", f"{here}/30", "dev", near)
        for words in (
            ["link", "set", "lo", "up"],
            ["link", "set", "lan0", "up"],
            ["address", "add", f"{other}/30", "dev", "lan0"],
        ):
            subprocess.run(["nsenter", f"--net=/proc/{lan}/ns/net", "ip", *words], check=True, capture_output=True)
        ears = [stack.enter_context(sock) for sock in _host()]
        port = ears[0].getsockname()[1]
        ears += [stack.enter_context(sock) for sock in _inside(lan, port)]
        made = Witnesses(port, marker, here, other, [*own_addresses(), other])
        card = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        card.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        stop, stopped = socket.socketpair()
        stack.enter_context(stop)
        thread = threading.Thread(target=_listen, args=(made, ears, card, stopped))
        thread.start()
        try:
            yield made
        finally:
            stop.send(b"!")
            thread.join()
            stopped.close()


@contextlib.contextmanager
def _namespace() -> Iterator[int]:
    """Make a namespace that ends with this process at the latest; return the process that holds it."""
    before = os.readlink("/proc/self/ns/net")
    words = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "sleep", "infinity"]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as holder:
        try:
            while os.readlink(f"/proc/{holder.pid}/ns/net") == before:
                assert holder.poll() is None, "no namespace was made"
                time.sleep(0.01)
            yield holder.pid
        finally:
            holder.kill()


def own_addresses() -> list[str]:
    """Return every address of this host, the loopback's among them."""
    import json

    said = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout
    return [each["local"] for card in json.loads(said) for each in card.get("addr_info", ())]


def _host() -> list[socket.socket]:
    tcp = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    udp.bind(("::", tcp.getsockname()[1]))
    return [tcp, udp]


def _inside(holder: int, port: int) -> list[socket.socket]:
    """Return listeners that stand in another namespace: a thread goes there and never comes back."""
    made: list[Any] = []

    def go() -> None:
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/proc/{holder}/ns/net", "rb") as file:
            if libc.setns(file.fileno(), 0x40000000):
                made.append(OSError(ctypes.get_errno(), "setns"))
                return
        made.append(socket.create_server(("0.0.0.0", port)))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("0.0.0.0", port))
        made.append(udp)

    thread = threading.Thread(target=go)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made


def _listen(made: Witnesses, ears: list[socket.socket], card: socket.socket, stopped: socket.socket) -> None:
    """Hear and see until it is told to stop and nothing is left that came before."""
    sources: list[Any] = [*ears, card, stopped]
    last, deadline = False, 0.0
    while True:
        ready, _, _ = select.select(sources, [], [], 0 if last else None)
        for sock in ready:
            if sock is card:
                frame, where = card.recvfrom(65536)
                if made.marker in frame:
                    made.seen.append(where[0])
            elif sock is not stopped:
                made.heard.append(_said(sock))
        if stopped in ready:
            stopped.recv(1)
            sources.remove(stopped)
            last = True
            deadline = time.monotonic() + DRAIN_S
        elif last and (not ready or time.monotonic() > deadline):
            return


def _said(sock: socket.socket) -> str:
    if sock.type == socket.SOCK_DGRAM:
        data, peer = sock.recvfrom(65536)
        return f"udp from {peer[0]}: {data[:80]!r}"
    connection, peer = sock.accept()
    connection.close()
    return f"tcp from {peer[0]}"


def possible() -> bool:
    """Tell whether this user can be such a witness."""
    return os.geteuid() == 0
