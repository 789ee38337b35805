"""Archives, Office files and PDFs in report.html: lines and quoted sources, escaped and bounded."""

from __future__ import annotations

from typing import Any

from malkoha.reporting.documents import HEAD, documents
from malkoha.reporting.html_report import render
from tests.unit.reporting.test_attack import REPORT

STATIC: dict[str, Any] = {
    "archive": {
        "format": "zip",
        "members": [{"name": "a", "kind": "file", "size": 18, "encrypted": True, "sha256": "ab" * 32}],
        "password": "infected",
        "remarks": ["damaged: x"],
    },
    "office": {
        "encrypted": True,
        "macros": [{"name": "M", "source": "<b>Shell</b>", "runs_by_itself": ["AutoOpen"], "calls": ["Shell"]}],
        "links": [{"kind": "attachedTemplate", "target": "http://evil.example/", "part": "x.rels"}],
        "dde": ["DDEAUTO cmd"],
    },
    "pdf": {"version": "1.7", "scripts": [{"size": 1, "text": "x()"}], "keys": {"JS": 2}, "urls": ["u"] * (HEAD + 5)},
}


def test_each_document_in_lists_and_sources() -> None:
    archive, office, pdf = documents(STATIC)
    assert {entry["label"]: entry["head"] for entry in archive["lists"]} == {
        "members": [f"a  18 bytes  encrypted  {'ab' * 32}"],
        "remarks": ["opened with the password infected", "damaged: x"],
    }
    assert [entry["label"] for entry in office["lists"]] == [
        "macros that run by themselves", "calls of note in macros", "links", "DDE",
    ]  # fmt: skip
    assert office["texts"] == [{"title": "macro: M", "text": "<b>Shell</b>"}]
    assert (office["kind"], pdf["kind"]) == ("encrypted", "1.7")
    assert (pdf["lists"][0]["total"], len(pdf["lists"][0]["head"])) == (HEAD + 5, HEAD)
    keys = [entry["key"] for document in (archive, office, pdf) for entry in document["lists"]]
    assert len(set(keys)) == len(keys) == 8
    assert pdf["lists"][1]["head"] == ["/JS 2"]


def test_wrong_shapes_are_borne() -> None:
    assert documents({}) == []
    assert documents({"archive": 3, "office": [], "pdf": {}}) == []
    odd = {"members": ["x", {"size": "many"}], "macros": 7, "keys": [], "scripts": ["x"]}
    assert len(documents({"archive": odd, "office": odd, "pdf": odd})) == 3


def test_the_page_shows_them_escaped() -> None:
    page = render({**REPORT, "static": STATIC})
    for text in ("opened with the password infected", "AutoOpen", "macro: M", "DDEAUTO cmd", "/JS 2"):
        assert text in page
    assert "<b>Shell" not in page
