"""The service with a real guest: a sample comes by REST, its worker is killed, and one report is there all the same."""

from __future__ import annotations

import os
import re
import signal
import sqlite3

import httpx2 as httpx
import pytest

from tests.live.commandline import LONG_S, SAMPLES, Malkoha, until
from tests.live.shell_guest import processes

pytestmark = pytest.mark.live


def test_a_killed_worker_costs_no_task(fresh: Malkoha) -> None:
    served = fresh.begin("serve", "--port", "0")
    until(lambda: "listens on" in served.err or served.process.poll() is not None, LONG_S, lambda: served.err)
    found = re.search(r"listens on (\S+) ", served.err)
    assert found is not None, served.err
    with httpx.Client(base_url=found[1]) as client, (SAMPLES / "helloworld.sh").open("rb") as sample:
        number = client.post("/tasks/create/file", files={"file": ("helloworld.sh", sample)}).json()["task_id"]

        def status() -> str:
            return str(client.get(f"/tasks/view/{number}").json()["task"]["status"])

        until(lambda: bool(processes(fresh.home)), LONG_S, lambda: served.err)
        rows = sqlite3.connect(fresh.home.database)
        ((runner,),) = rows.execute("SELECT runner FROM tasks").fetchall()
        rows.close()
        os.kill(int(runner.split(":")[1]), signal.SIGKILL)
        until(lambda: status() not in ("pending", "running", "completed"), LONG_S, lambda: served.err)
        task = client.get(f"/tasks/view/{number}").json()["task"]
        assert (task["status"], task["errors"]) == ("reported", [])
        assert task["guest"]["manager"] == "QEMU"
        report = client.get(f"/tasks/report/{number}/json").json()
        assert report["info"]["id"] == number
        assert "/etc/passwd" in str(report["behavior"]["summary"])
        assert [process["process_name"] for process in report["behavior"]["processes"]].count("ping") == 1
        assert client.get("/cuckoo/status").json()["tasks"]["total"] == 1
    done = served.end(signal.SIGTERM)
    assert done.status in (0, 130), done.err
    assert "is replaced" in done.err
