"""Makes Debian root file systems: suite, mirror and packages in, a folder with the installed system out.

Drives mmdebstrap, turns what apt and dpkg print into progress, and what they complain about into one error that says
how to mend it. Several roots are made side by side.
"""

from __future__ import annotations

import re
import tarfile
import time
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import msgspec

from malkoha.errors import ImageError, UsageError
from malkoha.machinery import host_tools
from malkoha.machinery.mirror import KEYRING, Mirror, apt_options
from malkoha.progress import Progress

TOOLS = ("mmdebstrap", "unshare", "setpriv", "chroot")

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+\Z")
_COUNTED = re.compile(r"(?:Get:\d+ \S+ \S+ \S+|(Unpacking|Setting up)) (\S+) ")
_NEWLY = re.compile(r"(\d+) newly installed")
_NO_PACKAGE = re.compile(
    r"Unable to locate package (\S+)|Package '?(\S+?)'? has no installation candidate"
    r"|Couldn't find any package by (?:glob|regex) '(\S+)'"
)


_UNREACHABLE = (
    "Could not resolve|Could not connect|Connection (?:failed|refused|timed out)|Failed to fetch|Unable to connect|"
    "Network is unreachable|404 +Not Found|does not have a Release file"
)
_CAUSES = (
    (r"No space left on device", "the disk is full", "free some gigabytes or move MALKOHA_HOME"),
    (
        r"[^\n]*(?:is expired|no longer valid|is not valid yet)[^\n]*",
        "",
        "check the clock; for an old mirror set Acquire::Check-Valid-Until in the host's apt configuration",
    ),
    (
        r"[^\n]*(?:NO_PUBKEY|is not signed|signatures? (?:were|was) invalid|couldn't be verified)[^\n]*",
        "",
        "bring debian-archive-keyring up to date",
    ),
    (rf"[^\n]*(?:{_UNREACHABLE})[^\n]*", "", "check the network and the apt sources, or set guest.mirror"),
    (r"[^\n]*unmet dependencies[^\n]*|[^\n]*conflicts? with[^\n]*", "", ""),
)
"""What tools complain of: pattern, why (the complaint itself when empty) and how to mend it (the log when empty)."""


_LOOK_UP = (
    'export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; apt-get -q -o APT::Update::Error-Mode=any update && '
    "apt-get -qq -y --print-uris install"
)
"""Asks for all packages before anything is installed, so that a wrong name costs seconds and not a minute."""


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """One root file system to be made."""

    name: str
    """Short name for progress and errors."""
    folder: Path
    """Where it goes; must not exist."""
    suite: str
    variant: str
    packages: Sequence[str]
    overlay: bytes = b""
    """A tar archive unpacked over the installed system; empty for none."""
    script: str = ""
    """A shell script that runs in it at the very end, as root."""


def check_packages(packages: Sequence[str]) -> None:
    """Raise UsageError for a name that cannot be that of a Debian package, before anything is downloaded."""
    for package in packages:
        if not _PACKAGE.match(package):
            raise UsageError(
                f"{package!r} is not the name of a Debian package",
                "names consist of small letters, digits, + - and .",
                "give names as apt-cache search prints them",
            )


def make(roots: Sequence[Root], mirror: Mirror, scratch: Path, progress: Progress, *, log: Path) -> None:
    """Make all ``roots`` side by side; on any error or interrupt all are ended, and ImageError says what was wrong.

    ``scratch`` is an existing folder for temporary files, ``log`` receives the tools' whole output.
    """
    host_tools.need(*TOOLS)
    if not KEYRING.exists():
        raise ImageError(
            "the Debian archive's keys are missing",
            f"{KEYRING} does not exist",
            "install them: apt-get install debian-archive-keyring",
        )
    meters = {root.name: _Meter(root.name) for root in roots}
    progress.step(f"installing packages: {' and '.join(meters)}", total=len(roots) * 100)
    try:
        log.unlink(missing_ok=True)
        log.touch(mode=0o600)  # mmdebstrap prints the sources, which may hold a password
        with log.open("w", encoding="utf-8") as kept, host_tools.Jobs() as jobs:
            for root in roots:
                jobs.start(
                    root.name, host_tools.isolated(_command(root, mirror, scratch)), env={"TMPDIR": str(scratch)}
                )
            for name, line in jobs.lines():
                kept.write(f"{name}: {line}\n")
                gained, note = meters[name].read(line)
                if gained or note:
                    progress.advance(gained, note)
    except host_tools.FailedError as failed:
        raise explain(failed.tool, failed.lines, log) from failed


def _command(root: Root, mirror: Mirror, scratch: Path) -> list[str]:
    stem = root.folder.name
    sources = _write(scratch / f"{stem}.list", "".join(f"{line}\n" for line in mirror.lines))
    sources.chmod(0o600)
    options = _write(scratch / f"{stem}.conf", "".join(f"{line}\n" for line in apt_options()))
    # The host's options hold for the time of the build only: the first hook puts them in, a later one takes them out.
    held = '"$1"/etc/apt/apt.conf.d/00host'
    command = [
        *("mmdebstrap", "--mode=root", "--format=directory", "--verbose", f"--variant={root.variant}"),
        *(f"--keyring={KEYRING}", f"--include={','.join(root.packages)}"),
        *("--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/man/*"),
        *("--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*"),
        '--aptopt=Acquire::Languages "none"',
        f'--setup-hook=mkdir -p "$1"/etc/apt/apt.conf.d && cp {_quote(options)} {held}',
        f"--setup-hook={_LOOK_UP} {' '.join(root.packages)} > /dev/null",
        f'--customize-hook=cd "$1"/var/lib/apt/lists && sha256sum *InRelease > {_quote(scratch / f"{stem}.releases")}',
        f"--customize-hook=rm -f {held}",
    ]
    if root.overlay:
        archive = scratch / f"{stem}.tar"
        archive.write_bytes(root.overlay)
        command.append(f'--customize-hook=tar -C "$1" --no-overwrite-dir -xf {_quote(archive)}')
    if root.script:
        script = _write(scratch / f"{stem}.sh", root.script)
        command.append(f'--customize-hook=chroot "$1" sh < {_quote(script)}')
    return ["env", "INITRD=No", "DEBIAN_FRONTEND=noninteractive", *command, root.suite, str(root.folder), str(sources)]


def _write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _quote(path: Path) -> str:
    return "'" + str(path).replace("'", "'\\''") + "'"


def overlay(files: Mapping[str, tuple[int, bytes]]) -> bytes:
    """Pack files (absolute path -> mode, content), owned by root, into a tar archive; folders are made as needed."""
    stream = BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path, (mode, content) in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mode = mode
            entry.size = len(content)
            entry.mtime = int(time.time())
            archive.addfile(entry, BytesIO(content))
    return stream.getvalue()


class _Meter:
    """Turns the lines of one mmdebstrap into parts of 100: a package is fetched, unpacked and set up."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._told = 0.0
        self._done = 0
        self._expected = 0
        self._seen = 0

    def read(self, line: str) -> tuple[float, str]:
        """Return what this line adds, and a note when it is worth one."""
        newly = _NEWLY.search(line)
        if newly:
            self._expected += 3 * int(newly[1])
            return 0, ""
        if line.startswith("I: success"):
            gained, self._told = 100 - self._told, 100.0
            return gained, f"{self._name}: done"
        if line.startswith("I: "):
            return 0, f"{self._name}: {line[3:80]}"
        counted = _COUNTED.match(line)
        if counted is None:
            return 0, ""
        self._done += 1
        # apt is called several times and tells each time how much it will do, so the estimate may only grow
        share = 98 * min(1.0, self._done / max(self._expected, 900))
        gained, self._told = max(0.0, share - self._told), max(self._told, share)
        return gained, f"{self._name}: {(counted[1] or 'Fetching').lower()} {counted[2][:40]}"


def explain(tool: str, lines: Sequence[str], log: Path) -> ImageError:
    """Make one error of the last ``lines`` of a tool that failed while building."""
    text = "\n".join(lines)
    what = f"the {tool} could not be built"
    packages = [next(filter(None, found)) for found in _NO_PACKAGE.findall(text)]
    if packages:
        return ImageError(
            what, f"no such package: {', '.join(dict.fromkeys(packages))}", "correct the names given with --packages"
        )
    for pattern, why, mend in _CAUSES:
        found = re.search(pattern, text)
        if found:
            return ImageError(what, why or found[0].strip()[:200], mend or f"see {log}")
    complaints = [line for line in lines if re.match(r"E: |dpkg: error|.*[Ee]rror", line)]
    return ImageError(what, (complaints or [*lines, "no output"])[-1 if not complaints else 0][:200], f"see {log}")
