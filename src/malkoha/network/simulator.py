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
from malkoha.network.journal import Journal
from malkoha.network.pump import Pump
from malkoha.network.reception import Reception
from malkoha.network.services.base import World


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulator is to do."""

    mode: str
    wire: int
    control: int
    capture: int
    folder: str
    authority: str
    answers: str = ""
    capture_limit: int = 256 << 20


class Said(msgspec.Struct, kw_only=True):
    """One line on the control socket."""

    ready: bool = False
    link: str = ""
    error: str = ""
    frames: int = 0
    dropped: int = 0
    uncaptured: int = 0
    sessions: int = 0
    omitted: int = 0
    refused: int = 0


async def run(plan: Plan) -> None:
    """Be the internet until the host has heard enough."""
    control = socket.socket(fileno=plan.control)
    control.setblocking(False)
    loop = asyncio.get_running_loop()
    with os.fdopen(plan.capture, "wb", buffering=1 << 16) as file:
        capture = Capture(file, plan.capture_limit)
        journal = Journal(Path(plan.folder))
        reception: Reception | None = None
        link, kind = None, "none"

        def expect(protocol: int, port: int) -> None:
            if reception is not None:
                reception.expect(protocol, port)

        pump = Pump(socket.socket(fileno=plan.wire), capture, expect)
        if plan.mode == "sim":
            from malkoha.network.namespace import open_link

            try:
                link, kind = open_link()
            except (MalkohaError, OSError) as error:
                await loop.sock_sendall(control, msgspec.json.encode(Said(error=str(error))) + b"\n")
                return
            reception = Reception(_services(plan), journal, pump.forget)
        else:
            pump.on_frame = drop.answer
        pump.start(link)
        await loop.sock_sendall(control, msgspec.json.encode(Said(ready=True, link=kind)) + b"\n")
        warming = loop.run_in_executor(None, _warm) if plan.mode == "sim" else None
        with contextlib.suppress(OSError):
            await loop.sock_recv(control, 1)
        pump.stop()
        if reception is not None:
            await reception.close()
        journal.close()
        capture.flush()
        said = Said(
            frames=capture.frames,
            dropped=pump.dropped,
            uncaptured=capture.dropped,
            sessions=journal.sessions,
            omitted=journal.omitted,
            refused=reception.refused if reception else 0,
        )
        with contextlib.suppress(OSError):
            await loop.sock_sendall(control, msgspec.json.encode(said) + b"\n")
        if warming is not None:
            await warming


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
