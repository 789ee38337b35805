"""Every input that ever made a reader fail, every seed, and changed copies of these, in each test run."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.fuzz.__main__ import DATA, SEEDS
from tests.fuzz.targets import TARGETS, stored

INPUTS = [
    (target, path)
    for target, folders in SEEDS.items()
    for folder in folders
    for path in sorted((DATA / folder).glob("*"))
    if path.suffix != ".md"
]


@pytest.mark.parametrize(("target", "path"), INPUTS, ids=[f"{target}-{path.name}" for target, path in INPUTS])
def test_inputs(target: str, path: Path) -> None:
    data = path.read_bytes()
    TARGETS[target](data)
    stored(target, data)
    chance = random.Random(path.name)
    for _ in range(30):
        TARGETS[target](changed(data[: chance.randrange(1, 6000)], chance))


def changed(data: bytes, chance: random.Random) -> bytes:
    """Flip, cut, repeat and insert in a few places."""
    content = bytearray(data)
    for _ in range(chance.randrange(1, 12)):
        place = chance.randrange(len(content) + 1)
        length = chance.choice((1, 2, 4, 8, 40))
        match chance.randrange(5):
            case 0:
                content[place : place + length] = chance.randbytes(length)
            case 1:
                del content[place : place + length]
            case 2:
                content[place:place] = content[place : place + length * 4]
            case 3:
                content[place : place + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF, 0x22, 0x5B, 0x0A))])
            case _:
                content[place:place] = chance.choice((b"[{", b'", "', b") = ", b"\\x4", b"\n", bytes(8), b"\xff" * 8))
    return bytes(content)


def test_both_targets_have_seeds() -> None:
    assert {target for target, _ in INPUTS} == set(TARGETS)
