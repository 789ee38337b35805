"""``malkoha doctor``: what this machine can do, and the mends."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from malkoha.cli import checks, terminal
from malkoha.errors import HostError

if TYPE_CHECKING:
    from malkoha.cli.checks import Finding
    from malkoha.config import Settings
    from malkoha.store import Home

BENIGN = "#!/bin/sh\necho malkoha works\nid\n"
_COLOURS = {"ok": "green", "warn": "yellow", "bad": "bold red"}


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what can be mended: install packages, build the image.")
    ] = False,
    detonate: Annotated[
        bool | None,
        typer.Option(
            "--detonate/--no-detonate", help="Analyse a benign sample.", show_default="when an image is there"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list.")] = False,
    debug: terminal.Debug = False,
) -> None:
    """Check what this machine can do, and mend it.

    Says how to mend what is wrong, and analyses a benign sample to prove that it works. Exit status 3 when
    something stops malkoha from working.

    \b
    Examples:
      malkoha doctor
      malkoha doctor --fix            installs packages (asking sudo) and builds the image
      malkoha doctor --no-detonate    only looks
    """
    home, settings = terminal.surroundings()
    found = _examine(home, settings, quiet=as_json)
    if fix and any(finding.fix for finding in found):
        for what in dict.fromkeys(finding.fix for finding in found if finding.fix):
            _FIXES[what](home, settings, found)
        found = _examine(home, settings, quiet=as_json)
    bad = any(finding.level == "bad" for finding in found)
    ready = not bad and not any(finding.fix == "image" for finding in found)
    if detonate or (detonate is None and ready):
        finding = _detonate(home, settings)
        found.append(finding)
        bad = bad or finding.level == "bad"
        if not as_json:
            _show(finding)
    if as_json:
        terminal.write_json(found)
    if bad:
        raise typer.Exit(HostError.exit_status)


def _examine(home: Home, settings: Settings, *, quiet: bool) -> list[Finding]:
    found = []
    for finding in checks.examine(home, settings):
        found.append(finding)
        if not quiet:
            _show(finding)
    return found


def _show(finding: Finding) -> None:
    from rich.text import Text

    mend = f"  → {finding.mend}" if finding.mend else ""
    terminal.out().print(
        Text.assemble(
            (f"{finding.level:<5}", _COLOURS[finding.level]),
            f"{finding.subject:<9}",
            terminal.plain(finding.text),
            (terminal.plain(mend), "dim"),
        )
    )


def _install(home: Home, settings: Settings, found: list[Finding]) -> None:
    from malkoha import requirements

    missing = [each.name for each in requirements.packages() if each.group == "run" and not each.is_present()]
    if not missing:
        return
    command = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "--no-install-recommends", "install", *missing]
    if os.geteuid() != 0:
        if shutil.which("sudo") is None:
            raise HostError("packages cannot be installed", "not root, and there is no sudo", " ".join(command))
        command = ["sudo", *command]
    terminal.say(f"installing Debian packages: {' '.join(missing)}")
    if subprocess.run(command, check=False).returncode != 0:
        update = [*command[: command.index("apt-get") + 1], "update"]
        subprocess.run(update, check=False)
        if subprocess.run(command, check=False).returncode != 0:
            raise HostError("packages could not be installed", "apt-get failed (see its lines)")


def _make_home(home: Home, settings: Settings, found: list[Finding]) -> None:
    home.root.mkdir(parents=True, exist_ok=True)


def _build_image(home: Home, settings: Settings, found: list[Finding]) -> None:
    from malkoha.cli.image import build_image

    build_image(home, settings, "default", ())


_FIXES = {"packages": _install, "home": _make_home, "image": _build_image}


def _detonate(home: Home, settings: Settings) -> Finding:
    """Analyse a script that does nothing, and look for its trace in the report."""
    from malkoha import submit
    from malkoha.cli.performing import perform
    from malkoha.errors import MalkohaError
    from malkoha.model.task import Options

    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "benign.sh")
        sample.write_text(BENIGN, encoding="ascii")
        try:
            task = submit.submit(home, settings, str(sample), Options(timeout_s=60))
            report = perform(task, home, settings)
        except MalkohaError as error:
            return checks.Finding(level="bad", subject="detonate", text=str(error), mend="malkoha doctor --debug")
    seen = report["malkoha"]["trace"]["events"]
    took = report["malkoha"]["timings"].get("total_s")
    if not seen:
        return checks.Finding(
            level="bad", subject="detonate", text="a benign sample left no trace", mend="analysis.log"
        )
    return checks.ok("detonate", f"a benign sample left {seen} events" + (f" in {took:.1f} s" if took else ""))
