"""Sets of rules that a user added: a folder of YARA, Sigma or capa files, copied to MALKOHA_HOME/rules/NAME.

Copies, so that what an analysis was judged by does not change behind its back; ``update`` copies anew from the origin.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from malkoha.errors import UsageError
from malkoha.store import Home

Kind = Literal["yara", "sigma", "capa"]
ENDINGS: dict[Kind, tuple[str, ...]] = {
    "yara": (".yar", ".yara"),
    "sigma": (".yml", ".yaml"),
    "capa": (".yml", ".yaml"),
}
FILES = 50_000
FILE_SIZE = 8 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """One set; ``files`` counts its files by kind."""

    name: str
    origin: str
    kinds: tuple[Kind, ...]
    files: dict[str, int]
    skipped: int = 0
    """Files that were too large, or too many."""
    updated_at: datetime


def add(home: Home, folder: Path, *, kinds: Iterable[Kind] = ("yara", "sigma"), name: str | None = None) -> RuleSet:
    """Copy the rules of a folder (or one file) into a set; a set of that name is replaced as a whole.

    Raises UsageError when there is nothing to add or the name will not do.
    """
    wanted = tuple(kinds)
    chosen = name or re.sub(r"[^a-z0-9._-]+", "-", folder.resolve().stem.lower()).strip("-._")
    if not _NAME.fullmatch(chosen):
        raise UsageError(
            f"{chosen!r} is not a name of a set", "", "lower-case letters, digits, dots, - and _: --name NAME"
        )
    if not folder.exists():
        raise UsageError(f"there is no {folder}")
    target = home.rules / chosen
    part = home.rules / f".{chosen}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        counts, skipped = _copy(folder, part, wanted)
        if not sum(counts.values()):
            endings = " ".join(ending for kind in wanted for ending in ENDINGS[kind])
            raise UsageError(f"there are no rules in {folder}", "", f"files that end in {endings} are taken")
        made = RuleSet(
            name=chosen,
            origin=str(folder.resolve()),
            kinds=wanted,
            files={kind: number for kind, number in counts.items() if number},
            skipped=skipped,
            updated_at=datetime.now(UTC),
        )
        (part / "set.json").write_bytes(msgspec.json.encode(made))
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return made


def _copy(folder: Path, part: Path, kinds: tuple[Kind, ...]) -> tuple[dict[Kind, int], int]:
    counts: dict[Kind, int] = dict.fromkeys(kinds, 0)
    skipped = 0
    part.mkdir(parents=True)
    for path in _candidates(folder):
        kind = next((kind for kind in kinds if path.suffix.lower() in ENDINGS[kind]), None)
        if kind is None:
            continue
        if path.stat().st_size > FILE_SIZE or sum(counts.values()) >= FILES:
            skipped += 1
            continue
        place = part / kind / (path.relative_to(folder) if folder.is_dir() else path.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
        counts[kind] += 1
    return counts, skipped


def _candidates(folder: Path) -> Iterator[Path]:
    if folder.is_file():
        yield folder
        return
    for path in sorted(folder.rglob("*")):
        if (
            path.is_file()
            and not path.is_symlink()
            and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        ):
            yield path


def every(home: Home) -> list[RuleSet]:
    """Return the sets by name; what is no set is passed over."""
    found = []
    for path in sorted(home.rules.glob("*/set.json")):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=RuleSet))
        except (OSError, msgspec.MsgspecError):
            continue
    return found


def need(home: Home, name: str) -> RuleSet:
    """Return a set by its name; raise UsageError when there is none."""
    known = every(home)
    for each in known:
        if each.name == name:
            return each
    mend = f"there are: {', '.join(each.name for each in known)}" if known else "malkoha rules add FOLDER makes one"
    raise UsageError(f"there is no set of rules {name!r}", "", mend)


def update(home: Home, name: str) -> RuleSet:
    """Copy a set anew from where it came from."""
    old = need(home, name)
    return add(home, Path(old.origin), kinds=old.kinds, name=old.name)


def remove(home: Home, name: str) -> None:
    """Remove a set."""
    shutil.rmtree(home.rules / need(home, name).name)


def files(home: Home, kind: Kind) -> list[tuple[str, Path]]:
    """Return the files of a kind in all sets, each as set and file name (``SET/FILE``) with its path."""
    found = []
    for each in every(home):
        folder = home.rules / each.name / kind
        found += [
            (f"{each.name}/{path.relative_to(folder)}", path) for path in sorted(folder.rglob("*")) if path.is_file()
        ]
    return found
