from __future__ import annotations

import io
import os
import signal
import tarfile
import zipfile
from collections.abc import Callable
from hashlib import md5, sha256

import pytest
from fastapi.testclient import TestClient

from malkoha.model.task import Status
from malkoha.queue import open_queue
from malkoha.tasks import Tasks
from tests.unit.web.conftest import REPORT, SCRIPT, finish, message

Submitted = Callable[..., int]
KEYS = {
    "id", "target", "category", "timeout", "priority", "custom", "owner", "machine", "package", "tags", "options",
    "platform", "memory", "enforce_timeout", "clock", "added_on", "started_on", "completed_on", "status", "sample_id",
    "submit_id", "processing", "route", "duration", "guest", "errors", "sample",
}  # fmt: skip


def test_view(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    submitted()
    task = client.get("/tasks/view/1/").json()["task"]
    assert set(task) == KEYS
    assert (task["status"], task["sample_id"], task["duration"], task["errors"]) == ("pending", 1, -1, [])
    assert task["sample"]["md5"] == md5(SCRIPT).hexdigest()
    assert task["sample"]["file_size"] == len(SCRIPT)
    finish(tasks, 1)
    task = client.get("/tasks/view/1").json()["task"]
    assert (task["status"], task["duration"] >= 0, task["guest"]) == ("reported", True, {})


def test_list(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    for owner in ("a", "b", "a"):
        submitted(owner=owner)
    finish(tasks, 2)

    def ids(query: str) -> list[int]:
        return [task["id"] for task in client.get(f"/tasks/list{query}").json()["tasks"]]

    assert ids("") == [3, 2, 1]
    assert ids("/1") == [3]
    assert ids("/2/1/") == [2, 1]
    assert ids("?owner=a") == [3, 1]
    assert ids("?status=reported") == [2]
    assert ids("?completed_after=1") == [2]
    assert ids("?completed_after=4000000000") == []
    assert "no status" in message(client.get("/tasks/list?status=odd"), 400)
    assert "no time" in message(client.get(f"/tasks/list?completed_after={10**18}"), 400)


def test_what_is_not_there(client: TestClient, submitted: Submitted) -> None:
    submitted()
    for path in ("view/9", "report/9", "delete/9", "reschedule/9", "rereport/9", "summary/9", "screenshots/9"):
        assert message(client.get(f"/tasks/{path}"), 404) == "Task not found"
    for path in ("report/1", "report/1/html", "summary/1"):
        assert message(client.get(f"/tasks/{path}"), 404) == "Report not found"
    for path in ("/pcap/get/1", "/memory/get/1/7", f"/files/get/{'0' * 64}", "/files/get/x", "/files/view/id/9x"):
        assert message(client.get(path), 404) == "File not found"
    assert message(client.get("/files/view/id/9"), 404) == "Sample not found"
    assert message(client.get("/files/view/name/x"), 400) == "Invalid lookup term"
    assert message(client.get("/memory/list/1"), 404) == "Memory dump not found"
    assert message(client.get("/machines/view/x"), 404) == "Machine not found"
    assert message(client.get("/tasks/rereport/1"), 404) == "The task was not run to its end"
    assert message(client.get("/tasks/report/1/pdf"), 400) == "Invalid report format"
    assert message(client.get("/no/such"), 404) == "Not Found"
    assert message(client.post("/tasks/list"), 405) == "Method Not Allowed"


@pytest.mark.parametrize("number", ["x", "-1", "9" * 30, "9" * 5000, "1.5", "%00", "..%2f1"])
def test_numbers_that_are_none(client: TestClient, number: str) -> None:
    for path in ("/tasks/view/", "/tasks/list/", "/pcap/get/", "/tasks/sample/", "/memory/get/1/"):
        message(client.get(path + number), 404)


def test_reports(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    finish(tasks, submitted())
    assert client.get("/tasks/report/1").json() == REPORT
    answer = client.get("/tasks/report/1/json/")
    assert answer.json() == REPORT
    assert answer.headers["content-type"] == "application/json"
    html = client.get("/tasks/report/1/html")
    assert html.text == "<html>"
    assert html.headers.get_list("content-security-policy") == [html.headers["content-security-policy"]]
    assert html.headers["content-security-policy"].endswith("sandbox allow-scripts")
    short = client.get("/tasks/summary/1").json()
    assert short["signatures"] == REPORT["signatures"]
    assert short["behavior"] == {"summary": {"file_read": ["/etc/passwd"]}, "processtree": []}
    assert (short["malkoha"]["verdict"]["level"], "strings" in short) == ("clean", False)
    assert message(client.get("/tasks/screenshots/1"), 404) == "Screenshots not found"


def test_screenshots(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    store = tasks.home.analysis(submitted())
    store.screenshots.mkdir()
    (store.screenshots / "0001.jpg").write_bytes(b"picture")
    with zipfile.ZipFile(io.BytesIO(client.get("/tasks/screenshots/1").content)) as archive:
        assert archive.read("shots/0001.jpg") == b"picture"
    answer = client.get("/tasks/screenshots/1/1")
    assert (answer.content, answer.headers["content-type"]) == (b"picture", "image/jpeg")
    assert message(client.get("/tasks/screenshots/1/2"), 404) == "Screenshot not found"


def test_archives_of_an_analysis(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    store = tasks.home.analysis(submitted())
    finish(tasks, 1)
    store.dropped.mkdir()
    (store.dropped / "ab").write_bytes(b"dropped")
    (store.dropped / "link").symlink_to("/etc/passwd")
    store.machine_memory.write_bytes(b"memory")
    with tarfile.open(fileobj=io.BytesIO(client.get("/tasks/report/1/dropped").content)) as archive:
        assert archive.getnames() == ["files/ab"]
    with tarfile.open(fileobj=io.BytesIO(client.get("/tasks/report/1/all").content)) as archive:
        assert {"report.json", "sample", "dropped/ab"} <= set(archive.getnames())
        assert not {"memory.dmp", "dropped/link"} & set(archive.getnames())
        assert archive.getmember("sample").mode == 0o600


def test_the_end(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr("malkoha.web.api.os.kill", lambda *who: sent.append(who))
    assert client.get("/exit/").json() == {"message": "Server stopped"}
    assert sent == [(os.getpid(), signal.SIGTERM)]


def test_files(client: TestClient, submitted: Submitted) -> None:
    submitted()
    submitted(name="b.sh")
    submitted(b"#!/bin/sh\n")
    digest = sha256(SCRIPT).hexdigest()
    for path in (f"md5/{md5(SCRIPT).hexdigest()}", f"sha256/{digest.upper()}", "id/2"):
        sample = client.get(f"/files/view/{path}").json()["sample"]
        assert (sample["id"], sample["sha256"]) == (1, digest)
    answer = client.get(f"/files/get/{digest}")
    assert answer.content == SCRIPT
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == f'attachment; filename="{digest}"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert [task["id"] for task in client.get("/tasks/sample/1").json()["tasks"]] == [2, 1]


def test_artefacts(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    store = tasks.home.analysis(submitted())
    store.pcap.write_bytes(b"packets")
    store.memory.mkdir()
    store.process_memory(7).write_bytes(b"memory")
    answer = client.get("/pcap/get/1")
    assert (answer.content, answer.headers["content-disposition"]) == (b"packets", 'attachment; filename="1.pcap"')
    assert client.get("/memory/list/1").json() == {"dump_files": ["7.dmp"]}
    assert client.get("/memory/get/1/7").content == b"memory"


def test_delete(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    submitted()
    submitted()
    assert client.get("/tasks/delete/1").json() == {"status": "OK"}
    assert not tasks.home.analysis(1).root.exists()
    tasks.move(2, Status.RUNNING)
    assert "currently being processed" in message(client.get("/tasks/delete/2"), 500)
    assert tasks.home.analysis(2).root.exists()


def test_reschedule(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    submitted(options="arguments=-x", owner="me", timeout="9")
    finish(tasks, 1)
    assert client.get("/tasks/reschedule/1/5").json() == {"status": "OK", "task_id": 2}
    old, new = tasks.get(1), tasks.get(2)
    assert (old.status, new.status, new.priority, new.owner) == (Status.RECOVERED, Status.PENDING, 5, "me")
    assert new.options == old.options
    assert tasks.home.analysis(2).sample.read_bytes() == SCRIPT
    client.post("/tasks/create/url", data={"url": "http://example.org/"})
    assert client.get("/tasks/reschedule/3").json()["task_id"] == 4
    assert tasks.get(4).target == "http://example.org/"
    assert client.get("/tasks/report/1").json() == REPORT


def test_rereport(client: TestClient, submitted: Submitted, tasks: Tasks) -> None:
    finish(tasks, submitted())
    assert client.get("/tasks/rereport/1").json() == {"success": True}
    taken = open_queue(tasks).take(["default/x86-64/sim"])
    assert taken is not None
    assert (taken.id, taken.status) == (1, Status.COMPLETED)
    assert "cannot be processed again" in message(client.get("/tasks/rereport/1"), 500)


def test_machines_and_status(client: TestClient, submitted: Submitted) -> None:
    submitted()
    assert client.get("/machines/list").json() == {"machines": []}
    status = client.get("/cuckoo/status").json()
    assert status["tasks"] == {"total": 1, "pending": 1, "running": 0, "completed": 0, "reported": 0}
    assert status["machines"] == {"total": 0, "available": 0}
    assert status["diskspace"]["analyses"]["total"] > 0
