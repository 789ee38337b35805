"""The application: Cuckoo 2's REST interface behind the guard; a factory, so that tests make their own."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

import malkoha
from malkoha.config import Settings
from malkoha.errors import HostError, MalkohaError, UsageError
from malkoha.log import printable
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web import api, cape, metrics, pages, session, submitting
from malkoha.web.access import Access
from malkoha.web.guard import Guard
from malkoha.web.metrics import Metrics
from malkoha.web.service import Service
from malkoha.web.v1 import description, knowledge, live, models, results, traces
from malkoha.web.v1 import tasks as tasks_v1

ROUTERS = (
    session.router,
    metrics.router,
    tasks_v1.router,
    live.router,
    traces.router,
    results.router,
    knowledge.router,
    description.router,
    submitting.router,
    api.router,
    cape.router,
    *pages.ROUTERS,
)
"""Each asks for a role (``service.needs``), but that by which callers log in."""

log = logging.getLogger(__name__)


class Application(FastAPI):
    """A FastAPI whose description tells what is really answered: ``models.REFUSALS``, never 422."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            found = super().openapi()
            for methods in found["paths"].values():
                for told in methods.values():
                    told["responses"].pop("422", None)
            for name in ("HTTPValidationError", "ValidationError"):
                found["components"]["schemas"].pop(name, None)
            found["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            found["security"] = [{"token": []}]
        assert self.openapi_schema is not None
        return self.openapi_schema


def application(home: Home, settings: Settings, tasks: Tasks, *, exposed: bool = False) -> Guard:
    """Return the ASGI application of one home; ``exposed`` says that it can be reached from other machines."""
    access = Access(home, settings, exposed=exposed)
    app = interfaces()
    app.state.service = Service(home, settings, tasks, access)
    app.state.metrics = Metrics(home, tasks)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(MalkohaError, _failed)
    app.add_exception_handler(Exception, _broken)
    return Guard(app, access, settings, app.state.metrics.observe)


def interfaces() -> Application:
    """Return all routes, without anything that they work on: enough for their description."""
    app = Application(
        title="malkoha",
        version=malkoha.__version__,
        description="malkoha's own interface (/api/v1), Cuckoo 2's, and a part of CAPE's (/apiv2).",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        responses=models.REFUSALS,
        form_limits={"max_fields": 128, "max_files": 100, "max_part_size": 256 << 10},
    )
    for router in ROUTERS:
        app.include_router(router)
    return app


def _said(status: int, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"message": printable(message)}, status, headers)


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = error.headers
    if error.status_code == 405:
        # the framework names the methods of the first route alone that has the path
        headers = {"allow": ", ".join(sorted(_methods(request.scope["path"])))}
    return _said(error.status_code, str(error.detail), headers)


def _methods(path: str) -> set[str]:
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    return {method for route in routes if route.path_regex.match(path) for method in route.methods or ()}


def _invalid(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    if where[0] == "path":
        return _said(404, "Not found")
    return _said(400, f"{'.'.join(where[1:])}: {first['msg']}")


def _failed(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, MalkohaError)
    if isinstance(error, HostError):
        log.error("%s", error)
        return _said(500, error.what)
    return _said(400 if isinstance(error, UsageError) else 500, str(error))


def _broken(request: Request, error: Exception) -> JSONResponse:
    del request, error  # the server logs it
    return _said(500, "internal error, the log of the service says more")
