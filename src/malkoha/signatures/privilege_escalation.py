"""Ways to more rights."""

from __future__ import annotations

import re

from malkoha.signatures.base import Evidence, Scene, Signature, Touch
from malkoha.signatures.paths import table
from malkoha.signatures.programs import PACKAGERS
from malkoha.trace.descriptors import argument

_MODES = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2}
_NAMES = re.compile(r"S_IS[UG]ID")


class MakesSetuid(Signature):
    """Whoever runs such a file gets the rights of its owner."""

    name = "makes_setuid_file"
    description = "Makes a file run with the rights of its owner (setuid or setgid)"
    severity = 3
    attack = ("T1548.001",)
    paths = table("/**")
    access = frozenset({"mode"})

    def on_path(self, touch: Touch, scene: Scene) -> Evidence | None:
        mode = str(argument(touch.event, _MODES[touch.event.api]))
        if not (_NAMES.search(mode) or _octal(mode) & 0o6000) or scene.under(PACKAGERS):
            return None
        return Evidence(touch.path, "file", f"mode {mode}")


def _octal(mode: str) -> int:
    """Read a mode; both engines print it in octal with a leading zero."""
    return int(mode, 8) if re.fullmatch(r"0[0-7]{1,7}", mode) else 0


SIGNATURES: tuple[type[Signature], ...] = (MakesSetuid,)
