"""A report as an event of MISP's JSON format: the file as an object, indicators as attributes, ATT&CK as tags.

The identifiers are made from the sample and the analysis, so that an event that is sent again is the same event.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from malkoha.reporting.attack import techniques
from malkoha.reporting.iocs import indicators
from malkoha.reporting.wording import items, mapping, number

NAMESPACE = uuid.UUID("6f1d3c6e-0f0b-5a52-9d0e-2f7f6c1f1a11")
FILE_TEMPLATE = "688c46fb-5edb-40a3-8273-1af7923e2215"
_TYPES = {
    "url": ("url", "Network activity"),
    "domain": ("domain", "Network activity"),
    "ip": ("ip-dst", "Network activity"),
    "email": ("email-dst", "Network activity"),
    "sha256": ("sha256", "Payload installation"),
    "path": ("filename", "Artifacts dropped"),
}
_THREAT = {"malicious": "1", "suspicious": "2", "clean": "3"}


def event(report: Mapping[str, Any]) -> bytes:
    """Give the event as JSON."""
    file = mapping(mapping(report.get("target")).get("file"))
    verdict = mapping(mapping(report.get("malkoha")).get("verdict"))
    info = mapping(report.get("info"))
    key = f"{file.get('sha256', mapping(report.get('target')).get('url', ''))}/{info.get('id', '')}"
    stamp = int(number(info.get("ended")))
    name = str(file.get("name") or mapping(report.get("target")).get("url") or "")[:300]
    made = {
        "uuid": _uuid(key),
        "info": f"malkoha: {name}: {verdict.get('level', 'unknown')} ({verdict.get('score', 0)} of 10)",
        "date": datetime.fromtimestamp(stamp, UTC).date().isoformat(),
        "timestamp": str(stamp),
        "threat_level_id": _THREAT.get(str(verdict.get("level")), "4"),
        "analysis": "2",
        "distribution": "0",
        "published": False,
        "Attribute": _attributes(report, key),
        "Object": [_file(file, key)] if file else [],
        "Tag": _tags(report),
    }
    return msgspec.json.format(msgspec.json.encode({"Event": made}), indent=2) + b"\n"


def _uuid(*parts: str) -> str:
    return str(uuid.uuid5(NAMESPACE, "/".join(parts)))


def _attributes(report: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = []
    for each in indicators(report):
        if each.type in _TYPES and each.source != "sample":
            kind, category = _TYPES[each.type]
            found.append(
                {
                    "uuid": _uuid(key, each.type, each.value),
                    "type": kind,
                    "category": category,
                    "value": each.value,
                    "to_ids": each.source != "strings" and each.type != "path",
                    "comment": each.source,
                    "distribution": "5",
                }
            )
    for match in map(mapping, items(report.get("signatures"))):
        text = f"{match.get('name', '?')}: {match.get('description', '')}"[:1000]
        found.append(
            {
                "uuid": _uuid(key, "signature", str(match.get("name"))),
                "type": "text",
                "category": "Antivirus detection",
                "value": text,
                "to_ids": False,
                "comment": f"severity {int(number(match.get('severity')))} of 5",
                "distribution": "5",
            }
        )
    return found


def _file(file: Mapping[str, Any], key: str) -> dict[str, Any]:
    relations = [("filename", "filename", file.get("name")), ("size-in-bytes", "size-in-bytes", file.get("size"))]
    relations += [(name, name, file.get(name)) for name in ("md5", "sha1", "sha256", "sha512", "ssdeep", "tlsh")]
    relations += [("entropy", "float", file.get("entropy"))]
    return {
        "uuid": _uuid(key, "file"),
        "name": "file",
        "meta-category": "file",
        "template_uuid": FILE_TEMPLATE,
        "template_version": "25",
        "distribution": "5",
        "Attribute": [
            {
                "uuid": _uuid(key, "file", relation),
                "object_relation": relation,
                "type": kind,
                "category": "Other" if kind in ("size-in-bytes", "float") else "Payload delivery",
                "value": str(value)[:1000],
                "to_ids": relation in ("md5", "sha1", "sha256", "sha512"),
                "distribution": "5",
            }
            for relation, kind, value in relations
            if value not in (None, "")
        ],
    }


def _tags(report: Mapping[str, Any]) -> list[dict[str, str]]:
    # the galaxy names a sub-technique without the technique that it belongs to
    named = [(code, entry["name"].split(": ")[-1]) for code, entry in techniques(report).items() if entry["name"]]
    tags = [{"name": f'misp-galaxy:mitre-attack-pattern="{name} - {code}"'.replace("\n", " ")} for code, name in named]
    return [{"name": "tlp:amber"}, *tags]
