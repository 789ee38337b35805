"""What the processes of one analysis's network are told (Plan, Order), ask of each other (Wish), and say (Said)."""

from __future__ import annotations

import msgspec

from malkoha.model.task import Egress
from malkoha.network.allowance import Limits


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a simulator is to do; numbers of descriptors are those that it inherits."""

    mode: str
    wire: int
    control: int
    capture: int
    folder: str
    authority: str
    answers: str = ""
    capture_limit: int = 256 << 20
    apart: bool = True
    """Whether it stands in a namespace of its own; where it does not, it answers frame by frame."""
    gate: int = -1
    """Where ways out are asked for; -1 where there are none."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What the process that leads out is to do."""

    mode: str
    gate: int
    control: int
    label: str
    limits: Limits
    device: str = ""
    proxy: str = ""
    resolver: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """One conversation that is asked for at the gate; the socket that comes with it carries verdict and content."""

    transport: str
    """tcp, udp, or dns: one query, one answer."""
    host: str = ""
    port: int = 0


class Said(msgspec.Struct, kw_only=True):
    """One line on a control socket."""

    ready: bool = False
    link: str = ""
    error: str = ""
    frames: int = 0
    dropped: int = 0
    uncaptured: int = 0
    sessions: int = 0
    omitted: int = 0
    refused: int = 0
    unforwarded: dict[str, int] = {}
    """Packets of kinds that no route carries -> how many."""
    egress: Egress | None = None
