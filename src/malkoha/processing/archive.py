"""Section ``static``, key ``archive``: what an archive holds, listed and hashed within limits.

``python -m malkoha.processing.archive`` does the same for ``unpack``: it reads standard input in a process of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from malkoha.errors import ProcessingError
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.containers import HEAD, is_collection, kind_of, read
from malkoha.processing.members import Contents, Limits

TIMEOUT_S = 120.0
MEMORY = 2 << 30
"""Address space of the process that unpacks, in bytes."""


class ArchiveModule(Processing):
    """Make the key ``archive`` of the section ``static``; members of a plain archive are kept for YARA."""

    name = "archive"
    isolated = True
    timeout_s = TIMEOUT_S

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        if not facts.store.sample.exists():
            return False
        with facts.store.sample.open("rb") as file:
            return bool(kind_of(file.read(HEAD)))

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        sample, called = facts.store.sample, facts.task.sample
        passwords = [text for text in (facts.task.options.extra.get("password"),) if text]
        with sample.open("rb") as file:
            keep = is_collection(file)
        with tempfile.TemporaryDirectory(prefix="malkoha-archive-") as temporary:
            folder = facts.store.unpacked if keep else Path(temporary)
            folder.mkdir(exist_ok=True)
            return shown(read(sample, folder, called.name if called else b"", passwords))


def shown(contents: Contents) -> dict[str, Any]:
    """Give contents as plain values; names are text."""
    found: dict[str, Any] = {"format": contents.format, "members_total": len(contents.members)}
    found["members"] = [
        {
            "name": member.name.decode("utf-8", "backslashreplace"),
            "kind": member.kind,
            "size": member.size,
            **({"sha256": member.sha256} if member.sha256 else {}),
            **({"encrypted": True} if member.encrypted else {}),
            **({"why": member.why} if member.why else {}),
        }
        for member in contents.members
    ]
    if contents.password:
        found["password"] = contents.password
    if contents.remarks:
        found["remarks"] = contents.remarks[:100]
    return found


def unpack(source: int, folder: Path, name: bytes, passwords: list[str], limits: Limits) -> Contents:
    """Read the archive behind a descriptor in a process with bounded memory and time; see containers.read.

    Raises ProcessingError when that process fails.
    """
    order = msgspec.json.encode((str(folder), name, passwords, limits)).decode()
    package = str(Path(__file__).resolve().parents[2])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "malkoha.processing.archive", order],
            stdin=source,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            env={**os.environ, "PYTHONPATH": package},
        )
    except subprocess.TimeoutExpired as error:
        raise ProcessingError("the archive took too long to unpack", f"stopped after {TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"status {done.returncode}"]
        raise ProcessingError("the archive could not be unpacked", last[0][:300])
    return msgspec.json.decode(done.stdout, type=Contents)


def _child(order: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder, name, passwords, limits = msgspec.json.decode(order, type=tuple[str, bytes, list[str], Limits])
    found = read(Path("/dev/stdin"), Path(folder), name, passwords, limits)
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    _child(sys.argv[1])
