"""Matches of YARA, Sigma and Suricata rules as signatures, by what the rules say of themselves.

A rule's own level decides, capped at 4: the rule of a stranger alone makes nothing "malicious". Rules of low level
together weigh as one remark, so that they never make a clean sample suspicious.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from malkoha.signatures.base import Evidence, Signature


class _RuleMatched(Signature):
    """What the classes below share: which section, and which levels of its rules."""

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


class YaraMatch(_RuleMatched):
    """Yara rules of high level."""

    name = "yara_match"
    description = "A YARA rule of high severity matches the sample, its files or its memory"
    severity = 4
    section = "yara"
    levels = frozenset((4, 5))


class YaraMatchMedium(_RuleMatched):
    """Yara rules of medium level."""

    name = "yara_match_medium"
    description = "A YARA rule of medium severity matches the sample, its files or its memory"
    severity = 3
    section = "yara"
    levels = frozenset((3,))


class YaraMatchLow(_RuleMatched):
    """Yara rules of low level."""

    name = "yara_match_low"
    description = "YARA rules of low severity match the sample, its files or its memory"
    severity = 1
    section = "yara"
    levels = frozenset((1, 2))


class SigmaMatch(_RuleMatched):
    """Sigma rules of high level."""

    name = "sigma_match"
    description = "A Sigma rule of high level matches what the sample did"
    severity = 4
    section = "sigma"
    levels = frozenset((4, 5))


class SigmaMatchMedium(_RuleMatched):
    """Sigma rules of medium level."""

    name = "sigma_match_medium"
    description = "A Sigma rule of medium level matches what the sample did"
    severity = 2
    section = "sigma"
    levels = frozenset((3,))


class SigmaMatchLow(_RuleMatched):
    """Sigma rules of low level."""

    name = "sigma_match_low"
    description = "Sigma rules of low level match what the sample did"
    severity = 1
    section = "sigma"
    levels = frozenset((1, 2))


class _Alerted(Signature):
    """Alerts of Suricata whose priority, 1 being the gravest, is in a range."""

    priorities: ClassVar[range]
    attack = ()

    def on_end(self, sections: Mapping[str, Any]) -> Iterable[Evidence]:
        for alert in (sections.get("suricata") or {}).get("alerts", ()):
            if (alert.get("severity") or 3) in self.priorities:
                where = f"{alert.get('dst_ip', '')}:{alert.get('dst_port', '')}"
                yield Evidence(str(alert["signature"]), "suricata", f"{alert.get('category', '')} ({where})"[:300])


class SuricataAlert(_Alerted):
    """Alerts of the highest priority."""

    name = "suricata_alert"
    description = "A Suricata rule of high priority matches the traffic"
    severity = 3
    priorities = range(1, 2)


class SuricataAlertLow(_Alerted):
    """All other alerts."""

    name = "suricata_alert_low"
    description = "Suricata rules of lower priority match the traffic"
    severity = 1
    priorities = range(2, 256)


SIGNATURES = (
    YaraMatch, YaraMatchMedium, YaraMatchLow, SigmaMatch, SigmaMatchMedium, SigmaMatchLow, SuricataAlert,
    SuricataAlertLow,
)  # fmt: skip
