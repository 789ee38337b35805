"""How the tracer's loader is run and waited for, with a shell script in its place; nothing is mounted or loaded."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from malkoha.inguest import tracer
from malkoha.inguest.refused import Refused

# The trap comes first: the loader is told to detach as soon as the announcement stands there.
LOADED = 'trap "exit 0" QUIT; echo hello >"$5"; echo "ring 12ab" >>"$5"; while :; do sleep 0.05; done'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tracer, "FOLDER", str(tmp_path))
    return tmp_path


def loader(folder: Path, script: str) -> None:
    (folder / "staprun").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "staprun").chmod(0o755)


def test_the_announcement_is_waited_for_and_the_loader_detached(folder: Path) -> None:
    loader(folder, f'echo "$@" >{folder}/seen; {LOADED}')
    assert tracer.load(77, "quiet_one", ["a=1"], time.monotonic() + 20) == "ring 12ab"
    seen = (folder / "seen").read_text()
    assert seen == f"-v -x 77 -o {folder}/out {folder}/quiet_one.ko a=1\n"


def test_what_the_kernel_said_of_the_module_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[str, ...]] = []
    log, none = tmp_path / "kern.log", tmp_path / "none"
    log.write_text(
        "boot\nkernel: quiet_one: tainting kernel\ndisk\nDisabling lock debugging due to kernel taint\nend\n"
    )
    monkeypatch.setattr(tracer, "LOGS", (str(log), str(none)))
    monkeypatch.setattr(tracer, "run", lambda *words: said.append(words))
    monkeypatch.setattr(tracer, "drop_caches", lambda what: said.append((what,)))
    tracer.forget_messages("quiet_one", 86400)
    assert said == [("4",), ("dmesg", "--clear")]
    assert log.read_text() == "boot\ndisk\nend\n"
    assert not none.exists()


def test_a_log_was_written_when_the_guest_seems_to_have_booted() -> None:
    line = "2026-11-25T13:05:57.256906+00:00 web01 kernel: ACPI: APIC 01 (v01 DELL PE_SC3)\n"
    assert tracer.earlier(line, 3 * 86400 + 60) == line.replace("2026-11-25T13:05", "2026-11-22T13:04")
    for other in ("Nov 25 13:05:57 web01 kernel: x\n", "\n", ""):
        assert tracer.earlier(other, 86400) == other


def test_settling_waits_for_the_age(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    ages = iter((50.0, 86_399.0, 86_400.5))
    monkeypatch.setattr(tracer, "POLL_S", 0.0)
    monkeypatch.setattr(time, "clock_gettime", lambda clock: next(ages))
    monkeypatch.setattr(tracer, "forget_messages", lambda *given: done.append(given))
    monkeypatch.setattr(tracer, "forget_files", lambda: done.append("files"))
    monkeypatch.setattr(tracer, "run", lambda *words: done.append(words[-1]))
    assert tracer.settle({"name": "quiet_one", "age_s": 86_400}) == {}
    assert done == [("quiet_one", 86_400), "files", "yes"]
    assert next(ages, None) is None


def test_a_guest_that_stays_young_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "AGED_S", -1.0)
    with pytest.raises(Refused, match="not set ahead"):
        tracer.settle({"name": "quiet_one", "age_s": 1 << 40})


def test_a_module_that_stays_in_sight(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "HIDDEN_S", 0.2)
    monkeypatch.setattr(tracer, "MODULES", str(folder))
    (folder / "plain_one").mkdir()
    loader(folder, LOADED)
    with pytest.raises(Refused, match="can still be seen"):
        tracer.load(1, "plain_one", [], time.monotonic() + 20)


def test_a_loader_that_fails(folder: Path) -> None:
    loader(folder, "echo one >&2; echo ERROR: no such module >&2; exit 3")
    with pytest.raises(Refused, match=r"did not load \(its loader ended with 3\): one / ERROR: no such module"):
        tracer.load(1, "m", [], time.monotonic() + 20)


def test_a_loader_that_hangs(folder: Path) -> None:
    loader(folder, 'printf "ring 1" >"$5"; echo waiting >&2; exec sleep 100')
    before = time.monotonic()
    with pytest.raises(Refused, match="did not load in time: waiting"):
        tracer.load(1, "m", [], before + 0.5)
    assert time.monotonic() - before < 20


def test_a_loader_that_does_not_detach(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "DETACH_S", 0.3)
    loader(folder, LOADED.replace('trap "exit 0" QUIT', 'trap "" QUIT'))
    with pytest.raises(Refused, match="did not detach"):
        tracer.load(1, "m", [], time.monotonic() + 20)


def test_what_was_said_is_bounded(folder: Path) -> None:
    (folder / "err").write_text("".join(f"line {number}\n\n" for number in range(5000)))
    said = tracer.last_words(f"{folder}/err").split(" / ")
    assert len(said) == tracer.SAID
    assert all(line.startswith("line ") for line in said)


def test_a_program_that_fails_is_quoted() -> None:
    with pytest.raises(Refused, match=r"ls /nonexistent: .*No such file"):
        tracer.run("ls", "/nonexistent")
    with pytest.raises(Refused, match="false: 1"):
        tracer.run("false")


def test_no_line_from_a_loader_that_has_ended(folder: Path) -> None:
    (folder / "out").write_text("ring 5\n")
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert tracer.wait_for_line(ended, f"{folder}/out", time.monotonic()) == "ring 5"
    assert tracer.wait_for_line(ended, f"{folder}/none", time.monotonic() + 5) == ""
