from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from malkoha.config import Retention, Settings
from malkoha.model.task import Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.tokens import Role
from malkoha.web.tokens import Tokens as Secrets
from tests.unit.web.conftest import SCRIPT, connect, finish, message

PLACE = "/api/v1/tasks"


def test_submit_with_options(client: TestClient, tasks: Tasks) -> None:
    form = {
        "timeout_s": "12.5", "package": "shell", "arguments": "-x 'a b'", "network": "none", "option": ["follow=no"],
        "priority": "7", "tags": ["a", "b"], "owner": "me", "time": "skip",
    }  # fmt: skip
    answer = client.post(PLACE, files=[("files", ("a.sh", SCRIPT)), ("files", ("b.sh", SCRIPT + b"#"))], data=form)
    assert answer.status_code == 201, answer.text
    first, second = answer.json()["tasks"]
    assert (first["target"], second["target"]) == ("a.sh", "b.sh")
    assert first["submit_id"] == second["submit_id"] == first["id"]
    task = tasks.get(second["id"])
    assert (task.priority, task.tags, task.owner) == (7, ["a", "b"], "me")
    options = task.options
    assert (options.timeout_s, options.package, options.network) == (12.5, "shell", "none")
    assert (options.arguments, options.extra, options.time) == ("-x 'a b'", {"follow": "no"}, "skip")


def test_submit_a_url(client: TestClient) -> None:
    (task,) = client.post(PLACE, data={"url": "http://a.example/x"}).json()["tasks"]
    assert (task["category"], task["target"]) == ("url", "http://a.example/x")


def test_an_archive_becomes_its_members(client: TestClient, tasks: Tasks) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x/one.sh", SCRIPT)
        archive.writestr("two.sh", SCRIPT + b"#2")
    form = {"owner": "me"}
    answer = client.post(PLACE, files={"files": ("both.zip", made.getvalue())}, data=form).json()
    assert [task["target"] for task in answer["tasks"]] == ["both.zip: x/one.sh", "both.zip: two.sh"]
    assert {task["submit_id"] for task in answer["tasks"]} == {answer["tasks"][0]["id"]}
    assert {task["owner"] for task in answer["tasks"]} == {"me"}
    form = {"option": "unpack=no"}
    (task,) = client.post(PLACE, files={"files": ("both.zip", made.getvalue())}, data=form).json()["tasks"]
    assert task["target"] == "both.zip"
    assert tasks.home.analysis(task["id"]).sample.read_bytes() == made.getvalue()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({}, "Give files, or a url"),
        ({"url": "gopher://a/"}, "cannot be fetched"),
        ({"url": "http://a/", "package": "nothing"}, "no package"),
        ({"url": "http://a/", "option": "x"}, "has no value"),
        ({"url": "http://a/", "image": "other"}, "no machine other"),
        ({"url": "http://a/", "priority": "101"}, "priority"),
        ({"url": "http://a/", "timeout_s": "nan"}, "timeout_s"),
        ({"url": "http://a/", "custom": "x" * 5000}, "custom"),
    ],
)
def test_what_is_refused_leaves_nothing(client: TestClient, tasks: Tasks, form: dict[str, str], words: str) -> None:
    assert words in message(client.post(PLACE, data=form), 400)
    assert tasks.all() == []
    assert not tasks.home.analyses.is_dir() or list(tasks.home.analyses.iterdir()) == []


def test_a_full_disk(home: Home, tasks: Tasks) -> None:
    client = connect(home, tasks, settings=Settings(retention=Retention(min_free_gb=1 << 30)))
    for path in (PLACE, "/tasks/create/url"):
        assert "full" in message(client.post(path, data={"url": "http://a/"}), 507)
    assert tasks.all() == []


def test_all_files_or_none(client: TestClient, tasks: Tasks) -> None:
    answer = client.post(PLACE, files=[("files", ("a.sh", SCRIPT)), ("files", ("b.sh", b""))])
    assert "empty" in message(answer, 400)
    assert tasks.all() == []


def test_list_and_view(client: TestClient, submitted: Callable[..., int], tasks: Tasks) -> None:
    first, second = submitted(), submitted(SCRIPT + b"#", owner="me")
    finish(tasks, first)
    found = client.get(PLACE).json()
    assert ([task["id"] for task in found["tasks"]], found["total"]) == ([second, first], 2)
    sha256 = found["tasks"][1]["sample"]["sha256"]
    for query, expected in (
        ("status=reported", [first]), ("status=pending&status=reported", [second, first]), ("owner=me", [second]),
        (f"sha256={sha256}", [first]), ("limit=1", [second]), ("limit=1&offset=1", [first]),
    ):  # fmt: skip
        assert [task["id"] for task in client.get(f"{PLACE}?{query}").json()["tasks"]] == expected, query
    view = client.get(f"{PLACE}/{first}").json()
    assert view == found["tasks"][1]
    assert view["added_at"].endswith("Z")
    message(client.get(f"{PLACE}/99"), 404)
    for query in ("status=x", "limit=0", "offset=-1", "sha256=1"):
        message(client.get(f"{PLACE}?{query}"), 400)


def test_cancel(client: TestClient, submitted: Callable[..., int], tasks: Tasks) -> None:
    waiting, running = submitted(), submitted()
    tasks.move(running, Status.RUNNING)
    answer = client.post(f"{PLACE}/{waiting}/cancel").json()
    assert (answer["status"], answer["error"]) == ("failed_analysis", "cancelled by local")
    assert client.post(f"{PLACE}/{running}/cancel").json()["status"] == "running"
    assert tasks.home.analysis(running).stop.exists()
    assert "cannot be cancelled" in message(client.post(f"{PLACE}/{waiting}/cancel"), 409)


def test_delete(client: TestClient, submitted: Callable[..., int], tasks: Tasks) -> None:
    number = submitted()
    tasks.move(number, Status.RUNNING)
    message(client.delete(f"{PLACE}/{number}"), 409)
    tasks.move(number, Status.FAILED_ANALYSIS)
    assert client.delete(f"{PLACE}/{number}").status_code == 204
    assert not tasks.home.analysis(number).root.exists()
    message(client.delete(f"{PLACE}/{number}"), 404)


def test_rerun_and_process(client: TestClient, submitted: Callable[..., int], tasks: Tasks) -> None:
    number = submitted(owner="me")
    message(client.post(f"{PLACE}/{number}/process"), 409)
    finish(tasks, number)
    again = client.post(f"{PLACE}/{number}/rerun?priority=9").json()
    assert (again["status"], again["priority"], again["owner"]) == ("pending", 9, "me")
    answer = client.post(f"{PLACE}/{number}/process")
    assert (answer.status_code, answer.json()["status"]) == (202, "completed")


def test_roles(home: Home, tasks: Tasks) -> None:
    secrets = {role: Secrets(home).add(role.value, role) for role in Role}
    client = connect(home, tasks)
    for method, path, needed in (
        ("GET", "", Role.READ), ("POST", "", Role.SUBMIT), ("POST", "/1/cancel", Role.SUBMIT),
        ("POST", "/1/rerun", Role.SUBMIT), ("POST", "/1/process", Role.SUBMIT), ("DELETE", "/1", Role.ADMIN),
    ):  # fmt: skip
        for held, secret in secrets.items():
            answer = client.request(method, PLACE + path, headers={"authorization": f"Bearer {secret}"})
            assert (answer.status_code == 403) != held.covers(needed), (method, path, held)
