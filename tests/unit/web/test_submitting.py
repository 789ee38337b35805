from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from malkoha.config import Analysis, Settings
from malkoha.model.task import Status
from malkoha.store import Home
from malkoha.tasks import Tasks
from tests.unit.web.conftest import SCRIPT, connect, message


def test_a_file_becomes_a_task_with_all_that_was_asked_for(client: TestClient, home: Home, tasks: Tasks) -> None:
    fields = {
        "timeout": "7",
        "priority": "3",
        "options": "arguments=-v 1,user=nobody,procmemdump=yes,route=drop,x=y",
        "tags": "one, two",
        "custom": "mine",
        "owner": "me",
        "platform": "linux",
        "package": "generic",
        "clock": "2020-01-01 00:00:00",
        "enforce_timeout": "False",
    }
    answer = client.post("/tasks/create/file/", files={"file": ("dir/a.sh", SCRIPT)}, data=fields)
    assert answer.json() == {"task_id": 1, "task_ids": [1], "ignored": ["clock"]}
    task = tasks.get(1)
    assert task.sample is not None
    assert (task.sample.name, task.sample.size, len(task.sample.md5)) == (b"a.sh", len(SCRIPT), 32)
    assert home.analysis(1).sample.read_bytes() == SCRIPT
    assert (task.priority, task.custom, task.owner, task.tags) == (3, "mine", "me", ["one", "two"])
    options = task.options
    assert (options.timeout_s, options.arguments, options.user, options.memory) == (7, "-v 1", "nobody", True)
    assert (options.network, options.package, options.extra) == ("drop", None, {"x": "y"})
    assert task.status is Status.PENDING


def test_a_large_file_is_taken_whole(submitted: Callable[..., int], home: Home) -> None:
    content = bytes(range(256)) * (3 << 12)  # more than is kept in memory
    assert home.analysis(submitted(content)).sample.read_bytes() == content


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", b"passwd"),
        ("..", b"sample"),
        ("a\u202e\u00e4.sh", "a\u202e\u00e4.sh".encode()),
        ("<script>", b"<script>"),
        ("x" * 2000, b"x" * 255),
    ],
)
def test_hostile_names(submitted: Callable[..., int], client: TestClient, tasks: Tasks, name: str, kept: bytes) -> None:
    number = submitted(name=name)
    sample = tasks.get(number).sample
    assert sample is not None
    assert sample.name == kept
    answer = client.get(f"/tasks/view/{number}")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["task"]["id"] == number


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"timeout": "soon"}, "timeout 'soon' is not a whole number"),
        ({"priority": "1000"}, "priority"),
        ({"platform": "windows"}, "platform 'windows'"),
        ({"package": "exe"}, "package 'exe'"),
        ({"options": "free"}, "has no value"),
        ({"options": "route=wormhole"}, "no route 'wormhole'"),
        ({"route": "internet"}, "the network internet is not set up"),
        ({"machine": "win7"}, "no machine 'win7'"),
        ({"custom": "x" * 5000}, "custom is too long"),
    ],
)
def test_what_cannot_be_done_is_refused(client: TestClient, home: Home, fields: dict[str, str], words: str) -> None:
    answer = client.post("/tasks/create/file", files={"file": ("a", SCRIPT)}, data=fields)
    assert words in message(answer, 400)
    assert not home.analyses.exists()


def test_nothing_is_no_file(client: TestClient, tasks: Tasks) -> None:
    assert message(client.post("/tasks/create/file"), 400) == "No file has been provided"
    assert message(client.post("/tasks/create/url"), 400) == "No URL has been provided"
    assert "No files or strings" in message(client.post("/tasks/create/submit"), 400)
    assert "is empty" in message(client.post("/tasks/create/file", files={"file": ("a", b"")}), 400)
    assert tasks.all() == []
    assert list(tasks.home.analyses.iterdir()) == []


def test_a_file_that_was_there_already(submitted: Callable[..., int], client: TestClient, tasks: Tasks) -> None:
    submitted()
    answer = client.post("/tasks/create/file", files={"file": ("b", SCRIPT)}, data={"unique": "1"})
    assert message(answer, 400) == "This file has already been submitted"
    assert [path.name for path in tasks.home.analyses.iterdir()] == ["1"]
    assert submitted(b"#!/bin/sh\n", unique="1") == 3


def test_a_url(client: TestClient, tasks: Tasks) -> None:
    assert client.post("/tasks/create/url", data={"url": "http://example.org/x"}).json()["task_id"] == 1
    assert (tasks.get(1).category, tasks.get(1).target) == ("url", "http://example.org/x")
    assert "cannot be fetched" in message(client.post("/tasks/create/url", data={"url": "file:///etc/passwd"}), 400)


def test_several_at_once(client: TestClient, tasks: Tasks) -> None:
    files = [("files", ("a", SCRIPT)), ("files", ("b", b"")), ("files", ("c", b"#!/bin/sh\n"))]
    answer = client.post("/tasks/create/submit", files=files, data={"strings": "http://example.org/\nnonsense"}).json()
    assert (answer["submit_id"], answer["task_ids"]) == (1, [1, 3, 4])
    assert [error.split(" ")[0] for error in answer["errors"]] == ["b", "nonsense"]
    assert {task.submit_id for task in tasks.all()} == {1}


def test_too_much(home: Home, tasks: Tasks) -> None:
    client = connect(home, tasks, settings=Settings(analysis=Analysis(max_sample_mb=1)))
    large = b"x" * (3 << 20)
    answer = client.post("/tasks/create/file", files={"file": ("a", large)})
    assert "too large" in message(answer, 413)

    def endless() -> object:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(48):
            yield b"x" * (1 << 16)

    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = client.post("/tasks/create/file", content=endless(), headers=headers)  # type: ignore[arg-type]
    assert "too large" in message(answer, 413)
    assert tasks.all() == []


def test_a_task_that_cannot_be_recorded_leaves_no_folder(
    client: TestClient, tasks: Tasks, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from malkoha.errors import HostError

    def fail(task: object) -> None:
        raise HostError("the database is gone", str(tmp_path))

    monkeypatch.setattr(tasks, "add", fail)
    answer = client.post("/tasks/create/file", files={"file": ("a", SCRIPT)})
    assert message(answer, 500) == "the database is gone"
    assert list(tasks.home.analyses.iterdir()) == []
