"""Who asks: the token or the session of a request in, a caller with a role out."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

from starlette.requests import Request
from starlette.responses import Response

from malkoha.config import Settings
from malkoha.store import Home
from malkoha.web.tokens import Role, Tokens, digest

COOKIE = "malkoha"
SESSION_S = 12 * 3600
MAX_SESSIONS = 1000
"""How many sessions are kept; when there are more, the oldest ends."""


@dataclass(frozen=True)
class Caller:
    """Whoever made a request; without tokens everybody on this machine is ``local``, with every right."""

    name: str
    role: Role
    session: bool = False
    """Whether a browser's cookie said so, not a header."""


LOCAL = Caller("local", Role.ADMIN)


class Access:
    """The tokens of one home and the sessions of browsers that logged in with one.

    ``exposed`` says that others can reach the service: it then answers nobody without a token, even when there is none.
    """

    def __init__(self, home: Home, settings: Settings, *, exposed: bool = False) -> None:
        self._tokens = Tokens(home, settings.service.token)
        self._exposed = exposed
        self._sessions: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def asks(self) -> bool:
        """Tell whether a token has to be shown."""
        return self._exposed or bool(self._tokens.all())

    def caller(self, headers: Mapping[bytes, str]) -> Caller | None:
        """Return who made a request with these headers (names in small letters); None for somebody unknown."""
        if not self.asks():
            return LOCAL
        if b"authorization" in headers:
            kind, _, secret = headers[b"authorization"].partition(" ")
            token = self._tokens.of(secret.strip()) if kind.lower() in ("bearer", "token") else None
            return Caller(token.name, token.role) if token else None
        return self._of_session(_cookie(headers.get(b"cookie", "")))

    def log_in(self, request: Request, response: Response, secret: str) -> Caller | None:
        """Begin a session for a browser that shows a secret: ``response`` gets the cookie; None for a wrong one."""
        token = self._tokens.of(secret.strip())
        if token is None:
            return None
        session = secrets.token_urlsafe(32)
        self._sessions[digest(session)] = token.name, time.monotonic() + SESSION_S
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        secure = request.url.scheme == "https"
        response.set_cookie(COOKIE, session, max_age=SESSION_S, httponly=True, samesite="strict", secure=secure)
        return Caller(token.name, token.role, session=True)

    def log_out(self, request: Request, response: Response) -> None:
        """End the session of a browser, here and in the browser."""
        self._sessions.pop(digest(request.cookies.get(COOKIE, "")), None)
        response.delete_cookie(COOKIE, httponly=True, samesite="strict")

    def _of_session(self, session: str) -> Caller | None:
        key = digest(session)
        name, ends = self._sessions.get(key, ("", 0.0))
        if time.monotonic() > ends:
            self._sessions.pop(key, None)
            return None
        token = self._tokens.named(name)
        return Caller(token.name, token.role, session=True) if token else None


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
