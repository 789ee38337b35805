"""The guest's place in the world: its addresses, its gateway, its resolver, and what it is told of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

GUEST = "10.20.0.51"
GATEWAY = "10.20.0.1"
RESOLVER = "10.20.0.2"
PREFIX = 24
GUEST6 = "fd3c:9a51:7c20::51"
GATEWAY6 = "fd3c:9a51:7c20::1"
PREFIX6 = 64
GATEWAY_MAC = "00:1c:73:a2:04:1f"
"""Arista's prefix: what a server's gateway may well be."""

RESOLV_CONF = f"nameserver {RESOLVER}\noptions timeout:2 attempts:2\n"
CERTIFICATE_NAME = "GlobalTrust_Root_CA_R2"


def wiring(authority: Path) -> dict[str, Any]:
    """Return what the guest's agent needs to set its network; the authority is made in its folder when missing."""
    from malkoha.network.authority import Authority

    return {
        "address": f"{GUEST}/{PREFIX}",
        "gateway": GATEWAY,
        "gateway_mac": GATEWAY_MAC,
        "address6": f"{GUEST6}/{PREFIX6}",
        "gateway6": GATEWAY6,
        "resolver": RESOLV_CONF,
        "certificate_name": CERTIFICATE_NAME,
        "certificate": Authority.make(authority).certificate_pem.decode(),
    }
