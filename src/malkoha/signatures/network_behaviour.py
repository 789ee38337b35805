"""What the traffic as a whole amounts to (processing/traffic.py), as signatures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from malkoha.signatures.base import Evidence, Signature


class _Found(Signature):
    """Matches when the section ``network`` has findings of one kind."""

    kind: ClassVar[str]

    def on_end(self, sections: Mapping[str, Any]) -> Iterable[Evidence]:
        for finding in (sections.get("network") or {}).get("findings", ()):
            if finding["kind"] == self.kind:
                yield Evidence(finding["target"], "network", finding["description"])


class ScansPorts(_Found):
    """Many ports of one host."""

    kind = "port_scan"
    name = "network_port_scan"
    description = "Tries many ports of one host"
    severity = 3
    attack = ("T1046",)


class SweepsAddresses(_Found):
    """One port at many hosts, or many pings."""

    kind = "sweep"
    name = "network_sweep"
    description = "Looks for hosts: tries one port, or ping, at many addresses"
    severity = 3
    attack = ("T1018", "T1595.001")


class TriesPasswords(_Found):
    """Many conversations with one login."""

    kind = "brute_force"
    name = "network_brute_force"
    description = "Talks to the login of one host again and again"
    severity = 3
    attack = ("T1110",)


class Floods(_Found):
    """More a second than any client needs."""

    kind = "flood"
    name = "network_flood"
    description = "Floods a host with packets or empty connections"
    severity = 4
    attack = ("T1498",)


class Beacons(_Found):
    """The same pause again and again."""

    kind = "beacon"
    name = "network_beacon"
    description = "Calls one address in regular intervals"
    severity = 3
    attack = ("T1071",)


class TunnelsThroughDns(_Found):
    """Names whose labels are data."""

    kind = "dns_tunnel"
    name = "network_dns_tunnel"
    description = "Carries data in the names that it looks up"
    severity = 4
    attack = ("T1071.004", "T1048")


class GeneratesNames(_Found):
    """Names that nobody would think of."""

    kind = "dga"
    name = "network_generated_names"
    description = "Looks up many names that look generated"
    severity = 3
    attack = ("T1568.002",)


class TalksToBareAddresses(_Found):
    """Conversations with addresses that were known beforehand."""

    kind = "bare_address"
    name = "network_bare_address"
    description = "Talks to a public address that no name led to"
    severity = 1
    attack = ("T1071",)


class RunsDownloads(_Found):
    """Content from the network that a process then was."""

    kind = "download_executed"
    name = "network_download_executed"
    description = "Downloads a program and runs it"
    severity = 4
    attack = ("T1105",)


class SendsMuch(_Found):
    """Traffic that goes one way, out."""

    kind = "exfiltration"
    name = "network_exfiltration"
    description = "Sends much more to a host than it gets from it"
    severity = 2
    attack = ("T1041",)


SIGNATURES: tuple[type[Signature], ...] = (
    ScansPorts,
    SweepsAddresses,
    TriesPasswords,
    Floods,
    Beacons,
    TunnelsThroughDns,
    GeneratesNames,
    TalksToBareAddresses,
    RunsDownloads,
    SendsMuch,
)
