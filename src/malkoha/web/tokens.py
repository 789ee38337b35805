"""The tokens of the service: names and roles in, secrets out once; only hashes are kept, in one file of the home."""

from __future__ import annotations

import fcntl
import hashlib
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

import msgspec

from malkoha.errors import ConfigError, HostError, UsageError
from malkoha.store import Home

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
SETTING = "service.token"
"""Name of the token that the settings give."""


class Role(StrEnum):
    """What a token may do; each role may do what those before it may."""

    READ = "read"
    SUBMIT = "submit"
    ADMIN = "admin"

    def covers(self, other: Role) -> bool:
        """Tell whether whoever has this role may do what needs the other."""
        return _ORDER.index(self) >= _ORDER.index(other)


_ORDER = list(Role)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """One token, without its secret: 32 random bytes need no slow hash."""

    name: str
    role: Role
    sha256: str
    added_at: datetime


class Tokens:
    """The file of one home; it is read again whenever it has changed, so that a removed token ends at once."""

    def __init__(self, home: Home, setting: str = "") -> None:
        self._path = home.tokens
        self._setting = (
            [Token(name=SETTING, role=Role.ADMIN, sha256=digest(setting), added_at=datetime.now(UTC))]
            if setting
            else []
        )
        self._stamp: tuple[int, int, int] | None = None
        self._known: dict[str, Token] = {}

    def all(self) -> list[Token]:
        """Return every token, that of the settings first; raise HostError when the file cannot be read."""
        return list(self._current().values())

    def of(self, secret: str) -> Token | None:
        """Return the token that a secret belongs to."""
        return self._current().get(digest(secret))

    def named(self, name: str) -> Token | None:
        """Return the token of a name."""
        return next((token for token in self.all() if token.name == name), None)

    def add(self, name: str, role: Role) -> str:
        """Make a token and return its secret, which cannot be read again."""
        if NAME.fullmatch(name) is None or name == SETTING:
            raise UsageError(f"{name!r} is no name for a token", "", "letters, digits and . _ @ -, at most 64")
        secret = "mk_" + secrets.token_urlsafe(32)
        with self._changed() as tokens:
            if any(token.name == name for token in tokens):
                raise UsageError(f"there is a token {name} already", "", f"malkoha token remove {name}")
            tokens.append(Token(name=name, role=role, sha256=digest(secret), added_at=datetime.now(UTC)))
        return secret

    def remove(self, name: str) -> None:
        """Remove a token; whoever shows it, or logged in with it, is refused from now on."""
        with self._changed() as tokens:
            kept = [token for token in tokens if token.name != name]
            if len(kept) == len(tokens):
                raise UsageError(f"there is no token {name}", "", "malkoha token list shows them")
            tokens[:] = kept

    def _current(self) -> dict[str, Token]:
        try:
            found = self._path.stat()
            stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        except FileNotFoundError:
            stamp = (0, 0, 0)
        if stamp != self._stamp:
            self._known = {token.sha256: token for token in [*self._setting, *_read(self._path)]}
            self._stamp = stamp
        return self._known

    @contextmanager
    def _changed(self) -> Iterator[list[Token]]:
        """Yield the list of the file and write it in one step, while nobody else changes it."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.with_suffix(".lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                tokens = _read(self._path)
                yield tokens
                new = self._path.with_suffix(".new")
                new.unlink(missing_ok=True)
                new.touch(mode=0o600, exist_ok=False)
                new.write_bytes(msgspec.json.format(msgspec.json.encode(tokens)))
                new.replace(self._path)
        except OSError as error:
            raise HostError(f"{self._path} cannot be written", error.strerror or str(error)) from error


def digest(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> list[Token]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Token])
    except FileNotFoundError:
        return []
    except msgspec.MsgspecError as error:
        raise ConfigError(f"{path} is no list of tokens", str(error), "remove it, and add the tokens again") from error
    except OSError as error:
        raise HostError(f"{path} cannot be read", error.strerror or str(error)) from error
