"""Bytes that went through descriptors: of files, of connections, and between processes over pipes and sockets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from malkoha.model.event import Event
from malkoha.processing import noise
from malkoha.processing.rules import payloads
from malkoha.processing.rules.base import MAX_TEXT, Rule, View, succeeded
from malkoha.trace.descriptors import Descriptor, Endpoint, argument, endpoint

CONVERSATIONS = 2_000
"""Pipes, terminals and sockets whose bytes are counted for each pair of processes."""
_INET = ("AF_INET", "AF_INET6")
_COPIES = {"copy_file_range": (0, 2), "sendfile": (1, 0), "sendfile64": (1, 0), "splice": (0, 2), "tee": (0, 1)}
"""Call -> positions of the descriptor that is read and of the one that is written."""


class _Through(msgspec.Struct):
    """What one process wrote into one end."""

    item: Descriptor
    sender: int
    size: int = 0


def _read(view: View, event: Event) -> None:
    if event.ret is None or event.ret < 0:
        return
    item = view.descriptor(event)
    if item is not None:
        _came(view, item, event.ret, event)


def _write(view: View, event: Event) -> None:
    item = view.descriptor(event)
    if item is None:
        if event.api != "write":
            payloads.sent(view, None, argument(event, 1), _destination(event))
        return
    if item.kind == "socket":
        payloads.sent(view, item, argument(event, 1), _destination(event))
    if event.ret is not None and event.ret >= 0:
        size = event.ret if event.api != "sendmmsg" else _total(argument(event, 1))
        _went(view, item, size, _destination(event))


def _copy(view: View, event: Event) -> None:
    if event.ret is None or event.ret < 0:
        return
    source, target = (view.descriptor(event, position) for position in _COPIES[event.api])
    if source is not None:
        _came(view, source, event.ret)
    if target is not None:
        _went(view, target, event.ret)
    if source is not None and target is not None and source.path and target.path and source.kind == target.kind:
        view.add("file_copied", (source.path[:MAX_TEXT], target.path[:MAX_TEXT]))


def _truncate(view: View, event: Event) -> None:
    if succeeded(event):
        view.file("file_written", view.target(event))


def _came(view: View, item: Descriptor, size: int, event: Event | None = None) -> None:
    if item.kind in ("file", "memfd"):
        if item.path and not noise.is_library(item.path):
            view.file("file_read", item.path)
            if size and not noise.is_noise(item.path, view.tables.exe(view.key)):
                view.tally("file_traffic", {"path": item.path[:MAX_TEXT]}, read=size, written=0)
        return
    if item.other is not None:
        item.held_by(view.key)
    if item.kind == "socket" and item.family in _INET:
        source = endpoint(argument(event, 4)) if event is not None and event.api == "recvfrom" else None
        payloads.received(view, item, argument(event, 1) if event is not None else "", size)
        connection(view, item, source, received=size)


def _went(view: View, item: Descriptor, size: int, to: Endpoint | None = None) -> None:
    if item.kind in ("file", "memfd"):
        if item.path:
            view.file("file_written", item.path)
            if not noise.is_device(item.path):
                view.tally("file_traffic", {"path": item.path[:MAX_TEXT]}, read=0, written=size)
            if view.memory.get("downloading") and item.kind == "file" and not item.path.startswith(("/dev/", "/proc/")):
                view.add("downloads_file", item.path)
        return
    if item.kind == "socket" and item.family in _INET:
        connection(view, item, to, sent=size)
    if item.kind in ("pipe", "socket", "pty"):
        item.held_by(view.key)
        through: dict[Any, _Through] = view.shared.setdefault("through", {})
        identity = (item.object, item.end, view.key)
        found = through.get(identity)
        if found is None and len(through) < CONVERSATIONS:
            found = through[identity] = _Through(item, view.key)
        if found is not None:
            found.size += size


def connection(view: View, item: Descriptor, to: Endpoint | None = None, **numbers: int) -> None:
    """Add up what went over one connection, by where it leads and who began it."""
    peer = to or item.peer
    if peer is None or peer.family not in _INET:
        return
    came = item.local is not None and item.peer is not None and "accepted" in view.shared.get(item.object, ())
    facts = {
        "endpoint": str(item.local) if came else str(peer),
        "protocol": protocol(item),
        "direction": "in" if came else "out",
    }
    view.tally("connections", facts, **({"attempts": 0, "sent": 0, "received": 0} | numbers))


def protocol(item: Descriptor) -> str:
    """Name the protocol of a socket by its type."""
    kind = item.flags.split("|")[0]
    return {"SOCK_STREAM": "tcp", "SOCK_DGRAM": "udp", "SOCK_RAW": "raw"}.get(kind, kind.removeprefix("SOCK_").lower())


def conversations(view: View) -> list[dict[str, Any]]:
    """Say who sent how much to whom over pipes, terminals, UNIX sockets and loopback; the largest first."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for one in view.shared.get("through", {}).values():
        item: Descriptor = one.item
        if item.other is None:
            continue
        receivers = [key for key in item.other.holders if key != one.sender]
        if not receivers:
            continue
        via = item.kind if item.kind != "socket" else "unix" if item.family == "AF_UNIX" else protocol(item)
        place = str(item.peer or item.other.local or item.other.peer or "") if item.kind == "socket" else item.path
        identity = (via, one.sender, *receivers[:8], place)
        entry = found.setdefault(
            identity,
            {
                "via": via,
                "from": f"{view.name_of(one.sender)} {one.sender}",
                "to": ", ".join(f"{view.name_of(key)} {key}" for key in receivers[:8]),
                "place": place,
                "bytes": 0,
            },
        )
        entry["bytes"] += one.size
    return sorted(found.values(), key=lambda entry: -entry["bytes"])


def _destination(event: Event) -> Endpoint | None:
    if event.api == "sendto":
        return endpoint(argument(event, 4))
    message = argument(event, 1)
    if event.api == "sendmmsg" and isinstance(message, list) and message:
        message = message[0]
    return endpoint(message.get("msg_name")) if isinstance(message, dict) else None


def _total(messages: Any) -> int:
    lengths = (
        [message.get("length", "0") for message in messages if isinstance(message, dict)]
        if (isinstance(messages, list))
        else []
    )
    return sum(int(length) for length in lengths if str(length).isdigit())


_READS = ("read", "pread64", "readv", "preadv", "preadv2", "recvfrom", "recvmsg", "recv")
_WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg", "sendmmsg", "send", "vmsplice")
_GROUPS: tuple[tuple[Iterable[str], Rule], ...] = (
    (_READS, _read),
    (_WRITES, _write),
    (_COPIES, _copy),
    (("ftruncate", "ftruncate64", "fallocate"), _truncate),
)
RULES: dict[str, Rule] = {api: rule for apis, rule in _GROUPS for api in apis}
