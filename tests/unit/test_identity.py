from __future__ import annotations

from malkoha.identity import is_alive, this_process


def test_processes_are_told_apart() -> None:
    me = this_process()
    assert is_alive(me)
    boot, pid, started = me.split(":")
    assert not is_alive(f"{boot}:{pid}:{int(started) + 1}")
    assert not is_alive(f"other-boot:{pid}:{started}")
    for nonsense in ("", "::", "a:b:c", f"{boot}:999999999:1"):
        assert not is_alive(nonsense)
