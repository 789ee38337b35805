"""The Debian packages that malkoha needs: system-packages.txt in, what is there and what is missing out.

The same file is read by the launcher, so that there is one list.
"""

from __future__ import annotations

import importlib.util
import shutil
from glob import glob
from pathlib import Path
from typing import Literal

import msgspec

LIST = Path(__file__).with_name("system-packages.txt")
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One Debian package, how to see that it is there, and what it is for."""

    group: Literal["run", "dev"]
    name: str
    test: str
    purpose: str

    def is_present(self) -> bool:
        """Tell whether what the package brings is there, from that package or not."""
        kind, _, what = self.test.partition(":")
        if kind == "cmd":
            return bool(shutil.which(what) or shutil.which(what, path=_SBIN))
        if kind == "file":
            return bool(glob(what))  # noqa: PTH207 - an absolute pattern
        return importlib.util.find_spec(what) is not None


def packages(path: Path = LIST) -> list[Package]:
    """Return every row of the list."""
    rows = [line.split(None, 3) for line in path.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    return [
        msgspec.convert({"group": group, "name": name, "test": test, "purpose": purpose}, Package)
        for group, name, test, purpose in rows
    ]
