from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from malkoha.processing import fuzzy
from malkoha.tasks import Tasks
from tests.pages import reported, rich

TEXT = b"".join(b"line %d of a program that has some variety: %x\n" % (number, number * 7919) for number in range(400))


def found(client: TestClient, **query: str) -> list[int]:
    answer = client.get("/search", params=query)
    assert answer.status_code == 200
    return [int(number) for number in re.findall(r'data-row="(\d+)"', answer.text)]


@pytest.fixture(autouse=True)
def known(tasks: Tasks) -> None:
    for number, data in ((1, TEXT), (2, TEXT + b"one more line\n"), (3, bytes(range(256)) * 40)):
        report = rich()
        report["target"]["file"] |= {"tlsh": fuzzy.tlsh(data), "ssdeep": fuzzy.ssdeep(data), "name": f"sample{number}"}
        reported(tasks, number, report, f"sample{number}", parquet=False)


def test_by_what_reports_tell(client: TestClient) -> None:
    assert found(client, q="198.51.100.7") == [3, 2, 1]
    assert found(client, q="SAMPLE2") == [2]
    assert found(client, q="sample2", kind="ip") == []
    assert found(client, q="/tmp/.x/payload", kind="path") == [3, 2, 1]
    text = client.get("/search?q=c2.example").text
    assert "<i>domain</i> <code>c2.example</code>" in text


def test_by_likeness(client: TestClient) -> None:
    assert found(client, q=fuzzy.tlsh(TEXT) or "") == [1, 2]
    assert found(client, q=(fuzzy.tlsh(TEXT) or "").lower()) == [1, 2]
    assert found(client, q=fuzzy.ssdeep(TEXT) or "") == [1, 2]
    assert found(client, near="1") == [2]
    assert found(client, near="3") == []
    assert client.get("/search?near=9").status_code == 404


def test_nothing_asked_and_nothing_found(client: TestClient) -> None:
    assert "Upper and lower case" in client.get("/search").text
    assert "Nothing found" in client.get("/search?q=nowhere-at-all").text
    assert client.get("/search?q=x&kind=nothing").status_code == 400


def test_questions_are_texts(client: TestClient) -> None:
    text = client.get("/search", params={"q": '"><script>alert(1)</script>'}).text
    assert "<script>alert" not in text
    assert found(client, q="%") == []
    assert found(client, q="' or 1=1 --") == []


def test_deleted_analyses_are_not_found(client: TestClient, tasks: Tasks) -> None:
    tasks.delete(3)
    assert found(client, q="198.51.100.7") == [2, 1]
