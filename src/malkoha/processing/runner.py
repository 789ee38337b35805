"""Run the processing modules: ordered by what they require, failures recorded, isolated ones in their own process."""

from __future__ import annotations

import logging
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from malkoha.errors import ProcessingError
from malkoha.model.task import Run, Task
from malkoha.processing.archive import ArchiveModule
from malkoha.processing.artefacts import DebugModule, OutputModule, ScreenshotsModule
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.behavior import BehaviorModule
from malkoha.processing.buffer import BufferModule
from malkoha.processing.capa import CapaModule
from malkoha.processing.dropped import DroppedModule
from malkoha.processing.elf import ElfModule
from malkoha.processing.indicators import IndicatorsModule
from malkoha.processing.memory import MachineMemoryModule, ProcessMemoryModule
from malkoha.processing.network import NetworkModule
from malkoha.processing.office import OfficeModule
from malkoha.processing.packer import PackerModule
from malkoha.processing.pdf import PdfModule
from malkoha.processing.scripts import ScriptModule
from malkoha.processing.sigma import SigmaModule
from malkoha.processing.strings import StringsModule
from malkoha.processing.suricata import SuricataModule
from malkoha.processing.tampering import TamperingModule
from malkoha.processing.target import TargetModule
from malkoha.processing.yara import YaraModule
from malkoha.store import Store

MODULES: tuple[type[Processing], ...] = (
    TargetModule,
    ElfModule,
    PackerModule,
    CapaModule,
    ArchiveModule,
    OfficeModule,
    PdfModule,
    ScriptModule,
    IndicatorsModule,
    YaraModule,
    SigmaModule,
    StringsModule,
    BehaviorModule,
    DroppedModule,
    NetworkModule,
    SuricataModule,
    BufferModule,
    TamperingModule,
    ProcessMemoryModule,
    MachineMemoryModule,
    ScreenshotsModule,
    DebugModule,
    OutputModule,
)
MEMORY = 2 << 30
"""Address space of an isolated module, in bytes."""
ANSWER = 64 << 20

log = logging.getLogger(__name__)


def ordered(modules: Sequence[type[Processing]]) -> list[type[Processing]]:
    """Sort modules so that each follows what it requires, otherwise as given. Raises ProcessingError on a cycle."""
    placed: list[type[Processing]] = []

    def place(module: type[Processing], above: tuple[type[Processing], ...]) -> None:
        if module in above:
            raise ProcessingError("processing modules require each other", " > ".join(m.name for m in (*above, module)))
        if module not in placed:
            for needed in module.requires:
                place(needed, (*above, module))
            placed.append(module)

    for module in modules:
        place(module, ())
    return placed


def run(
    store: Store, task: Task, run_: Run, modules: Sequence[type[Processing]] = MODULES
) -> tuple[dict[str, Any], list[str]]:
    """Run every module that applies; return the sections by name and one line for each module that failed."""
    facts = Facts(store, task, run_)
    sections: dict[str, Any] = {}
    errors: list[str] = []
    for module in ordered(modules):
        try:
            if not module.applies(facts):
                continue
            earlier = Earlier(sections)
            sections[module.name] = _isolated(module, facts) if module.isolated else module().run(facts, earlier)
        except Exception as error:  # a broken module must not take the report with it
            log.exception("processing module %s failed", module.name)
            errors.append(f"processing module {module.name} failed: {type(error).__name__}: {error}"[:1000])
    return sections, errors


def _isolated(module: type[Processing], facts: Facts) -> Any:
    """Run a module in a child of its own: a crash or an endless loop of a parser stays there."""
    command = [sys.executable, "-m", "malkoha.processing.runner", f"{module.__module__}:{module.__qualname__}"]
    package = str(Path(__file__).resolve().parents[2])
    try:
        done = subprocess.run(
            command,
            input=msgspec.json.encode([str(facts.store.root.absolute()), facts.task, facts.run]),
            capture_output=True,
            timeout=module.timeout_s,
            check=False,
            env={**os.environ, "PYTHONPATH": package},
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessingError("took too long", f"stopped after {module.timeout_s:g} s") from error
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [""]
        raise ProcessingError(f"its process ended with status {done.returncode}", last[0][:500])
    if len(done.stdout) > ANSWER:
        raise ProcessingError("its section is too large", f"{len(done.stdout)} bytes")
    return msgspec.json.decode(done.stdout)


def _child(name: str) -> None:
    """Run one module: its class by name, the facts as JSON on standard input, its section on standard output."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    root, task, run_ = msgspec.json.decode(sys.stdin.buffer.read(), type=tuple[str, Task, Run])
    module = next(module for module in MODULES if f"{module.__module__}:{module.__qualname__}" == name)
    section = module().run(Facts(Store(Path(root)), task, run_), Earlier({}))
    sys.stdout.buffer.write(msgspec.json.encode(section))


if __name__ == "__main__":
    _child(sys.argv[1])
