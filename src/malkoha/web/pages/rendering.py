"""From a template and its values to an answer: autoescaped, under a policy that runs and loads our own files only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as AnyHTTPException

from malkoha.errors import HostError, MalkohaError, UsageError
from malkoha.log import printable
from malkoha.reporting import html_report, wording

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Of every page. htmx evaluates nothing here and adds no style (``htmx-config`` in page.html.j2)."""
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
}
PLACES = (
    ("/", "Analyses"),
    ("/submit", "Submit"),
    ("/search", "Search"),
    ("/compare", "Compare"),
    ("/statistics", "Statistics"),
    ("/rules", "Rules"),
    ("/machines", "Machines"),
)
"""What the bar at the top leads to."""

_HERE = Path(__file__).parent
_REPORTING = Path(html_report.__file__).parent

router = APIRouter(include_in_schema=False)


def page(
    request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, **values: Any
) -> HTMLResponse:
    """Render a template; ``whole`` tells it whether the frame of the page is wanted, or only what htmx asked for."""
    values |= {"request": request, "whole": not is_fragment(request), "caller": request.scope.get("malkoha.caller")}
    text = _environment().get_template(template).render(values)
    sent = {"content-security-policy": POLICY, "vary": "hx-request", **(headers or {})}
    return HTMLResponse(text.encode("utf-8", "backslashreplace"), status, sent)


def is_fragment(request: Request) -> bool:
    """Tell whether htmx asks for a part of a page that it has."""
    return "hx-request" in request.headers and "hx-history-restore-request" not in request.headers


class PageRoute(APIRoute):
    """A route whose errors are pages as well."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handle(request)
            except AnyHTTPException as error:
                return _refused(request, error.status_code, str(error.detail))
            except RequestValidationError as error:
                first = error.errors()[0]
                where = ".".join(map(str, first["loc"][1:]))
                return _refused(request, 404 if first["loc"][0] == "path" else 400, f"{where}: {first['msg']}")
            except HostError as error:
                return _refused(request, 500, error.what)
            except MalkohaError as error:
                return _refused(request, 400 if isinstance(error, UsageError) else 500, str(error))

        return answer


def _refused(request: Request, status: int, message: str) -> HTMLResponse:
    headers = {"location": f"/login?{urlencode({'next': request.url.path})}"} if status == 401 else None
    if status == 401 and not is_fragment(request):
        return page(request, "error.html.j2", status=303, headers=headers, code=status, message=printable(message))
    return page(request, "error.html.j2", status=status, code=status, message=printable(message)[:2000])


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Give a file of the pages; its address changes with its content, so a browser may keep it."""
    found = _statics().get(name)
    if found is None:
        raise HTTPException(404, "There is no such file")
    headers = {"cache-control": "max-age=31536000, immutable"}
    return Response(found, media_type=TYPES[Path(name).suffix], headers=headers)


@cache
def _statics() -> dict[str, bytes]:
    """Read what may be asked for: our own files, and the style of report.html, which the pages share."""
    shared = [_REPORTING / "static" / name for name in ("report.css", "theme.js")]
    return {path.name: path.read_bytes() for path in [*sorted((_HERE / "static").iterdir()), *shared]}


@cache
def asset(name: str) -> str:
    """Return the address of a static file."""
    return f"/static/{name}?v={hashlib.sha256(_statics()[name]).hexdigest()[:12]}"


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader([_HERE / "templates", _REPORTING / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "shown": html_report.shown,
        "plain": printable,
        "size": wording.size,
        "took": wording.duration,
        "short": wording.shorten,
        "query": lambda values: urlencode({name: value for name, value in values.items() if value not in (None, "")}),
    }
    environment.globals |= {"asset": asset, "count": wording.count, "places": PLACES}
    return environment
