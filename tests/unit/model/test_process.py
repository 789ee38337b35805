"""Processes survive JSON, since events.parquet keeps them so."""

from __future__ import annotations

import msgspec

from malkoha.model.process import Comm, Image, Process


def test_round_trip() -> None:
    process = Process(
        key=1, pid=2, images=[Image(seq=1, time_ns=2, path="/é", argv=["a b", ""])], comms=[Comm(time_ns=1, comm="x")]
    )
    assert msgspec.json.decode(msgspec.json.encode(process), type=Process) == process
