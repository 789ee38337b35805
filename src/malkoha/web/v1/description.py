"""The description of all interfaces (OpenAPI 3.1), for programs, and as one page for people that loads nothing."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from malkoha.web.service import needs
from malkoha.web.tokens import Role

router = APIRouter(prefix="/api/v1", tags=["service"], dependencies=[needs(Role.READ)])
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
METHODS = ("get", "post", "put", "delete")


@router.get("/openapi.json", include_in_schema=False)
def openapi(request: Request) -> dict[str, Any]:
    """Give the description of every operation."""
    document: dict[str, Any] = request.app.openapi()
    return document


@router.get("/docs", include_in_schema=False)
def page(request: Request) -> Response:
    """Show the description to people."""
    from jinja2 import Environment, PackageLoader

    environment = Environment(loader=PackageLoader("malkoha.web.v1"), autoescape=True, trim_blocks=True)
    text = environment.get_template("docs.html").render(title="malkoha", groups=groups(request.app.openapi()))
    return HTMLResponse(text, headers={"content-security-policy": POLICY})


def groups(document: dict[str, Any]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Return the operations by their tag: method, path, what it does, parameters, and an example of the answer."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method in METHODS:
            if method in methods:
                told = methods[method]
                found.setdefault(told.get("tags", ["other"])[0], []).append(
                    {
                        "method": method.upper(),
                        "path": path,
                        "text": told.get("description", told.get("summary", "")),
                        "parameters": [*_parameters(told), *_fields(told, document)],
                        "example": _example(told, document),
                    }
                )
    return list(found.items())


def _parameters(told: dict[str, Any]) -> list[dict[str, str]]:
    return [
        {
            "name": each["name"],
            "place": each["in"],
            "type": _type(each.get("schema", {})),
            "text": each.get("description", ""),
        }
        for each in told.get("parameters", [])
    ]


def _fields(told: dict[str, Any], document: dict[str, Any]) -> list[dict[str, str]]:
    content = told.get("requestBody", {}).get("content", {})
    for kind, body in content.items():
        place = "form" if "form" in kind else "JSON"
        schema = _resolved(body.get("schema", {}), document)
        return [
            {"name": name, "place": place, "type": _type(each), "text": each.get("description", "")}
            for name, each in schema.get("properties", {}).items()
        ]
    return []


def _example(told: dict[str, Any], document: dict[str, Any]) -> str:
    import msgspec

    for status, answer in told.get("responses", {}).items():
        for content in answer.get("content", {}).values() if status.startswith("2") else []:
            shown = content.get("example", _resolved(content.get("schema", {}), document).get("example"))
            if isinstance(shown, str):
                return shown
            if shown is not None:
                return msgspec.json.format(msgspec.json.encode(shown), indent=2).decode()
    return ""


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: dict[str, Any] = document.get("components", {}).get("schemas", {}).get(name, {}) if name else schema
    return found


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"] if each.get("type") != "null"))
    if "enum" in schema:
        return " | ".join(repr(each) for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or schema.get("$ref", "").rpartition("/")[2])
