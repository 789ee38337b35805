"""Time that is skipped: what waits for hours ends in moments, and the guest's clocks agree on how long it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.commandline import Malkoha, script

pytestmark = pytest.mark.live

SLEEPY = """exec python3 - <<'END'
import select, signal, time
wall, mono = time.time(), time.monotonic()
time.sleep(1800)
signal.signal(signal.SIGALRM, lambda *_: None)
signal.alarm(600)
signal.pause()
select.select([], [], [], 300)
print(round(time.time() - wall), round(time.monotonic() - mono))
END
"""


def test_sleeps_alarms_and_timeouts_pass_at_once(malkoha: Malkoha, tmp_path: Path) -> None:
    analysis = malkoha.analyze(script(tmp_path, SLEEPY), "--time", "skip", "--timeout", "600")
    wall, mono = map(int, analysis.stdout.split())
    assert 2700 <= wall <= 2800
    assert abs(wall - mono) <= 1
    assert analysis.ended == "all processes gone"
    # 45 minutes passed in the guest; on the slowest machine they were not waited for
    assert analysis.own["timings"]["run_s"] < 600
    slept = analysis.number("select max(duration_ns) from events where api = 'clock_nanosleep'")
    assert 1800e9 <= slept < 1900e9
