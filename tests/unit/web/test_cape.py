"""CAPE's interface as its clients read it: ``error``, ``data``, ``error_value``."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import Any

import msgspec
import pyzipper
from fastapi.testclient import TestClient

from malkoha.model.task import Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.tokens import Role
from malkoha.web.tokens import Tokens as Secrets
from tests.unit.web.conftest import REPORT, SCRIPT, connect, finish, message

SHA256, MD5, SHA1 = (hashlib.new(name, SCRIPT).hexdigest() for name in ("sha256", "md5", "sha1"))


def good(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    assert answer.json()["error"] is False, answer.text
    return answer.json()["data"]


def bad(answer: Any) -> str:
    assert answer.status_code == 200, answer.text
    assert answer.json()["error"] is True
    return str(answer.json()["error_value"])


def test_the_way_of_a_client(client: TestClient, tasks: Tasks) -> None:
    form = {"priority": "3", "timeout": "20", "options": "arguments=-x", "custom": "mine", "tlp": "red"}
    answer = client.post("/apiv2/tasks/create/file/", files={"file": ("a.sh", SCRIPT)}, data=form)
    made = good(answer)
    assert made == {"task_ids": [1], "message": "Task ID 1 has been submitted"}
    assert (tasks.get(1).priority, tasks.get(1).options.arguments, tasks.get(1).custom) == (3, "-x", "mine")
    assert good(client.get("/apiv2/tasks/status/1/")) == "pending"
    assert "not ready" in bad(client.get("/apiv2/tasks/get/report/1/json/"))
    finish(tasks, 1)
    assert good(client.get("/apiv2/tasks/status/1/")) == "reported"
    assert client.get("/apiv2/tasks/get/report/1/").json() == REPORT
    assert client.get("/apiv2/tasks/get/report/1/json/").json() == REPORT
    assert "strings" not in client.get("/apiv2/tasks/get/report/1/lite/").json()
    assert client.get("/apiv2/tasks/get/report/1/html/").text == "<html>"
    assert "Invalid" in bad(client.get("/apiv2/tasks/get/report/1/pdf/"))
    view = good(client.get("/apiv2/tasks/view/1/"))
    assert (view["id"], view["target"], view["status"]) == (1, "a.sh", "reported")
    assert [task["id"] for task in good(client.get("/apiv2/tasks/list/5/0/"))] == [1]
    assert "deleted" in good(client.get("/apiv2/tasks/delete/1/"))
    assert "does not exist" in bad(client.get("/apiv2/tasks/delete/1/"))


def test_urls_and_several_files(client: TestClient) -> None:
    assert good(client.post("/apiv2/tasks/create/url/", data={"url": "http://a/x,http://a/y"}))["task_ids"] == [1, 2]
    files = [("file", ("a.sh", SCRIPT)), ("file", ("b.sh", b""))]
    answer = client.post("/apiv2/tasks/create/file", files=files).json()
    assert len(answer["data"]["task_ids"]) == 1
    assert "empty" in answer["errors"][0]
    assert "No file" in bad(client.post("/apiv2/tasks/create/file"))
    assert "empty" in bad(client.post("/apiv2/tasks/create/url"))
    assert "gopher" in bad(client.post("/apiv2/tasks/create/url", data={"url": "gopher://a"}))
    assert "priority" in bad(client.post("/apiv2/tasks/create/url", data={"url": "http://a/", "priority": "x"}))


def test_what_is_not_there(client: TestClient) -> None:
    for path in ("status/1", "view/1", "get/report/1", "get/iocs/1", "get/pcap/1", "get/dropped/1", "reschedule/1"):
        assert bad(client.get(f"/apiv2/tasks/{path}"))
    assert "not found" in bad(client.get("/apiv2/files/get/task/1"))
    assert good(client.get(f"/apiv2/tasks/search/sha256/{SHA256}")) == []
    assert "no sha256" in bad(client.get(f"/apiv2/tasks/search/sha256/{MD5}"))


def test_search_and_samples(client: TestClient, submitted: Callable[..., int]) -> None:
    first, second = submitted(), submitted()
    for kind, value in (("sha256", SHA256), ("md5", MD5), ("sha1", SHA1.upper())):
        assert [task["id"] for task in good(client.get(f"/apiv2/tasks/search/{kind}/{value}/"))] == [second, first]
        assert client.get(f"/apiv2/files/get/{kind}/{value}").content == SCRIPT
    assert client.get(f"/apiv2/files/get/task/{first}").content == SCRIPT


def test_files_of_an_analysis(client: TestClient, submitted: Callable[..., int], tasks: Tasks) -> None:
    store = tasks.home.analysis(submitted())
    finish(tasks, 1)
    store.dropped.mkdir()
    (store.dropped / "ab").write_bytes(b"dropped")
    store.pcap.write_bytes(b"pcap")
    with pyzipper.AESZipFile(io.BytesIO(client.get("/apiv2/tasks/get/dropped/1").content)) as archive:
        assert archive.read("ab", pwd=b"infected") == b"dropped"
    assert client.get("/apiv2/tasks/get/pcap/1").content == b"pcap"
    more = {"dropped": [{"filepath": "/x", "sha256": "ab"}], "signatures": [{"name": "s", "families": ["mirai"]}]}
    store.report_json.write_bytes(msgspec.json.encode(REPORT | more))
    found = good(client.get("/apiv2/tasks/get/iocs/1"))
    assert (found["malscore"], found["malfamily"], found["signatures"]) == (1.5, "mirai", ["s"])
    assert found["files"]["read"] == ["/etc/passwd"]
    assert found["dropped"][0]["filepath"] == "/x"


def test_machines_status_and_again(client: TestClient, submitted: Callable[..., int], tasks: Tasks) -> None:
    submitted()
    assert good(client.get("/apiv2/machines/list/")) == []
    assert good(client.get("/apiv2/cuckoo/status/"))["tasks"]["pending"] == 1
    assert good(client.get("/apiv2/tasks/reschedule/1"))["new_task_id"] == 2
    tasks.move(1, Status.RUNNING)
    assert "deleted" in bad(client.get("/apiv2/tasks/delete/1"))


def test_roles(home: Home, tasks: Tasks) -> None:
    client = connect(home, tasks)
    secret = Secrets(home).add("reader", Role.READ)
    for method, path in (("POST", "tasks/create/file"), ("GET", "tasks/delete/1"), ("GET", "tasks/reschedule/1")):
        answer = client.request(method, f"/apiv2/{path}", headers={"authorization": f"Token {secret}"})
        assert "role" in message(answer, 403)
