"""Being led from outside."""

from __future__ import annotations

from malkoha.signatures.base import Command, Evidence, Scene, Signature
from malkoha.signatures.programs import SHELLS


class ReverseShell(Signature):
    """A shell is started whose input comes from a connection: what arrives there is executed."""

    name = "shell_on_socket"
    description = "Starts a shell whose standard input is a network connection"
    severity = 5
    attack = ("T1059.004", "T1095")
    programs = SHELLS | {"busybox"}

    def on_run(self, command: Command, scene: Scene) -> Evidence | None:
        peer = scene.connection(0)
        return Evidence(str(peer), "ip", command.line[:200]) if peer is not None else None


SIGNATURES: tuple[type[Signature], ...] = (ReverseShell,)
