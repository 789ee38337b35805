"""Runs a program of the host on hostile input: bounded in memory, time and what it writes, and without a network.

util-linux's prlimit and unshare do it, which every Debian has; nothing of malkoha runs between fork and exec.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from malkoha.errors import ProcessingError

OUTPUT = 32 << 20


class Done(msgspec.Struct, frozen=True):
    """How a confined program ended."""

    status: int
    stdout: bytes
    stderr: bytes


def run(
    command: Sequence[str | Path], folder: Path, *, timeout_s: float, memory: int = 1 << 30, file_size: int = 256 << 20
) -> Done:
    """Run a program in ``folder`` and return its status and output; sizes in bytes.

    Raises ProcessingError when this host cannot confine it, when it takes too long or when it writes without end.
    """
    limits = [
        f"--as={memory}",
        f"--cpu={max(1, int(timeout_s) + 1)}",
        f"--fsize={file_size}",
        "--nofile=128",
        "--core=0",
    ]
    # a pid namespace of its own, so that nothing of the program outlives it
    unshare = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
    _check(unshare)
    environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8", "HOME": str(folder)}
    out, err = folder / "out", folder / "err"
    with out.open("w+b") as stdout, err.open("w+b") as stderr:
        process = subprocess.Popen(
            ["prlimit", *limits, *unshare, *map(str, command)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=environment,
        )
        try:
            status = process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ProcessingError(f"{Path(command[0]).name} took too long", f"stopped after {timeout_s:g} s") from error
        finally:
            process.kill()
            process.wait()
        stdout.seek(0)
        stderr.seek(0)
        done = Done(status, stdout.read(OUTPUT + 1), stderr.read(64 << 10))
    if len(done.stdout) > OUTPUT:
        raise ProcessingError(f"{Path(command[0]).name} printed too much", f"more than {OUTPUT >> 20} MiB")
    return done


def _check(unshare: Sequence[str]) -> None:
    if shutil.which("prlimit") is None:
        raise ProcessingError("a helper cannot be confined", "there is no prlimit", "apt-get install util-linux")
    tried = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    if tried.returncode != 0:
        why = tried.stderr.decode("utf-8", "replace").strip()[:200]
        raise ProcessingError("a helper cannot be run without a network", why, "allow user namespaces on this host")
