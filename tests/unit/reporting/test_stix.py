"""The STIX bundle: its objects hang together and keep to the form of the standard."""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any

import pytest

from malkoha.reporting.stix import bundle
from tests.unit.reporting.test_attack import REPORT

ID = re.compile(r"[a-z-]+--[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def objects(report: dict[str, Any]) -> list[dict[str, Any]]:
    made = json.loads(bundle(report))
    assert made["type"] == "bundle"
    assert ID.fullmatch(made["id"])
    found: list[dict[str, Any]] = made["objects"]
    return found


def test_every_reference_leads_to_an_object_of_the_bundle() -> None:
    found = objects(REPORT)
    known = {each["id"] for each in found}
    assert len(known) == len(found)
    for each in found:
        assert ID.fullmatch(each["id"])
        assert each["id"].startswith(each["type"] + "--")
        assert each["spec_version"] == "2.1"
        links = [value for name, value in each.items() if name.endswith("_ref")]
        links += [link for name, value in each.items() if name.endswith("_refs") for link in value]
        assert set(links) <= known


def test_what_it_says() -> None:
    found = objects(REPORT)
    patterns = {each["pattern"] for each in found if each["type"] == "indicator"}
    assert "[domain-name:value = 'evil.example']" in patterns
    assert "[ipv4-addr:value = '203.0.113.7']" in patterns
    assert not any("198.51.100.1" in pattern for pattern in patterns)
    techniques = {each["external_references"][0]["external_id"] for each in found if each["type"] == "attack-pattern"}
    assert techniques == {"T1053.003", "T1498", "T9999"}
    assert {each["relationship_type"] for each in found if each["type"] == "relationship"} == {
        "characterizes",
        "uses",
        "indicates",
    }
    assert bundle(REPORT) == bundle(REPORT)


@pytest.mark.parametrize("target", [{"category": "url", "url": "http://x.example/'; drop"}, {}])
def test_a_url_and_an_empty_report(target: dict[str, Any]) -> None:
    found = objects({"target": target, "malkoha": {"verdict": {"level": "clean"}}})
    assert {"identity", "url", "malware-analysis"} <= {each["type"] for each in found}
    assert all("x.example/\\'" in each["pattern"] for each in found if each["type"] == "indicator")


HOSTILE = {
    "target": {"file": {"name": "a'\\]\n\u202e.sh", "sha256": "ab" * 32, "tlsh": "T1" + "AB" * 35, "size": 1}},
    "behavior": {"summary": {"resolves_host": ["a'b.example", "x" * 300]}},
}


@pytest.mark.parametrize("report", [REPORT, HOSTILE, {"target": {"category": "url", "url": "http://x.example/'"}}, {}])
def test_the_library_of_the_standard_reads_it(report: dict[str, Any]) -> None:
    stix2: Any = import_module("stix2")  # it has no types
    made = stix2.parse(bundle(report).decode(), allow_custom=False)
    assert len(made.objects) == len(objects(report))
