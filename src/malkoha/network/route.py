"""The host's side of one analysis's network: starts its processes, hands QEMU its wire, and collects what was kept.

In: a mode, the analysis folder, the authority that the guest trusts, the settings. Out: a socket for ``Machine.plug``
and, at the end, a NetworkRun that says which network it was, how it was made, what passed and what was left out.

In ``sim`` and ``drop`` there is one process, and what it can reach is its own namespace. The modes that lead out have a
second one, outside that namespace (egress); it is started for them alone.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from malkoha.config import ROUTED, Settings
from malkoha.errors import HostError
from malkoha.model.task import Egress, NetworkRun
from malkoha.network import ranges
from malkoha.network.allowance import Limits
from malkoha.network.child import END_S, Child
from malkoha.network.orders import Order, Plan, Said
from malkoha.store import Store
from malkoha.submit import way_out

READY_S = 20.0
NAMESPACES = Path("/run/netns")
WAYS = {
    "none": "no namespace, no answers",
    "frames": "no namespace, answered frame by frame: IPv4 with TCP, UDP and ping",
}


class Route:
    """One analysis's network; enter it before the machine is restored, leave it after the machine has ended."""

    def __init__(self, mode: str, store: Store, authority: Path, settings: Settings) -> None:
        self.result = NetworkRun(mode=mode, way="")
        self._store, self._authority, self._settings = store, authority, settings
        self._child: Child | None = None
        self._leading: Child | None = None
        self._near: socket.socket | None = None
        self._far: socket.socket | None = None

    def __enter__(self) -> Self:
        """Start the processes; they make themselves ready while the machine is restored."""
        self._store.network.mkdir(parents=True, exist_ok=True)
        self._near, self._far = socket.socketpair()
        try:
            if self.result.mode in ROUTED:
                with self._lead_out() as gate:
                    self._start(gate)
            else:
                self._start()
        except BaseException:
            self.finish()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def take_wire(self) -> socket.socket:
        """Give the end of the wire that belongs to QEMU, once."""
        wire, self._near = self._near, None
        if wire is None:
            raise HostError("the network's wire was taken already")
        return wire

    def ready(self) -> NetworkRun:
        """Wait until somebody is at the other end; where no namespace can be made, nothing answers there."""
        if self._leading is not None:
            _await(self._leading)
        try:
            said = _await(self._child)
        except HostError as error:
            if self.result.mode != "sim":
                raise
            said = self._fall_back(error.why)
        self.result.way = WAYS.get(said.link, f"a namespace of its own ({said.link})")
        if self.result.egress is not None:
            self.result.way += f", forwarded through {self.result.egress.way}"
        if self._far is not None:
            self._far.close()
            self._far = None
        return self.result

    def finish(self) -> NetworkRun:
        """End it, and return what it was; harmless when it has ended."""
        child, self._child = self._child, None
        unforwarded: dict[str, int] = {}
        if child is not None and (said := self._dismiss(child)) is not None:
            self._count(said)
            unforwarded = said.unforwarded
        leading, self._leading = self._leading, None
        if leading is not None and (said := self._dismiss(leading)) is not None and said.egress is not None:
            said.egress.blocked |= unforwarded
            self.result.egress = said.egress
            for limit in said.egress.limits:
                self.result.remarks.append(f"network: the limit of {limit} was reached, nothing more was let out")
        for end in (self._near, self._far):
            if end is not None:
                end.close()
        self._near = self._far = None
        return self.result

    # -- the processes ---------------------------------------------------------------------------------------------

    def _start(self, gate: socket.socket | None = None, *, apart: bool = True) -> None:
        """Start the process behind the guest's card; it asks for ways out at the gate, if there is one."""
        if self._far is None:
            raise HostError("the network's wire is gone")
        self._child = Child(self._store.network_log)
        with self._store.pcap.open("wb") as capture:
            plan = Plan(
                mode=self.result.mode,
                wire=self._far.fileno(),
                control=self._child.theirs.fileno(),
                capture=capture.fileno(),
                folder=str(self._store.network.absolute()),
                authority=str(self._authority.absolute()),
                answers=self._settings.network.answers,
                capture_limit=self._settings.network.capture_mb << 20,
                apart=apart,
                gate=-1 if gate is None else gate.fileno(),
            )
            inherited = [fd for fd in (plan.wire, plan.capture, plan.gate) if fd >= 0]
            before = _namespace() if apart and plan.mode != "drop" else []
            self._child.start("simulator", plan, inherited, before)

    def _lead_out(self) -> socket.socket:
        """Start the process that leads out, and return the other side of its gate."""
        mode, routes = self.result.mode, self._settings.routes
        way = way_out(mode, routes)
        if not way:
            raise HostError(f"the network {mode} is not set up", mend=f"set routes.{mode} (docs/guides/network.md)")
        kind, _, name = way.partition(":")
        direct = mode in ("internet", "vpn")
        before = _entering(name) if direct and kind == "namespace" else []
        label = f"{kind} {name}" if direct else f"the proxy {way.rpartition('@')[2]}"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._leading = Child(self._store.network / "egress.log")
        with theirs:
            order = Order(
                mode=mode,
                gate=theirs.fileno(),
                control=self._leading.theirs.fileno(),
                label=label,
                limits=Limits(
                    rate_kbit=routes.rate_kbit,
                    max_mb=routes.max_mb,
                    max_connections=routes.max_connections,
                    blocked_ports=routes.blocked_ports,
                    blocked_networks=routes.blocked_networks,
                    own_networks=tuple(ranges.own()),
                ),
                device=name if direct and kind == "interface" else "",
                proxy="" if direct else way,
                resolver=routes.resolver,
            )
            self._leading.start("egress", order, [order.gate], before)
        self.result.egress = Egress(way=label)
        return ours

    def _fall_back(self, why: str) -> Said:
        """Go on without a namespace, on the same wire: answered frame by frame, or, if that fails too, not at all."""
        self.result.remarks.append(
            f"no network namespace could be made, the simulated internet is a plainer one: {why}"
        )
        try:
            return self._again()
        except HostError as error:
            self.result.remarks.append(f"no simulated internet, nothing answers instead: {error.why}")
            self.result.mode = "drop"
            return self._again()

    def _again(self) -> Said:
        if self._child is not None:
            self._child.end()
        self._start(apart=False)
        return _await(self._child)

    def _dismiss(self, child: Child) -> Said | None:
        """End a process and return what it says at its end; that it says nothing is a remark."""
        child.dismiss()
        said = child.hear(END_S) if child.process is not None else None
        if said is None and child.process is not None:
            self.result.remarks.append(f"the network's process ended badly: {child.last_words() or 'it said nothing'}")
        child.end()
        return said

    def _count(self, said: Said) -> None:
        self.result.frames, self.result.sessions = said.frames, said.sessions
        for number, words in (
            (said.uncaptured, "frames are not in the capture, which is full"),
            (said.dropped, "frames were dropped on their way"),
            (said.omitted, "conversations were not kept, there were too many"),
            (said.refused, "connections or ports were refused, there were too many at a time"),
        ):
            if number:
                self.result.remarks.append(f"network: {number} {words}")


def _await(child: Child | None) -> Said:
    """Wait until a process is ready; HostError that says why it is not."""
    said = child.hear(READY_S) if child is not None else None
    if said is not None and said.ready:
        return said
    why = said.error if said is not None else child.last_words() if child is not None else ""
    raise HostError("the network could not be started", why or "it did not say why")


def _namespace() -> list[str]:
    """Return the command that gives what follows a network of its own: with root directly, else as root of a user
    namespace."""
    return ["unshare", "--net", "--"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net", "--"]


def _entering(name: str) -> list[str]:
    """Return the command that runs what follows in a namespace that the administrator has made."""
    path = NAMESPACES / name
    if not path.exists():
        raise HostError(f"there is no network namespace {name}", mend=f"ip netns add {name}, or correct the setting")
    if os.geteuid() != 0:
        mend = "run malkoha as root, or use interface:NAME"
        raise HostError(f"the network namespace {name} cannot be entered", "only root may", mend)
    return ["nsenter", f"--net={path}", "--"]
