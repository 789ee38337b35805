"""Run known techniques, dual-use programs and ordinary jobs in guests, and say what malkoha makes of them.

    python -m evaluation [KIND ...] [--jobs N] [--only ID] [--fresh] [--judge]

What was run already is not run again, unless the case or its image is another. The result is bench/eval.json, and a
table on standard output; docs/evaluation.md explains both.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evaluation import programs, scoring
from evaluation.cases import KINDS, ROOT, Case, cases, packages
from evaluation.guests import Guests
from malkoha import __version__
from malkoha.cli import terminal
from malkoha.config import home_from

RESULTS = ROOT / "bench" / "eval.json"
_SCORES = {
    "atomics": scoring.atomics,
    "techniques": scoring.atomics,
    "malicious": scoring.malicious,
    "benign": scoring.benign,
    "holdout": scoring.benign,
}
FOLDER = Path.home() / ".cache" / "malkoha-evaluation"


def main(words: Sequence[str]) -> int:
    """Do what the module's head says; 1 when a case could not be run."""
    options = _options(words)
    kinds = tuple(options.kinds) or KINDS
    chosen = [case for case in cases(kinds) if not options.only or case.name in options.only]
    guests = Guests(options.folder, home_from())
    failures = {} if options.judge else _run(guests, chosen, options.jobs, fresh=options.fresh)
    if options.judge:
        failures = _told(guests.judge, "judging", [case for case in chosen if guests.folder(case)], options.jobs)
    result = _result(guests, chosen, kinds, failures)
    if not options.only:
        known = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
        RESULTS.write_text(json.dumps(known | result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(table(result))
    return 1 if failures else 0


def table(result: dict[str, Any]) -> str:
    """Show a result as text."""
    lines: list[str] = []
    for kind in ("atomics", "techniques"):
        if not (found := result.get(kind)):
            continue
        lines += [f"{kind:9} {_of(found['recall'])} recognised; not counted: {_of(found['recall_not_counted'])}"]
        lines += [f"  {name:22} {_of(group)}" for name, group in found["by_tactic"].items()]
        lines += [f"  missed    {_miss(miss)}" for miss in found["missed"] if miss["counts"]]
        lines += [f"  (missed)  {_miss(miss)}" for miss in found["missed"] if not miss["counts"]]
    if found := result.get("malicious"):
        lines += [f"malicious {_of(found['recognised'])} above clean, {_of(found['malicious'])} malicious"]
        lines += _alarms(found["below"])
    if found := result.get("programs"):
        lines += [f"programs  {_of(found['found'])} expectations found in the reports"]
        lines += [f"  missing   {text}" for text in found["missing"]]
        lines += [f"  absent    {text} was never started" for text in found["absent"]]
    for kind in ("benign", "holdout"):
        lines += _ordinary(kind, result[kind]) if kind in result else []
    for kind in KINDS:
        lines += [f"  not run   {kind} {name}" for name in result.get(kind, {}).get("not_run", [])]
    lines += [f"  error     {name}: {why}" for name, why in result["errors"].items()]
    return "\n".join(lines)


def _alarms(alarms: Sequence[dict[str, Any]]) -> list[str]:
    return [f"  {alarm['level']:10} {alarm['score']:4} {alarm['case']} {alarm['matched']}" for alarm in alarms]


def _ordinary(kind: str, found: dict[str, Any]) -> list[str]:
    lines = [f"{kind:9} {_of(found['false_alarms'])} above clean, {len(found['malicious'])} malicious"]
    lines += _alarms(found["alarms"])
    return lines + [f"  failed    {name}: the job itself ended with an error" for name in found["failed"]]


def _run(guests: Guests, chosen: Sequence[Case], jobs: int, *, fresh: bool) -> dict[str, str]:
    failures: dict[str, str] = {}
    for image in sorted({case.image for case in chosen}):
        terminal.say(f"building the image {image} where it is out of date")
        if why := build(guests, image):
            failures[f"image {image}"] = why
    todo = [case for case in chosen if f"image {case.image}" not in failures and (fresh or not guests.folder(case))]
    return failures | _told(guests.run, "running", todo, jobs)


def build(guests: Guests, image: str) -> str:
    """Build an image without the packages that the mirror does not have; give a line on what failed.

    The programs of these packages are then told as absent.
    """
    wanted = packages(image)
    why = guests.build(image, wanted)
    found = re.search(r"no such package: ([^(]+)", why)
    if found is None:
        return why
    missing = {word.strip() for word in found[1].split(",")}
    terminal.say(f"the mirror does not have {', '.join(sorted(missing))}")
    return guests.build(image, [package for package in wanted if package not in missing])


def _told(work: Any, title: str, chosen: Sequence[Case], jobs: int) -> dict[str, str]:
    failures: dict[str, str] = {}
    with terminal.progress() as progress:
        progress.step(f"{title} {len(chosen)} cases", len(chosen))

        def told(case: Case, why: str) -> None:
            progress.advance(1, case.name)
            if why:
                failures[case.name] = why

        work(chosen, jobs, told)
    return failures


def _result(guests: Guests, chosen: Sequence[Case], kinds: Sequence[str], failures: dict[str, str]) -> dict[str, Any]:
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    images = {case.image: guests.images().get(case.image) for case in chosen}
    about = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "images": images, "commit": commit.stdout.strip()}
    result: dict[str, Any] = {"version": __version__, "errors": failures}
    for kind in kinds:
        mine = [case for case in chosen if case.kind == kind]
        if kind == "programs":
            pairs = [(case.program, guests.folder(case)) for case in mine if case.program is not None]
            result[kind] = about | programs.outcome(pairs)
        else:
            score = _SCORES[kind]
            result[kind] = about | score([(case, guests.report(case)) for case in mine])
    return result


def _of(found: dict[str, Any]) -> str:
    return f"{found['found']} of {found['of']}" + (f" ({found['percent']} %)" if found["of"] else "")


def _miss(miss: dict[str, Any]) -> str:
    matched = miss.get("why") or ", ".join(miss["matched"]) or "nothing matched"
    return f"{miss['case']:13} {miss['title']} (analysis {miss.get('analysis', '-')}: {matched})"


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m evaluation", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", choices=[*KINDS, []], metavar="KIND", help=f"of {', '.join(KINDS)}; all")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="machines at once")
    parser.add_argument("--only", action="append", metavar="ID", help="one case; repeatable; bench/eval.json stays")
    parser.add_argument("--fresh", action="store_true", help="run also what was run already")
    parser.add_argument("--judge", action="store_true", help="run nothing: judge what was run by the rules of today")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the runs are kept")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
