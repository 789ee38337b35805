"""docs/reference/rest.md, made from the description of the interfaces."""

from __future__ import annotations

from malkoha.web.app import interfaces
from malkoha.web.v1.description import groups

_BEFORE = """# REST

Made from the interfaces by `make docs`; a running service tells the same at `/api/v1/openapi.json` and `/api/v1/docs`.
The [guide](../guides/rest.md) says how to use them. Refusals are `{"message": ...}` with the status 400, 401, 403, 404,
409, 413, 429, 500 or 507.
"""


def markdown() -> str:
    """Return the page: every operation with its parameters and an example of its answer."""
    parts = [_BEFORE]
    for name, operations in groups(interfaces().openapi()):
        parts.append(f"\n## {name.capitalize()}\n")
        for each in operations:
            parts.append(f"\n### {each['method']} {each['path']}\n\n{' '.join(each['text'].split())}\n")
            if each["parameters"]:
                parts.append("\n| parameter | in | type | meaning |\n|---|---|---|---|\n")
                parts += [
                    f"| `{_cell(one['name'])}` | {one['place']} | {_cell(one['type'])} | {_cell(one['text'])} |\n"
                    for one in each["parameters"]
                ]
            if each["example"]:
                parts.append(f"\n```\n{each['example'].rstrip()}\n```\n")
    return "".join(parts)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
