"""Section ``yara``: rules on the sample, on what it dropped, on what was unpacked or decoded, and on its memory.

In: files of the analysis folder, malkoha's own rules and those of MALKOHA_HOME/rules. Out: matches with their places;
rules that do not compile and files that were not read to their end are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from malkoha.config import home_from
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.packer import PackerModule
from malkoha.processing.scripts import ScriptModule
from malkoha.rules import sets
from malkoha.rules.yara import bundled, compile_rules

READ = 64 << 20
"""Bytes of one file that are looked at."""
TOTAL = 512 << 20
FILES = 500
MATCHES = 500
PLACES = 10
SCAN_S = 20
_ATTACK = re.compile(r"TA?[0-9]{4}(?:\.[0-9]{3})?")
_WORDS = {"informational": 1, "info": 1, "low": 1, "medium": 2, "high": 4, "critical": 5}


class YaraModule(Processing):
    """Make the section ``yara``."""

    name = "yara"
    requires = (PackerModule, ScriptModule)
    isolated = True
    timeout_s = 180.0

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        return facts.store.sample.exists()

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        compiled = compile_rules([*bundled(), *sets.files(home_from(), "yara")])
        found: dict[str, Any] = {"files": 0, "sources": compiled.sources, "matches": [], "skipped": []}
        left = TOTAL
        for number, (where, path) in enumerate(_files(facts)):
            if number >= FILES or left <= 0 or len(found["matches"]) >= MATCHES:
                found["skipped"].append(f"{where} {path.name} and what follows: enough was read")
                break
            with path.open("rb") as file:
                data = file.read(min(READ, left))
            left -= len(data)
            if path.stat().st_size > len(data):
                found["skipped"].append(f"{where} {path.name}: read up to {len(data)} bytes")
            matches, trouble = scan(compiled.rules, data)
            found["files"] += 1
            found["matches"] += [{"on": where, "file": path.name, **match} for match in matches]
            found["skipped"] += [f"{where} {path.name}: {trouble}"] if trouble else []
        found["matches"] = sorted(found["matches"], key=lambda match: -match["severity"])[:MATCHES]
        found["errors"] = [str(error) for error in compiled.errors]
        return found


def _files(facts: Facts) -> Iterator[tuple[str, Path]]:
    yield "sample", facts.store.sample
    for where, folder in (
        ("unpacked", facts.store.unpacked),
        ("dropped", facts.store.dropped),
        ("memory", facts.store.memory),
    ):
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.is_file() and not path.is_symlink() and path.suffix != ".json":
                    yield where, path


def scan(rules: Any, data: bytes) -> tuple[list[dict[str, Any]], str]:
    """Scan bytes; return the matches, and what went wrong if something did."""
    import yara_x

    scanner = yara_x.Scanner(rules)
    scanner.set_timeout(SCAN_S)
    scanner.max_matches_per_pattern(PLACES)
    try:
        results = scanner.scan(data)
    except yara_x.TimeoutError:
        return [], f"stopped after {SCAN_S} s"
    except yara_x.ScanError as error:
        return [], str(error)[:200]
    return [_match(rule, data) for rule in list(results.matching_rules)[:MATCHES]], ""


def _match(rule: Any, data: bytes) -> dict[str, Any]:
    meta = {str(name): value for name, value in rule.metadata}
    places = []
    for pattern in rule.patterns:
        for match in list(pattern.matches)[:PLACES]:
            text = data[match.offset : match.offset + min(match.length, 120)]
            places.append(
                {"name": pattern.identifier, "offset": match.offset, "length": match.length, "text": _shown(text)}
            )
    told = (
        " ".join(str(value) for name, value in meta.items() if name.lower() in _TECHNIQUES) + " " + " ".join(rule.tags)
    )
    return {
        "rule": rule.identifier,
        "source": rule.namespace,
        "severity": severity(meta),
        "description": str(meta.get("description", meta.get("desc", "")))[:400],
        "attack": sorted(set(_ATTACK.findall(told.upper()))),
        "family": str(meta.get("family", meta.get("malware_family", "")))[:80],
        "reference": str(meta.get("reference", ""))[:300],
        "tags": list(rule.tags)[:20],
        "meta": {
            name: value if isinstance(value, bool | int | float) else str(value)[:300] for name, value in meta.items()
        },
        "places": places[: 3 * PLACES],
    }


_TECHNIQUES = frozenset(("attack", "mitre", "mitre_attack", "mitre_att", "technique", "ttp", "att_ck"))


def severity(meta: dict[str, Any]) -> int:
    """Read 1 to 5 from what authors write: severity as number or word, or a score up to 100; else 2."""
    for name in ("severity", "level", "threat_level"):
        value = meta.get(name)
        if isinstance(value, str) and value.lower() in _WORDS:
            return _WORDS[value.lower()]
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return min(5, value) if value <= 10 else min(5, max(1, round(value / 20)))
    score = meta.get("score")
    return min(5, max(1, round(score / 20))) if isinstance(score, int) and not isinstance(score, bool) else 2


def _shown(text: bytes) -> str:
    return text.decode("ascii") if all(32 <= byte < 127 for byte in text) else text[:40].hex(" ")


def cuckoo(matches: list[dict[str, Any]], where: str, name: str) -> list[dict[str, Any]]:
    """Give the matches on one file in the shape that Cuckoo has under ``yara``."""
    found = []
    for match in matches:
        if (match["on"], match["file"]) == (where, name):
            offsets: dict[str, list[list[int]]] = {}
            for number, place in enumerate(match["places"]):
                offsets.setdefault(place["name"].lstrip("$"), []).append([place["offset"], number])
            texts = [place["text"] for place in match["places"]]
            found.append({"name": match["rule"], "meta": match["meta"], "strings": texts, "offsets": offsets})
    return found
