"""A report as a STIX 2.1 bundle: the file, a malware-analysis of it, indicators, ATT&CK techniques and relations.

The standard is https://docs.oasis-open.org/cti/stix/v2.1/. Identifiers are made from the content (UUIDv5), so that the
same report gives the same bundle.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from malkoha.reporting.attack import tactics_of, techniques
from malkoha.reporting.iocs import Indicator, indicators
from malkoha.reporting.wording import mapping, number

OBSERVABLE = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""The standard's own namespace for the identifiers of observables (section 2.9)."""
OWN = uuid.UUID("0c8b1f0e-6f0c-5f39-8f0f-4d2b1c5e9a77")
_PATTERNS = {
    "url": "[url:value = '{}']",
    "domain": "[domain-name:value = '{}']",
    "sha256": "[file:hashes.'SHA-256' = '{}']",
    "path": "",
}
_HASHES = (
    ("MD5", "md5"),
    ("SHA-1", "sha1"),
    ("SHA-256", "sha256"),
    ("SHA-512", "sha512"),
    ("SSDEEP", "ssdeep"),
    ("TLSH", "tlsh"),
)
_RESULTS = {"malicious": "malicious", "suspicious": "suspicious", "clean": "benign"}


def bundle(report: Mapping[str, Any]) -> bytes:
    """Give the bundle as JSON."""
    made = _objects(report)
    whole = {"type": "bundle", "id": _id("bundle", *sorted(each["id"] for each in made)), "objects": made}
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def _objects(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    info, file = mapping(report.get("info")), mapping(mapping(report.get("target")).get("file"))
    own = mapping(report.get("malkoha"))
    stamp = _time(number(info.get("ended")))
    author = _object("identity", stamp, ("malkoha",), name="malkoha", identity_class="system")
    found: list[dict[str, Any]] = [author]
    level = str(mapping(own.get("verdict")).get("level"))
    key = str(file.get("sha256") or mapping(report.get("target")).get("url") or "")
    sample = _sample(file, str(mapping(report.get("target")).get("url") or ""))
    found.append(sample)
    analysis = _object(
        "malware-analysis",
        stamp,
        (key, str(info.get("id"))),
        product="malkoha",
        version=str(own.get("version") or "0"),
        analysis_started=_time(number(info.get("started"))),
        analysis_ended=stamp,
        result=_RESULTS.get(level, "unknown"),
        sample_ref=sample["id"],
        created_by_ref=author["id"],
    )
    found.append(analysis)
    malware = None
    if level in ("malicious", "suspicious"):
        name = str(file.get("name") or key)[:300]
        malware = _object(
            "malware",
            stamp,
            (key,),
            name=name,
            is_family=False,
            sample_refs=[sample["id"]],
            created_by_ref=author["id"],
        )
        found += [malware, _relation(stamp, analysis, "characterizes", malware)]
    for code, entry in techniques(report).items():
        pattern = _technique(code, entry, stamp)
        found.append(pattern)
        if malware is not None:
            found.append(_relation(stamp, malware, "uses", pattern))
    for each in indicators(report):
        indicator = _indicator(each, stamp, author)
        if indicator is not None:
            found.append(indicator)
            if malware is not None:
                found.append(_relation(stamp, indicator, "indicates", malware))
    return list({each["id"]: each for each in found}.values())


def _indicator(each: Indicator, stamp: str, author: Mapping[str, Any]) -> dict[str, Any] | None:
    template = _PATTERNS.get(each.type, "")
    if each.type == "ip":
        template = "[ipv6-addr:value = '{}']" if ":" in each.value else "[ipv4-addr:value = '{}']"
    if not template or each.source == "strings":
        # what only stands in the file was not seen to do anything: the list of indicators has it
        return None
    value = each.value.replace("\\", "\\\\").replace("'", "\\'")
    return _object(
        "indicator",
        stamp,
        (each.type, each.value),
        name=f"{each.type} {each.defanged}"[:300],
        description=f"malkoha: {each.source}",
        pattern=template.format(value),
        pattern_type="stix",
        valid_from=stamp,
        created_by_ref=author["id"],
    )


def _technique(code: str, entry: Mapping[str, Any], stamp: str) -> dict[str, Any]:
    link = f"https://attack.mitre.org/techniques/{code.replace('.', '/')}/"
    phases = [{"kill_chain_name": "mitre-attack", "phase_name": tactic} for tactic in tactics_of(code)]
    return _object(
        "attack-pattern",
        stamp,
        (code,),
        name=str(entry["name"] or code),
        external_references=[{"source_name": "mitre-attack", "external_id": code, "url": link}],
        **({"kill_chain_phases": phases} if phases else {}),
    )


def _sample(file: Mapping[str, Any], url: str) -> dict[str, Any]:
    if not file:
        return {
            "type": "url",
            "spec_version": "2.1",
            "id": f"url--{uuid.uuid5(OBSERVABLE, _canonical({'value': url}))}",
            "value": url,
        }
    hashes = {name: str(file[key]) for name, key in _HASHES if file.get(key)}
    if "TLSH" in hashes:
        hashes["TLSH"] = hashes["TLSH"].removeprefix("T1")  # readers know it without its version
    return {
        "type": "file",
        "spec_version": "2.1",
        "id": f"file--{uuid.uuid5(OBSERVABLE, _canonical({'hashes': {'SHA-256': hashes.get('SHA-256', '')}}))}",
        "hashes": hashes,
        "name": str(file.get("name") or "sample")[:300],
        "size": int(number(file.get("size"))),
    }


def _canonical(value: Any) -> str:
    return msgspec.json.encode(value, order="sorted").decode()


def _relation(stamp: str, source: Mapping[str, Any], kind: str, target: Mapping[str, Any]) -> dict[str, Any]:
    ids = (source["id"], target["id"])
    return _object("relationship", stamp, (*ids, kind), relationship_type=kind, source_ref=ids[0], target_ref=ids[1])


def _object(kind: str, stamp: str, key: tuple[str, ...], **values: Any) -> dict[str, Any]:
    return {"type": kind, "spec_version": "2.1", "id": _id(kind, *key), "created": stamp, "modified": stamp, **values}


def _id(kind: str, *key: str) -> str:
    return f"{kind}--{uuid.uuid5(OWN, '/'.join((kind, *key)))}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
