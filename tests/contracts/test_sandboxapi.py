"""The client of PyPI that speaks Cuckoo's interface, unchanged, against a server in a process of its own."""

from __future__ import annotations

import io
import signal
import subprocess
from collections.abc import Iterator

import pytest
from sandboxapi.cuckoo import CuckooAPI

from malkoha.store import Home
from malkoha.tasks import Tasks
from tests.contracts.serving import serving_process
from tests.unit.web.conftest import REPORT, SCRIPT, finish


@pytest.fixture
def server(home: Home) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with serving_process(home) as served:
        yield served


def test_the_whole_way_of_a_sample(server: tuple[str, subprocess.Popen[bytes]], home: Home) -> None:
    address, process = server
    client = CuckooAPI(address)
    assert client.is_available()
    assert client.analyses() == []
    number = client.analyze(io.BytesIO(SCRIPT), "hello.sh")
    assert number == "1"
    assert home.analysis(1).sample.read_bytes() == SCRIPT
    assert client.queue_size() == 1
    assert not client.check(number)
    assert not client.check(99)
    assert client.report(number) == {"message": "Report not found"}
    with Tasks(home) as tasks:
        finish(tasks, 1)
    assert client.check(number)
    report = client.report(number)
    assert report == REPORT
    assert client.score(report) == 1.5
    assert client.report(number, "html") == b"<html>"
    assert [task["target"] for task in client.analyses()] == ["hello.sh"]
    assert client.delete(number)
    assert not client.delete(number)
    assert client.analyses() == []
    process.send_signal(signal.SIGTERM)
    assert process.wait(120) in (0, 130)
