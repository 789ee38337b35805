"""Section ``target``: hashes, type and entropy of the sample, and the URLs that stand in it."""

from __future__ import annotations

import hashlib
import re
import zlib
from pathlib import Path

from malkoha.model.files import File, Target
from malkoha.processing import fuzzy as near
from malkoha.processing.base import Earlier, Facts, Processing

SEARCH_LIMIT = 16 << 20
"""Bytes from the start in which URLs are looked for and whose entropy is told; larger files have no fuzzy hashes."""
URL_LIMIT = 200
_BLOCK = 1 << 20
_URL = re.compile(rb"\b(?:https?|ftp|tftp|wss?)://[\x21\x23-\x26\x28-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]{3,500}")


def urls(data: bytes) -> list[str]:
    """Find URLs in bytes, each once, in order; at most 200."""
    found = dict.fromkeys(match.group().decode("ascii").rstrip(".,;:)]}") for match in _URL.finditer(data))
    return list(found)[:URL_LIMIT]


def file_facts(path: Path, *, name: str, kind: str, fuzzy: bool = True) -> File:
    """Read a file once and give its hashes; ``name`` is what the user called it, ``kind`` its libmagic type.

    ssdeep, which is slow, is computed with ``fuzzy`` only.
    """
    digests = [hashlib.new(algorithm, usedforsecurity=False) for algorithm in ("md5", "sha1", "sha256", "sha512")]
    crc, size, head = 0, 0, bytearray()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            size += len(block)
            crc = zlib.crc32(block, crc)
            for digest in digests:
                digest.update(block)
            if len(head) < SEARCH_LIMIT:
                head += block
    md5, sha1, sha256, sha512 = (digest.hexdigest() for digest in digests)
    return File(
        name=name,
        path=path.name,
        size=size,
        crc32=f"{crc:08X}",
        md5=md5,
        sha1=sha1,
        sha256=sha256,
        sha512=sha512,
        ssdeep=near.ssdeep(bytes(head)) if fuzzy and size == len(head) else None,
        tlsh=near.tlsh(bytes(head)) if fuzzy and size == len(head) else None,
        entropy=near.entropy(bytes(head[:SEARCH_LIMIT])),
        type=kind,
        urls=urls(bytes(head)),
    )


class TargetModule(Processing):
    """Make the section ``target``."""

    name = "target"

    def run(self, facts: Facts, earlier: Earlier) -> Target:
        del earlier
        sample = facts.task.sample
        if facts.task.category == "url":
            return Target(category="url", url=facts.task.target)
        if sample is None or not facts.store.sample.exists():
            return Target(category="file")
        name = sample.name.decode("utf-8", "backslashreplace")
        return Target(category="file", file=file_facts(facts.store.sample, name=name, kind=sample.type))
