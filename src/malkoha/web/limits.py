"""How often somebody may ask: a bucket for each caller, which fills by and by and is emptied by requests."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MAX_CALLERS = 10_000


class Limit:
    """At most ``per_minute`` requests in a minute for each key, all at once if need be; 0 sets no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait_s(self, key: str, *, take: bool = True) -> float:
        """Take one out of the bucket of ``key`` and return 0, or how long it is empty; without ``take`` only look."""
        if not self._per_minute:
            return 0.0
        now = self._clock()
        left, then = self._buckets.pop(key, (float(self._per_minute), now))
        rate = self._per_minute / 60
        left = min(left + (now - then) * rate, float(self._per_minute))
        wait = 0.0 if left >= 1 else (1 - left) / rate
        # a caller that was forgotten because of many others begins with a full bucket
        self._buckets[key] = (left - 1 if take and not wait else left), now
        while len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return wait
