"""The application: Cuckoo 2's REST interface behind the guard; a factory, so that tests make their own."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import malkoha
from malkoha.config import Settings
from malkoha.errors import HostError, MalkohaError, UsageError
from malkoha.log import printable
from malkoha.store import Home
from malkoha.tasks import Tasks
from malkoha.web import api, session, submitting
from malkoha.web.access import Access
from malkoha.web.guard import Guard
from malkoha.web.service import Service

ROUTERS = (session.router, submitting.router, api.router)
"""Each asks for a role (``service.needs``), but that by which callers log in."""

log = logging.getLogger(__name__)


def application(home: Home, settings: Settings, tasks: Tasks, *, exposed: bool = False) -> Guard:
    """Return the ASGI application of one home; ``exposed`` says that it can be reached from other machines."""
    access = Access(home, settings, exposed=exposed)
    app = FastAPI(title="malkoha", version=malkoha.__version__, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.service = Service(home, settings, tasks, access)
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(MalkohaError, _failed)
    app.add_exception_handler(Exception, _broken)
    return Guard(app, access, settings)


def _said(status: int, message: str) -> JSONResponse:
    return JSONResponse({"message": printable(message)}, status)


def _refused(request: Request, error: Exception) -> JSONResponse:
    del request
    assert isinstance(error, HTTPException)
    return _said(error.status_code, str(error.detail))


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
