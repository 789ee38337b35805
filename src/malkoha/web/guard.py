"""What every request has to pass before anything of it is read: who asks, from where, and how much is sent."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; sandbox")
"""Of every answer that brings none of its own: nothing in it is ever run or loaded."""


class Guard:
    """ASGI middleware: token, host, size, headers; a slash at the end of a path is taken off."""

    def __init__(self, app: App, *, token: str, max_bytes: int) -> None:
        self._app, self._token, self._max_bytes = app, token, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refused = self._refusal(headers)
        seen = 0

        async def out(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", []))
                own = any(name.lower() == POLICY[0] for name, _ in given)
                message["headers"] = [*given, *HEADERS, *(() if own else (POLICY,))]
            await send(message)

        if refused is not None:
            await _answer(out, *refused)
            return

        async def counted() -> Message:
            nonlocal seen
            if seen > self._max_bytes:
                return {"type": "http.disconnect"}
            message = await receive()
            seen += len(message.get("body", b""))
            # a body without a length may be without an end: for whoever reads it, it breaks off here
            return message if seen <= self._max_bytes else {"type": "http.disconnect"}

        async def answer(message: Message) -> None:
            if seen <= self._max_bytes:
                await out(message)

        path = scope["path"].rstrip("/") or "/"
        await self._app({**scope, "path": path, "raw_path": path.encode()}, counted, answer)
        if seen > self._max_bytes:
            await _answer(out, 413, self._too_large())

    def _refusal(self, headers: dict[bytes, str]) -> tuple[int, str] | None:
        if self._token:
            kind, _, shown = headers.get(b"authorization", "").partition(" ")
            right = hmac.compare_digest(shown.strip().encode(), self._token.encode())
            if kind.lower() not in ("bearer", "token") or not right:
                return 401, "Please show the token of this service: Authorization: Bearer TOKEN"
        elif not _is_loopback(headers.get(b"host", "")):
            # a page elsewhere whose name was made to lead here must not speak to a service that asks for no token
            return 403, "This service answers to the names of this machine only"
        origin = headers.get(b"origin")
        if origin is not None and urlsplit(origin).netloc != headers.get(b"host", ""):
            return 403, "Pages of other origins may not use this service"
        length = headers.get(b"content-length", "0")
        if not length.isdecimal() or int(length) > self._max_bytes:
            return 413, self._too_large()
        return None

    def _too_large(self) -> str:
        return f"The request is too large: at most {self._max_bytes >> 20} MiB are accepted"


async def _answer(send: Send, status: int, message: str) -> None:
    body = msgspec.json.encode({"message": message})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
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
