"""schemathesis tries what the description says, against a real server: no fault, no status, type or field beside it."""

from __future__ import annotations

import re
import subprocess
import sys

from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web.tokens import Role
from malkoha.web.tokens import Tokens as Secrets
from tests.contracts.serving import serving
from tests.unit.web.conftest import finish

NO_END = r"/live$|^/exit$"
"""A stream that goes on as long as its task waits, and the end of the service."""
UNTOLD = "positive_data_acceptance"
"""What is valid by the schema may still name a machine that is not there, or neither a file nor a URL."""


def test_schemathesis_finds_nothing(home: Home) -> None:
    secret = Secrets(home).add("schemathesis", Role.ADMIN)
    with serving(home) as address:
        with Tasks(home) as tasks:
            import httpx2 as httpx

            headers = {"authorization": f"Bearer {secret}"}
            for _ in range(2):
                form = {"file": ("a.sh", b"#!/bin/sh\n")}
                httpx.post(f"{address}tasks/create/file", files=form, headers=headers).raise_for_status()
            finish(tasks, 1)
        command = [
            sys.executable, "-m", "schemathesis.cli", "run", f"{address}api/v1/openapi.json",
            "-H", f"Authorization: Bearer {secret}",
            "--exclude-path-regex", NO_END, "--exclude-checks", UNTOLD, "--phases", "examples,coverage,fuzzing",
            "--max-examples", "1", "--generation-deterministic", "--no-color",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home.root)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    tried = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
    assert tried is not None, done.stdout[-2000:]
    assert tried[1] == tried[2]
    assert int(tried[1]) > 200
