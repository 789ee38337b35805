"""Logging in: a token of the service in, the cookie of a session out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import RedirectResponse

from malkoha.web.pages.rendering import PageRoute, page
from malkoha.web.service import Given

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/login")
def login(request: Request, place: Annotated[str, Query(alias="next", max_length=400)] = "/") -> Response:
    """Ask for a token."""
    return page(request, "login.html.j2", next=_own(place), wrong=False)


@router.post("/login")
def log_in(
    request: Request,
    given: Given,
    token: Annotated[str, Form(max_length=512)] = "",
    place: Annotated[str, Form(alias="next", max_length=400)] = "/",
) -> Response:
    """Begin a session and lead to where the caller wanted to be."""
    answer = RedirectResponse(_own(place), 303)
    if given.access.log_in(request, answer, token) is None:
        return page(request, "login.html.j2", status=401, next=_own(place), wrong=True)
    return answer


@router.post("/logout")
def log_out(request: Request, given: Given) -> Response:
    """End the session."""
    answer = RedirectResponse("/login", 303)
    given.access.log_out(request, answer)
    return answer


def _own(place: str) -> str:
    """Return a path of this service; ``//elsewhere`` and what browsers take for it lead to the list."""
    plain = place.isascii() and place.isprintable() and "\\" not in place
    return place if plain and place.startswith("/") and not place.startswith("//") else "/"
