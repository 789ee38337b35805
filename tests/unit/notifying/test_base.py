from __future__ import annotations

import pytest

from malkoha.errors import HostError
from malkoha.notifying.base import TRIES, Finished, post
from tests.unit.notifying.conftest import Listener


def test_a_fault_is_tried_again_and_a_refusal_is_not(listener: Listener) -> None:
    listener.answers = [503, 200]
    post(listener.address, b"x", {})
    assert len(listener.got) == 2
    listener.answers = [400]
    with pytest.raises(HostError, match="status 400"):
        post(listener.address, b"x", {})
    assert len(listener.got) == 3
    listener.answers = [500]
    with pytest.raises(HostError, match="status 500"):
        post(listener.address, b"x", {})
    assert len(listener.got) == 3 + TRIES
    with pytest.raises(HostError, match="did not take it"):
        post("http://127.0.0.1:1/", b"x", {})


def test_verdicts(done: Finished) -> None:
    assert (done.level, done.score, done.signatures) == ("malicious", 8.5, ["reads_shadow"])
    nothing = Finished(task=done.task, report={"signatures": 3, "malkoha": {"verdict": {"level": "x"}}})
    assert (nothing.level, nothing.score, nothing.signatures) == ("clean", 0.0, [])
