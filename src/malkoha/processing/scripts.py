"""Section ``static``, key ``script``: what a script says, read and never run.

Shell is read as a syntax tree (shell.py), Python, Perl, PHP and JavaScript by their words (languages.py). What is
encoded in any of them is decoded (payloads.py), kept under ``unpacked/SHA256`` for YARA, and read as well.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from malkoha.processing import languages, payloads, shell
from malkoha.processing.base import Earlier, Facts, Processing

READ = 8 << 20
_SHEBANG = re.compile(rb"#!\s*(?:\S*/)?(?:env\s+(?:-\S+\s+|\w+=\S*\s+)*)?(?:\S*/)?([a-z]+)[0-9.]*")
_INTERPRETERS = {
    **dict.fromkeys(("sh", "bash", "dash", "ash", "ksh", "zsh", "busybox", "mksh"), "shell"),
    "python": "python",
    "perl": "perl",
    "php": "php",
    "node": "javascript",
    "nodejs": "javascript",
}
_ENDINGS = {
    "sh": "shell",
    "bash": "shell",
    "py": "python",
    "pl": "perl",
    "pm": "perl",
    "php": "php",
    "js": "javascript",
    "mjs": "javascript",
}
_TYPES = {
    "shell script": "shell",
    "Python script": "python",
    "Perl script": "perl",
    "PHP script": "php",
    "Node.js": "javascript",
}


class ScriptModule(Processing):
    """Make the key ``script`` of the section ``static``, of text in a language that is known here."""

    name = "script"
    isolated = True
    timeout_s = 60.0

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        if not facts.store.sample.exists():
            return False
        with facts.store.sample.open("rb") as file:
            return language(file.read(4096), *_called(facts)) is not None

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, Any]:
        del earlier
        with facts.store.sample.open("rb") as file:
            data = file.read(READ)
        found, decoded = describe(language(data[:4096], *_called(facts)) or "shell", data)
        _keep(decoded, facts.store.unpacked)
        return found


def _called(facts: Facts) -> tuple[str, str]:
    sample = facts.task.sample
    return (sample.name.decode("utf-8", "replace"), sample.type) if sample else ("", "")


def language(head: bytes, name: str = "", kind: str = "") -> str | None:
    """Tell the language of a script by its first line, its type or its name; None for what is none."""
    if b"\0" in head:
        return None
    match = _SHEBANG.match(head)
    if match is not None:
        return _INTERPRETERS.get(match[1].decode())
    if re.search(rb"<\?(?:php\b|=)", head[:1024]):
        return "php"
    by_type = next((found for words, found in _TYPES.items() if words in kind), None)
    return by_type or _ENDINGS.get(name.rsplit(".", 1)[-1].lower())


def describe(spoken: str, data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Read a script; return what it says, and the bytes that were decoded."""
    found: dict[str, Any] = {"language": spoken, **_read(spoken, data)}
    decoded, cut = payloads.decode(data)
    shown = []
    for payload in decoded:
        entry = payload.shown()
        inner = language(payload.data[:4096]) if payload.kind in ("script", "PHP") else None
        if payload.kind == "text":
            inner = _guess(payload.data) or spoken
        if inner is not None:
            entry |= {"language": inner, "script": _read(inner, payload.data)}
        shown.append(entry)
    if shown:
        found["payloads"] = shown
    if cut:
        found["payloads_cut"] = True
    return found, [payload.data for payload in decoded]


def _guess(data: bytes) -> str | None:
    """Tell the language of a snippet without a first line."""
    head = data[:4096]
    signs = (
        ("python", rb"^\s*(?:import|from) \w+|\bexec\(|print\("),
        ("php", rb"<\?php|\$_(?:GET|POST|REQUEST)|@?eval\(\$"),
        ("perl", rb"\buse \w+(?:::\w+)*;|\bmy \$\w+"),
        ("javascript", rb"\b(?:var|let|const) \w+ ?=|=> ?\{|require\("),
        ("shell", rb"^\s*(?:cd|wget|curl|chmod|export|if \[|bash|sh|echo|nohup|/bin/)\b"),
    )
    return next((name for name, pattern in signs if re.search(pattern, head, re.MULTILINE)), None)


def _read(spoken: str, data: bytes) -> dict[str, Any]:
    try:
        return shell.describe(data) if spoken == "shell" else languages.describe(spoken, data)
    except Exception as error:  # noqa: BLE001 - a parser that fails must not take what was decoded with it
        return {"errors": [f"{type(error).__name__}: {error}"[:300]]}


def _keep(decoded: list[bytes], folder: Path) -> None:
    for data in decoded:
        folder.mkdir(exist_ok=True)
        (folder / hashlib.sha256(data).hexdigest()).write_bytes(data)
