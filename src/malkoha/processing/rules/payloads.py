"""What the bytes of network calls say: names asked for, URLs fetched, hosts named, and which name an address had.

The trace holds the beginning of each buffer as text: a byte stands as one character unless it was part of UTF-8.
"""

from __future__ import annotations

import re
from typing import Any

from malkoha.processing import dns
from malkoha.processing.rules.base import View
from malkoha.trace.descriptors import Descriptor, Endpoint

NAMES = 10_000
"""Addresses whose name is remembered."""
_REQUEST = re.compile(
    r"(?:GET|POST|PUT|HEAD|OPTIONS|PROPFIND|CONNECT|DELETE|PATCH|MKCOL) (\S{1,2048}) HTTP/1\.[01]\r?\n"
)
_HOST = re.compile(r"^Host: *([^\s/]{1,255})", re.MULTILINE | re.IGNORECASE)
_SERVER_NAME = re.compile(r"\x00\x00\x00.\x00.\x00\x00(.)([A-Za-z0-9.-]{1,255})", re.DOTALL)


def sent(view: View, item: Descriptor | None, value: Any, to: Endpoint | None = None) -> None:
    """Look at what goes out of a socket."""
    peer = to or (item.peer if item else None)
    for payload in payloads(value):
        if peer is None or peer.port == 53:
            name = dns.question(payload)
            if name is not None:
                view.add("resolves_host", name)
        if peer is not None and peer.port != 53:
            _requested(view, payload, peer)


def received(view: View, item: Descriptor, value: Any, size: int) -> None:
    """Remember the addresses in a DNS answer, and that the process downloads."""
    peer = item.peer
    if peer is None or size <= 0:
        return
    if peer.port != 53:
        if "accepted" not in view.shared.get(item.object, ()):
            view.memory["downloading"] = True
        return
    names = view.shared.setdefault("names", {})
    for payload in payloads(value):
        for address, name in dns.answers(payload):
            if len(names) < NAMES:
                names[address] = name


def _requested(view: View, payload: str, peer: Endpoint) -> None:
    found = _REQUEST.match(payload)
    if found is not None:
        host = _HOST.search(payload)
        place = host[1] if host else str(peer)
        target = found[1]
        view.add("fetches_url", target if "://" in target else f"http://{place}{target if target[0] == '/' else ''}")
        if host:
            view.add("connects_host", place.rsplit(":", 1)[0] if not place.endswith("]") else place)
    elif payload.startswith("\x16\x03"):
        for name in _SERVER_NAME.finditer(payload):
            if ord(name[1]) == len(name[2]):
                view.add("connects_host", name[2])


def payloads(value: Any) -> list[str]:
    """Give the buffers of one argument: text, a message with ``data``, or a list of such."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [str(value.get("data", ""))]
    if isinstance(value, list):
        return [payload for item in value[:16] for payload in payloads(item)]
    return []
