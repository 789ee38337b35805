"""What ``malkoha doctor`` looks at: this machine in, findings with their mends out; nothing is changed here."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from malkoha import requirements
from malkoha.errors import MalkohaError

if TYPE_CHECKING:
    from malkoha.config import Settings
    from malkoha.store import Home

Level = Literal["ok", "warn", "bad"]
Fix = Literal["", "packages", "home", "sweep", "image"]

ROOM_NEEDED_GB = 8
"""What an image, its build root and its snapshots take, with room for analyses."""
_APT_HELPER = "/usr/lib/apt/apt-helper"
_SUITE = "trixie"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of doctor's answer."""

    level: Level
    subject: str
    text: str
    mend: str = ""
    fix: Fix = ""
    """What ``--fix`` does about it; empty when it can do nothing."""


def ok(subject: str, text: str) -> Finding:
    """Return a finding that needs no mend."""
    return Finding(level="ok", subject=subject, text=text)


def python(home: Home, settings: Settings) -> Iterator[Finding]:
    """Name the interpreter; the launcher has seen to it that it is new enough."""
    del home, settings
    yield ok("python", f"{platform.python_version()}, {sys.executable}")


def packages(home: Home, settings: Settings) -> Iterator[Finding]:
    """Look for what comes from Debian packages."""
    del home, settings
    missing = [package for package in requirements.packages() if package.group == "run" and not package.is_present()]
    for package in missing:
        mend = f"apt-get install {package.name}"
        text = f"{package.name} is missing: it {package.purpose}"
        yield Finding(level="bad", subject="packages", text=text, mend=mend, fix="packages")
    if not missing:
        yield ok("packages", "all are there")


def qemu(home: Home, settings: Settings) -> Iterator[Finding]:
    """Ask QEMU for its version."""
    del home
    program = settings.machine.qemu
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10, check=True)
    except FileNotFoundError:
        mend = "apt-get install qemu-system-x86, or set machine.qemu"
        yield Finding(level="bad", subject="qemu", text=f"{program} is not installed", mend=mend, fix="packages")
    except (OSError, subprocess.SubprocessError) as error:
        yield Finding(
            level="bad", subject="qemu", text=f"{program} does not run: {error}", mend="reinstall qemu-system-x86"
        )
    else:
        yield ok("qemu", (done.stdout.splitlines() or ["it gives no version"])[0])


def kvm(home: Home, settings: Settings) -> Iterator[Finding]:
    """Boot the tiny guest under KVM, with the kernel of an image."""
    from malkoha.machinery import image
    from malkoha.machinery import kvm as probe

    images = image.list_images(home)
    if not images:
        yield Finding(level="warn", subject="kvm", text="not tried: that needs a kernel", mend="malkoha image build")
        return
    answer = probe.choose(
        home,
        images[0].kernel,
        settings.machine.accelerator,
        binary=settings.machine.qemu,
        timeout_s=settings.machine.kvm_probe_timeout_s,
    )
    if answer.accelerator == "kvm":
        yield ok("kvm", answer.why)
    else:
        mend = "analyses work all the same, several times slower"
        yield Finding(level="warn", subject="kvm", text=answer.why, mend=mend)


def memory(home: Home, settings: Settings) -> Iterator[Finding]:
    """Compare the memory that is free with what a guest takes."""
    del home
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) // 1024
    needed = settings.guest.memory_mb + 512
    if free < needed:
        mend = "close something, or lower guest.memory_mb"
        yield Finding(level="warn", subject="memory", text=f"{free} MiB are free, a run needs {needed}", mend=mend)
    else:
        yield ok("memory", f"{free} MiB are free, a run needs {needed}")


def disk(home: Home, settings: Settings) -> Iterator[Finding]:
    """Look at the home: its rights and its space."""
    del settings
    folder = next(path for path in (home.root, *home.root.parents) if path.exists())
    if not os.access(folder, os.W_OK | os.X_OK):
        mend = "set MALKOHA_HOME to a folder of yours"
        yield Finding(level="bad", subject="home", text=f"{folder} cannot be written by you", mend=mend)
        return
    if home.root.exists():
        yield ok("home", str(home.root))
    else:
        text = f"{home.root} does not exist yet"
        yield Finding(level="warn", subject="home", text=text, mend="malkoha init, or the first analysis", fix="home")
    free = shutil.disk_usage(folder).free / (1 << 30)
    enough = ROOM_NEEDED_GB if not home.images.exists() else 2
    if free < enough:
        mend = "malkoha clean --older-than 30d, or set MALKOHA_HOME to a larger disk"
        yield Finding(level="bad", subject="disk", text=f"{free:.1f} GiB are free, {enough} are needed", mend=mend)
    else:
        yield ok("disk", f"{free:.1f} GiB are free")


def database(home: Home, settings: Settings) -> Iterator[Finding]:
    """Open the table of tasks and settle what dead processes left."""
    del settings
    if not home.database.exists():
        yield ok("tasks", "none yet")
        return
    from malkoha.tasks import Tasks

    with Tasks(home) as tasks:
        settled = tasks.recover()
        if settled:
            text = f"the process behind {', '.join(map(str, settled))} is gone; noted"
            yield Finding(level="warn", subject="tasks", text=text, mend="malkoha tasks shows them")
        else:
            yield ok("tasks", "the database can be used")


def mirror(home: Home, settings: Settings) -> Iterator[Finding]:
    """Fetch one small file from the mirror that images are built from, by apt's own means."""
    from malkoha.machinery.mirror import find_mirror

    del home
    lines = find_mirror(_SUITE, override=settings.guest.mirror).lines
    words = [word for word in lines[0].split() if "://" in word or word.startswith("file:")]
    address = f"{words[0].rstrip('/')}/dists/{_SUITE}/InRelease"
    if not Path(_APT_HELPER).exists():
        yield Finding(level="warn", subject="mirror", text=f"{words[0]}: not tried, there is no apt here")
        return
    with tempfile.TemporaryDirectory() as folder:
        options = ["-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=10", "-o", "APT::Sandbox::User=root"]
        command = [_APT_HELPER, *options, "download-file", address, f"{folder}/InRelease"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 0:
        yield ok("mirror", f"{words[0]} answers")
    else:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["no answer"]
        mend = "images cannot be built until it does; guest.mirror names another one"
        yield Finding(level="bad", subject="mirror", text=f"{words[0]}: {said[0].removeprefix('E: ')}", mend=mend)


def images(home: Home, settings: Settings) -> Iterator[Finding]:
    """List the images."""
    from malkoha.machinery import image

    del settings
    known = image.list_images(home)
    for each in known:
        yield ok("image", f"{each.name}: kernel {each.kernel_release}, made {each.created_at:%Y-%m-%d}")
    if not any(each.name == "default" for each in known):
        mend = "malkoha image build, or the first analysis (minutes)"
        yield Finding(level="warn", subject="image", text="the default image is not built yet", mend=mend, fix="image")


def suricata(home: Home, settings: Settings) -> Iterator[Finding]:
    """Say whether captures are also judged by Suricata, which is optional."""
    del home
    if shutil.which("suricata") is not None:
        yield ok("suricata", f"reads captures by {settings.network.suricata_rules or 'its own rules'}")
    elif settings.network.suricata_rules:
        text = "network.suricata_rules is set, but the program is not installed"
        yield Finding(level="warn", subject="suricata", text=text, mend="apt install suricata")
    else:
        yield ok("suricata", "not installed, and not needed")


CHECKS: tuple[Callable[[Home, Settings], Iterator[Finding]], ...] = (
    python,
    packages,
    qemu,
    memory,
    disk,
    database,
    mirror,
    images,
    suricata,
    kvm,
)


def examine(home: Home, settings: Settings) -> Iterator[Finding]:
    """Run every check; one that fails itself is a finding too."""
    for check in CHECKS:
        try:
            yield from check(home, settings)
        except (MalkohaError, OSError, subprocess.SubprocessError) as error:
            mend = error.mend if isinstance(error, MalkohaError) else ""
            text = f"{error.what}: {error.why}" if isinstance(error, MalkohaError) and error.why else str(error)
            yield Finding(level="bad", subject=check.__name__, text=text, mend=mend)
