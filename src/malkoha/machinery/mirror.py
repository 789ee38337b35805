"""Finds where Debian packages come from: the host's own apt configuration in, lines for the guest's sources.list out.

Reads sources.list and sources.list.d (one-line and deb822 form, sources.list(5)), keeps what belongs to Debian's own
archive, and writes the same mirrors down for the guest's suite. The setting ``guest.mirror`` takes their place, and is
needed where the host is not Debian. Proxies and the like follow as apt options; passwords stay in the host's files.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec

from malkoha.errors import HostError

APT = Path("/etc/apt")
OS_RELEASE = Path("/etc/os-release")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")

_SUITE_ALIASES = frozenset({"stable", "oldstable", "oldoldstable", "testing", "unstable", "sid"})
_KEPT_OPTIONS = re.compile(
    r"Acquire::(https?|ftp|tor|Retries|Check-Valid-Until|Check-Date|Max-ValidTime|Min-ValidTime|ForceIPv[46]"
    r"|Queue-Mode|By-Hash|Max-FutureTime|Connect)\b",
    re.IGNORECASE,
)


class Source(msgspec.Struct, frozen=True):
    """One archive as apt knows it: a URI and the suites and components taken from it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str = ""


class Mirror(msgspec.Struct, frozen=True):
    """Where the guest's packages come from."""

    lines: tuple[str, ...]
    """Lines of a sources.list; may hold a user name and password of the URI, so they are never shown."""

    @property
    def shown(self) -> tuple[str, ...]:
        """The same lines without user names and passwords."""
        return tuple(_without_secrets(line) for line in self.lines)


def find_mirror(suite: str, *, override: str = "", apt: Path = APT, os_release: Path = OS_RELEASE) -> Mirror:
    """Name the archives for ``suite``: from ``override`` when it is set, else from the host's own configuration.

    ``override`` is the URI of a Debian archive, and after a space that of its security archive where there is one.
    """
    if override.strip():
        return Mirror(tuple(_override_lines(suite, override.split())))
    mend = "set guest.mirror in config.toml (or MALKOHA_GUEST_MIRROR) to the URI of a Debian archive"
    release = _os_release(os_release)
    if release.get("ID") != "debian":
        why = f"this host is {release.get('PRETTY_NAME', 'not Debian')}, so its apt sources hold no Debian packages"
        raise HostError("there is no mirror for the Debian guest", why, mend)
    sources = [source for source in read_sources(apt) if _may_be_debian(source)]
    codename = release.get("VERSION_CODENAME", "")
    lines = list(dict.fromkeys(_lines_for(suite, codename, sources)))
    if not any(f" {suite} " in line for line in lines):
        raise HostError("there is no mirror for the Debian guest", f"no Debian archive stands in {apt}", mend)
    return Mirror(tuple(lines))


def read_sources(apt: Path = APT) -> list[Source]:
    """Read all enabled binary sources below ``apt``, in apt's order; a line that can't be read is apt's to report."""
    found: list[Source] = []
    files = [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]
    for file in files:
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if file.suffix == ".list":
            found.extend(_one_line_sources(text))
        elif file.suffix == ".sources":
            found.extend(_deb822_sources(text))
    return found


def apt_options(command: tuple[str, ...] = ("apt-config", "dump")) -> list[str]:
    """Return the host's ways to reach a mirror (proxy, retries, validity checks, passwords) as lines of an apt.conf.

    The password files are named, not read: apt opens them itself and nothing of them enters the guest.
    """
    dump = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    kept = [line for line in dump.splitlines() if _KEPT_OPTIONS.match(line)]
    return [*kept, f'Dir::Etc::netrc "{APT}/auth.conf";', f'Dir::Etc::netrcparts "{APT}/auth.conf.d";']


def _override_lines(suite: str, uris: list[str]) -> Iterator[str]:
    if len(uris) > 2 or not all(re.match(r"[a-z0-9+]+:[^\s\[\]]+$", uri) for uri in uris):
        raise HostError(
            "guest.mirror is not understood",
            "it has to be the URI of a Debian archive, and after a space that of its security archive",
            "correct it in config.toml or MALKOHA_GUEST_MIRROR",
        )
    yield _line(uris[0], suite)
    if len(uris) == 2:
        yield _line(uris[0], f"{suite}-updates")
        yield _line(uris[1], f"{suite}-security")


def _lines_for(suite: str, codename: str, sources: list[Source]) -> Iterator[str]:
    bases = {codename, suite, *_SUITE_ALIASES} - {""}
    for source in sources:
        for name in source.suites:
            base, _, kind = name.partition("-") if "-" in name else name.partition("/")
            if base not in bases:
                continue
            if not kind:
                yield _line(source.uri, suite)
            elif kind == "updates" and "/" in name:
                yield _line(source.uri, f"{suite}-security")
            elif kind in ("updates", "security"):
                yield _line(source.uri, f"{suite}-{kind}")


def _line(uri: str, suite: str) -> str:
    return f"deb {uri} {suite} main"


def _may_be_debian(source: Source) -> bool:
    """Tell Debian's own archive from a vendor's that uses Debian's suite names: by its key."""
    if "main" not in source.components or source.uri.startswith("cdrom:"):
        return False
    return not source.signed_by or "debian-archive" in source.signed_by


def _one_line_sources(text: str) -> Iterator[Source]:
    pattern = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)(?P<components>.*)")
    for raw in text.splitlines():
        match = pattern.match(raw.split("#", 1)[0].strip())
        if match is None:
            continue
        options = match["options"] or ""
        signed_by = re.search(r"signed-by=(\S+)", options)
        yield Source(
            match["uri"], (match["suite"],), tuple(match["components"].split()), signed_by[1] if signed_by else ""
        )


def _deb822_sources(text: str) -> Iterator[Source]:
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        for uri in fields.get("uris", "").split():
            yield Source(
                uri,
                tuple(fields.get("suites", "").split()),
                tuple(fields.get("components", "").split()),
                fields.get("signed-by", ""),
            )


def _os_release(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def _without_secrets(line: str) -> str:
    words = line.split(" ")
    parts = urlsplit(words[1])
    if "@" in parts.netloc:
        words[1] = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return " ".join(words)
