"""The kernel's part of the simulated internet: a namespace in which every address is this machine's own.

Two routes of the table "local" do it (AnyIP): all addresses are local, but the guest's is reached over the link. The
namespace has no other interface than the loopback and the link to the guest, so nothing in it can leave.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import subprocess

from malkoha.errors import HostError
from malkoha.machinery.command import MAC
from malkoha.network.addresses import GATEWAY, GATEWAY6, GATEWAY_MAC, GUEST, GUEST6

LINK, PEER = "guest0", "guest1"
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 2, 0x1000
SIOCETHTOOL, ETHTOOL_STXCSUM, ETHTOOL_SGSO, ETHTOOL_STSO = 0x8946, 0x17, 0x24, 0x1F
ETH_P_ALL = 3
_SYSCTLS = {
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
    "net/ipv4/tcp_max_syn_backlog": "8192",
    "net/core/somaxconn": "8192",
    "net/ipv4/icmp_echo_ignore_broadcasts": "1",
}


def commands(*, pair: bool) -> str:
    """Return the batch for ip(8); with ``pair`` the link is one of two virtual cards instead of a tap."""
    made = [f"link add {LINK} type veth peer name {PEER}", f"link set {PEER} up"] if pair else []
    lines = [
        "link set lo up",
        *made,
        f"link set {LINK} address {GATEWAY_MAC}",
        f"link set {LINK} up",
        f"address add {GATEWAY}/32 dev {LINK}",
        f"address add {GATEWAY6}/128 dev {LINK} nodad",
        f"route add {GUEST}/32 dev {LINK} table local",
        f"route add {GUEST6}/128 dev {LINK} table local",
        f"neighbour replace {GUEST} lladdr {MAC} dev {LINK} nud permanent",
        f"neighbour replace {GUEST6} lladdr {MAC} dev {LINK} nud permanent",
        "route add local 0.0.0.0/0 dev lo table local",
        "route add local ::/0 dev lo table local",
    ]
    return "\n".join(lines) + "\n"


def open_link() -> tuple[int, str]:
    """Make the link and all routes in the namespace that this process is in; return its descriptor and its kind.

    The descriptor gives and takes whole Ethernet frames. HostError when the kernel does not allow it.
    """
    interfaces = {name for _, name in socket.if_nameindex()}
    if interfaces - {"lo"} - _UNBORN:
        raise HostError("This is no namespace of its own", f"it has {', '.join(sorted(interfaces))}")
    link = _open_tap()
    kind = "tap" if link >= 0 else "veth"
    _configure(commands(pair=link < 0))
    if link < 0:
        link = _open_peer()
    return link, kind


_UNBORN = {"tunl0", "gre0", "gretap0", "erspan0", "ip_vti0", "ip6_vti0", "sit0", "ip6tnl0", "ip6gre0"}
"""Interfaces that some kernels make in every new namespace; they are down and lead nowhere."""


def _open_tap() -> int:
    """Open a tap; -1 where this process may not, as in containers that lack the device."""
    try:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", LINK.encode(), IFF_TAP | IFF_NO_PI))
    except OSError:
        os.close(fd)
        return -1
    return fd


def _open_peer() -> int:
    """Open the other end of the pair; checksums have to be whole there, since frames leave the kernel."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with probe:
        for card in (LINK, PEER):
            for feature in (ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO):
                _ethtool(probe, card, feature)
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.bind((PEER, ETH_P_ALL))
    return raw.detach()


def _ethtool(probe: socket.socket, card: str, feature: int) -> None:
    """Switch one offload of a card off (ethtool(8), struct ethtool_value)."""
    import ctypes

    value = ctypes.create_string_buffer(struct.pack("II", feature, 0))
    request = struct.pack("16sQ8x", card.encode(), ctypes.addressof(value))
    try:
        fcntl.ioctl(probe.fileno(), SIOCETHTOOL, request)
    except OSError as error:
        raise HostError("The namespace's link cannot be set", f"ethtool: {error.strerror}") from error


def _configure(batch: str) -> None:
    try:
        done = subprocess.run(["ip", "-batch", "-"], input=batch, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise HostError("The namespace cannot be set up", "ip is not installed", "apt install iproute2") from error
    if done.returncode:
        raise HostError("The namespace cannot be set up", (done.stderr.strip() or "ip failed").splitlines()[0])
    for name, value in _SYSCTLS.items():
        try:
            with open(f"/proc/sys/{name}", "w", encoding="ascii") as file:  # noqa: PTH123
                file.write(value)
        except OSError:
            # a read-only /proc/sys, as in containers: the defaults are good enough
            continue
