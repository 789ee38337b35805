"""``malkoha serve`` in a process of its own, without workers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from malkoha.store import Home

LINE = re.compile(r"listens on (http://127\.0\.0\.1:[0-9]+/)")


@contextmanager
def serving_process(home: Home, *arguments: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Yield the address of a server and its process; it is killed at the end if it still lives."""
    command = [sys.executable, "-m", "malkoha.cli", "serve", "--port", "0", "--slots", "0", *arguments]
    environment = {**os.environ, "MALKOHA_HOME": str(home.root)}
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder) / "said"
        with said.open("wb") as stderr, subprocess.Popen(command, stderr=stderr, env=environment) as process:
            try:
                deadline = time.monotonic() + 120
                while (found := LINE.search(said.read_text())) is None:
                    assert process.poll() is None, said.read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.02)
                yield found[1], process
            finally:
                process.kill()


@contextmanager
def serving(home: Home, *arguments: str) -> Iterator[str]:
    """Yield the address of a server, which ends with a slash."""
    with serving_process(home, *arguments) as (address, _):
        yield address
