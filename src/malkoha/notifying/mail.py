"""An e-mail in plain text with the verdict and the signatures."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from typing import ClassVar

from malkoha.config import Notify
from malkoha.log import printable
from malkoha.notifying.base import TIMEOUT_S, Finished, Notifier


class Mail(Notifier):
    """Tells people; by a server that offers STARTTLS nothing travels in the clear."""

    name: ClassVar[str] = "mail"

    @classmethod
    def wanted(cls, settings: Notify) -> bool:
        return bool(settings.mail_to)

    def tell(self, done: Finished, settings: Notify) -> None:
        host, _, port = settings.smtp.rpartition(":")
        with smtplib.SMTP(host, int(port), timeout=TIMEOUT_S) as server:
            server.ehlo()
            if server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            if settings.smtp_user:
                server.login(settings.smtp_user, settings.smtp_password)
            server.send_message(message(done, settings))


def message(done: Finished, settings: Notify) -> EmailMessage:
    """Write the e-mail; names of samples can neither end a line nor add a header."""
    task = done.task
    verdict = f"{done.level} {done.score:g}" if done.report else task.status.value
    target = printable(task.target)[:200]
    made = EmailMessage()
    made["Subject"] = f"malkoha: {verdict}: {target}"
    made["From"] = settings.mail_from
    made["To"] = settings.mail_to
    lines = [
        f"task      {task.id}",
        f"target    {target}",
        f"sha256    {task.sample.sha256 if task.sample else ''}",
        f"verdict   {verdict}{' of 10' if done.report else ''}",
    ]
    if task.error:
        lines.append(f"error     {printable(task.error)}")
    lines += ["", *(f"  {printable(name)}" for name in done.signatures)]
    made.set_content("\n".join(lines) + "\n")
    return made
