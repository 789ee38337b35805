"""Whatever ends an analysis, nothing of it stays behind, and its task says what happened; two do not meet."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.live.commandline import LONG_S, SAMPLES, Malkoha, script, until
from tests.live.shell_guest import processes

pytestmark = pytest.mark.live
WORKS_ON = "echo begun; while :; do cat /etc/hostname >/dev/null; done"


@pytest.mark.parametrize(
    ("number", "status", "error"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 130, "interrupted"),
        (signal.SIGHUP, 130, "interrupted"),
        (signal.SIGKILL, -9, "the process that ran the analysis ended before the run did"),
    ],
)
def test_an_analysis_that_is_stopped(
    malkoha: Malkoha, tmp_path: Path, number: signal.Signals, status: int, error: str
) -> None:
    running = malkoha.begin("analyze", script(tmp_path, WORKS_ON))
    store = running.until_recording()
    assert len(processes(malkoha.home)) == 1
    done = running.end(number, 60)
    assert done.status == status
    if status == 130:
        assert done.err.splitlines()[-1] == "malkoha: interrupted"
        assert "Traceback" not in done.err
    malkoha.assert_nothing_left()
    task = malkoha.tasks()[0]
    assert (str(task["id"]), task["status"]) == (store.root.name, "failed_analysis")
    assert task["error"].startswith(error)
    # what was recorded until then is kept
    assert store.records.stat().st_size > 50_000
    if number is signal.SIGKILL:
        return
    assert malkoha.run("process", store.root.name).status == 0
    report = json.loads(store.report_json.read_bytes())
    assert report["malkoha"]["trace"]["ended"] == "interrupted"
    assert report["behavior"]["processes"][0]["process_name"] == "bash"


def test_the_next_analysis_after_a_killed_one_works(malkoha: Malkoha, tmp_path: Path) -> None:
    running = malkoha.begin("analyze", script(tmp_path, WORKS_ON))
    running.until_recording()
    running.end(signal.SIGKILL, 60)
    assert malkoha.analyze(SAMPLES / "helloworld.sh").stdout.startswith(b"hello world!\n")
    assert [task["status"] for task in malkoha.tasks()[:2]] == ["reported", "failed_analysis"]


def test_an_interrupt_while_the_machine_is_restored(malkoha: Malkoha) -> None:
    running = malkoha.begin("analyze", SAMPLES / "helloworld.sh")
    until(
        lambda: "Restoring the machine" in running.err or running.process.poll() is not None, 120, lambda: running.err
    )
    assert running.end(signal.SIGINT, 60).status == 130
    malkoha.assert_nothing_left()
    assert malkoha.tasks()[0]["status"] == "failed_analysis"


def test_a_qemu_that_is_killed(malkoha: Malkoha, tmp_path: Path) -> None:
    running = malkoha.begin("analyze", "--json", script(tmp_path, WORKS_ON))
    running.until_recording()
    (machine,) = processes(malkoha.home)
    os.kill(machine, signal.SIGKILL)
    found = malkoha.told(running.end())
    assert found.ended == "machine off"
    assert any("killed by signal 9" in error for error in found.own["errors"])
    assert found.one("bash")["calls_total"] > 0
    assert malkoha.tasks()[0]["status"] == "reported"


def test_two_analyses_at_the_same_time(malkoha: Malkoha, tmp_path: Path) -> None:
    names = ("magpie", "jackdaw")
    text = "echo {0}; for i in 1 2 3 4 5 6 7 8; do cat /etc/hostname > /tmp/{0}.$i; done; sleep 2; ls /tmp"
    runs = [malkoha.begin("analyze", "--json", script(tmp_path, text.format(name), f"{name}.sh")) for name in names]
    until(
        lambda: len(processes(malkoha.home)) == 2 or any(run.process.poll() is not None for run in runs),
        LONG_S,
        lambda: "there were never two machines",
    )
    first, second = [malkoha.told(run.end()) for run in runs]
    assert first.id != second.id
    for found, mine, other in ((first, names[0], names[1]), (second, names[1], names[0])):
        assert found.ended == "all processes gone"
        assert found.own["trace"]["lost"] == 0
        assert found.stdout.split(b"\n")[0] == mine.encode()
        assert other.encode() not in found.stdout
        created = found.report["behavior"]["summary"]["file_created"]
        assert [path for path in created if path.startswith("/tmp/")] == [f"/tmp/{mine}.{i}" for i in range(1, 9)]
        assert found.tree() == [["bash", *[["cat"]] * 8, ["sleep"], ["ls"]]]
        assert other not in found.store.report_json.read_text()
