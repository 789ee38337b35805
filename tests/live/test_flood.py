"""A million calls as fast as the guest can make them, on one virtual processor and on two: none is lost."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from malkoha.trace import records
from tests.live.commandline import Malkoha, compiled

pytestmark = pytest.mark.live
CALLS = 1_000_000
"""Of two threads, half of them each; see flood.c."""
OWN = "select cast(json_extract_string(args, '$.oldfd') as integer) as number, * from events where api = 'dup3'"


@pytest.mark.parametrize("cpus", [1, 2])
def test_a_million_calls(malkoha: Malkoha, tmp_path: Path, cpus: int) -> None:
    flood = compiled(Path(__file__).with_name("flood.c"), tmp_path / "flood")
    words = ("analyze", "--json", "--no-open", "--network", "none", "--timeout", "240", flood)
    found = malkoha.told(malkoha.run(*words, MALKOHA_GUEST_CPUS=str(cpus)))
    assert found.ended == "all processes gone"
    assert found.own["trace"]["lost"] == found.own["trace"]["not_understood"] == 0
    # each call of each thread once, with its result, and in the order in which the thread made them
    threads = found.sql(
        "select count(*), count(distinct number), min(number), max(number), count(*) filter (errno = 'EINVAL') "
        f"from ({OWN}) group by tid order by min(number)"
    )
    half = CALLS // 2
    assert threads == [(half, half, 0, half - 1, half), (half, half, half, CALLS - 1, half)]
    steps = f"select number - lag(number) over (partition by tid order by seq) as step from ({OWN})"
    assert found.sql(f"select distinct step from ({steps}) where step is not null") == [(1,)]
    later = "select time_ns - lag(time_ns) over (order by seq) as later from events"
    assert found.number(f"select count(*) from ({later}) where later < 0") == 0
    assert gaps(found.store.records) == 0


def gaps(path: Path) -> int:
    """Count the records whose number is not that of the record before plus one."""
    found, expected, head = 0, 0, struct.Struct("<8xQ")
    data = path.read_bytes()
    for offset, _, kind in records.scan(data):
        if kind != records.PAD:
            number: int = head.unpack_from(data, offset)[0]
            found += number != expected
            expected = number + 1
    return found
