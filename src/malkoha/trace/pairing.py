"""Find for every return of a call the entry that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from malkoha.trace import records
from malkoha.trace.records import Chunk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Numbers = npt.NDArray[np.int64]
    Kinds = npt.NDArray[np.uint16]


class Pairs:
    """Takes the records of a trace piece by piece, in order."""

    def __init__(self) -> None:
        self.waiting: dict[int, int] = {}
        """Thread id to where in the file the entry of its call stands that has not returned."""

    def feed(self, chunk: Chunk) -> Numbers:
        """Tell for each EXIT of a piece, in order, where in the file its ENTER stands; -1 where there is none.

        A task that begins or ends has no call that could still return. A thread that execs goes on under its leader's
        id, and so does its pending execve: there the piece is looked at in parts.
        """
        import numpy as np

        kinds, places = chunk.kinds, chunk.starts * 8 + chunk.base
        tids = chunk.numbers[chunk.starts * 2 + records.TID_AT]
        others = chunk.numbers[np.minimum(chunk.starts * 2 + records.BODY_AT, len(chunk.numbers) - 1)]
        steps = np.flatnonzero(np.isin(kinds, (records.ENTER, records.EXIT, records.FORK, records.TASK_EXIT)))
        whose = np.where(kinds == records.FORK, others, tids)
        found = np.full(len(kinds), -1, np.int64)
        begin = 0
        for end in np.flatnonzero((kinds == records.EXEC) & (others != tids)).tolist():
            self._part(steps[np.searchsorted(steps, begin) : np.searchsorted(steps, end)], kinds, places, whose, found)
            if int(others[end]) in self.waiting:
                self.waiting[int(tids[end])] = self.waiting.pop(int(others[end]))
            begin = end
        self._part(steps[np.searchsorted(steps, begin) :], kinds, places, whose, found)
        returns: Numbers = found[kinds == records.EXIT]
        return returns

    def _part(
        self,
        steps: Numbers,
        kinds: npt.NDArray[np.uint16],
        places: Numbers,
        whose: npt.NDArray[np.int32],
        found: Numbers,
    ) -> None:
        """Pair what stands next to each other of the same task; its first and last step look beyond this part."""
        import numpy as np

        if not len(steps):
            return
        steps = steps[np.argsort(whose[steps], kind="stable")]
        task, kind = whose[steps], kinds[steps]
        same = task[1:] == task[:-1]
        pairs = np.flatnonzero(same & (kind[1:] == records.EXIT) & (kind[:-1] == records.ENTER))
        found[steps[pairs + 1]] = places[steps[pairs]]
        bounds = np.flatnonzero(~same) + 1
        first, last = np.concatenate(([0], bounds)), np.concatenate((bounds - 1, [len(steps) - 1]))
        for tid, begin, end in zip(task[first].tolist(), first.tolist(), last.tolist(), strict=True):
            entry = self.waiting.pop(tid, -1)
            if kind[begin] == records.EXIT:
                found[steps[begin]] = entry
            if kind[end] == records.ENTER:
                self.waiting[tid] = int(places[steps[end]])
