"""YARA rules compiled by yara-x: those of malkoha (rules/yara/*.yar) and the user's; errors named by file and rule.

A rule that does not compile is left out and named; the others of its file stay.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    import yara_x

BUNDLED = Path(__file__).parent / "yara"
ERRORS = 500


class RuleError(msgspec.Struct, frozen=True):
    """Why a rule cannot be used; ``rule`` is empty where the file cannot be parsed so far."""

    file: str
    line: int
    rule: str
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {f'rule {self.rule}: ' if self.rule else ''}{self.why}"


class Compiled(msgspec.Struct, frozen=True):
    """Rules ready to scan with; ``sources`` counts the files."""

    rules: Any
    sources: int
    errors: list[RuleError]


def bundled() -> list[tuple[str, Path]]:
    """Return malkoha's own files as name and path."""
    return [(f"malkoha/{path.name}", path) for path in sorted(BUNDLED.glob("*.yar"))]


def compile_rules(files: Iterable[tuple[str, Path]]) -> Compiled:
    """Compile files; each has a namespace of its own, so that equal names do not clash, and cannot include others."""
    import yara_x

    compiler = yara_x.Compiler()
    compiler.ignore_invalid_rules(True)
    compiler.enable_includes(False)
    errors: list[RuleError] = []
    number = 0
    for number, (name, path) in enumerate(files, 1):  # noqa: B007 - the last number is the count
        try:
            source = path.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            errors.append(RuleError(name, 0, "", error.strerror or str(error)))
            continue
        errors += _add(compiler, name, source)
    return Compiled(compiler.build(), number, errors[:ERRORS])


def _add(compiler: yara_x.Compiler, name: str, source: str) -> list[RuleError]:
    import yara_x

    known = len(compiler.errors())
    compiler.new_namespace(name)
    with contextlib.suppress(yara_x.CompileError):  # it stands in compiler.errors() as well
        compiler.add_source(source, name)
    lines = source.splitlines()
    return [_error(name, lines, error) for error in compiler.errors()[known:]]


def _error(name: str, lines: list[str], error: dict[str, Any]) -> RuleError:
    line = int(error.get("line") or 0)
    rule = ""
    for text in reversed(lines[:line]):
        words = text.split()
        if "rule" in words[:3] and words.index("rule") + 1 < len(words):
            rule = words[words.index("rule") + 1].rstrip("{:")
            break
    return RuleError(name, line, rule[:128], str(error.get("title", "cannot be compiled"))[:300])
