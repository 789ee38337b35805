"""What the traffic as a whole amounts to (processing/traffic.py), as signatures: one for each kind of finding."""

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


_KINDS: tuple[tuple[str, str, str, int, tuple[str, ...]], ...] = (
    ("port_scan", "network_port_scan", "Tries many ports of one host", 3, ("T1046",)),
    (
        "sweep",
        "network_sweep",
        "Looks for hosts: tries one port, or ping, at many addresses",
        3,
        ("T1018", "T1595.001"),
    ),
    ("brute_force", "network_brute_force", "Talks to the login of one host again and again", 3, ("T1110",)),
    ("flood", "network_flood", "Floods a host with packets or empty connections", 4, ("T1498",)),
    ("beacon", "network_beacon", "Calls one address in regular intervals", 3, ("T1071",)),
    ("dns_tunnel", "network_dns_tunnel", "Carries data in the names that it looks up", 4, ("T1071.004", "T1048")),
    ("dga", "network_generated_names", "Looks up many names that look generated", 3, ("T1568.002",)),
    ("bare_address", "network_bare_address", "Talks to a public address that no name led to", 1, ("T1071",)),
    ("download_executed", "network_download_executed", "Downloads a program and runs it", 4, ("T1105",)),
    ("exfiltration", "network_exfiltration", "Sends much more to a host than it gets from it", 2, ("T1041",)),
)
"""Kind of finding, name and description of its signature, severity, ATT&CK ids."""


def _signature(kind: str, name: str, description: str, severity: int, attack: tuple[str, ...]) -> type[Signature]:
    facts = {"kind": kind, "name": name, "description": description, "severity": severity, "attack": attack}
    called = "".join(word.capitalize() for word in name.split("_"))
    return type(called, (_Found,), {**facts, "__module__": __name__})


SIGNATURES: tuple[type[Signature], ...] = tuple(_signature(*row) for row in _KINDS)
# the process that judges finds a signature by the name of its class in this module
globals().update({signature.__name__: signature for signature in SIGNATURES})
