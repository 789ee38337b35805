"""What every endpoint works on, and how it gets it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from malkoha.config import Settings
from malkoha.store import Home
from malkoha.tasks import Tasks


@dataclass(frozen=True)
class Service:
    """One home with its settings and its table of tasks."""

    home: Home
    settings: Settings
    tasks: Tasks


def service(request: Request) -> Service:
    """Return what the application works on."""
    found: Service = request.app.state.service
    return found


Given = Annotated[Service, Depends(service)]
