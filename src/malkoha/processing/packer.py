"""Section ``static``, key ``packer``: a sample packed with UPX is unpacked by the host's ``upx`` and looked at again.

``upx`` is an optional program (Debian's upx-ucl); without it the section says so. What was unpacked is kept in the
analysis folder, ``unpacked/SHA256``, where YARA looks too.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from malkoha.errors import ProcessingError
from malkoha.processing import confine
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.elf import describe

TIMEOUT_S = 40.0
UNPACKED = 256 << 20
_HEAD = 64 << 20
_MAGIC = b"UPX!"


class PackerModule(Processing):
    """Make the key ``packer`` of the section ``static``, of ELF files that bear UPX's mark."""

    name = "packer"
    isolated = True
    timeout_s = TIMEOUT_S + 20

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        if not facts.store.sample.exists():
            return False
        with facts.store.sample.open("rb") as file:
            head = file.read(4)
            return head == b"\x7fELF" and _MAGIC in file.read(_HEAD)

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        return unpack(facts.store.sample, facts.store.unpacked)


def unpack(sample: Path, folder: Path) -> dict[str, Any]:
    """Unpack a file with UPX into ``folder`` under its hash; say what came out, or why nothing did."""
    program = shutil.which("upx") or shutil.which("upx-ucl")
    if program is None:
        return {"name": "UPX", "unpacked": False, "why": "the program upx is not installed (apt-get install upx-ucl)"}
    with tempfile.TemporaryDirectory(prefix="malkoha-upx-") as temporary:
        work = Path(temporary)
        shutil.copyfile(sample, work / "packed")
        command: list[str | Path] = [program, "-d", "-q", "-o", work / "plain", work / "packed"]
        try:
            done = confine.run(command, work, timeout_s=TIMEOUT_S, file_size=UNPACKED)
        except ProcessingError as error:
            return {"name": "UPX", "unpacked": False, "why": str(error)}
        plain = work / "plain"
        if done.status != 0 or not plain.is_file():
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
            return {"name": "UPX", "unpacked": False, "why": (said or ["upx failed"])[-1].rsplit("/", 1)[-1][:300]}
        data = plain.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        folder.mkdir(exist_ok=True)
        (folder / digest).write_bytes(data)
    return {"name": "UPX", "unpacked": True, "sha256": digest, "size": len(data), "elf": describe(folder / digest)}
