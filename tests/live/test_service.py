"""The service with a real guest: a sample comes by REST, its worker is killed, and one report is there all the same."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from pathlib import Path

import httpx2 as httpx
import pytest

from malkoha.client import Client, Event
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


def test_a_run_is_watched_and_cancelled(fresh: Malkoha, tmp_path: Path) -> None:
    """Its processes, calls and output come while it runs; when it is cancelled, what was recorded is reported."""
    served = fresh.begin("serve", "--port", "0")
    until(lambda: "listens on" in served.err or served.process.poll() is not None, LONG_S, lambda: served.err)
    found = re.search(r"listens on (\S+) ", served.err)
    assert found is not None, served.err
    sample = tmp_path / "waits.sh"
    sample.write_text("#!/bin/sh\ncat /etc/hostname\necho here I am\nexec sleep 1000\n")
    seen: list[Event] = []
    cancelled = False
    with Client(found[1]) as client:
        task = client.submit(sample, network="none", timeout_s=900)
        for event in client.watch(task.id):
            seen.append(event)
            if event.kind == "end":
                break
            if not cancelled and "here I am" in _printed(seen) and "/usr/bin/sleep" in _started(seen):
                cancelled = client.cancel(task.id).status == "running"
        assert cancelled
        done = client.wait(task.id, timeout_s=LONG_S)
        assert (done.status, done.error) == ("reported", "")
        told = client.report(task.id)["malkoha"]
        assert told["trace"]["ended"] == "interrupted"
        assert "the run was cancelled" in told["errors"]
        assert client.events(task.id, syscall="openat", text="/etc/hostname")
    calls = [each["api"] for event in seen if event.kind == "events" for each in event.data["events"]]
    assert "openat" in calls
    assert [event.data["status"] for event in seen if event.kind == "state"][-1] == "reported"
    served.end(signal.SIGTERM)


def _printed(seen: list[Event]) -> str:
    return "".join(event.data["text"] for event in seen if event.kind == "console")


def _started(seen: list[Event]) -> set[str]:
    events = [each for event in seen if event.kind == "events" for each in event.data["events"]]
    return {each["args"]["exe"] for each in events if each["kind"] == "exec"}
