"""Takes whatever nobody else knows, keeps it, and says as little as gets the other side to go on."""

from __future__ import annotations

import re
from typing import ClassVar

from malkoha.network.conversation import Conversation, EndedError
from malkoha.network.services.base import Service

KEPT = 1 << 20
"""Bytes of one conversation that are kept as an artefact."""
SHELL_COMMANDS = (b"id\n", b"uname -a\n", b"exit\n")
_PROMPT = re.compile(rb"(?:[$#>]\s?|job control in this shell\s*)$")


class Sink(Service):
    """Any other TCP or UDP port. A reverse shell gets a few harmless commands, so that it shows itself as one."""

    name: ClassVar[str] = "sink"

    async def serve(self, talk: Conversation) -> None:
        kept = bytearray()
        commands = list(SHELL_COMMANDS)
        prompts = 0
        try:
            while True:
                data = await talk.some()
                kept += data[: max(KEPT - len(kept), 0)]
                if _PROMPT.search(data[-200:]) and commands:
                    prompts += 1
                    command = commands.pop(0)
                    talk.note(what="the guest offers a shell", command=command)
                    await talk.send(command)
                    continue
                answer = reply(data)
                if answer and not prompts:
                    await talk.send(answer)
        except (EndedError, TimeoutError):
            return
        finally:
            if kept:
                talk.keep("sent", bytes(kept))


def reply(data: bytes) -> bytes:
    """Return what an unknown server says: a line to a line, a heartbeat to a heartbeat, nothing to the rest."""
    if data == b"\0\0":
        return data
    text = data.rstrip(b"\r\n")
    if data.endswith(b"\n") and len(text) < 512 and all(32 <= byte < 127 or byte == 9 for byte in text):
        return b"OK\r\n" if data.endswith(b"\r\n") else b"OK\n"
    return b""
