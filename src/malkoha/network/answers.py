"""What names and paths are answered with: a user's folder first, then what fits and stays the same.

FOLDER/dns.toml            ["evil.example"] A = ["203.0.113.9"], TXT = ["..."]; a name may begin with "*."
FOLDER/http/HOST/PATH      the body for http(s)://HOST/PATH; HOST may be "any"
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path

from malkoha.errors import ConfigError

LARGEST = 64 << 20
_RANGES = (
    (23, 32, 67),
    (45, 56, 79),
    (62, 113, 141),
    (77, 81, 95),
    (91, 192, 239),
    (104, 16, 31),
    (146, 48, 79),
    (185, 4, 255),
)
"""First byte, and bounds of the second: ranges in which hosting companies have their machines."""


def fake_address(name: str) -> str:
    """Return the address that an unknown name has: always the same one, in a range where servers stand."""
    digest = hashlib.sha256(name.lower().rstrip(".").encode("utf-8", "surrogatepass")).digest()
    first, low, high = _RANGES[digest[0] % len(_RANGES)]
    second = low + digest[1] % (high - low + 1)
    return f"{first}.{second}.{digest[2]}.{1 + digest[3] % 254}"


class Answers:
    """Everything that is answered in one way for one run."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._records: dict[str, dict[str, list[str]]] = {}
        if folder is not None and (folder / "dns.toml").is_file():
            self._records = _read_records(folder / "dns.toml")

    def records(self, name: str, kind: str) -> list[str] | None:
        """Return a user's records of one kind for a name; None when the folder does not say anything of the name."""
        name = name.lower().rstrip(".")
        candidates = [name]
        parts = name.split(".")
        candidates += ["*." + ".".join(parts[at:]) for at in range(1, len(parts))]
        for candidate in [*candidates, "*"]:
            if candidate in self._records:
                return self._records[candidate].get(kind, [])
        return None

    def body(self, host: str, path: str) -> bytes | None:
        """Return the user's file for a URL, None when there is none; nothing outside the folder is ever read."""
        if self._folder is None:
            return None
        parts = [part for part in path.split("?", maxsplit=1)[0].split("/") if part]
        if any(part in {".", ".."} or "\0" in part or "\\" in part for part in [host, *parts]) or "/" in host:
            return None
        top = self._folder / "http"
        for site in (host.lower(), "any"):
            file = top.joinpath(site, *(parts or ["index.html"]))
            try:
                if file.is_file() and file.resolve().is_relative_to(top.resolve()) and file.stat().st_size <= LARGEST:
                    return file.read_bytes()
            except OSError:
                continue
        return None


def _read_records(path: Path) -> dict[str, dict[str, list[str]]]:
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path} cannot be used", str(error)) from error
    found: dict[str, dict[str, list[str]]] = {}
    for name, body in document.items():
        if not isinstance(body, dict):
            raise ConfigError(f"{path}: {name} has to be a table", mend='write ["name"] and A = ["address"] below it')
        kinds = {kind.upper(): values if isinstance(values, list) else [values] for kind, values in body.items()}
        found[name.lower().rstrip(".")] = {kind: [str(value) for value in values] for kind, values in kinds.items()}
    return found
