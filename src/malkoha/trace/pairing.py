"""Find for every return of a call the entry that it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from malkoha.trace import records
from malkoha.trace.records import Chunk

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Pairs:
    """Takes the records of a trace piece by piece, in order."""

    def __init__(self) -> None:
        self.waiting: dict[int, int] = {}
        """Thread id to where in the file the entry of its call stands that has not returned."""

    def feed(self, chunk: Chunk) -> npt.NDArray[np.int64]:
        """Tell for each EXIT of a piece, in order, where in the file its ENTER stands; -1 where there is none.

        A task that begins or ends has no call that could still return.
        """
        import numpy as np

        pop, waiting, found = self.waiting.pop, self.waiting, list[int]()
        places = (chunk.starts * 8 + chunk.base).tolist()
        tids = chunk.numbers[chunk.starts * 2 + records.TID_AT].tolist()
        for kind, place, tid in zip(chunk.kinds.tolist(), places, tids, strict=True):
            if kind == records.EXIT:
                found.append(pop(tid, -1))
            elif kind == records.ENTER:
                waiting[tid] = place
            elif kind == records.TASK_EXIT:
                pop(tid, None)
            elif kind in (records.FORK, records.EXEC):
                other = int(chunk.numbers[(place - chunk.base) // 4 + records.BODY_AT])
                if kind == records.FORK:
                    pop(other, None)
                elif other != tid and other in waiting:
                    # a thread that execs goes on under its leader's id, and so does its pending execve
                    waiting[tid] = pop(other)
        return np.array(found, np.int64)
