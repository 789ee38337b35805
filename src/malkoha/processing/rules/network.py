"""Endpoints: connected to, bound, listened on; raw sockets, packet filters, and what is odd about a socket."""

from __future__ import annotations

from collections.abc import Iterable

from malkoha.model.event import Event
from malkoha.processing.rules import traffic
from malkoha.processing.rules.base import Rule, View, succeeded
from malkoha.trace.descriptors import Descriptor, argument, endpoint

_INET = ("AF_INET", "AF_INET6")
_ODD_FAMILIES = frozenset({"AF_PACKET", "AF_ALG", "AF_VSOCK", "AF_XDP", "AF_BLUETOOTH", "AF_CAN", "AF_TIPC", "AF_KEY"})
_OPTIONS = {
    ("SOL_SOCKET", "SO_ATTACH_FILTER"): "filter attached",
    ("SOL_SOCKET", "SO_ATTACH_BPF"): "BPF program attached",
    ("SOL_SOCKET", "SO_DETACH_FILTER"): "filter detached",
    ("SOL_PACKET", "PACKET_ADD_MEMBERSHIP"): "membership (promiscuous mode)",
    ("SOL_PACKET", "PACKET_RX_RING"): "receive ring",
    ("SOL_PACKET", "PACKET_TX_RING"): "transmit ring",
    ("SOL_PACKET", "PACKET_FANOUT"): "fanout",
}


def _socket(view: View, event: Event) -> None:
    family, kind, protocol = (str(argument(event, position)) for position in range(3))
    if succeeded(event) and (family in _ODD_FAMILIES or (family in _INET and "SOCK_RAW" in kind)):
        view.note("raw_sockets", family=family, type=kind.split("|")[0], protocol=protocol, what="opened")


def _option(view: View, event: Event) -> None:
    what = _OPTIONS.get((str(argument(event, 1)), str(argument(event, 2))))
    item = view.descriptor(event)
    if what and succeeded(event):
        family, kind = (item.family, item.flags.split("|")[0]) if item else ("", "")
        view.note("raw_sockets", family=family, type=kind, protocol="", what=what)


def _connect(view: View, event: Event) -> None:
    peer = endpoint(argument(event, 1))
    if peer is None or not peer.host:
        return
    if peer.family == "AF_UNIX":
        named = view.tables.named(view.key, peer)
        view.note("unix_sockets", path=named.host if named else peer.host, error=event.errno)
        return
    if peer.family not in _INET:
        return
    item = view.descriptor(event) or Descriptor("socket", family=peer.family)
    # connecting a datagram socket sends nothing: resolvers do it to learn which address they would use
    if peer.port or traffic.protocol(item) != "udp":
        view.add("connects_ip", peer.host)
    name = view.shared.get("names", {}).get(peer.host)
    if name:
        view.add("connects_host", name)
    failed = {} if succeeded(event) or event.errno == "EINPROGRESS" or event.ret is None else {"failed": 1}
    traffic.connection(view, item, peer, attempts=1, **failed)


def _bind(view: View, event: Event) -> None:
    item = view.descriptor(event)
    if item is None or not succeeded(event) or item.local is None:
        return
    takes_part = event.api == "listen" or "SOCK_STREAM" not in item.flags
    if takes_part and (item.local.host or item.local.port):
        what = "listens" if event.api == "listen" else "bound"
        view.note("listens", endpoint=str(item.local), protocol=traffic.protocol(item), what=what)


def _accept(view: View, event: Event) -> None:
    if not succeeded(event):
        return
    item = view.tables.descriptor(view.key, event.ret)
    if item is not None:
        if len(view.shared) < 100_000:
            view.shared[item.object] = ("accepted",)
        if item.peer is not None and item.peer.family in _INET:
            view.note("accepts", endpoint=str(item.local or ""), peer=item.peer.host)
            traffic.connection(view, item, attempts=1)


_GROUPS: tuple[tuple[Iterable[str], Rule], ...] = (
    (("socket",), _socket),
    (("setsockopt",), _option),
    (("connect",), _connect),
    (("bind", "listen"), _bind),
    (("accept", "accept4"), _accept),
)
RULES: dict[str, Rule] = {api: rule for apis, rule in _GROUPS for api in apis}
