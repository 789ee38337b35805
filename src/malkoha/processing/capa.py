"""Section ``static``, key ``capa``: what an ELF file is able to do, by the host's ``capa`` and the user's rules for it.

Both are optional: capa (https://github.com/mandiant/capa, flare-capa on PyPI) is a program of its own and brings no
rules; ``malkoha rules add --capa FOLDER`` takes a folder of them. Without either there is no section.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import msgspec

from malkoha.config import home_from
from malkoha.errors import ProcessingError
from malkoha.processing import confine
from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.rules import sets

TIMEOUT_S = 150.0
MEMORY = 4 << 30
LISTED = 500


class CapaModule(Processing):
    """Make the key ``capa`` of the section ``static``."""

    name = "capa"
    isolated = True
    timeout_s = TIMEOUT_S + 20

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        if not facts.store.sample.exists() or shutil.which("capa") is None or not sets.files(home_from(), "capa"):
            return False
        with facts.store.sample.open("rb") as file:
            return file.read(4) == b"\x7fELF"

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        return capabilities(facts.store.sample, [path for _, path in sets.files(home_from(), "capa")])


def capabilities(sample: Path, rules: list[Path]) -> dict[str, Any]:
    """Run capa without a network and within limits; say what it found, or why it found nothing."""
    program = shutil.which("capa")
    if program is None:
        return {"capabilities": [], "why": "the program capa is not installed"}
    with tempfile.TemporaryDirectory(prefix="malkoha-capa-") as temporary:
        work = Path(temporary)
        (work / "rules").mkdir()
        for number, path in enumerate(rules):
            shutil.copyfile(path, work / "rules" / f"{number}.yml")
        shutil.copyfile(sample, work / "sample")
        command: list[str | Path] = [program, "--quiet", "--json", "--rules", work / "rules", work / "sample"]
        try:
            done = confine.run(command, work, timeout_s=TIMEOUT_S, memory=MEMORY)
        except ProcessingError as error:
            return {"capabilities": [], "why": str(error)}
    if done.status != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        return {"capabilities": [], "why": (said or [f"capa ended with status {done.status}"])[-1][:300]}
    try:
        return _read(done.stdout)
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError) as error:
        return {"capabilities": [], "why": f"what capa said could not be read: {error}"[:300]}


def _read(told: bytes) -> dict[str, Any]:
    document = msgspec.json.decode(told)
    found = []
    for name, rule in document["rules"].items():
        meta = rule["meta"]
        if meta.get("lib") or meta.get("is_subscope_rule"):
            continue  # a part of others, which says nothing by itself
        found.append(
            {
                "name": str(name)[:200],
                "namespace": str(meta.get("namespace", ""))[:200],
                "attack": sorted({str(each.get("id", "")) for each in meta.get("attack", ())} - {""})[:20],
                "places": len(rule.get("matches", ())),
            }
        )
    found.sort(key=lambda each: (each["namespace"], each["name"]))
    made = {"version": str(document["meta"].get("version", ""))[:40], "capabilities": found[:LISTED]}
    return made if len(found) <= LISTED else {**made, "left_out": len(found) - LISTED}
