"""The services of the simulated internet, most particular first; the sink takes what nobody else knows."""

from __future__ import annotations

from malkoha.network.services.base import Service
from malkoha.network.services.dns import Dns
from malkoha.network.services.http import Http
from malkoha.network.services.sink import Sink

SERVICES: tuple[type[Service], ...] = (
    Dns,
    Http,
    Sink,
)
