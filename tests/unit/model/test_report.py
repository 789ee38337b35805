"""Shapes that other tools rely on."""

from __future__ import annotations

import msgspec

from malkoha.model.behavior import Behavior
from malkoha.model.files import Target
from malkoha.model.matches import Mark
from malkoha.model.traffic import Network


def test_empty_sections_keep_cuckoos_keys() -> None:
    assert list(msgspec.to_builtins(Behavior())) == ["generic", "processtree", "summary", "apistats", "processes"]
    network = msgspec.to_builtins(Network())
    assert {"hosts", "domains", "tcp", "udp", "icmp", "http", "dns", "smtp", "irc", "pcap_sha256"} <= set(network)


def test_a_mark_has_only_what_its_type_has() -> None:
    assert msgspec.to_builtins(Mark(type="ioc", category="file", ioc="/a")) == {
        "type": "ioc",
        "category": "file",
        "ioc": "/a",
    }
    assert msgspec.to_builtins(Target(category="url", url="http://x")) == {"category": "url", "url": "http://x"}
