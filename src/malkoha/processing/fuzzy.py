"""Hashes that stay near each other when files are near each other: ssdeep and TLSH; and the entropy of bytes.

TLSH (Oliver, Cheng, Chen: "TLSH - A Locality Sensitive Hash", 2013) is written here because its Python package comes
as C++ source only, and malkoha installs nothing that has to be compiled. The work over all bytes is done by
``translate`` and XOR of whole buffers, so a megabyte takes a fraction of a second.
"""

from __future__ import annotations

import math

SSDEEP_LIMIT = 4 << 20
"""Bytes up to which ssdeep is computed: it takes a second a megabyte."""
TLSH_MINIMUM = 50
_PEARSON = bytes.fromhex(
    "0157310cb0b266a679c10654f9e62ca30ec5d5b5a155da5040ef18e2ec8e26c86eb168678dfdff324d6551122d601fde"
    "196bbe4656edf02248f214d6f4e395eb61ea39163cfa52afd0057fc76f3e87f8aea9d33a429a6ac3f5ab11bbb6b300f3"
    "8438944b80859e64827e5b0d99f6d8db7744df4e5358c9637a0b5c208872340a8a1e30b79c233d1a8f4afb5e81a23f98"
    "aa0773a7f1ce0396373b97dc5a3517837dad0fee4f5f59106989e1e0d9a0257b7649029d2e74099186e4cfd4cad745e5"
    "1bbc437ca8fc2a041d6c15f713cd27cbe928ba93c6c09b21a4bf62cca5b4754c8c24d2ac29369f08b9e871c4e72f9278"
    "33411c90fedd5dbdc28b702b476db8d1"
)
"""Pearson's permutation of the byte values."""
_TRIPLETS = ((2, 1, 2), (3, 1, 3), (5, 2, 3), (7, 2, 4), (11, 1, 4), (13, 3, 4))
"""Salt and the two older bytes that are hashed with each byte of the sliding window of five."""
_BUCKETS = 128


def entropy(data: bytes) -> float:
    """Give Shannon's entropy in bits a byte, 0 to 8."""
    if not data:
        return 0.0
    total = len(data)
    return round(-sum(count / total * math.log2(count / total) for count in _counts(data) if count) + 0.0, 3)


def ssdeep(data: bytes) -> str | None:
    """Give the context-triggered piecewise hash; None for an empty file or one above the limit."""
    if not data or len(data) > SSDEEP_LIMIT:
        return None
    import ppdeep

    return str(ppdeep.hash(data))


def tlsh(data: bytes) -> str | None:
    """Give the hash as TLSH 4 writes it (``T1`` and 70 digits); None for what is too short or too uniform."""
    if len(data) < TLSH_MINIMUM:
        return None
    window = [data[4 - back : len(data) - back] for back in range(5)]
    hashed = (_mix(_mix(_mix(_PEARSON[s], window[0]), window[one]), window[two]) for s, one, two in _TRIPLETS)
    buckets = [sum(column) for column in zip(*map(_counts, hashed), strict=True)][:_BUCKETS]
    if sum(1 for count in buckets if count) <= _BUCKETS // 2:
        return None
    ranked = sorted(buckets)
    q1, q2, q3 = ranked[31], ranked[63], ranked[95]
    if not q3:
        return None
    body = bytearray()
    for at in range(0, _BUCKETS, 4):
        quarter = [3 if count > q3 else 2 if count > q2 else 1 if count > q1 else 0 for count in buckets[at : at + 4]]
        body.append(sum(value << 2 * place for place, value in enumerate(quarter)))
    head = (_swapped(_checksum(window)), _swapped(_length(len(data))), (q1 * 100 // q3 % 16) << 4 | q2 * 100 // q3 % 16)
    return "T1" + (bytes(head) + bytes(reversed(body))).hex().upper()


def _counts(data: bytes) -> list[int]:
    """How often each of the 256 byte values stands in the data."""
    import pyarrow as pa

    values = pa.Array.from_buffers(pa.uint8(), len(data), [None, pa.py_buffer(data)])
    counts = [0] * 256
    for entry in values.value_counts().to_pylist():
        counts[entry["values"]] = entry["counts"]
    return counts


def _mix(hashed: bytes | int, values: bytes) -> bytes:
    """One step of Pearson's hash for every position at once."""
    before = bytes([hashed]) * len(values) if isinstance(hashed, int) else hashed
    number = int.from_bytes(before, "little") ^ int.from_bytes(values, "little")
    return number.to_bytes(len(values), "little").translate(_PEARSON)


def _checksum(window: list[bytes]) -> int:
    checksum, table = 0, _PEARSON
    for value in _mix(_mix(_PEARSON[0], window[0]), window[1]):
        checksum = table[value ^ checksum]
    return checksum


def _length(size: int) -> int:
    """The length on a logarithmic scale of three pieces."""
    if size <= 656:
        scaled = math.log(size) / math.log(1.5)
    elif size <= 3199:
        scaled = math.log(size) / math.log(1.3) - 8.72777
    else:
        scaled = math.log(size) / math.log(1.1) - 62.5472
    return math.floor(scaled) & 0xFF


def _swapped(value: int) -> int:
    return (value & 0xF) << 4 | value >> 4
