"""Ownership of processes and folders, and the removal of what a dead owner has left.

A machine itself leaves nothing behind: its overlay and its socket have no name, and the kernel kills QEMU together with
malkoha. What is swept here is what was cut off in the moments in between, and folders that were being made.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from malkoha.store import Home

OWNER = "owner"
"""Name of the file in a folder that says whose it is."""
PARTIAL = ".partial-"
"""Beginning of the name of a folder that is being made beside the place where it will stand."""
OWNER_VARIABLE = "MALKOHA_OWNER"
RUN_VARIABLE = "MALKOHA_RUN"
UNKNOWN_AGE_S = 86_400.0
"""How long the folder of an owner in another container, whom we cannot see, is left alone."""


def started(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot (proc(5), field 22), "" when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    # a zombie owns nothing any more
    return "" if not fields or fields[0] in "ZX" else fields[19]


def _world() -> tuple[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return boot, str(Path("/proc/self/ns/pid").stat().st_ino)


def identity(pid: int | None = None) -> str:
    """Return what tells one process from all others, past and future: boot, namespace, number, start."""
    pid = os.getpid() if pid is None else pid
    return " ".join((*_world(), str(pid), started(pid)))


def alive(owner: str, age_s: float = 0.0) -> bool:
    """Tell whether the process behind an ``identity`` lives; one that cannot be seen is believed for a day."""
    words = owner.split()
    if len(words) != 4 or not words[2].isdigit():
        return age_s < UNKNOWN_AGE_S and not words
    boot, namespace = _world()
    if words[0] != boot:
        return False
    if words[1] != namespace:
        return age_s < UNKNOWN_AGE_S
    return started(int(words[2])) == words[3]


def claim(folder: Path) -> Path:
    """Make a private folder and write down that this process owns it."""
    folder.mkdir(mode=0o700, parents=True)
    (folder / OWNER).write_text(identity())
    return folder


@contextmanager
def scratch(home: Home) -> Iterator[Path]:
    """Yield a private folder under ``home.run`` and remove it afterwards; a dead owner's is swept."""
    folder = claim(home.run / secrets.token_hex(8))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def partial(target: Path) -> Path:
    """Make the folder in which ``target`` is prepared, to be renamed to it when complete."""
    return claim(target.parent / f"{PARTIAL}{secrets.token_hex(8)}")


def _left(folder: Path) -> bool:
    try:
        age = time.time() - folder.stat().st_mtime
        owner = (folder / OWNER).read_text(errors="replace")
    except FileNotFoundError:
        # between mkdir and the writing of the name there is a moment
        return folder.is_dir() and time.time() - folder.stat().st_mtime > 60.0
    except OSError:
        return False
    return not alive(owner, age)


def _environment(process: Path) -> dict[str, str]:
    try:
        raw = (process / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (os.fsdecode(entry).partition("=") for entry in raw.split(b"\0") if entry)
    return {key: value for key, _, value in pairs}


def _sweep_processes(home: Home) -> list[str]:
    told = []
    run = str(home.run.absolute())
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        environment = _environment(process)
        if environment.get(RUN_VARIABLE) != run or alive(environment.get(OWNER_VARIABLE, "")):
            continue
        with contextlib.suppress(OSError):
            os.kill(int(process.name), signal.SIGKILL)
            told.append(f"ended machine process {process.name}, whose owner is gone")
    return told


@dataclass(frozen=True)
class RunningMachine:
    """A virtual machine that runs now."""

    pid: int
    owner: int
    """The process of malkoha that runs it."""
    running_s: float
    memory_mb: int
    """What it takes of the host's memory at the moment."""


def machines(home: Home) -> list[RunningMachine]:
    """List the machines of this home, oldest first; those of other users cannot be seen."""
    found = []
    run, uptime = str(home.run.absolute()), float(Path("/proc/uptime").read_text().split()[0])
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        environment = _environment(process)
        owner = environment.get(OWNER_VARIABLE, "").split()
        if environment.get(RUN_VARIABLE) != run or len(owner) != 4:
            continue
        begun, pages = started(int(process.name)), _resident(process)
        if begun:
            age = uptime - int(begun) / os.sysconf("SC_CLK_TCK")
            memory_mb = pages * os.sysconf("SC_PAGE_SIZE") >> 20
            found.append(RunningMachine(int(process.name), int(owner[2]), age, memory_mb))
    return sorted(found, key=lambda machine: -machine.running_s)


def _resident(process: Path) -> int:
    try:
        return int((process / "statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0


def sweep(home: Home) -> list[str]:
    """End the machines and remove the folders of owners that no longer live; return one line for each."""
    told = _sweep_processes(home)
    folders = list(home.run.iterdir()) if home.run.is_dir() else []
    for place in (home.snapshots, home.images):
        if place.is_dir():
            folders += [entry for entry in place.iterdir() if entry.name.startswith(PARTIAL)]
    for folder in folders:
        if folder.is_dir() and not folder.is_symlink() and _left(folder):
            shutil.rmtree(folder, ignore_errors=True)
            told.append(f"removed {folder}, left by a run that was cut off")
    return told
