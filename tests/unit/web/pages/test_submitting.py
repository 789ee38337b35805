from __future__ import annotations

import io
import zipfile

import pytest
from fastapi.testclient import TestClient

from malkoha.tasks import Tasks
from tests.pages import SCRIPT
from tests.unit.web.pages.conftest import HTMX


def submit(client: TestClient, *files: tuple[str, bytes], **fields: str) -> tuple[int, str, str]:
    """Hand in files as the form does; return status, text and where the answer leads."""
    answer = client.post(
        "/submit", files=[("files", file) for file in files] or None, data=fields, headers=HTMX,
        follow_redirects=False,
    )  # fmt: skip
    return answer.status_code, answer.text, str(answer.headers.get("hx-redirect", ""))


def test_the_form_offers_what_there_is(client: TestClient) -> None:
    text = client.get("/submit").text
    assert "<option>elf</option>" in text
    assert '<option value="sim" selected>' in text
    assert "<option>default</option>" in text


def test_one_file_leads_to_its_analysis(client: TestClient, tasks: Tasks) -> None:
    assert submit(client, ("a.sh", SCRIPT)) == (200, "", "/analysis/1")
    task = tasks.get(1)
    assert (task.target, task.sample and task.sample.name) == ("a.sh", b"a.sh")
    assert tasks.home.analysis(1).sample.read_bytes() == SCRIPT
    plain = client.post("/submit", files=[("files", ("a.sh", SCRIPT))], follow_redirects=False)
    assert (plain.status_code, plain.headers["location"]) == (303, "/analysis/2")


def test_options_are_taken(client: TestClient, tasks: Tasks) -> None:
    fields = {
        "timeout": "30", "network": "drop", "package": "elf", "engine": "kprobe", "priority": "7",
        "arguments": "-a 'b c'", "user": "nobody", "time": "skip", "memory": "1", "extra": "follow=no\npassword=a=b",
        "tags": "x, y", "custom": "c",
    }  # fmt: skip
    assert submit(client, ("a", SCRIPT), **fields)[0] == 200
    task = tasks.get(1)
    chosen = task.options
    assert (chosen.timeout_s, chosen.network, chosen.package, chosen.engine) == (30.0, "drop", "elf", "kprobe")
    assert (chosen.arguments, chosen.user, chosen.time, chosen.memory) == ("-a 'b c'", "nobody", "skip", True)
    assert chosen.extra == {"follow": "no", "password": "a=b"}
    assert (task.priority, task.tags, task.custom, task.owner, task.submit_id) == (7, ["x", "y"], "c", "", 1)


def test_several_files_and_urls_each_for_itself(client: TestClient, tasks: Tasks) -> None:
    status, text, _ = submit(
        client, ("a.sh", SCRIPT), ("empty", b""), urls="http://198.51.100.1/x\n\n  gopher://x\n", network="sim"
    )
    assert status == 200
    assert [task.target for task in tasks.all()] == ["http://198.51.100.1/x", "a.sh"]
    assert {task.submit_id for task in tasks.all()} == {1}
    assert "empty is empty" in text
    assert "gopher://x cannot be fetched" in text
    assert "malkoha-upload" not in text
    assert text.count('href="/analysis/') == 2


def test_an_archive_becomes_a_task_for_each_member(client: TestClient, tasks: Tasks) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("bin/one.sh", SCRIPT)
        archive.writestr("two.sh", SCRIPT + b"exit\n")
    assert submit(client, ("both.zip", packed.getvalue()))[0] == 200
    assert sorted(task.target for task in tasks.all()) == ["both.zip: bin/one.sh", "both.zip: two.sh"]


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"timeout": "0"}, "a timeout of 0 s"),
        ({"timeout": "x"}, "not a whole number"),
        ({"priority": "101"}, "a priority of 101"),
        ({"network": "moon"}, "there is no network mode"),
        ({"network": "internet"}, "is not set up"),
        ({"engine": "<b>"}, "there is no engine &#39;&lt;b&gt;&#39;"),
        ({"package": "x"}, "there is no package"),
        ({"image": "nothing"}, "there is no image"),
        ({"extra": "x"}, "has no value"),
        ({"arguments": "'"}, "cannot be split"),
    ],
)
def test_what_cannot_be_is_refused(client: TestClient, tasks: Tasks, fields: dict[str, str], told: str) -> None:
    status, text, _ = submit(client, ("a", SCRIPT), **fields)
    assert (status, told in text) == (400, True), text
    assert tasks.all() == []


def test_nothing_is_not_enough(client: TestClient) -> None:
    answer = client.post("/submit", data={"urls": "  "})
    assert answer.status_code == 400
    assert "there is nothing to submit" in answer.text
    assert "<!doctype html>" in answer.text


@pytest.mark.parametrize("name", ["../../etc/x", "..", "/etc/passwd", "a\\b", "<script>", "x" * 3000, "\u202ea\nb"])
def test_no_name_leaves_its_folder(client: TestClient, tasks: Tasks, name: str) -> None:
    status, _, _ = submit(client, (name, SCRIPT))
    assert status == 200
    sample = tasks.get(1).sample
    assert sample is not None
    assert b"/" not in sample.name
    assert 0 < len(sample.name) <= 255
    assert "<script>" not in client.get("/").text.replace("<script>\n", "")
