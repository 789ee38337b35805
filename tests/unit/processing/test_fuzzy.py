"""Fuzzy hashes and entropy; the TLSH values were made by TLSH's own library (4.12)."""

from __future__ import annotations

import random

import pytest

from malkoha.processing import fuzzy

VECTORS = {
    1: "T1A7D095BF394E150E2D5487754D35D727B554B12BA00DF175FCD5DD2015438F45404631",
    2: "T15901942493E070301A06F126F2A226C6A394CBBD3A01B2670FC1D85342C424B1B0FB43",
    3: "T165A19E0710420DF0381053851FD1D87460F991759FA4E7768B316AEF0A8DD228627F7F",
}


@pytest.mark.parametrize(("seed", "size"), [(1, 256), (2, 700), (3, 5000)])
def test_tlsh_is_that_of_its_own_library(seed: int, size: int) -> None:
    assert fuzzy.tlsh(random.Random(seed).randbytes(size)) == VECTORS[seed]


def test_what_has_no_tlsh() -> None:
    assert fuzzy.tlsh(b"short") is None
    assert fuzzy.tlsh(bytes(4096)) is None


def test_near_files_have_near_hashes() -> None:
    data = random.Random(4).randbytes(20_000)
    one, two = fuzzy.tlsh(data), fuzzy.tlsh(data[:10_000] + b"changed" + data[10_000:])
    assert one is not None
    assert two is not None
    assert sum(a != b for a, b in zip(one, two, strict=True)) < 12


def test_entropy() -> None:
    assert fuzzy.entropy(b"") == 0.0
    assert fuzzy.entropy(b"aaaa") == 0.0
    assert fuzzy.entropy(b"abab") == 1.0
    assert fuzzy.entropy(bytes(range(256))) == 8.0


def test_ssdeep_is_bounded() -> None:
    assert fuzzy.ssdeep(b"") is None
    assert fuzzy.ssdeep(bytes(fuzzy.SSDEEP_LIMIT + 1)) is None
    assert str(fuzzy.ssdeep(b"hello world" * 100)).count(":") == 2
