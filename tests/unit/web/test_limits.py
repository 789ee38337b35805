from __future__ import annotations

from malkoha.web.limits import MAX_CALLERS, Limit


def test_a_bucket_is_emptied_and_fills_again() -> None:
    now = [0.0]
    limit = Limit(60, lambda: now[0])
    assert [limit.wait_s("a") for _ in range(60)] == [0.0] * 60
    assert limit.wait_s("a") == 1.0
    assert limit.wait_s("b") == 0.0
    now[0] = 1.5
    assert limit.wait_s("a", take=False) == 0.0
    assert limit.wait_s("a") == 0.0
    assert limit.wait_s("a") == 0.5


def test_zero_sets_no_limit_and_memory_is_bounded() -> None:
    assert {Limit(0).wait_s("a") for _ in range(100)} == {0.0}
    limit = Limit(1)
    for number in range(MAX_CALLERS + 10):
        limit.wait_s(str(number))
    assert len(limit._buckets) == MAX_CALLERS
