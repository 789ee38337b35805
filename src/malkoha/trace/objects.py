"""What descriptors refer to: open files, pipes, sockets and the rest, and which ends belong together.

In: what the calls say of single ends. Out: ends that know their other end, across dup, fork, connect and accept, a
pseudo terminal's two sides, and descriptors that are sent over a socket (unix(7), SCM_RIGHTS).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from malkoha.trace.fields import Endpoint

Kind = Literal[
    "file", "pipe", "socket", "memfd", "pty", "pidfd", "epoll", "eventfd", "timerfd", "signalfd", "inotify", "fanotify",
    "io_uring", "bpf", "mount", "other",
]  # fmt: skip
HOLDERS = 32
"""Processes that are remembered of one end."""
QUEUE = 1024
"""Connections, and descriptors under way, that are remembered of one socket."""
NAMES = 4096
"""Names of listening sockets, and ends with descriptors under way, that are remembered at once."""


class Descriptor(msgspec.Struct, eq=False):
    """What a descriptor refers to; all that dup, fork or SCM_RIGHTS made of one descriptor share this object."""

    kind: Kind
    path: str = ""
    flags: str = ""
    family: str = ""
    peer: Endpoint | None = None
    object: int = 0
    """Number of the open file; both ends of a pipe, of a socketpair, and of a pseudo terminal have the same."""
    end: Literal["", "read", "write", "a", "b", "master", "slave"] = ""
    """Which end it is of those that have two."""
    other: Descriptor | None = None
    """The other end, where it is in the trace: of a pipe, a socketpair, a terminal, or of a connection in the guest."""
    local: Endpoint | None = None
    listening: bool = False
    pid: int | None = None
    """The process that a pidfd names."""
    holders: dict[int, None] = {}
    """Keys of processes that used this end: with a program on it, as standard input or output, or by reading and
    writing; who only made it and handed it on is not among them."""

    def held_by(self, key: int) -> None:
        """Note that a process uses this end."""
        if len(self.holders) < HOLDERS:
            self.holders[key] = None

    @property
    def endpoint(self) -> Endpoint | None:
        """Where it leads, or for a listening socket what it listens to."""
        return self.local if self.listening else self.peer


def is_loopback(host: str) -> bool:
    """Tell an address that leads back into the guest itself."""
    return host.startswith(("127.", "0.", "::ffff:127.")) or host in ("::1", "::")


Take = Callable[[list[Descriptor]], None]


class _Meeting:
    """Two queues of which one is always empty: whoever comes first waits, since a call that blocks is seen first."""

    def __init__(self) -> None:
        self.offers: deque[Any] = deque(maxlen=QUEUE)
        self.takers: deque[Callable[[Any], None]] = deque(maxlen=QUEUE)

    def offer(self, what: Any) -> None:
        if self.takers:
            self.takers.popleft()(what)
        else:
            self.offers.append(what)

    def take(self, taker: Callable[[Any], None]) -> None:
        if self.offers:
            taker(self.offers.popleft())
        else:
            self.takers.append(taker)


class Wiring:
    """Numbers new objects and joins ends that belong together."""

    def __init__(self) -> None:
        self._last = 0
        self._listening: OrderedDict[tuple[str, str | int], _Meeting] = OrderedDict()
        self._bound: OrderedDict[tuple[str, str | int], Descriptor] = OrderedDict()
        self._parcels: OrderedDict[tuple[int, str], _Meeting] = OrderedDict()
        self._masters: deque[tuple[int, Descriptor]] = deque(maxlen=QUEUE)
        self._slaves: OrderedDict[str, Descriptor] = OrderedDict()

    def new(self, kind: Kind, path: str = "", **facts: Any) -> Descriptor:
        """Make an object with a number of its own."""
        self._last += 1
        return Descriptor(kind, path, object=self._last, holders={}, **facts)

    def pair(self, kind: Kind, ends: tuple[str, str], **facts: Any) -> tuple[Descriptor, Descriptor]:
        """Make two ends of one object that know each other."""
        first = self.new(kind, end=ends[0], **facts)
        second = Descriptor(kind, object=first.object, end=ends[1], holders={}, **facts)  # type: ignore[arg-type]
        first.other, second.other = second, first
        return first, second

    # ------------------------------------------------------------------------------------------- connections

    def bind(self, item: Descriptor, local: Endpoint | None) -> None:
        """Note the name of a socket."""
        item.local = local
        if (name := _name(local)) is not None:
            _remember(self._bound, name, item)

    def listen(self, item: Descriptor) -> None:
        """Note that connections to a socket's name end here."""
        item.listening = True
        if (name := _name(item.local)) is not None:
            _remember(self._listening, name, _Meeting())

    def connect(self, item: Descriptor, peer: Endpoint | None) -> None:
        """Note where a socket leads; find who accepts it when that is in the guest."""
        item.peer = peer
        name = _name(peer)
        if peer is None or name is None or not (name[0] == "unix" or is_loopback(peer.host)):
            return
        meeting = self._listening.get(name)
        if meeting is not None:
            meeting.offer(item)
        elif (bound := self._bound.get(name)) is not None and "SOCK_DGRAM" in item.flags:
            item.other = bound

    def accept(self, listening: Descriptor | None, peer: Endpoint | None) -> Descriptor:
        """Make the socket of a new connection, joined to the one that connected."""
        local = listening.local if listening else None
        item = self.new("socket", family=listening.family if listening else "", peer=peer, local=local)
        meeting = self._listening.get(_name(local) or ("", ""))
        if meeting is not None and (peer is None or peer.family == "AF_UNIX" or is_loopback(peer.host)):

            def join(client: Descriptor) -> None:
                item.other, client.other = client, item

            meeting.take(join)
        return item

    # ----------------------------------------------------------------------------- descriptors that are sent

    def send(self, item: Descriptor, passed: list[Descriptor], to: Endpoint | None = None) -> None:
        """Put descriptors on their way through a socket."""
        bound = self._bound.get(_name(to) or ("", ""))
        self._parcel(bound or item.other).offer(passed)

    def receive(self, item: Descriptor, take: Take) -> None:
        """Give the descriptors that come out of a socket to ``take``, now or when they are sent."""
        self._parcel(item).take(take)

    def _parcel(self, item: Descriptor | None) -> _Meeting:
        name = (item.object, item.end) if item else (0, "")
        if name not in self._parcels:
            _remember(self._parcels, name, _Meeting())
        return self._parcels[name]

    # --------------------------------------------------------------------------------------------- terminals

    def master(self, key: int) -> Descriptor:
        """Make the master side of a new pseudo terminal."""
        item, _ = self.pair("pty", ("master", "slave"))
        item.path = "/dev/ptmx"
        self._masters.append((key, item))
        return item

    def slave(self, path: str, family: set[int]) -> Descriptor:
        """Give the slave side that a path names: of the last master that one of ``family`` opened."""
        for place, (key, master) in enumerate(reversed(self._masters)):
            if key in family and master.other is not None:
                del self._masters[len(self._masters) - 1 - place]
                master.other.path = path
                _remember(self._slaves, path, master.other)
                return master.other
        return self._slaves.get(path) or self.new("pty", path, end="slave")


def _name(where: Endpoint | None) -> tuple[str, str | int] | None:
    """Name what a socket is bound to, without the interface: a listener on all of them serves loopback too."""
    if where is None:
        return None
    if where.family == "AF_UNIX":
        return ("unix", where.host) if where.host else None
    return ("port", where.port) if where.port else None


def _remember(items: OrderedDict[Any, Any], name: Any, item: Any) -> None:
    items[name] = item
    items.move_to_end(name)
    if len(items) > NAMES:
        items.popitem(last=False)
