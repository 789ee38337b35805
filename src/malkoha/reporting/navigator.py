"""A layer for MITRE's ATT&CK Navigator: every technique that was seen, coloured by severity, with what saw it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from malkoha import attack
from malkoha.reporting.attack import tactics_of, techniques
from malkoha.reporting.wording import mapping

COLOURS = ("#fff3c4", "#ffe08a", "#ffc04d", "#ff8a3d", "#e5484d")


def layer(report: Mapping[str, Any]) -> bytes:
    """Give the layer (format 4.5) as JSON."""
    file = mapping(mapping(report.get("target")).get("file"))
    name = str(file.get("name") or mapping(report.get("target")).get("url") or "analysis")[:200]
    seen = [
        {
            "techniqueID": code,
            **({"tactic": tactic} if tactic else {}),
            "score": entry["severity"],
            "comment": ", ".join(entry["sources"]),
            "enabled": True,
            "showSubtechniques": True,
        }
        for code, entry in techniques(report).items()
        for tactic in tactics_of(code) or [""]
    ]
    made = {
        "name": f"malkoha: {name}",
        "versions": {"attack": str(attack.VERSION), "navigator": "5.1.0", "layer": "4.5"},
        "domain": "enterprise-attack",
        "description": f"Analysis {mapping(report.get('info')).get('id', '')}, sha256 {file.get('sha256', '')}",
        "filters": {"platforms": ["Linux", "Containers"]},
        "techniques": seen,
        "gradient": {"colors": list(COLOURS), "minValue": 1, "maxValue": 5},
        "hideDisabled": False,
    }
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"
