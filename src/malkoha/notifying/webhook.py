"""A POST with JSON to an address, signed with a key that both sides know."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from malkoha.config import Notify
from malkoha.notifying.base import Finished, Notifier, post

HEADER = "x-malkoha-signature"


class Webhook(Notifier):
    """Tells an address; its owner checks the signature, and by ``sent_at`` that it is not an old message."""

    name: ClassVar[str] = "webhook"

    @classmethod
    def wanted(cls, settings: Notify) -> bool:
        return bool(settings.webhook)

    def tell(self, done: Finished, settings: Notify) -> None:
        task = done.task
        body = msgspec.json.encode(
            {
                "event": "task.ended",
                "sent_at": datetime.now(UTC).isoformat(),
                "task": {
                    "id": task.id,
                    "status": task.status.value,
                    "target": task.target,
                    "sha256": task.sample.sha256 if task.sample else "",
                    "owner": task.owner,
                    "custom": task.custom,
                    "tags": task.tags,
                    "error": task.error,
                },
                "verdict": {"level": done.level, "score": done.score} if done.report else None,
                "signatures": done.signatures,
            }
        )
        headers = {"content-type": "application/json"}
        if settings.webhook_secret:
            headers[HEADER] = signature(settings.webhook_secret, body)
        post(settings.webhook, body, headers)


def signature(secret: str, body: bytes) -> str:
    """Return what the header holds: ``sha256=`` and the HMAC-SHA256 of the body in hexadecimal digits."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
