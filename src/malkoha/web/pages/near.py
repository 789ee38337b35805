"""How near files are by their fuzzy hashes: distances of TLSH, likeness of ssdeep."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.int32]

TLSH = re.compile(r"(?:T1)?[0-9A-F]{70}")
SSDEEP = re.compile(r"[0-9]{1,10}:[A-Za-z0-9+/]{3,64}:[A-Za-z0-9+/]{1,64}")
NEAR = 100
"""Distance of TLSH up to which files are called alike; its authors take 30 to 100 for variants of a program."""
MOST = 100


def by_tlsh(wanted: str, known: Iterable[tuple[int, str]], most: int = MOST) -> list[tuple[int, int]]:
    """Return those near by TLSH and their distance, the nearest first.

    The distance is that of TLSH 4 ("TLSH - A Locality Sensitive Hash", Oliver and others, 2013, section III.E):
    differences of length, quartile ratios, checksum and buckets, added up.
    """
    import numpy as np

    usable = [(task_id, digest) for task_id, digest in known if TLSH.fullmatch(digest)]
    if not usable or not TLSH.fullmatch(wanted):
        return []
    own = np.frombuffer(_bytes(wanted), np.uint8).astype(np.int32)
    others = np.frombuffer(b"".join(_bytes(digest) for _, digest in usable), np.uint8).reshape(-1, 35).astype(np.int32)
    total = (others[:, 0] != own[0]).astype(np.int32)
    length = _around(_swapped(others[:, 1]), int(_swapped(own[1:2])[0]), 256)
    total += np.where(length <= 1, length, length * 12)
    for shift in (4, 0):
        ratio = _around(others[:, 2] >> shift & 15, int(own[2]) >> shift & 15, 16)
        total += np.where(ratio <= 1, ratio, (ratio - 1) * 12)
    for shift in (0, 2, 4, 6):
        apart = np.abs((others[:, 3:] >> shift & 3) - (own[3:] >> shift & 3))
        total += np.where(apart == 3, 6, apart).sum(axis=1)
    near = np.flatnonzero(total <= NEAR)
    ranked = near[np.argsort(total[near], kind="stable")][:most]
    return [(usable[place][0], int(total[place])) for place in ranked.tolist()]


def by_ssdeep(wanted: str, known: Iterable[tuple[int, str]], most: int = MOST) -> list[tuple[int, int]]:
    """Return those alike by ssdeep and how much, 1 to 100, the most alike first."""
    import ppdeep

    if not SSDEEP.fullmatch(wanted):
        return []
    size = int(wanted.partition(":")[0])
    found = []
    for task_id, digest in known:
        # only hashes of the same block size, its half or its double can be compared
        other = digest.partition(":")[0]
        if not SSDEEP.fullmatch(digest) or int(other) not in (size, 2 * size, size / 2):
            continue
        alike = int(ppdeep.compare(wanted, digest))
        if alike:
            found.append((task_id, alike))
    return sorted(found, key=lambda entry: -entry[1])[:most]


def _bytes(digest: str) -> bytes:
    return bytes.fromhex(digest.removeprefix("T1"))


def _swapped(values: Numbers) -> Numbers:
    return (values & 15) << 4 | values >> 4


def _around(values: Numbers, own: int, size: int) -> Numbers:
    """Return distances on a circle of ``size`` steps."""
    import numpy as np

    straight = np.abs(values - own)
    found: Numbers = np.minimum(straight, size - straight)
    return found
