"""Being led from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from malkoha.model.event import Event
from malkoha.signatures.base import Evidence, Scene, Signature
from malkoha.trace.descriptors import argument

_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "ash", "csh", "tcsh", "busybox", "fish"})


class ReverseShell(Signature):
    """A shell is started whose input comes from a connection: what arrives there is executed."""

    name = "shell_on_socket"
    description = "Starts a shell whose standard input is a network connection"
    severity = 5
    ttps: ClassVar[Mapping[str, str]] = {
        "T1059.004": "Command and Scripting Interpreter: Unix Shell",
        "T1095": "Non-Application Layer Protocol",
    }
    syscalls = frozenset({"execve", "execveat"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.ret is not None and event.ret < 0:
            return None
        program = scene.path(event, 1, 0) if event.api == "execveat" else scene.path(event, 0)
        item = scene.descriptor(0)
        if program is None or program.rsplit("/", 1)[-1] not in _SHELLS or item is None or item.peer is None:
            return None
        if item.kind != "socket" or item.peer.family not in ("AF_INET", "AF_INET6"):
            return None
        argv = argument(event, 2 if event.api == "execveat" else 1)
        line = " ".join(map(str, argv)) if isinstance(argv, list) else program
        return Evidence(f"{item.peer.host}:{item.peer.port}", "ip", line)


SIGNATURES: tuple[type[Signature], ...] = (ReverseShell,)
