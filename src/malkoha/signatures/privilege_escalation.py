"""Ways to more rights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar

from malkoha.model.event import Event
from malkoha.signatures.base import Evidence, Scene, Signature
from malkoha.trace.descriptors import argument

_CHMODS = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
_NAMES = re.compile(r"S_IS[UG]ID")


class MakesSetuid(Signature):
    """Whoever runs such a file gets the rights of its owner."""

    name = "makes_setuid_file"
    description = "Makes a file run with the rights of its owner (setuid or setgid)"
    severity = 3
    ttps: ClassVar[Mapping[str, str]] = {"T1548.001": "Abuse Elevation Control Mechanism: Setuid and Setgid"}
    syscalls = frozenset(_CHMODS)

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        mode = str(argument(event, _CHMODS[event.api]))
        if event.ret != 0 or not (_NAMES.search(mode) or _octal(mode) & 0o6000):
            return None
        if event.api == "fchmod":
            item = scene.descriptor(argument(event, 0))
            path = item.path if item else None
        else:
            path = scene.path(event, 0) if event.api == "chmod" else scene.path(event, 1, 0)
        return Evidence(path or "unknown file", "file", f"mode {mode}")


def _octal(mode: str) -> int:
    """Read a mode; both engines print it in octal with a leading zero."""
    return int(mode, 8) if re.fullmatch(r"0[0-7]{1,7}", mode) else 0


SIGNATURES: tuple[type[Signature], ...] = (MakesSetuid,)
