"""Which addresses no guest may ever be led to, whatever is set: all that is not a public unicast address.

The tables are IANA's special-purpose registries (RFC 6890 and what has been added since). They stand here and are not
asked of the interpreter, whose answers differ between versions. IPv6 is the other way round: what is not in 2000::/3,
the global unicast space, is refused, and so is what carries an IPv4 address within it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

Range = IPv4Network | IPv6Network

NEVER: tuple[Range, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # a provider's own; clouds keep services for their machines there
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # where a cloud's host answers its machines, in the middle of public space
            "169.254.0.0/16",  # link-local, and the metadata of clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, and broadcast
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
_GLOBAL6 = ip_network("2000::/3")


def forbidden(address: str) -> bool:
    """Tell whether an address lies in a range that is never led to; what is no address does as well."""
    try:
        found = ip_address(address)
    except ValueError:
        return True
    return (found.version == 6 and found not in _GLOBAL6) or within(address, NEVER)


def within(address: str, ranges: Iterable[Range]) -> bool:
    """Tell whether an address lies in one of these ranges."""
    found = ip_address(address)
    return any(found.version == each.version and found in each for each in ranges)


def own() -> list[str]:
    """Return this machine's own networks, as the namespace of this process has them: an address with its prefix each.

    An address that has no network beside it (a prefix of 0) stands for itself alone.
    """
    done = subprocess.run(["ip", "-json", "address"], capture_output=True, text=True, check=True)
    found = []
    for card in json.loads(done.stdout or "[]"):
        for each in card.get("addr_info", ()):
            local, prefix = each.get("local", ""), each.get("prefixlen", 0)
            if local:
                found.append(str(ip_network(f"{local}/{prefix}", strict=False)) if prefix else local)
    return found
