"""What is evaluated: attack techniques of others and of our own, dual-use programs and ordinary jobs, each a script.

Atomics and programs are no part of the repository. They are looked for in the folder of MALKOHA_EVAL, else in
../shared/eval beside the checkout; of what is not there, there are no cases.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evaluation import programs

ROOT = Path(__file__).parent.parent
BENIGN = Path(__file__).parent / "benign.toml"
HOLDOUT = Path(__file__).parent / "holdout.toml"
TECHNIQUES = Path(__file__).parent / "techniques.toml"
MALICIOUS = Path(__file__).parent / "malicious.toml"
KINDS = ("atomics", "techniques", "malicious", "programs", "benign", "holdout")
TIMEOUT_S = 40
WORD = "inside-a-guest"
"""The first argument of each script: without it, a script that someone finds and starts does nothing."""
_GUARD = f'[ "${{1-}}" = {WORD} ] || {{ echo "for a throw-away guest only" >&2; exit 64; }}; shift\n'
# The atomics refuse to run where this file is missing. It is made in the guest, by the script itself, so that nothing
# but the technique is to be seen there: no second script is written and started.
_ATOMIC = _GUARD + ": >/etc/atomic-guest\n"


@dataclass(frozen=True)
class Case:
    """One run in a guest, and what is known of it."""

    kind: str
    name: str
    script: str
    image: str = "eval"
    timeout_s: int = TIMEOUT_S
    title: str = ""
    technique: str = ""
    former: str = ""
    """The id that the technique bore before version 19 of ATT&CK; empty when it is the same."""
    tactics: tuple[str, ...] = ()
    counts: bool = True
    """Whether it counts for the goal: of the atomics, those of strong observability with an effect."""
    program: programs.Program | None = None
    network: str = ""
    """The mode of its network; empty for the default, a simulated internet."""

    @property
    def key(self) -> str:
        """Name the case by all that goes into its run, so that one that is changed is run again."""
        made_of = json.dumps(
            [self.kind, self.name, self.script, self.timeout_s, *([self.network] * bool(self.network))]
        )
        return f"{self.kind}-{hashlib.sha256(made_of.encode()).hexdigest()[:20]}"


def material() -> Path:
    """Give the folder of the material that is not in the repository; it need not be there."""
    named = os.environ.get("MALKOHA_EVAL")
    return Path(named) if named else ROOT.parent / "shared" / "eval"


def cases(kinds: tuple[str, ...] = KINDS) -> list[Case]:
    """List the cases of some kinds."""
    found: list[Case] = []
    if "atomics" in kinds:
        found += atomics(_atomics())
    if "techniques" in kinds:
        found += techniques(TECHNIQUES)
    if "programs" in kinds:
        found += (_program(program) for program in programs.programs(_programs()))
    if "malicious" in kinds:
        found += jobs(MALICIOUS, "malicious", "eval")
    if "benign" in kinds:
        found += jobs(BENIGN, "benign", "eval")
    if "holdout" in kinds:
        found += jobs(HOLDOUT, "holdout", "holdout")
    return found


def packages(image: str) -> list[str]:
    """List the Debian packages that the cases of an image need."""
    if image == programs.IMAGE:
        return sorted({program.package for program in programs.programs(_programs())})
    if image == "holdout":
        return _packages(HOLDOUT)
    rows = _rows(_atomics())
    needed = {package for row in rows for package in row["packages_needed"]}
    # every image has busybox-static, which busybox conflicts with
    return sorted((needed | set(_packages(BENIGN))) - {"busybox"})


def atomics(path: Path) -> Iterator[Case]:
    """Read attack techniques; without the file there are none."""
    for row in _rows(path):
        yield Case(
            kind="atomics",
            name=row["id"],
            script=guarded(row["script"], _ATOMIC),
            title=f"{row['technique_name']}: {row['name']}",
            technique=row["technique"],
            former=row["legacy_technique"] or "",
            tactics=tuple(row["tactics"]),
            counts=row["observability"] == "strong" and row["effect"] in ("full", "attempt"),
        )


def techniques(path: Path) -> Iterator[Case]:
    """Read attack techniques of our own."""
    for row in tomllib.loads(path.read_text(encoding="utf-8"))["technique"]:
        script = f"#!/bin/bash\nexport HOME=/root\ncd /root\n{row['script']}"
        yield Case(
            kind="techniques",
            name=row["name"],
            script=guarded(script, _GUARD),
            title=f"{row['id']}: {row['name'].replace('-', ' ')}",
            technique=row["id"],
        )


def jobs(path: Path, kind: str, image: str) -> Iterator[Case]:
    """Read ordinary or malicious jobs."""
    for job in tomllib.loads(path.read_text(encoding="utf-8"))["job"]:
        script = f"#!/bin/{job.get('shell', 'sh')}\nexport HOME=/root\ncd /root\n{job['script']}"
        yield Case(kind=kind, name=job["name"], script=guarded(script, _GUARD), image=image)


def guarded(script: str, guard: str) -> str:
    """Put a guard behind the first line of a script, which names its interpreter."""
    first, _, rest = script.partition("\n")
    return f"{first}\n{guard}{rest}" if first.startswith("#!") else f"#!/bin/sh\n{guard}{script}"


def _program(program: programs.Program) -> Case:
    script = guarded(programs.script(program), _GUARD)
    # what was seen where there was no way out is not to be seen where everything answers
    network = "none" if any("ENETUNREACH" in one.pattern for one in program.expectations) else ""
    return Case("programs", program.name, script, image=programs.IMAGE, program=program, network=network)


def _packages(path: Path) -> list[str]:
    return sorted(tomllib.loads(path.read_text(encoding="utf-8"))["packages"].split())


def _atomics() -> Path:
    return material() / "atomics" / "public.jsonl"


def _programs() -> Path:
    return material() / "programs" / "public.jsonl"


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
