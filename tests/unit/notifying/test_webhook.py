from __future__ import annotations

import hashlib
import hmac

import msgspec

from malkoha.config import Notify
from malkoha.notifying.base import Finished
from malkoha.notifying.webhook import HEADER, Webhook
from tests.unit.notifying.conftest import Listener


def test_signed(listener: Listener, done: Finished) -> None:
    settings = Notify(webhook=listener.address + "/hook?a=b", webhook_secret="key")
    assert Webhook.wanted(settings)
    assert not Webhook.wanted(Notify())
    Webhook().tell(done, settings)
    ((path, headers, body),) = listener.got
    assert path == "/hook?a=b"
    assert headers[HEADER] == "sha256=" + hmac.new(b"key", body, hashlib.sha256).hexdigest()
    told = msgspec.json.decode(body)
    assert (told["task"]["id"], told["task"]["status"]) == (7, "reported")
    assert told["verdict"] == {"level": "malicious", "score": 8.5}
    assert told["signatures"] == ["reads_shadow"]


def test_unsigned_and_failed(listener: Listener, done: Finished) -> None:
    Webhook().tell(Finished(task=done.task, report={}), Notify(webhook=listener.address))
    ((_, headers, body),) = listener.got
    assert HEADER not in headers
    assert msgspec.json.decode(body)["verdict"] is None
