"""The event for MISP."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pymisp import MISPEvent, MISPObject

from malkoha.reporting.misp import event
from tests.unit.reporting.test_attack import REPORT


def test_an_event() -> None:
    made = json.loads(event(REPORT))["Event"]
    assert (made["threat_level_id"], made["info"]) == ("1", "malkoha: x.sh: malicious (8.1 of 10)")
    values = {attribute["value"]: attribute for attribute in made["Attribute"]}
    assert (values["evil.example"]["type"], values["evil.example"]["to_ids"]) == ("domain", True)
    assert (values["198.51.100.1"]["type"], values["198.51.100.1"]["to_ids"]) == ("ip-dst", False)
    assert "cron: Writes a cron job" in values
    (file,) = made["Object"]
    assert {attribute["object_relation"] for attribute in file["Attribute"]} == {
        "filename",
        "size-in-bytes",
        "sha256",
        "md5",
        "ssdeep",
    }
    assert 'misp-galaxy:mitre-attack-pattern="Cron - T1053.003"' in [tag["name"] for tag in made["Tag"]]
    assert event(REPORT) == event(REPORT)


def test_an_empty_report_makes_an_event_too() -> None:
    assert json.loads(event({}))["Event"]["Object"] == []


@pytest.mark.parametrize("report", [REPORT, {}])
def test_the_library_of_misp_reads_it_and_knows_the_object(report: dict[str, Any]) -> None:
    read = MISPEvent()
    read.load(event(report).decode())
    assert len(read.attributes) == len(json.loads(event(report))["Event"]["Attribute"])
    for each in read.objects:
        known = MISPObject(each.name, strict=True)
        for attribute in each.attributes:
            known.add_attribute(attribute.object_relation, value=attribute.value)
        assert known.template_uuid == each.template_uuid
