"""The process behind a guest's network card: runs in a namespace of its own and is the whole internet there.

In: a Plan as JSON in the one argument, with the numbers of inherited descriptors. Out: network.pcap, sessions.jsonl and
payloads; on the control socket one line when it is ready and one with what it counted at the end. It ends when the host
closes the control socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import sys
from pathlib import Path
from typing import Any

import msgspec

from malkoha.errors import MalkohaError
from malkoha.network import drop
from malkoha.network.answers import Answers
from malkoha.network.capture import Capture
from malkoha.network.forwarding import Forwarding
from malkoha.network.journal import Journal
from malkoha.network.namespace import open_link
from malkoha.network.orders import Plan, Said
from malkoha.network.ports import Ports
from malkoha.network.pump import Pump
from malkoha.network.reception import Reception
from malkoha.network.services.base import World


async def run(plan: Plan) -> None:
    """Be the internet until the host has heard enough."""
    control = socket.socket(fileno=plan.control)
    control.setblocking(False)
    loop = asyncio.get_running_loop()

    async def say(said: Said) -> None:
        with contextlib.suppress(OSError):
            await loop.sock_sendall(control, msgspec.json.encode(said) + b"\n")

    with os.fdopen(plan.capture, "wb", buffering=1 << 16) as file:
        capture = Capture(file, plan.capture_limit)
        journal = Journal(Path(plan.folder))
        ports: Ports | None = None
        link, kind = None, "none"

        def expect(protocol: int, port: int) -> None:
            if ports is not None:
                ports.expect(protocol, port)

        pump = Pump(socket.socket(fileno=plan.wire), capture, expect)
        if plan.mode == "drop":
            pump.on_frame = drop.answer
        elif not plan.apart:
            from malkoha.network.stack import Stack, confine

            confine()
            ports, kind = _ports(plan, pump, journal), "frames"
            pump.on_frame = Stack(pump, ports).frame
        else:
            try:
                link, kind = open_link()
            except (MalkohaError, OSError) as error:
                await say(Said(error=str(error)))
                return
            ports = _ports(plan, pump, journal)
        pump.start(link)
        await say(Said(ready=True, link=kind))
        warming = loop.run_in_executor(None, _warm) if ports is not None else None
        with contextlib.suppress(OSError):
            await loop.sock_recv(control, 1)
        pump.stop()
        if ports is not None:
            await ports.close()
        journal.close()
        capture.flush()
        await say(
            Said(
                frames=capture.frames,
                dropped=pump.dropped,
                uncaptured=capture.dropped,
                sessions=journal.sessions,
                omitted=journal.omitted,
                refused=ports.refused if ports is not None else 0,
                unforwarded=ports.unforwarded if isinstance(ports, Forwarding) else {},
            )
        )
        if warming is not None:
            await warming


def _ports(plan: Plan, pump: Pump, journal: Journal) -> Ports:
    """Return what answers: services of our own, or, where there is a gate, whoever is outside."""
    if plan.gate < 0:
        return Reception(_services(plan), journal, pump.forget)
    forwarding = Forwarding(socket.socket(fileno=plan.gate), pump, journal)
    pump.admit = forwarding.admit
    return forwarding


def _services(plan: Plan) -> list[Any]:
    from malkoha.network.authority import Authority
    from malkoha.network.services import SERVICES

    folder = Path(plan.folder)
    authority = Authority(Path(plan.authority)) if plan.authority else None
    world = World(authority, Answers(Path(plan.answers) if plan.answers else None), folder / "tls-keys.log")
    return [service(world) for service in SERVICES]


def _warm() -> None:
    """Load what the first conversations need, while nothing waits for it."""
    import dnslib

    del dnslib


def main() -> None:
    """Read the plan and carry it out."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    plan = msgspec.json.decode(sys.argv[1].encode(), type=Plan)
    asyncio.run(run(plan))


if __name__ == "__main__":
    main()
