import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from malkoha.errors import MachineError
from malkoha.machinery.qmp import LINE_LIMIT, Qmp, QmpRefused


class Server:
    """The other end of a conversation, with a thread that receives for the client as the watcher does."""

    def __init__(self) -> None:
        self.here, there = socket.socketpair()
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.client_socket = there
        self.qmp = Qmp(there, lambda event, data: self.events.append((event, data)))
        self.thread = threading.Thread(target=self._receive)
        self.thread.start()

    def _receive(self) -> None:
        while self.qmp.receive():
            pass

    def say(self, message: object) -> None:
        self.here.sendall(json.dumps(message).encode() + b"\r\n")

    def hear(self) -> dict[str, Any]:
        line = b""
        while not line.endswith(b"\n"):
            line += self.here.recv(1)
        request: dict[str, Any] = json.loads(line)
        return request

    def answer(self, result: object) -> dict[str, Any]:
        request = self.hear()
        self.say({"return": result, "id": request["id"]})
        return request

    def close(self) -> None:
        self.here.close()
        self.thread.join()
        self.client_socket.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_greeting_opens_the_conversation(server: Server) -> None:
    server.say({"QMP": {"version": {}}})
    thread = in_thread(lambda: server.answer({}))
    server.qmp.greet()
    thread.join()


def test_a_command_gets_its_own_answer_among_others_and_events(server: Server) -> None:
    def serve() -> None:
        request = server.hear()
        server.say({"event": "STOP", "timestamp": {}})
        server.say({"return": "not yours", "id": 999})
        server.say({"return": {"value": 7}, "id": request["id"]})
        assert request["execute"] == "query"
        assert request["arguments"] == {"a": 1}

    thread = in_thread(serve)
    assert server.qmp.execute("query", {"a": 1}) == {"value": 7}
    thread.join()
    assert server.events == [("STOP", {})]


def test_a_refusal_says_why(server: Server) -> None:
    def serve() -> None:
        server.say({"id": server.hear()["id"], "error": {"class": "GenericError", "desc": "no such device"}})

    thread = in_thread(serve)
    with pytest.raises(QmpRefused, match="no such device"):
        server.qmp.execute("device_del")
    thread.join()


def test_silence_ends_the_waiting(server: Server) -> None:
    with pytest.raises(MachineError, match="does not answer"):
        server.qmp.execute("query-status", timeout_s=0.05)
    with pytest.raises(MachineError, match="no greeting"):
        server.qmp.greet(timeout_s=0.05)


def test_a_closed_conversation_wakes_who_waits_and_refuses_what_follows(server: Server) -> None:
    def serve() -> None:
        server.hear()
        server.here.shutdown(socket.SHUT_RDWR)

    thread = in_thread(serve)
    with pytest.raises(MachineError, match="QEMU is gone"):
        server.qmp.execute("query-status")
    thread.join()
    with pytest.raises(MachineError, match="was not sent"):
        server.qmp.execute("query-status")


@pytest.mark.parametrize("nonsense", [b"\xff\xfe\n", b"[1]\n", b"{]\n", b"x" * (LINE_LIMIT + 70_000)])
def test_nonsense_ends_the_conversation(server: Server, nonsense: bytes) -> None:
    server.here.settimeout(5)
    with contextlib.suppress(TimeoutError, BrokenPipeError):
        server.here.sendall(nonsense)
    server.thread.join(5)
    assert not server.thread.is_alive()
    with pytest.raises(MachineError, match="QEMU is gone"):
        server.qmp.execute("query-status")


def test_descriptors_travel_with_a_command(server: Server) -> None:
    reading, writing = os.pipe()

    def serve() -> None:
        data, fds, _, _ = socket.recv_fds(server.here, 4096, 4)
        os.write(fds[0], b"through")
        os.close(fds[0])
        server.say({"return": {}, "id": json.loads(data)["id"]})

    thread = in_thread(serve)
    server.qmp.execute("getfd", {"fdname": "state"}, fds=(writing,))
    thread.join()
    assert os.read(reading, 16) == b"through"
    os.close(reading)
    os.close(writing)
