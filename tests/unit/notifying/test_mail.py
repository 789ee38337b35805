from __future__ import annotations

import asyncio
import email
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import policy
from typing import Any

from aiosmtpd.smtp import SMTP

from malkoha.config import Notify
from malkoha.notifying.base import Finished
from malkoha.notifying.mail import Mail, message


class Kept:
    """What a server is handed, kept."""

    def __init__(self) -> None:
        self.got: list[Any] = []

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        self.got.append(envelope)
        return "250 OK"


@contextmanager
def serving(kept: Kept) -> Iterator[int]:
    """Yield the port of a mail server that keeps what it is handed."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(loop.create_server(lambda: SMTP(kept, loop=loop), "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_people_get_an_email(done: Finished) -> None:
    kept = Kept()
    with serving(kept) as port:
        settings = Notify(mail_to="a@example.org, b@example.org", smtp=f"127.0.0.1:{port}")
        assert Mail.wanted(settings)
        assert not Mail.wanted(Notify())
        Mail().tell(done, settings)
    (envelope,) = kept.got
    assert envelope.rcpt_tos == ["a@example.org", "b@example.org"]
    found = email.message_from_bytes(envelope.content, policy=policy.default)
    assert found["subject"] == r"malkoha: malicious 8.5: evil\n\x1b.sh"
    text = found.get_content()
    assert "reads_shadow" in text
    assert "8.5 of 10" in text
    assert "\x1b" not in text


def test_a_failed_task(done: Finished) -> None:
    found = message(Finished(task=done.task, report={}), Notify(mail_to="a@example.org"))
    assert found["subject"].startswith("malkoha: reported: ")
