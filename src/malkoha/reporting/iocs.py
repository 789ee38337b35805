"""Indicators of compromise of a report: from what it did (network, files) and from what the sample says (static).

Out: one list, each with its type, where it comes from, and a defanged form that nothing makes a link of. Addresses of
the simulated internet, of private networks and of the host itself are no indicators.
"""

from __future__ import annotations

import csv
import io
import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from malkoha.reporting.wording import items, mapping

LIMIT = 5_000
TEXT = 2_000
_HOST = re.compile(r"(?=.{4,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}", re.IGNORECASE)
_STATIC = (
    ("urls", "url"),
    ("ips", "ip"),
    ("domains", "domain"),
    ("onions", "domain"),
    ("emails", "email"),
    ("wallets", "wallet"),
)


class Indicator(msgspec.Struct, frozen=True, kw_only=True):
    """One indicator."""

    type: str
    """``sha256``, ``sha1``, ``md5``, ``url``, ``domain``, ``ip``, ``email``, ``wallet``, ``path``."""
    value: str
    defanged: str
    source: str
    """``sample``, ``dropped``, ``behaviour`` (it was reached), or ``strings`` (it only stands in the file)."""


def defang(kind: str, value: str) -> str:
    """Make a value that no program takes for a link: hxxp, [.] and [@]."""
    if kind == "url":
        scheme, separator, rest = value.partition("://")
        host, slash, path = rest.partition("/")
        scheme = re.sub("^http", "hxxp", scheme, flags=re.IGNORECASE).replace("ftp", "fxp")
        return scheme + separator + host.replace(".", "[.]").replace("@", "[@]") + slash + path
    if kind in ("domain", "ip"):
        return value.replace(".", "[.]") if "." in value else value.replace(":", "[:]")
    return value.replace("@", "[@]").replace(".", "[.]") if kind == "email" else value


def indicators(report: Mapping[str, Any]) -> list[Indicator]:
    """List the indicators of a report, each once, what was done before what only stands in the file."""
    found: dict[tuple[str, str], Indicator] = {}
    for kind, value, source in _all(report):
        text = value.strip()[:TEXT]
        if len(found) < LIMIT and text and (kind, text) not in found and _counts(kind, text):
            found[kind, text] = Indicator(type=kind, value=text, defanged=defang(kind, text), source=source)
    return list(found.values())


def _counts(kind: str, value: str) -> bool:
    if kind == "ip":
        try:
            address = ipaddress.ip_address(value.split("%", maxsplit=1)[0])
        except ValueError:
            return False
        documentation = any(address in net for net in _DOCUMENTATION if net.version == address.version)
        return (address.is_global or documentation) and not address.is_multicast
    return kind != "domain" or _HOST.fullmatch(value) is not None


_DOCUMENTATION = tuple(
    map(ipaddress.ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"))
)
"""Reserved for examples: a sample that names one is a test, and a test wants to see it."""


def _all(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    file = mapping(mapping(report.get("target")).get("file"))
    for kind in ("sha256", "sha1", "md5"):
        yield kind, str(file.get(kind) or ""), "sample"
    if url := mapping(report.get("target")).get("url"):
        yield "url", str(url), "sample"
    for entry in map(mapping, items(report.get("dropped"))):
        yield "sha256", str(entry.get("sha256") or ""), "dropped"
    yield from _done(report)
    static = mapping(mapping(report.get("static")).get("indicators"))
    for name, kind in _STATIC:
        for value in items(static.get(name)):
            yield kind, str(value), "strings"
    for url in [*items(file.get("urls")), *items(static.get("urls"))]:
        yield from _host(str(url), "strings")


def _done(report: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    summary = mapping(mapping(report.get("behavior")).get("summary"))
    network = mapping(report.get("network"))
    for url in items(summary.get("fetches_url")):
        yield "url", str(url), "behaviour"
        yield from _host(str(url), "behaviour")
    for entry in map(mapping, [*items(network.get("http")), *items(network.get("http_ex"))]):
        if "://" in str(entry.get("uri") or entry.get("url") or ""):
            yield "url", str(entry.get("uri") or entry.get("url")), "behaviour"
    for name in [*items(summary.get("resolves_host")), *items(summary.get("connects_host"))]:
        yield "domain", str(name), "behaviour"
    for entry in map(mapping, [*items(network.get("dns")), *items(network.get("domains"))]):
        yield "domain", str(entry.get("request") or entry.get("domain") or ""), "behaviour"
    for value in items(summary.get("connects_ip")):
        yield "ip", re.sub(r"^\[?([0-9a-fA-F:.]+?)\]?(?::\d+)?$", r"\1", str(value)), "behaviour"
    for value in items(summary.get("file_created")):
        if str(value).startswith(
            ("/etc/", "/usr/", "/lib", "/bin/", "/sbin/", "/var/spool/", "/root/.", "/boot/", "/opt/")
        ):
            yield "path", str(value), "behaviour"


def _host(url: str, source: str) -> Iterator[tuple[str, str, str]]:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        return
    yield ("ip" if re.fullmatch(r"[0-9.]+|.*:.*", host) else "domain"), host, source


def as_json(report: Mapping[str, Any]) -> bytes:
    """Give the list as JSON."""
    return msgspec.json.format(msgspec.json.encode(indicators(report)), indent=2) + b"\n"


def as_csv(report: Mapping[str, Any]) -> bytes:
    """Give the list as CSV; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("type", "value", "defanged", "source"))
    for each in indicators(report):
        writer.writerow([_cell(cell) for cell in (each.type, each.value, each.defanged, each.source)])
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: str) -> str:
    return "'" + value if value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
