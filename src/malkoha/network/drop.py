"""The network that answers nobody: the gateway is there, what goes to it vanishes."""

from __future__ import annotations

from ipaddress import IPv4Address

from malkoha.network.addresses import GATEWAY, GATEWAY_MAC, GUEST, RESOLVER

_OURS = bytes.fromhex(GATEWAY_MAC.replace(":", ""))
_NEIGHBOURS = {IPv4Address(address).packed for address in (GATEWAY, RESOLVER)}


def answer(frame: bytes) -> bytes | None:
    """Answer an ARP request (RFC 826) for the gateway or the resolver, so that packets are sent at all."""
    if len(frame) < 42 or frame[12:22] != b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x01":
        return None
    sender, asked = frame[22:32], frame[38:42]
    if asked not in _NEIGHBOURS or sender[6:] != IPv4Address(GUEST).packed:
        return None
    head = frame[6:12] + _OURS + b"\x08\x06\x00\x01\x08\x00\x06\x04\x00\x02"
    return head + _OURS + asked + sender + bytes(18)
