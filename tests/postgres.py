"""A PostgreSQL of Debian's package in a temporary folder: no network, gone with the process that started it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def programs() -> Path | None:
    """Return the folder of the newest server's programs, None where it is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return found[-1].parent if found else None


@contextmanager
def server(bin_: Path) -> Iterator[Path]:
    """Start a server and yield the folder of its socket."""
    folder = Path(tempfile.mkdtemp(prefix="malkoha-pg-"))
    before = ["setpriv", "--pdeathsig", "KILL", "--"]
    if os.geteuid() == 0:
        # PostgreSQL does not run as root
        shutil.chown(folder, "postgres", "postgres")
        before[1:1] = ["--reuid", "postgres", "--regid", "postgres", "--init-groups"]
    try:
        place = folder / "base"
        made: list[str | Path] = [
            *before,
            bin_ / "initdb",
            "-D",
            place,
            "-A",
            "trust",
            "-U",
            "postgres",
            "--no-sync",
            "-E",
            "UTF8",
        ]
        subprocess.run([*made, "--locale", "C"], check=True, stdout=subprocess.DEVNULL, cwd="/")
        options: list[str | Path] = [
            "-c",
            "listen_addresses=",
            "-k",
            folder,
            "-c",
            "fsync=off",
            "-c",
            "max_connections=60",
        ]
        with (folder / "log").open("wb") as log:
            started = subprocess.Popen([*before, bin_ / "postgres", "-D", place, *options], stderr=log, cwd="/")
        try:
            deadline = time.monotonic() + 120
            while subprocess.run([bin_ / "pg_isready", "-q", "-h", folder], check=False).returncode:
                assert started.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.05)
            yield folder
        finally:
            started.send_signal(signal.SIGINT)  # does not wait for clients
            try:
                started.wait(20)
            except subprocess.TimeoutExpired:
                started.kill()
                started.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def address(folder: Path, name: str) -> str:
    """Make a database of this name and return its address."""
    import psycopg

    with psycopg.connect(f"postgresql://postgres@/postgres?host={folder}", autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return f"postgresql://postgres@/{name}?host={folder}"
