"""The model of the page."""

from __future__ import annotations

import msgspec

from malkoha.model.report import Report
from malkoha.reporting.page import page
from tests import reports


def test_the_fixture_is_a_report() -> None:
    for report in (reports.helloworld(), reports.busy()):
        converted = msgspec.convert(report, Report, strict=False)
        assert page(msgspec.to_builtins(converted))["name"] == report["target"]["file"]["name"]


def test_verdict_names_the_signatures_by_what_they_say() -> None:
    verdict = page(reports.busy())["verdict"]
    assert (verdict["level"], verdict["score"], verdict["share"]) == ("malicious", "8.7", 87)
    assert verdict["why"][0] == {"name": "persistence_cron", "title": "Writes a job of cron, which starts it again"}


def test_signatures_stand_by_severity_with_links_to_attack() -> None:
    found = page(reports.busy())["signatures"]
    assert [match["severity"] for match in found] == [4, 4, 3, 1]
    assert found[0]["ttps"] == [("T1053.003", "Cron", "https://attack.mitre.org/techniques/T1053/003/")]
    assert found[0]["marks"][0]["cid"] == 46
    assert found[0]["marks"][0]["text"].startswith('openat(dirfd=AT_FDCWD, pathname="/etc/cron.d/.sysupdate"')


def test_only_true_ids_become_links() -> None:
    report = reports.busy()
    report["signatures"] = [
        report["signatures"][0] | {"ttp": {"T1": "x", "javascript:x": "y", "TA0003": "z", "T1053/../..": ""}}
    ]
    assert [link for _, _, link in page(report)["signatures"][0]["ttps"]] == [
        "",
        "",
        "https://attack.mitre.org/tactics/TA0003/",
        "",
    ]


def test_tiles_warn_of_loss_and_of_an_early_end() -> None:
    tiles = {tile["title"]: tile for tile in page(reports.busy())["tiles"]}
    assert tiles["Events"]["note"] == "12 events lost"
    assert tiles["Events"]["warn"]
    assert tiles["Ran for"]["warn"]
    calm = {tile["title"]: tile for tile in page(reports.helloworld())["tiles"]}
    assert not any(tile["warn"] for tile in calm.values())
    assert calm["Exit"]["value"] == "2"


def test_stages_fill_the_bar() -> None:
    stages = page(reports.helloworld())["stages"]
    assert [stage["key"] for stage in stages] == ["queued", "restore", "deliver", "run", "process", "report"]
    assert abs(sum(stage["width"] for stage in stages) - 100) < 0.1


def test_facts_of_the_run_leave_out_what_is_not_known() -> None:
    facts = dict(page(reports.helloworld())["facts"])
    assert facts["command"] == "/bin/bash /tmp/helloworld.sh"
    assert facts["started"] == "2026-05-28 20:26:38 UTC"
    assert "options" not in facts


def test_an_empty_report_has_a_page() -> None:
    model = page({})
    assert model["name"] == "analysis"
    assert model["verdict"]["level"] == "unknown"
    assert model["touched"] == model["signatures"] == model["output"] == []
