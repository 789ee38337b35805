"""Matches of YARA, Sigma and Suricata rules as signatures, by what the rules say of themselves.

A rule's own level decides, capped at 4: the rule of a stranger alone makes nothing "malicious". Rules of low level
together weigh as one remark, so that they never make a clean sample suspicious.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from malkoha.signatures.base import Evidence, Signature


class _Matched(Signature):
    """Matches when rules of some levels matched, as a section says."""

    section: ClassVar[str]
    levels: ClassVar[frozenset[int]]
    attack = ()

    def on_end(self, sections: Mapping[str, Any]) -> Iterable[Evidence]:
        for match in (sections.get(self.section) or {}).get("matches", ()):
            if match.get("severity") in self.levels:
                name = str(match.get("rule") or match.get("title") or "?")
                where = match.get("on", "events")
                about = " ".join(match.get("attack", ()))
                said = f"{match.get('description', '')} ({where}{', ' + about if about else ''})".strip()
                yield Evidence(name, self.section, said[:300])


class _Alerted(Signature):
    """Alerts of Suricata whose priority, 1 being the gravest, is in a range."""

    priorities: ClassVar[range]
    attack = ()

    def on_end(self, sections: Mapping[str, Any]) -> Iterable[Evidence]:
        for alert in (sections.get("suricata") or {}).get("alerts", ()):
            if (alert.get("severity") or 3) in self.priorities:
                where = f"{alert.get('dst_ip', '')}:{alert.get('dst_port', '')}"
                yield Evidence(str(alert["signature"]), "suricata", f"{alert.get('category', '')} ({where})"[:300])


def _of(section: str, *levels: int) -> dict[str, Any]:
    return {"section": section, "levels": frozenset(levels)}


def _rated(first: int, last: int) -> dict[str, Any]:
    return {"priorities": range(first, last + 1)}


_YARA = "the sample, its files or its memory"
_KINDS: tuple[tuple[str, str, int, type[Signature], dict[str, Any]], ...] = (
    ("yara_match", f"A YARA rule of high severity matches {_YARA}", 4, _Matched, _of("yara", 4, 5)),
    ("yara_match_medium", f"A YARA rule of medium severity matches {_YARA}", 3, _Matched, _of("yara", 3)),
    ("yara_match_low", f"YARA rules of low severity match {_YARA}", 1, _Matched, _of("yara", 1, 2)),
    ("sigma_match", "A Sigma rule of high level matches what the sample did", 4, _Matched, _of("sigma", 4, 5)),
    ("sigma_match_medium", "A Sigma rule of medium level matches what the sample did", 2, _Matched, _of("sigma", 3)),
    ("sigma_match_low", "Sigma rules of low level match what the sample did", 1, _Matched, _of("sigma", 1, 2)),
    ("suricata_alert", "A Suricata rule of high priority matches the traffic", 3, _Alerted, _rated(1, 1)),
    ("suricata_alert_low", "Suricata rules of lower priority match the traffic", 1, _Alerted, _rated(2, 255)),
)  # fmt: skip
"""Name, description, severity, and which matches of which rules the signature stands for."""


def _signature(
    name: str, description: str, severity: int, kind: type[Signature], which: dict[str, Any]
) -> type[Signature]:
    called = "".join(word.capitalize() for word in name.split("_"))
    facts = {"name": name, "description": description, "severity": severity, "__module__": __name__}
    return type(called, (kind,), facts | which)


SIGNATURES: tuple[type[Signature], ...] = tuple(_signature(*row) for row in _KINDS)
# the process that judges finds a signature by the name of its class in this module
globals().update({signature.__name__: signature for signature in SIGNATURES})
