from __future__ import annotations

import pytest

from malkoha.processing import fuzzy
from malkoha.web.pages.near import NEAR, by_ssdeep, by_tlsh

TEXT = b"".join(b"line %d of a program that has some variety: %x\n" % (number, number * 7919) for number in range(400))


def hashed(data: bytes) -> tuple[str, str]:
    return fuzzy.tlsh(data) or "", fuzzy.ssdeep(data) or ""


def test_variants_are_near_and_others_are_not() -> None:
    original, variant = hashed(TEXT), hashed(TEXT.replace(b"line 200 ", b"line two hundred "))
    other = hashed(bytes(range(256)) * 60)
    known = [(1, original[0]), (2, variant[0]), (3, other[0]), (4, ""), (5, "nonsense")]
    found = dict(by_tlsh(original[0], known))
    assert found[1] == 0
    assert 0 < found[2] <= 30
    assert 3 not in found
    alike = dict(by_ssdeep(original[1], [(1, original[1]), (2, variant[1]), (3, other[1]), (4, ""), (5, "x:y")]))
    assert alike[1] == 100
    assert 80 < alike[2] <= 100
    assert 3 not in alike


def test_the_distance_is_that_of_tlsh() -> None:
    head, body = "T1AA0012", "00" * 32
    cases = {
        head + body: 0,
        "T1AB0012" + body: 1,  # the checksum differs
        "T1AA1012" + body: 1,  # length by one step: the digits of that byte stand turned round
        "T1AA2012" + body: 24,
        "T1AAF012" + body: 180 if NEAR >= 180 else -1,
        "T1AA0022" + body: 1,  # a ratio of quartiles by one
        "T1AA0042" + body: 24,
        "T1AA0012" + "01" + "00" * 31: 1,
        "T1AA0012" + "03" + "00" * 31: 6,
        "T1AA0012" + "E4" + "00" * 31: 9,
    }
    known = list(enumerate(cases))
    found = dict(by_tlsh(head + body, known))
    assert {number: found.get(number, -1) for number in range(len(cases))} == dict(enumerate(cases.values()))


@pytest.mark.parametrize("wanted", ["", "T1", "3:abc", "<script>", "T1" + "G" * 70])
def test_what_is_no_hash_finds_nothing(wanted: str) -> None:
    assert by_tlsh(wanted, [(1, "T1" + "0" * 70)]) == []
    assert by_ssdeep(wanted, [(1, "3:abc:abc")]) == []
