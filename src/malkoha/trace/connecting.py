"""What calls do to sockets: names, connections, pairs, and descriptors that are sent through them.

Each effect takes the tables, the one of the process, and a call that succeeded.
"""

from __future__ import annotations

from malkoha.model.event import Event
from malkoha.trace.fields import argument, endpoint, number, pair, passed
from malkoha.trace.objects import Descriptor
from malkoha.trace.world import Effect, Table, World


def _socket(tables: World, table: Table, event: Event) -> None:
    family, kind = str(argument(event, 0)), str(argument(event, 1))
    item = tables.wiring.new("socket", family=family, flags=kind)
    tables.put(table, event.ret, item, cloexec="SOCK_CLOEXEC" in kind)


def _socketpair(tables: World, table: Table, event: Event) -> None:
    family, kind = str(argument(event, 0)), str(argument(event, 1))
    ends = tables.wiring.pair("socket", ("a", "b"), family=family, flags=kind)
    for fd, item in zip(pair(argument(event, 3)), ends, strict=False):
        tables.put(table, fd, item, cloexec="SOCK_CLOEXEC" in kind)


def _accept(tables: World, table: Table, event: Event) -> None:
    listening = tables.descriptor(table.key, argument(event, 0))
    item = tables.wiring.accept(listening, endpoint(argument(event, 1)))
    if listening is not None:
        item.flags = listening.flags
    tables.put(table, event.ret, item, cloexec="CLOEXEC" in str(argument(event, 3)))


def _connect(tables: World, table: Table, event: Event) -> None:
    fd, peer = number(argument(event, 0)), tables.named(table.key, endpoint(argument(event, 1)))
    if fd is None:
        return
    item = table.files.open.get(fd) or tables.wiring.new("socket", family=peer.family if peer else "")
    tables.wiring.connect(item, peer)
    tables.put(table, fd, item, cloexec=fd in table.files.cloexec)


def _bind(tables: World, table: Table, event: Event) -> None:
    item = tables.descriptor(table.key, argument(event, 0))
    if item is None:
        return
    if event.api == "listen":
        tables.wiring.listen(item)
        return
    local = tables.named(table.key, endpoint(argument(event, 1)))
    if local is not None and (event.api == "bind" or local.port):
        tables.wiring.bind(item, local)


def _send(tables: World, table: Table, event: Event) -> None:
    item, message = tables.descriptor(table.key, argument(event, 0)), argument(event, 1)
    sent = [found for fd in passed(message) if (found := table.files.open.get(fd)) is not None]
    if item is not None and sent:
        tables.wiring.send(item, sent, tables.named(table.key, endpoint(message.get("msg_name"))))


def _receive(tables: World, table: Table, event: Event) -> None:
    item, message = tables.descriptor(table.key, argument(event, 0)), argument(event, 1)
    fds = passed(message)
    if item is None or not fds:
        return
    files, cloexec = table.files, "MSG_CMSG_CLOEXEC" in str(argument(event, 2))
    waiting = {fd: tables.wiring.new("other") for fd in fds}
    for fd, place in waiting.items():
        tables.put(table, fd, place, cloexec=cloexec)

    def take(came: list[Descriptor]) -> None:
        for (fd, place), one in zip(waiting.items(), came, strict=False):
            if files.open.get(fd) is place:
                files.open[fd] = one
                if one.other is not None:
                    one.held_by(table.key)

    tables.wiring.receive(item, take)


EFFECTS: dict[str, Effect] = {
    "socket": _socket,
    "socketpair": _socketpair,
    "connect": _connect,
    "sendmsg": _send,
    "recvmsg": _receive,
    **dict.fromkeys(("accept", "accept4"), _accept),
    **dict.fromkeys(("bind", "listen", "getsockname"), _bind),
}
