from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from fastapi.testclient import TestClient

from malkoha.model.task import Status
from malkoha.rules import sets
from malkoha.tasks import Tasks
from tests.pages import queued, reported, rich


def test_statistics_of_days_verdicts_and_signatures(client: TestClient, tasks: Tasks) -> None:
    report = rich()
    report["info"]["ended"] = datetime.now(UTC).timestamp()
    reported(tasks, 1, report, parquet=False)
    report["malkoha"]["verdict"] |= {"level": "clean"}
    reported(tasks, 2, report, parquet=False)
    report["info"]["ended"] -= 40 * 86400
    reported(tasks, 3, report, parquet=False)
    text = client.get("/statistics").text
    today = datetime.now(UTC).date().isoformat()
    assert f"<title>{today}: 1 clean, 1 malicious</title>" in text
    assert text.count('class="base"') == 30
    name = report["signatures"][0]["name"]
    assert re.search(rf"<span>{re.escape(name)}</span><b>2</b>", text)
    assert "nine of ten within" in text
    assert re.search(rf"<span>{re.escape(name)}</span><b>3</b>", client.get("/statistics?days=90").text)
    assert client.get("/statistics?days=0").status_code == 400


def test_statistics_of_nothing(client: TestClient) -> None:
    text = client.get("/statistics").text
    assert "<b>0</b>" in text


def test_rules_are_listed_with_their_matches(client: TestClient, tasks: Tasks, tmp_path: Path) -> None:
    from malkoha.signatures.catalogue import SIGNATURES

    (tmp_path / "own.yar").write_text("rule a { condition: true }")
    sets.add(tasks.home, tmp_path, name="own")
    report = rich()
    report["signatures"][0]["name"] = SIGNATURES[0].name
    reported(tasks, 1, report, parquet=False)
    text = client.get("/rules").text
    assert text.count("data-row=") == len(SIGNATURES)
    assert "matched in 1" in text
    assert "<b>own</b>" in text
    assert "<b>malkoha</b>" in text
    assert 0 < client.get("/rules?q=T1053").text.count("data-row=") < len(SIGNATURES)


def test_machines_tell_of_this_host(client: TestClient, tasks: Tasks) -> None:
    queued(tasks, 1, "runs.sh")
    tasks.move(1, Status.RUNNING)
    snapshot = tasks.home.snapshots / ("ab" * 32)
    snapshot.mkdir(parents=True)
    (snapshot / "memory").write_bytes(b"x" * 5000)
    text = client.get("/machines").text
    assert "runs.sh" in text
    assert "abababababab" in text
    assert f"<dd>{os.cpu_count()}</dd>" in text
    assert "None yet: the first analysis builds one" in text
