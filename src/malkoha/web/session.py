"""Logging in and out with a token, for whoever has no page for it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, HTTPException, Request, Response

from malkoha.web.service import Asker, Given

router = APIRouter(prefix="/api/v1/session", tags=["session"])
OPEN: dict[str, Any] = {"security": []}
"""These need no token: they are how a browser comes to a session."""


@router.get("", openapi_extra=OPEN)
def session_view(given: Given, asker: Asker) -> dict[str, Any]:
    """Tell who asks, with which role, and whether a token is asked for at all."""
    name, role = (asker.name, asker.role.value) if asker else (None, None)
    return {"name": name, "role": role, "needed": given.access.asks()}


@router.post("", openapi_extra=OPEN)
def session_open(
    given: Given, request: Request, response: Response, token: Annotated[str, Body(embed=True, max_length=512)]
) -> dict[str, Any]:
    """Begin a session: the answer sets a cookie that stands for the token for twelve hours."""
    asker = given.access.log_in(request, response, token)
    if asker is None:
        raise HTTPException(401, "There is no such token")
    return {"name": asker.name, "role": asker.role.value}


@router.delete("", openapi_extra=OPEN)
def session_close(given: Given, request: Request, response: Response) -> dict[str, Any]:
    """End the session."""
    given.access.log_out(request, response)
    return {"name": None, "role": None}
