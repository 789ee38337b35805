"""Start of a child process that cannot outlive malkoha, nor be reached by the terminal's Ctrl-C."""

from __future__ import annotations

import os
import queue
import resource
import shutil
import subprocess
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from malkoha.errors import HostError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Job = tuple["Callable[[], subprocess.Popen[bytes]]", "Future[subprocess.Popen[bytes]]"]


ONLY_UNDER = '[ "$PPID" = "$0" ] && exec "$@"'
"""A parent that died before the death signal was set is noticed by its number: the child is then somebody else's."""


class _Nursery:
    """The thread that starts all children.

    PR_SET_PDEATHSIG fires when the *thread* that forked ends, not the process (prctl(2)); a worker thread that starts a
    machine and ends must not take it along. So the parent is one thread that lives as long as the process.
    """

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def _serve(self) -> None:
        while True:
            start, result = self._jobs.get()
            try:
                result.set_result(start())
            except BaseException as error:  # noqa: BLE001 - handed to the caller, who raises it
                result.set_exception(error)

    def run(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="malkoha-nursery", daemon=True)
                self._thread.start()
        result: Future[subprocess.Popen[bytes]] = Future()
        self._jobs.put((start, result))
        return result.result()


_nursery = _Nursery()


def _fresh() -> None:
    # a forked child has the queue but not the thread
    global _nursery  # noqa: PLW0603
    _nursery = _Nursery()


os.register_at_fork(after_in_child=_fresh)


def find(program: str, package: str) -> str:
    """Return the path of a program; HostError naming Debian's package when there is none."""
    path = shutil.which(program)
    if path is None:
        raise HostError(f"{program} is not installed", "", f"apt install {package}")
    return path


def spawn(
    command: Sequence[str],
    *,
    stderr: int,
    pass_fds: Sequence[int] = (),
    environment: Mapping[str, str] | None = None,
    limits: Mapping[int, int] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in a session of its own that is killed when this process ends, however that happens.

    ``limits`` are resource limits (resource.RLIMIT_*) set from outside right after the start. SIGXFSZ stays ignored, as
    Python has it: a file that reaches RLIMIT_FSIZE is then an I/O error and not the end of the program.
    """
    guarded = [find("setpriv", "util-linux"), "--pdeathsig", "KILL", "--"]
    guarded += ["/bin/sh", "-c", ONLY_UNDER, str(os.getpid()), *command]

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            guarded,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd="/",
            env=dict(environment or {}),
            pass_fds=tuple(pass_fds),
            start_new_session=True,
            restore_signals=False,
            umask=0o077,
        )

    try:
        process = _nursery.run(start)
    except OSError as error:
        raise HostError(f"{command[0]} cannot be started", error.strerror or str(error)) from error
    for kind, most in (limits or {}).items():
        try:
            resource.prlimit(process.pid, kind, (most, most))
        except ProcessLookupError:
            break
        except (OSError, ValueError) as error:
            process.kill()
            process.wait()
            raise HostError(f"The limits of {command[0]} cannot be set", str(error)) from error
    return process
