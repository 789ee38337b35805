from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from malkoha.cli import checks, doctor
from malkoha.cli.checks import Finding
from malkoha.config import Machine, Network, Settings
from malkoha.errors import HostError
from malkoha.requirements import Package
from malkoha.store import Home
from tests.unit.cli.conftest import REPORT, FakeAnalysis

Call = Callable[..., Any]
MISSING = Package(group="run", name="some-package", test="cmd:no-such-command", purpose="does things")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes long or asks the network."""
    fast = tuple(check for check in checks.CHECKS if check.__name__ not in ("mirror", "kvm"))
    monkeypatch.setattr(checks, "CHECKS", fast)


def one(check: Callable[[Home, Settings], Iterator[Finding]], home: Home, settings: Settings | None = None) -> Finding:
    found = list(check(home, settings or Settings()))
    assert len(found) == 1
    return found[0]


def test_every_bad_finding_says_how_to_mend_it(malkoha_: Call, quiet: None) -> None:
    found = json.loads(malkoha_("doctor", "--no-detonate", "--json").out)
    assert {finding["subject"] for finding in found} >= {
        "python",
        "packages",
        "qemu",
        "memory",
        "home",
        "tasks",
        "image",
    }
    assert all(finding["mend"] for finding in found if finding["level"] != "ok")


def test_lines_for_people(malkoha_: Call, quiet: None) -> None:
    lines = malkoha_("doctor", "--no-detonate").out.splitlines()
    assert any(line.startswith("ok   python") for line in lines)
    assert any(line.startswith("warn image") and "→ malkoha image build" in line for line in lines)


def test_missing_packages_are_bad(malkoha_: Call, home: Home, quiet: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malkoha.requirements.packages", lambda: [MISSING])
    finding = one(checks.packages, home)
    assert (finding.level, finding.mend, finding.fix) == ("bad", "apt-get install some-package", "packages")
    assert malkoha_("doctor", "--no-detonate").status == 3


def test_fix_installs_what_is_missing_and_builds_the_image(
    malkoha_: Call, home: Home, quiet: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[list[str]] = []
    built: list[str] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        return subprocess.CompletedProcess(command, 1 if "install" in command and len(commands) == 1 else 0)

    monkeypatch.setattr("malkoha.requirements.packages", lambda: [MISSING])
    monkeypatch.setattr(doctor.subprocess, "run", run)  # type: ignore[attr-defined]
    monkeypatch.setattr(checks, "CHECKS", (checks.packages, checks.disk, checks.images))
    monkeypatch.setattr("malkoha.cli.image.build_image", lambda home, settings, name, packages: built.append(name))
    malkoha_("doctor", "--fix", "--no-detonate")
    assert [command[-1] for command in commands] == ["some-package", "update", "some-package"]
    assert "apt-get" in commands[0]
    assert built == ["default"]
    assert home.root.is_dir()


def test_fix_needs_rights(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("malkoha.requirements.packages", lambda: [MISSING])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(HostError, match="no sudo"):
        doctor._install(home, Settings(), [])


def test_qemu(home: Home, tmp_path: Path) -> None:
    assert one(checks.qemu, home, Settings(machine=Machine(qemu="/no/such/qemu"))).level == "bad"
    for text, level in (("echo QEMU 7", "ok"), ("exit 1", "bad"), ("true", "ok")):
        script = tmp_path / "qemu"
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
        assert one(checks.qemu, home, Settings(machine=Machine(qemu=str(script)))).level == level


def test_disk(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.root.mkdir()
    full = type("Usage", (), {"free": 1 << 30})()
    monkeypatch.setattr("shutil.disk_usage", lambda path: full)
    found = list(checks.disk(home, Settings()))
    assert [finding.level for finding in found] == ["ok", "bad"]
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert one(checks.disk, home).level == "bad"


def test_memory(home: Home) -> None:
    assert one(checks.memory, home).subject == "memory"


def test_database(home: Home, malkoha_: Call, sample: Path) -> None:
    assert one(checks.database, home).text == "none yet"
    malkoha_("submit", sample)
    assert one(checks.database, home).level == "ok"


def test_mirror(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from malkoha.config import Guest

    archive = tmp_path / "archive"
    settings = Settings(guest=Guest(mirror=f"file:{archive}"))
    assert one(checks.mirror, home, settings).level == "bad"
    release = archive / "dists" / "trixie" / "InRelease"
    release.parent.mkdir(parents=True)
    release.write_text("x")
    assert one(checks.mirror, home, settings).level == "ok"
    monkeypatch.setattr(checks, "_APT_HELPER", "/no/such/helper")
    assert one(checks.mirror, home, settings).level == "warn"


def test_kvm_needs_an_image(home: Home) -> None:
    assert one(checks.kvm, home).mend == "malkoha image build"


def test_a_check_that_fails_is_a_finding(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(home: Home, settings: Settings) -> Iterator[Finding]:
        if home.root.exists():
            yield checks.ok("broken", "")
        raise HostError("it broke", "because", "mend it")

    monkeypatch.setattr(checks, "CHECKS", (broken,))
    assert list(checks.examine(home, Settings())) == [
        Finding(level="bad", subject="broken", text="it broke: because", mend="mend it")
    ]


def test_detonation(malkoha_: Call, home: Home, analysis: FakeAnalysis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "CHECKS", (checks.python,))
    result = malkoha_("doctor")
    assert result.status == 0
    assert "3 events in 1.2 s" in result.out
    assert analysis.tasks[0].sample is not None
    assert analysis.tasks[0].sample.name == b"benign.sh"
    analysis.fail_run = HostError("no QEMU")
    assert malkoha_("doctor").status == 3
    analysis.fail_run = None
    monkeypatch.setitem(REPORT["malkoha"], "trace", {"events": 0})
    assert "left no trace" in malkoha_("doctor", "--detonate").out
    assert "left no trace" not in malkoha_("doctor", "--no-detonate").out


def test_suricata_is_optional_unless_rules_are_set(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    ruled = Settings(network=Network(suricata_rules="/rules"))
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert one(checks.suricata, home).level == "ok"
    assert one(checks.suricata, home, ruled).level == "warn"
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/suricata")
    assert one(checks.suricata, home, ruled).text == "reads captures by /rules"
