"""Suricata's events become Cuckoo's lists; where Suricata is installed, it is run on a real capture."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from malkoha.errors import ProcessingError
from malkoha.model.traffic import Connection, Network, Origin
from malkoha.processing import suricata
from malkoha.processing.base import Earlier, Facts
from malkoha.processing.suricata import SuricataModule
from tests.unit.processing.folder import analysis

RECORDED = Path(__file__).parents[2] / "data" / "suricata"
EVENTS = RECORDED / "eve.json"


def facts(root: Path) -> Facts:
    made = analysis(root)
    shutil.copyfile(RECORDED / "network.pcap", made.store.pcap)
    return made


def program(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a stand-in for Suricata onto the path."""
    folder.mkdir(exist_ok=True)
    path = folder / "suricata"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_recorded_events_become_the_lists_of_cuckoo() -> None:
    section = suricata.read(EVENTS.read_bytes().splitlines(keepends=True), {})
    alert = next(alert for alert in section["alerts"] if alert["sid"] == 9000001)
    assert {"signature", "category", "protocol", "src_ip", "src_port", "dst_ip", "dst_port", "timestamp"} <= set(alert)
    assert (alert["signature"], alert["dst_port"], alert["severity"]) == ("MALWARE bot gate", 80, 1)
    assert [entry["url"] for entry in section["http"]] == ["/gate.php", "/bins/agent.x86_64"]
    assert section["http"][0]["user_agent"] == "curl/8.14.1"
    assert [entry["subject"] for entry in section["tls"]] == ["CN=secure.example.net"]
    fetched = next(entry for entry in section["files"] if entry["filename"] == "agent.x86_64")
    assert (fetched["filesize"], fetched["uri"]) == (183, "/bins/agent.x86_64")
    assert section["omitted"] == {}


def test_what_is_no_event_is_counted_and_what_is_too_much_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suricata, "ENTRIES", 2)
    lines = [
        b"no json\n",
        b'{"event_type": "alert"}\n',
        b'{"event_type": "stats"}\n',
        *EVENTS.read_bytes().splitlines(),
    ]
    section = suricata.read([*lines, suricata.CUT], {})
    assert len(section["alerts"]) == 2
    assert section["omitted"] == {"not understood": 2, "alerts": 3, "files": 1, "what eve.json held beyond": 1}


def test_an_alert_names_the_call_behind_its_flow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = map(json.loads, EVENTS.read_bytes().splitlines())
    event = next(each for each in events if each["event_type"] == "http")
    program(
        tmp_path / "bin", f"cp '{EVENTS}' eve.json; echo '3 rules successfully loaded, 1 rules failed'", monkeypatch
    )
    source, target = (event["src_ip"], event["src_port"]), (event["dest_ip"], event["dest_port"])
    flow = Connection(
        src=source[0], sport=source[1], dst=target[0], dport=target[1], offset=0, time=0.0,
        cause=Origin(pid=7, key=3, process_name="curl", api="connect", seq=1, cid=0),
    )  # fmt: skip
    earlier = Earlier({"network": Network(tcp=[flow])})
    section = SuricataModule().run(facts(tmp_path), earlier)
    causes = [(alert["sid"], (alert["cause"] or {}).get("process_name")) for alert in section["alerts"]]
    assert {(9000001, "curl"), (9000002, None)} == set(causes)
    assert (section["rules"]["loaded"], section["rules"]["failed"]) == (3, 1)


def test_without_suricata_there_is_nothing_unless_rules_are_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suricata, "PROGRAM", "no-such-suricata")
    made = facts(tmp_path)
    assert not SuricataModule.applies(made)
    monkeypatch.setenv("MALKOHA_NETWORK_SURICATA_RULES", str(RECORDED))
    assert SuricataModule.applies(made)
    with pytest.raises(ProcessingError, match="not installed"):
        SuricataModule().run(made, Earlier({}))


def test_a_suricata_that_hangs_or_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = facts(tmp_path)
    program(tmp_path / "bin", "echo 'no memory'; exit 3", monkeypatch)
    with pytest.raises(ProcessingError, match="status 3.*no memory"):
        SuricataModule().run(made, Earlier({}))
    program(tmp_path / "bin", "exec sleep 600", monkeypatch)
    monkeypatch.setattr(suricata, "TIMEOUT_S", 0.2)
    with pytest.raises(ProcessingError, match="too long"):
        SuricataModule().run(made, Earlier({}))


def test_the_users_folder_has_to_hold_rules(tmp_path: Path) -> None:
    assert suricata.rules(str(RECORDED)) == [RECORDED / "local.rules"]
    with pytest.raises(ProcessingError, match=r"no \*.rules"):
        suricata.rules(str(tmp_path))


@pytest.mark.skipif(shutil.which("suricata") is None, reason="Suricata is optional, and not installed here")
def test_the_real_suricata_finds_what_the_rules_look_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALKOHA_NETWORK_SURICATA_RULES", str(RECORDED))
    made = facts(tmp_path)
    assert SuricataModule.applies(made)
    section = SuricataModule().run(made, Earlier({}))
    assert {alert["sid"] for alert in section["alerts"]} == {9000001, 9000002}
    assert [entry["method"] for entry in section["http"]] == ["POST", "GET"]
    assert section["rules"] == {"files": 1, "loaded": 2, "failed": 0}
