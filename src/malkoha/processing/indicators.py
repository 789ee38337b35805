"""Section ``static``, key ``indicators``: what the strings of a sample name, sorted by kind.

In: the bytes of the sample, and what was unpacked or decoded from it. Out: kind -> texts, each once, in order, at most
500 of a kind. A text in a file is a hint: the report's network and behaviour sections say what was really reached.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Callable, Iterator

from malkoha.processing.base import Earlier, Facts, Processing
from malkoha.processing.packer import PackerModule
from malkoha.processing.scripts import ScriptModule
from malkoha.processing.strings import LONGEST, strings
from malkoha.processing.target import urls

LIMIT = 500
READ = 16 << 20
FILES = 32
STRINGS = 100_000
_TLD = (
    "com|net|org|info|biz|xyz|top|site|online|club|shop|icu|live|pro|cc|io|me|tv|ws|pw|su|ru|cn|ua|de|fr|nl|eu|uk|co|us|ca|br|in|"
    "ir|kr|jp|vn|tk|ml|ga|cf|gq|to|sh|app|dev|cloud|link|space|website|host|store|fun|tech|rocks|today|world|asia|mobi|name|"
    "onion|i2p|bit|lib|edu|gov|mil|int|pl|it|es|se|no|fi|ch|at|be|cz|sk|hu|ro|bg|gr|tr|il|za|au|nz|sg|hk|tw|id|my|th|ph|mx|ar|cl"
)
_DOMAIN = re.compile(
    rf"(?<![\w@./\\%$-])(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.){{1,5}}(?:{_TLD})(?![\w-]|\.[a-z0-9(])",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{1,4}(?![\w:.])", re.IGNORECASE)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.)+[a-z]{2,24}\b", re.IGNORECASE)
_ONION = re.compile(r"(?<![a-z2-7])(?:[a-z2-7]{56}|[a-z2-7]{16})\.onion\b")
_PATH = re.compile(
    r"(?<![\w/.:])(?:~|\$HOME)?/(?:bin|boot|dev|etc|home|lib|lib64|media|mnt|opt|proc|root|run|sbin|srv|sys|tmp|usr|var)"
    r"(?:/[\w.@+%$*{}-]{1,128}){1,16}/?|(?<![\w/])~/\.[\w./-]{2,128}"
)
_COMMAND = re.compile(
    r"(?:^|[;&|`(]\s*|\bsudo\s+)(?:/(?:usr/)?s?bin/)?(?:busybox\s+)?"
    r"(?:wget|curl|tftp|ftpget|nc|ncat|socat|chmod|chown|chattr|crontab|iptables|nft|systemctl|service|pkill|killall|kill|useradd|"
    r"usermod|passwd|insmod|modprobe|rmmod|nohup|base64|openssl|ssh|scp|sshpass|docker|kubectl|history|shred|dd|mount|rm|cp|mv|"
    r"python[23]?|perl|php|bash|sh)\s+[-./\w$\"'{<>&|%].{1,300}"
)
_KEYS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("private key", re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")),
    (
        "ssh public key",
        re.compile(r"\b(?:ssh-(?:rsa|dss|ed25519)|ecdsa-sha2-nistp\d{3}) AAAA[A-Za-z0-9+/]{40,}={0,3}(?: \S{1,64})?"),
    ),
    ("AWS access key", re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b")),
    ("GitHub token", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{60,}\b")),
    ("GitLab token", re.compile(r"\bglpat-[A-Za-z0-9_-]{20}\b")),
    ("Slack token", re.compile(r"\bxox[abprs]-[0-9A-Za-z-]{10,}\b")),
    ("Telegram bot token", re.compile(r"\b\d{8,10}:AA[A-Za-z0-9_-]{33}\b")),
    ("Discord webhook", re.compile(r"\bdiscord(?:app)?\.com/api/webhooks/\d+/[\w-]+")),
    ("JSON web token", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{10,}")),
    ("Google API key", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
)
_WALLETS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("bitcoin", re.compile(r"(?<!\w)(?:bc1[ac-hj-np-z02-9]{11,71}|[13][a-km-zA-HJ-NP-Z1-9]{25,34})(?!\w)")),
    ("monero", re.compile(r"(?<!\w)[48][0-9AB][1-9A-HJ-NP-Za-km-z]{93}(?:[1-9A-HJ-NP-Za-km-z]{11})?(?!\w)")),
    ("ethereum", re.compile(r"(?<!\w)0x[0-9a-fA-F]{40}(?!\w)")),
)
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def classify(texts: list[str], data: bytes = b"") -> dict[str, list[str]]:
    """Sort what strings name by kind; ``data`` is searched for URLs, which strings may cut."""
    found: dict[str, dict[str, None]] = {}

    def add(kind: str, value: str) -> None:
        values = found.setdefault(kind, {})
        if len(values) < LIMIT:
            values[value[:LONGEST]] = None

    for url in urls(data):
        add("urls", url)
    for text in texts:
        for kind, read in _READERS:
            for value in read(text):
                add(kind, value)
    return {kind: list(values) for kind, values in found.items()}


def _domains(text: str) -> Iterator[str]:
    if "." in text:
        for match in _DOMAIN.finditer(text):
            name = match.group().lower()
            if not name.endswith(".onion") and not re.fullmatch(
                r"[\w-]+\.(?:sh|me|pl|in|so|app|name|id|lib|int|it|to|at)", name
            ):
                yield name


def _addresses(text: str) -> Iterator[str]:
    candidates = [match.group() for match in _IPV4.finditer(text)]
    candidates += [match.group() for match in _IPV6.finditer(text)] if "::" in text or text.count(":") >= 5 else []
    for candidate in candidates:
        try:
            address = ipaddress.ip_address(candidate)
        except ValueError:
            continue
        octets = candidate.split(".")
        # 1.2.3.4 with small parts alone is a version more often than an address
        version = address.version == 4 and all(int(octet) < 20 for octet in octets) and octets[0] != "10"
        if not (address.is_unspecified or address.is_loopback or address.is_multicast or version):
            yield candidate


def _matching(pattern: re.Pattern[str], needs: str = "") -> Callable[[str], Iterator[str]]:
    def read(text: str) -> Iterator[str]:
        if needs in text:
            for match in pattern.finditer(text):
                yield match.group().strip(" ;&|`(")

    return read


def _wallets(text: str) -> Iterator[str]:
    for coin, pattern in _WALLETS:
        for match in pattern.finditer(text):
            if coin != "bitcoin" or _is_bitcoin(match.group()):
                yield f"{coin}: {match.group()}"


def _is_bitcoin(text: str) -> bool:
    """Check the checksum: base58check, or bech32 and bech32m."""
    if text.startswith("bc1"):
        checksum = 1
        values = [ord(letter) >> 5 for letter in "bc"] + [0] + [ord(letter) & 31 for letter in "bc"]
        for value in values + [_BECH32.find(letter) for letter in text[3:]]:
            top = checksum >> 25
            checksum = (checksum & 0x1FFFFFF) << 5 ^ value
            for bit, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                checksum ^= generator if top >> bit & 1 else 0
        return checksum in (1, 0x2BC830A3)
    number = 0
    for letter in text:
        number = number * 58 + _BASE58.index(letter)
    if number >= 1 << 200:
        return False
    raw = number.to_bytes(25, "big")
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def _keys(text: str) -> Iterator[str]:
    for label, pattern in _KEYS:
        for match in pattern.finditer(text):
            yield f"{label}: {match.group()}"


_READERS: tuple[tuple[str, Callable[[str], Iterator[str]]], ...] = (
    ("ips", _addresses),
    ("domains", _domains),
    ("onions", _matching(_ONION, ".onion")),
    ("emails", _matching(_EMAIL, "@")),
    ("wallets", _wallets),
    ("keys", _keys),
    ("paths", _matching(_PATH, "/")),
    ("commands", _matching(_COMMAND, " ")),
)


class IndicatorsModule(Processing):
    """Make the key ``indicators`` of the section ``static``."""

    name = "indicators"
    requires = (PackerModule, ScriptModule)
    isolated = True
    timeout_s = 60.0

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        return facts.store.sample.exists()

    def run(self, facts: Facts, earlier: Earlier) -> dict[str, list[str]]:
        del earlier
        texts: list[str] = []
        whole = b""
        unpacked = sorted(facts.store.unpacked.iterdir())[:FILES] if facts.store.unpacked.is_dir() else []
        for path in (facts.store.sample, *unpacked):
            with path.open("rb") as file:
                data = file.read(READ)
            texts += strings(data, STRINGS)
            whole += data
        return classify(texts, whole[: 2 * READ])
