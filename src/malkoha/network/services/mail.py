"""A mail server that takes every mail (RFC 5321), with STARTTLS and any login; as submission too."""

from __future__ import annotations

import base64
import binascii
from typing import ClassVar

from malkoha.network.conversation import Conversation
from malkoha.network.services.base import Service

LARGEST = 16 << 20
COMMANDS = 5000
HOST = "mx.mail-gateway.net"


class Smtp(Service):
    """Keeps who wrote to whom, with which login, and each mail as an artefact."""

    name: ClassVar[str] = "smtp"
    ports: ClassVar[tuple[int, ...]] = (25, 465, 587, 2525)
    greets: ClassVar[bool] = True

    async def serve(self, talk: Conversation) -> None:
        await _say(talk, f"220 {HOST} ESMTP Postfix")
        for _ in range(COMMANDS):
            line = await talk.line()
            verb, _, rest = line.decode("latin-1").partition(" ")
            verb = verb.upper()
            if verb == "EHLO":
                talk.note(what="hello", host=rest)
                offers = ["250-SIZE 52428800", "250-8BITMIME"]
                if talk.session.tls is None and self.world.authority is not None:
                    offers.append("250-STARTTLS")
                await _say(talk, f"250-{HOST}", *offers, "250 AUTH PLAIN LOGIN")
            elif verb == "STARTTLS" and self.world.authority is not None:
                await _say(talk, "220 2.0.0 Ready to start TLS")
                await talk.start_tls(self.world.tls(HOST))
            elif verb == "AUTH":
                await self._login(talk, rest)
            elif verb == "DATA":
                await _say(talk, "354 End data with <CR><LF>.<CR><LF>")
                message = await _message(talk)
                talk.note(what="mail", size=len(message), sha256=talk.keep("sent", message, "mail.eml"))
                await _say(talk, "250 2.0.0 Ok: queued as 4F2A91C0E3")
            elif verb == "QUIT":
                await _say(talk, "221 2.0.0 Bye")
                return
            else:
                if verb in {"MAIL", "RCPT", "HELO"}:
                    talk.note(what=verb.lower(), text=rest)
                await _say(talk, "250 2.1.0 Ok")

    async def _login(self, talk: Conversation, rest: str) -> None:
        """Take any login (RFC 4954)."""
        method, _, first = rest.partition(" ")
        words = [first] if first else []
        if method.upper() == "LOGIN":
            for asked in ("VXNlcm5hbWU6", "UGFzc3dvcmQ6")[len(words) :]:
                await _say(talk, f"334 {asked}")
                words.append((await talk.line()).decode("latin-1"))
        elif not words:
            await _say(talk, "334 ")
            words.append((await talk.line()).decode("latin-1"))
        parts = [part for word in words for part in _decoded(word).split("\0") if part]
        talk.note(what="login", user=parts[0] if parts else "", password=parts[-1] if len(parts) > 1 else "")
        await _say(talk, "235 2.7.0 Authentication successful")


def _decoded(word: str) -> str:
    try:
        return base64.b64decode(word, validate=True).decode("utf-8", "backslashreplace")
    except (binascii.Error, ValueError):
        return word


async def _message(talk: Conversation) -> bytes:
    """Read up to the line with a single dot; what is beyond the limit is read and let go."""
    message = bytearray()
    while (line := await talk.line()) != b".":
        if len(message) < LARGEST:
            message += line.removeprefix(b".") + b"\r\n"
    return bytes(message)


async def _say(talk: Conversation, *lines: str) -> None:
    await talk.send("".join(f"{line}\r\n" for line in lines).encode())
