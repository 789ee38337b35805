"""Set the guest's network once, before the machine is saved: card, addresses, routes, resolver, what it trusts."""

from __future__ import annotations

import os
import subprocess
import time

from . import protocol
from .refused import Refused

Head = protocol.Head

CARDS = "/sys/class/net"
CARD_S = 60.0
"""How long udev may take to load the card's driver."""
CERTIFICATES = "/usr/local/share/ca-certificates"
INTERFACES = """auto lo
iface lo inet loopback

auto {card}
iface {card} inet static
\taddress {address}
\tgateway {gateway}

iface {card} inet6 static
\taddress {address6}
\tgateway {gateway6}
"""


def connect(head: Head) -> Head:
    """Set the card to the addresses of ``head``, with routes for everything, and trust its certificate."""
    card = find_card()
    write("/etc/network/interfaces", INTERFACES.format(card=card, **head))
    write("/etc/resolv.conf", head["resolver"])
    write(f"/proc/sys/net/ipv6/conf/{card}/accept_ra", "0")
    for words in (
        ["link", "set", card, "up"],
        ["address", "add", head["address"], "brd", "+", "dev", card],
        ["-6", "address", "add", head["address6"], "dev", card, "nodad"],
        ["route", "add", "default", "via", head["gateway"]],
        ["-6", "route", "add", "default", "via", head["gateway6"], "dev", card],
    ):
        run("ip", *words)
    # who the gateway is never has to be asked, so that the first packet of a sample is its own
    run("ip", "neighbour", "replace", head["gateway"], "lladdr", head["gateway_mac"], "dev", card, "nud", "stale")
    trust(head["certificate_name"], head["certificate"])
    return {"card": card}


def find_card() -> str:
    """Wait for the network card and return its name."""
    end = time.monotonic() + CARD_S
    while True:
        cards = [name for name in sorted(os.listdir(CARDS)) if os.path.exists(f"{CARDS}/{name}/device")]
        # eth0 is its name until udev has given it the one that it keeps
        if cards and (cards[0] != "eth0" or time.monotonic() > end):
            return cards[0]
        if time.monotonic() > end:
            raise Refused("the guest found no network card")
        time.sleep(0.1)


def trust(name: str, certificate: str) -> None:
    """Add a certificate to those that the guest's programs trust."""
    os.makedirs(CERTIFICATES, exist_ok=True)
    write(f"{CERTIFICATES}/{name}.crt", certificate)
    run("update-ca-certificates")


def write(path: str, text: str) -> None:
    """Write a whole file."""
    with open(path, "w") as file:
        file.write(text)


def run(*command: str) -> None:
    """Run one program of the system; Refused with what it said."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Refused(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
