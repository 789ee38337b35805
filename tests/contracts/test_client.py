"""malkoha's own client against a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from malkoha.client import Client, ServiceError
from malkoha.model.task import Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.trace.decode import Decoder
from malkoha.trace.store import write_batches
from malkoha.web.tokens import Role
from malkoha.web.tokens import Tokens as Secrets
from tests.contracts.serving import serving
from tests.records import Recording
from tests.unit.web.conftest import REPORT, SCRIPT


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    secret = Secrets(home).add("client", Role.ADMIN)
    with serving(home) as address, Client(address, secret) as opened:
        yield opened


def test_the_whole_way_of_a_sample(client: Client, home: Home, tmp_path: Path) -> None:
    sample = tmp_path / "a.sh"
    sample.write_bytes(SCRIPT)
    task = client.submit(sample, timeout_s=7, tags=["a", "b"], memory=False, network="none")
    assert (task.target, task.status, task.tags, task.options["timeout_s"]) == ("a.sh", "pending", ["a", "b"], 7.0)
    watched: list[str] = []
    began = threading.Event()

    def watch() -> None:
        for event in client.watch(task.id):
            watched.append(event.kind if event.kind != "state" else event.data["status"])
            began.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    assert began.wait(60)
    store = home.analysis(task.id)
    with Tasks(home) as tasks:
        tasks.move(task.id, Status.RUNNING)
        Recording().fork(101).call("getpid").write(store.records)
        store.stdout.write_bytes(b"hello\n")
        write_batches(Decoder(store.records).batches(), store.events)
        store.run.write_text("{}")
        store.report_json.write_bytes(msgspec.json.encode(REPORT))
        tasks.move(task.id, Status.COMPLETED)
        tasks.move(task.id, Status.REPORTED)
    assert client.wait(task.id).status == "reported"
    watcher.join(60)
    assert watched[0] == "pending"
    assert watched[-1] == "end"
    assert {"events", "console"} <= set(watched)
    assert client.report(task.id) == REPORT
    assert [event["api"] for event in client.events(task.id, kind="syscall")] == ["getpid"]
    assert client.query(task.id, "select count(*) n from events").rows == [[2]]
    assert client.file(task.id, client.files(task.id)[0]["sha256"]) == SCRIPT
    assert msgspec.json.decode(client.export(task.id, "stix"))["type"] == "bundle"
    assert client.compare(task.id, task.id)["alike"] == 1.0
    assert [each.id for each in client.tasks(status="reported")] == [task.id]
    client.delete(task.id)
    with pytest.raises(ServiceError, match="no task") as refused:
        client.task(task.id)
    assert refused.value.status == 404


def test_urls_cancel_and_waiting_too_long(client: Client) -> None:
    task = client.submit("http://a.example/x")
    assert task.category == "url"
    with pytest.raises(TimeoutError):
        client.wait(task.id, timeout_s=0)
    assert client.cancel(task.id).error == "cancelled by client"
    with pytest.raises(ServiceError, match="no task 99"):
        next(client.watch(99))


def test_nobody_there_and_a_wrong_token(client: Client) -> None:
    with Client(str(client._http.base_url), "wrong") as stranger, pytest.raises(ServiceError) as refused:
        stranger.tasks()
    assert refused.value.status == 401
    with Client("http://127.0.0.1:1") as lost, pytest.raises(ServiceError, match="cannot be reached"):
        lost.tasks()
