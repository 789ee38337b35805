"""A world of our own for the routes that lead out: network namespaces of this test, with hosts at public addresses.

The route's namespace has one card, and at its other end stands the world's namespace, which has no other way out: what
a test or a guest sends can get there and nowhere else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ADDRESS, OTHER, RESOLVER = "93.184.215.14", "104.18.26.120", "9.9.9.9"
ADDRESS6 = "2606:4700::6812:1a78"
LAN = "192.168.77.5"
HERE, NEXT = "100.127.0.1", "100.127.0.2"

HOSTS = """
import asyncio, json, sys
import dnslib

HEARD = open(sys.argv[1], "a", buffering=1)

def heard(what, *more):
    HEARD.write(json.dumps([what, *more]) + "\\n")

async def talk(reader, writer):
    ours, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
    first = await reader.read(65536)
    heard("tcp", ours[0].removeprefix("::ffff:"), ours[1], first.decode("latin-1"))
    if first.startswith(b"GET"):
        body = b"from the world\\n"
        writer.write(b"HTTP/1.0 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
    elif first.startswith(b"flood"):
        with open("/dev/zero", "rb") as zeros:
            for _ in range(int(first.split()[1])):
                writer.write(zeros.read(1 << 20))
                await writer.drain()
    else:
        writer.write(b"echo " + first)
    writer.close()

async def names(reader, writer):
    query = dnslib.DNSRecord.parse(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
    reply = query.reply()
    name = str(query.q.qname)
    heard("dns", name, dnslib.QTYPE[query.q.qtype])
    if query.q.qtype == dnslib.QTYPE.A:
        address = {"lan.example.": "LAN", "big.example.": None}.get(name, "ADDRESS")
        for at in range(200 if address is None else 1):
            reply.add_answer(dnslib.RR(query.q.qname, rdata=dnslib.A(address or f"93.184.216.{at}"), ttl=5))
    packed = reply.pack()
    writer.write(len(packed).to_bytes(2) + packed)
    await writer.drain()
    writer.close()

class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport
    def datagram_received(self, data, peer):
        heard("udp", data.decode("latin-1"))
        self.transport.sendto(b"echo " + data, peer)

async def main():
    loop = asyncio.get_running_loop()
    servers = [await asyncio.start_server(names, "RESOLVER", 53)]
    for host in ("ADDRESS", "OTHER", "ADDRESS6", "LAN"):
        for port in (25, 80, 4444):
            servers.append(await asyncio.start_server(talk, host, port))
    await loop.create_datagram_endpoint(Echo, local_addr=("ADDRESS", 7000))
    heard("ready")
    await asyncio.Event().wait()

asyncio.run(main())
"""


@dataclass(frozen=True)
class World:
    """Two namespaces and what the hosts of the outer one have heard."""

    route: str
    """Name of the namespace that an administrator would have prepared."""
    outside: str
    heard_in: Path

    def heard(self) -> list[list[Any]]:
        import json

        return [json.loads(line) for line in self.heard_in.read_text().splitlines()]

    def inside(self, *command: str) -> list[str]:
        """Return a command that is run in the route's namespace."""
        return ["ip", "netns", "exec", self.route, *command]


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)


def possible() -> bool:
    """Tell whether this user can make named network namespaces."""
    if os.geteuid() != 0:
        return False
    name = f"mk-{uuid.uuid4().hex[:8]}"
    try:
        made = subprocess.run(["ip", "netns", "add", name], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
    if made:
        ip("netns", "delete", name)
    return made


@contextlib.contextmanager
def world(folder: Path) -> Iterator[World]:
    """Make a world and take it away again."""
    name = uuid.uuid4().hex[:8]
    made = World(f"mk-route-{name}", f"mk-world-{name}", folder / "heard.jsonl")
    try:
        for namespace in (made.route, made.outside):
            ip("netns", "add", namespace)
        ip("link", "add", "up0", "netns", made.route, "type", "veth", "peer", "name", "down0", "netns", made.outside)
        for namespace, card, address in ((made.route, "up0", HERE), (made.outside, "down0", NEXT)):
            ip("-n", namespace, "link", "set", "lo", "up")
            ip("-n", namespace, "link", "set", card, "up")
            ip("-n", namespace, "address", "add", f"{address}/30", "dev", card)
        ip("-n", made.route, "-6", "address", "add", "fd00:7::1/64", "dev", "up0", "nodad")
        ip("-n", made.outside, "-6", "address", "add", "fd00:7::2/64", "dev", "down0", "nodad")
        ip("-n", made.route, "route", "add", "default", "via", NEXT)
        ip("-n", made.route, "-6", "route", "add", "default", "via", "fd00:7::2")
        for address in (ADDRESS, OTHER, RESOLVER, LAN):
            ip("-n", made.outside, "address", "add", f"{address}/32", "dev", "lo")
        ip("-n", made.outside, "-6", "address", "add", f"{ADDRESS6}/128", "dev", "lo", "nodad")
        with _hosts(made):
            yield made
    finally:
        for namespace in (made.route, made.outside):
            subprocess.run(["ip", "netns", "delete", namespace], check=False, capture_output=True)


@contextlib.contextmanager
def _hosts(made: World) -> Iterator[None]:
    text = textwrap.dedent(HOSTS)
    for word, value in {
        '"ADDRESS6"': f'"{ADDRESS6}"', '"ADDRESS"': f'"{ADDRESS}"', '"OTHER"': f'"{OTHER}"',
        '"RESOLVER"': f'"{RESOLVER}"', '"LAN"': f'"{LAN}"',
    }.items():  # fmt: skip
        text = text.replace(word, value)
    made.heard_in.touch()
    words = ["ip", "netns", "exec", made.outside, sys.executable, "-c", text, str(made.heard_in)]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        until_ready(made, process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until_ready(made: World, process: subprocess.Popen[bytes]) -> None:
    """Wait until the hosts of the world listen."""
    import time

    deadline = time.monotonic() + 60
    while ["ready"] not in made.heard():
        assert process.poll() is None, "the hosts of the world did not start"
        assert time.monotonic() < deadline
        time.sleep(0.02)
