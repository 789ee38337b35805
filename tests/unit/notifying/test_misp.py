from __future__ import annotations

import msgspec

from malkoha.config import Notify
from malkoha.notifying.base import Finished
from malkoha.notifying.misp import Misp
from tests.unit.notifying.conftest import Listener


def test_an_event_is_added(listener: Listener, done: Finished) -> None:
    settings = Notify(misp=listener.address + "/", misp_key="secret")
    assert Misp.wanted(settings)
    assert not Misp.wanted(Notify())
    Misp().tell(done, settings)
    ((path, headers, body),) = listener.got
    assert (path, headers["authorization"]) == ("/events/add", "secret")
    event = msgspec.json.decode(body)["Event"]
    assert event["threat_level_id"] == "1"
    assert any("reads_shadow" in attribute["value"] for attribute in event["Attribute"])
