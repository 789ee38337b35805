"""What report.html shows of archives, Office files and PDFs: lists of lines and quoted sources."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malkoha.reporting.wording import items, mapping, number, shorten

TEXT = 600
HEAD = 60
SOURCE = 16_000


def documents(static: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Give the model of documents.html.j2: one entry for each of archive, office and pdf that is there."""
    return [
        make(mapping(static.get(name)))
        for name, make in (("archive", _archive), ("office", _office), ("pdf", _pdf))
        if mapping(static.get(name))
    ]


def _list(title: str, label: str, lines: list[str]) -> dict[str, Any]:
    return {
        "label": label,
        "key": f"{title}_{label}".lower().replace(" ", "_"),
        "head": [shorten(line, TEXT) for line in lines[:HEAD]],
        "rest": [],
        "block": "",
        "total": len(lines),
        "missed": 0,
    }


def _entry(title: str, kind: str, lists: list[tuple[str, list[str]]], texts: list[tuple[str, Any]]) -> dict[str, Any]:
    return {
        "title": title,
        "kind": shorten(kind, 80),
        "lists": [_list(title, label, lines) for label, lines in lists if lines],
        "texts": [{"title": shorten(name, 200), "text": str(text)[:SOURCE]} for name, text in texts[:40]],
    }


def _lines(told: Any) -> list[str]:
    return [str(each) for each in items(told)]


def _file(told: Any) -> str:
    entry = mapping(told)
    words = [str(entry.get("name", "")), "" if entry.get("size") is None else f"{int(number(entry['size'])):,} bytes"]
    kind = str(entry.get("kind", "file"))
    words += [kind if kind != "file" else "", "encrypted" if entry.get("encrypted") else "", str(entry.get("why", ""))]
    return "  ".join(word for word in (*words, str(entry.get("sha256", ""))) if word)


def _archive(told: Mapping[str, Any]) -> dict[str, Any]:
    opened = [f"opened with the password {told['password']}"] if told.get("password") else []
    lists = [
        ("members", list(map(_file, items(told.get("members"))))),
        ("remarks", opened + _lines(told.get("remarks"))),
    ]
    return _entry("Archive", str(told.get("format", "")), lists, [])


def _office(told: Mapping[str, Any]) -> dict[str, Any]:
    macros = [mapping(each) for each in items(told.get("macros"))]
    lists = [
        ("macros that run by themselves", [each for macro in macros for each in _lines(macro.get("runs_by_itself"))]),
        ("calls of note in macros", sorted({each for macro in macros for each in _lines(macro.get("calls"))})),
        ("links", [" ".join(map(str, mapping(link).values())) for link in items(told.get("links"))]),
        ("DDE", _lines(told.get("dde"))),
        ("events", _lines(told.get("events"))),
        ("embedded", list(map(_file, items(told.get("embedded"))))),
        ("not read", _lines(told.get("errors"))),
    ]
    texts = [(f"macro: {macro.get('name', '')}", macro.get("source", "")) for macro in macros]
    return _entry("Office file", "encrypted" if told.get("encrypted") else "", lists, texts)


def _pdf(told: Mapping[str, Any]) -> dict[str, Any]:
    lists = [
        ("when it is opened", _lines(told.get("opens_with"))),
        ("launches", _lines(told.get("launches"))),
        ("URLs", _lines(told.get("urls"))),
        ("embedded", list(map(_file, items(told.get("embedded"))))),
        ("keys of note", [f"/{key} {count}" for key, count in mapping(told.get("keys")).items()]),
        ("not read", _lines(told.get("errors"))),
    ]
    scripts = [("script", mapping(each).get("text", "")) for each in items(told.get("scripts"))]
    kind = f"{told.get('version', '')}{' encrypted' if told.get('encrypted') else ''}"
    return _entry("PDF", kind, lists, scripts)
