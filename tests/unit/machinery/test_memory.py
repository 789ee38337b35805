import pytest
from hypothesis import given
from hypothesis import strategies as st

from malkoha.errors import HostError, MachineError
from malkoha.machinery.memory import FOUR_GIB, GuestMemory, low_memory

MIB = 1 << 20
GIB = 1 << 30


def test_what_is_written_is_read_and_seen_through_the_descriptor() -> None:
    memory = GuestMemory(MIB)
    memory.write(0x1000, b"hello")
    assert memory.read(0x1000, 5) == b"hello"
    with open(f"/proc/self/fd/{memory.fd}", "rb") as file:
        file.seek(0x1000)
        assert file.read(5) == b"hello"
    memory.close()


def test_a_view_is_no_copy() -> None:
    memory = GuestMemory(MIB)
    view = memory.view(0, 4)
    memory.write(0, b"abcd")
    assert bytes(view) == b"abcd"
    view[:] = b"efgh"
    assert memory.read(0, 4) == b"efgh"
    view.release()
    memory.close()


@pytest.mark.parametrize(
    ("size", "low"),
    [(GIB, GIB), (0xB000_0000 - 4096, 0xB000_0000 - 4096), (0xB000_0000, 2 * GIB), (8 * GIB, 2 * GIB)],
)
def test_low_memory_is_what_q35_maps_below_4_gib(size: int, low: int) -> None:
    assert low_memory(size) == low


def test_memory_above_4_gib_follows_the_hole() -> None:
    memory = GuestMemory(4 * GIB)
    memory.write(FOUR_GIB, b"above")
    assert memory.offset(FOUR_GIB, 5) == 2 * GIB
    assert memory.read(FOUR_GIB, 5) == b"above"
    assert memory.offset(FOUR_GIB + 2 * GIB - 1, 1) == 4 * GIB - 1
    for start, size in ((2 * GIB, 1), (2 * GIB - 1, 2), (FOUR_GIB - 1, 2), (FOUR_GIB + 2 * GIB, 1)):
        with pytest.raises(MachineError, match="does not have"):
            memory.read(start, size)
    memory.close()


@given(
    total=st.sampled_from([MIB, 3 * GIB, 6 * GIB]),
    physical=st.integers(min_value=-(1 << 65), max_value=1 << 65) | st.integers(0, 8 * GIB),
    size=st.integers(min_value=-(1 << 65), max_value=1 << 65) | st.integers(0, 8192),
)
def test_no_address_leads_outside(total: int, physical: int, size: int) -> None:
    memory = GuestMemory(total)
    try:
        start = memory.offset(physical, size)
    except MachineError:
        pass
    else:
        assert 0 <= start <= start + size <= total
    finally:
        memory.close()


def test_closed_memory_cannot_be_read_but_a_view_lives_on() -> None:
    memory = GuestMemory(MIB)
    memory.write(0, b"stay")
    view = memory.view(0, 4)
    memory.close()
    memory.close()
    assert bytes(view) == b"stay"
    with pytest.raises(MachineError, match="no longer there"):
        memory.read(0, 1)


def test_memory_that_cannot_be_had_is_an_error_of_the_host() -> None:
    with pytest.raises(HostError, match="cannot be mapped"):
        GuestMemory(1 << 62)
