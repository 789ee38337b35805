"""What every request has to pass before anything of it is read: who asks, from where, and how much is sent."""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import msgspec

from malkoha.config import Settings
from malkoha.errors import MalkohaError
from malkoha.web.access import Access
from malkoha.web.limits import Limit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
log = logging.getLogger(__name__)

Observe = Callable[[str, int, float], None]
"""Takes method, status and seconds of each request."""
App = Callable[[Scope, Receive, Send], Awaitable[None]]

FIELDS_BYTES = 1 << 20
"""What a request may hold besides a file."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
"""Of every answer that brings none of its own: nothing in it is ever run or loaded."""


OPEN = ("/login", "/static/", "/api/v1/session")
"""Where somebody comes who has not logged in yet: these paths, and those below one that ends with a slash."""
WRONG_TOKENS_PER_MINUTE = 30


class Refusal(NamedTuple):
    """What is answered in place of the application."""

    status: int
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Guard:
    """ASGI middleware: who asks, from where, how often, how much; headers; a slash at the end of a path is taken off.

    The application finds the caller in ``scope["malkoha.caller"]``: None on the paths of ``OPEN`` for somebody unknown.
    """

    def __init__(self, app: App, access: Access, settings: Settings, observe: Observe = lambda *_: None) -> None:
        self._app, self._access, self._observe = app, access, observe
        self._max_upload = (settings.analysis.max_sample_mb << 20) + FIELDS_BYTES
        self._requests = Limit(settings.service.requests_per_minute)
        self._submissions = Limit(settings.service.submissions_per_minute)
        self._wrong = Limit(WRONG_TOKENS_PER_MINUTE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        path = scope["path"].rstrip("/") or "/"
        inner = {**scope, "path": path, "raw_path": path.encode()}
        try:
            refused = self._refusal(inner, headers)
        except MalkohaError:
            log.exception("the tokens cannot be read")
            refused = Refusal(500, "the tokens of this service cannot be read, its log says more")
        if scope["type"] == "websocket":
            # closed before it is accepted, which a client sees as status 403
            await (send({"type": "websocket.close", "code": 1008}) if refused else self._app(inner, receive, send))
            return
        began, status = time.monotonic(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._bounded(inner, receive, _with_headers(noted), refused, self._limit(headers))
        finally:
            spent = time.monotonic() - began
            self._observe(str(scope["method"]), status, spent)
            who = inner.get("malkoha.caller")
            facts = {"method": scope["method"], "path": path, "status": status, "seconds": round(spent, 4)}
            facts["caller"] = who.name if who else None
            log.info("%s %s %d", scope["method"], path, status, extra={"facts": facts})

    async def _bounded(
        self, scope: Scope, receive: Receive, send: Send, refused: Refusal | None, max_bytes: int
    ) -> None:
        """Answer a request of which at most ``max_bytes`` are read."""
        if refused is not None:
            await _answer(send, refused)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            if seen > max_bytes:
                return {"type": "http.disconnect"}
            message = await receive()
            seen += len(message.get("body", b""))
            # a body without a length may be without an end: for whoever reads it, it breaks off here
            return message if seen <= max_bytes else {"type": "http.disconnect"}

        async def answer(message: Message) -> None:
            if seen <= max_bytes:
                await send(message)

        await self._app(scope, counted, answer)
        if seen > max_bytes:
            await _answer(send, _too_large(max_bytes))

    def _limit(self, headers: dict[bytes, str]) -> int:
        """Return how large a body may be: only forms carry files."""
        form = headers.get(b"content-type", "").lower().startswith("multipart/form-data")
        return self._max_upload if form else FIELDS_BYTES

    def _refusal(self, scope: Scope, headers: dict[bytes, str]) -> Refusal | None:
        """Return why a request is refused; else note who made it in ``scope``."""
        if not self._access.asks() and not _is_loopback(headers.get(b"host", "")):
            # a page elsewhere whose name was made to lead here must not speak to a service that asks for no token
            return Refusal(403, "This service answers to the names of this machine only")
        origin = headers.get(b"origin")
        foreign = origin is not None and urlsplit(origin).netloc != headers.get(b"host", "")
        # a picture or a script of another page sends no origin, but browsers tell where it comes from
        foreign |= headers.get(b"sec-fetch-site") in ("cross-site", "same-site") and not _is_visit(scope, headers)
        if foreign:
            return Refusal(403, "Pages of other origins may not use this service")
        address = str((scope.get("client") or ("",))[0])
        if (wait := self._wrong.wait_s(address, take=False)) > 0:
            return _too_many(wait)
        caller = self._access.caller(headers)
        scope["malkoha.caller"] = caller
        if caller is None and (refused := self._unknown(scope, headers, address)) is not None:
            return refused
        key = caller.name if caller else address
        wait = self._requests.wait_s(key)
        if scope.get("method") == "POST":
            wait = wait or self._submissions.wait_s(key)
        if wait:
            return _too_many(wait)
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length) > self._limit(headers):
            return _too_large(self._limit(headers))
        return None

    def _unknown(self, scope: Scope, headers: dict[bytes, str], address: str) -> Refusal | None:
        path = scope["path"]
        if b"authorization" in headers or (scope.get("method") == "POST" and path in OPEN):
            self._wrong.wait_s(address)
        if any(path == place or (place.endswith("/") and path.startswith(place)) for place in OPEN):
            return None
        if scope.get("method") == "GET" and "text/html" in headers.get(b"accept", ""):
            return Refusal(303, "Please log in", ((b"location", b"/login?next=" + quote(path).encode()),))
        return Refusal(
            401,
            "Please show a token of this service: Authorization: Bearer TOKEN",
            ((b"www-authenticate", b"Bearer"),),
        )


def _with_headers(send: Send) -> Send:
    async def out(message: Message) -> None:
        if message["type"] == "http.response.start":
            given = list(message.get("headers", []))
            own = {name.lower() for name, _ in given}
            message["headers"] = [*given, *(header for header in (*HEADERS, POLICY) if header[0] not in own)]
        await send(message)

    return out


def _is_visit(scope: Scope, headers: dict[bytes, str]) -> bool:
    """Tell whether somebody follows a link to one of our pages."""
    document = headers.get(b"sec-fetch-mode") == "navigate" and headers.get(b"sec-fetch-dest") == "document"
    return document and scope.get("method") == "GET"


def _too_large(max_bytes: int) -> Refusal:
    return Refusal(413, f"The request is too large: at most {max_bytes >> 20} MiB are accepted")


def _too_many(wait_s: float) -> Refusal:
    seconds = math.ceil(wait_s)
    return Refusal(429, f"Too many requests: please wait {seconds} seconds", ((b"retry-after", str(seconds).encode()),))


async def _answer(send: Send, refused: Refusal) -> None:
    body = msgspec.json.encode({"message": refused.message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *refused.headers]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return is_loopback(name)


def is_loopback(name: str) -> bool:
    """Tell whether a name or address means this machine alone."""
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
