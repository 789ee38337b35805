"""Runs Debian's build tools so that nothing of them can stay behind: argument lists in, output lines out.

Each tool runs in mount and process namespaces of its own: when its first process dies, the kernel kills all its
descendants and undoes its mounts. That first process gets SIGKILL when malkoha itself dies. Without root the same is
done in a user namespace with the user's subordinate ids (subuid(5)).
"""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Self

from malkoha.errors import HostError

SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "chroot": "coreutils",
    "newuidmap": "uidmap",
}
_LAST_LINES = 400


def path_with_sbin() -> str:
    """Return PATH with the system directories that a normal user's PATH lacks."""
    return os.pathsep.join(dict.fromkeys([*os.environ.get("PATH", "/usr/bin:/bin").split(os.pathsep), *SBIN]))


def need(*tools: str) -> None:
    """Raise HostError that names the Debian packages of those ``tools`` that are not installed."""
    missing = [tool for tool in tools if shutil.which(tool, path=path_with_sbin()) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES.get(tool, tool) for tool in missing}))
        raise HostError(
            "a program is missing", f"{', '.join(missing)} not found", f"install it: apt-get install {packages}"
        )


def isolated(argv: Sequence[str]) -> list[str]:
    """Return the command line that runs ``argv`` as root of namespaces that vanish with it.

    Without root it needs user namespaces, newuidmap and an entry in /etc/subuid; HostError says which is missing.
    """
    command = [
        "setpriv",
        "--pdeathsig",
        "KILL",
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ]
    if os.geteuid() != 0:
        _check_user_namespaces()
        command += ["--map-root-user", "--map-auto"]
    return [*command, "--", *argv]


def _check_user_namespaces() -> None:
    what = "a guest image cannot be built without root here"
    mend = "run it once with sudo, or mend what is missing"
    if shutil.which("newuidmap", path=path_with_sbin()) is None:
        raise HostError(what, "newuidmap is not installed", "apt-get install uidmap, or run it once with sudo")
    probe = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--map-root-user", "--map-auto", "--", "true"]
    done = subprocess.run(probe, capture_output=True, text=True, check=False, env={"PATH": path_with_sbin()})
    if done.returncode != 0:
        why = done.stderr.strip().splitlines()[-1:] or ["unshare failed"]
        raise HostError(what, f"the kernel or /etc/subuid refuses user namespaces: {why[0]}", mend)


class FailedError(Exception):
    """A tool ended badly; ``lines`` are the last lines of its output, for the caller to make an error of."""

    def __init__(self, tool: str, status: int, lines: Sequence[str]) -> None:
        self.tool = tool
        self.status = status
        self.lines = list(lines)
        super().__init__(tool, status)


class Jobs:
    """Some tools side by side whose output comes to one thread; leaving the block ends those that still run."""

    def __init__(self) -> None:
        self._lines: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
        self._running: dict[str, subprocess.Popen[str]] = {}
        self._kept: dict[str, list[str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running.values():
            process.kill()
        for process in self._running.values():
            process.wait()

    def start(self, name: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start a tool under ``name``; its output and error lines arrive in ``lines``."""
        environment = {"LC_ALL": "C.UTF-8", "HOME": "/root", **(env or {}), "PATH": path_with_sbin()}
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
            start_new_session=True,
            env=environment,
        )
        self._running[name] = process
        self._kept[name] = []
        threading.Thread(target=self._read, args=(name, process), daemon=True).start()

    def lines(self) -> Iterator[tuple[str, str]]:
        """Yield (name, line) until all tools have ended well; raise FailedError as soon as one has not."""
        left = len(self._running)
        while left:
            name, line = self._lines.get()
            if line is not None:
                kept = self._kept[name]
                kept.append(line)
                del kept[:-_LAST_LINES]
                yield name, line
                continue
            left -= 1
            status = self._running[name].wait()
            if status != 0:
                raise FailedError(name, status, self._kept[name])

    def _read(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                self._lines.put((name, line.rstrip()))
        self._lines.put((name, None))


def run(argv: Sequence[str], *, on_line: Callable[[str], None] | None = None) -> list[str]:
    """Run one tool to its end and return its output lines; raise FailedError when it ends badly."""
    output = []
    with Jobs() as jobs:
        jobs.start(Path(argv[0]).name, argv)
        for _, line in jobs.lines():
            output.append(line)
            if on_line is not None:
                on_line(line)
    return output


@contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt inside the block, so that clean-up runs; a no-op outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
