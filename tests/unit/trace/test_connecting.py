"""Sockets: who is at the other end, and what was sent through them."""

from __future__ import annotations

import pytest

from malkoha.model.process import Process
from malkoha.trace.descriptors import Endpoint, Tables
from tests.unit.trace.test_descriptors import feed, path


@pytest.fixture
def tables() -> Tables:
    return Tables([Process(key=0, pid=5), Process(key=1, pid=6)])


LISTEN = ("socket(AF_INET, SOCK_STREAM, 0) = 3", "bind(3, {AF_INET, 0.0.0.0, 80}, 16) = 0", "listen(3, 5) = 0")
CONNECT = ("socket(AF_INET, SOCK_STREAM, 0) = 9", "connect(9, {AF_INET, 127.0.0.1, 80}, 16) = 0")
ACCEPT = "accept(3, {AF_INET, 127.0.0.1, 4000}, 0x1) = 4"


@pytest.mark.parametrize("first", ["connect", "accept"])
def test_a_connection_inside_the_guest_joins_both_ends(tables: Tables, first: str) -> None:
    feed(tables, 0, *LISTEN)
    if first == "connect":
        feed(tables, 1, *CONNECT)
    feed(tables, 0, ACCEPT)
    if first == "accept":
        feed(tables, 1, *CONNECT)
    server, client = tables.descriptor(0, 4), tables.descriptor(1, 9)
    assert server is not None
    assert client is not None
    assert (server.other, client.other) == (client, server)
    feed(tables, 1, "dup2(9, 0) = 0")
    behind = tables.behind(0, 4)
    assert (behind.kind, behind.processes, behind.endpoint) == (
        "connection",
        (1,),
        Endpoint("AF_INET", "127.0.0.1", 4000),
    )
    listening = tables.descriptor(0, 3)
    assert listening is not None
    assert (listening.listening, str(listening.endpoint)) == (True, "0.0.0.0:80")


def test_a_connection_to_elsewhere_is_not_taken_for_one_of_the_guest(tables: Tables) -> None:
    feed(tables, 0, *LISTEN)
    feed(tables, 1, "socket(AF_INET, SOCK_STREAM, 0) = 9", "connect(9, {AF_INET, 10.0.0.1, 80}, 16) = 0")
    feed(tables, 0, ACCEPT)
    client = tables.descriptor(1, 9)
    assert client is not None
    assert client.other is None


def test_unix_sockets_meet_by_their_path(tables: Tables) -> None:
    feed(tables, 0, 'chdir("/run") = 0', "socket(AF_UNIX, SOCK_STREAM, 0) = 3", 'bind(3, {AF_UNIX, "x.sock"}, 110) = 0')
    feed(tables, 0, "listen(3, 5) = 0", "accept4(3, {AF_UNIX}, 0x1, SOCK_CLOEXEC) = 4")
    feed(tables, 1, "socket(AF_UNIX, SOCK_STREAM, 0) = 3", 'connect(3, {AF_UNIX, "/run/x.sock"}, 110) = 0')
    client = tables.descriptor(1, 3)
    assert client is not None
    assert (client.peer, client.other) == (Endpoint("AF_UNIX", "/run/x.sock"), tables.descriptor(0, 4))


@pytest.mark.parametrize("first", ["send", "receive"])
def test_descriptors_that_are_sent_arrive(tables: Tables, first: str) -> None:
    parent = Process(key=0, pid=5, children=[1])
    tables = Tables([parent, Process(key=1, pid=6, parent=0)])
    feed(tables, 0, "socketpair(AF_UNIX, SOCK_STREAM, 0, [3, 4]) = 0", "fork() = 6", 'open("/secret", O_RDONLY) = 7')
    send = 'sendmsg(3, {data="x", control="SCM_RIGHTS\\x5b7\\x5d"}, 0) = 1'
    receive = 'recvmsg(4, {data="x", control="SCM_RIGHTS\\x5b9\\x5d"}, MSG_CMSG_CLOEXEC) = 1'
    for who, call in ((0, send), (1, receive)) if first == "send" else ((1, receive), (0, send)):
        feed(tables, who, call)
    assert path(tables, 9, key=1) == "/secret"
    assert tables.descriptor(1, 9) is tables.descriptor(0, 7)
    feed(tables, 1, 'execve("/x", ["x"], [])')
    assert path(tables, 9, key=1) is None


def test_a_local_name_from_getsockname(tables: Tables) -> None:
    feed(tables, 0, "socket(AF_INET, SOCK_DGRAM, 0) = 3", "getsockname(3, {AF_INET, 127.0.0.1, 999}, 0x1) = 0")
    item = tables.descriptor(0, 3)
    assert item is not None
    assert item.local == Endpoint("AF_INET", "127.0.0.1", 999)
