"""Entries and returns of calls to columns, many at once.

Numbers are taken by numpy from all records of a piece together. Arguments are rendered once for each content: a trace
repeats itself, so what was shown for the same bytes of the same call is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

from malkoha.trace import columns, constants, records
from malkoha.trace.arguments import Rendering, rendering, rendering_of_unknown
from malkoha.trace.records import ENTER_RECORD, EXIT_RECORD, Blob
from malkoha.trace.syscalls import MULTIPLEXED, find

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pyarrow as pa

    Words = npt.NDArray[np.int64]

NS, SEQ = (1 << 62) - 1, (1 << 63) - 1
"""Masks that no honest time or sequence needs: with them even a forged one fits a signed word."""
KEPT_BYTES = 12 << 20
"""Bytes of arguments, raw and shown, that are kept for when they come again."""
_ADDRESS_CALLS = frozenset({"mmap", "mmap2", "brk", "mremap", "shmat"})
_ARGUMENTS = struct.Struct("<6Q")
_ARGUMENTS_AT = 48
_LAST_ERROR = 4095
_EXECUTES = (59, 322, 11, 358)
"""execve and execveat of x86-64 and of i386."""


class _Shown:
    """One call of one ABI, and what was shown for arguments that may come again."""

    __slots__ = ("kept", "rendering")

    def __init__(self, found: Rendering) -> None:
        self.rendering = found
        self.kept: dict[bytes, bytes] = {}


class Calls:
    """Makes columns of calls; counts what made no sense."""

    def __init__(self) -> None:
        self.bad_bytes = 0
        self.orphans = 0
        self._shown: dict[int, _Shown] = {}
        self._held = 0

    def batch(self, data: bytes, entries: Words, returns: Words, offsets_ns: Words) -> pa.RecordBatch:
        """Make one row for each ENTER record.

        ``entries`` and ``returns`` are in words of 8 bytes, -1 for a call that did not return; ``offsets_ns`` is what
        makes calendar time of the record's own.
        """
        import numpy as np
        import pyarrow as pa

        words = np.frombuffer(data, "<u8")
        small = words.view("<i4")
        nr = small[entries * 2 + 8]
        back = np.maximum(returns, 0)
        back_nr = small[back * 2 + 8]
        # sigreturn has no number when it returns, and what was executed returns as from execve, whichever call it was
        executed = np.isin(nr, _EXECUTES) & np.isin(back_nr, _EXECUTES)
        returned = (returns >= 0) & ((back_nr == nr) | (back_nr == -1) | executed)
        self.orphans += int((returns >= 0).sum() - returned.sum())
        began = (words[entries + 2] & NS).astype(np.int64)
        ret = words[back + 5].view(np.int64)
        failed = returned & (ret < 0) & (ret >= -_LAST_ERROR)
        codes, shown = self._kinds(words[entries], nr)
        names = [one.rendering.name for one in shown]
        address = np.array([name in _ADDRESS_CALLS for name in names], bool)[codes]
        return columns.assemble(
            {
                "seq": (words[entries + 1] & SEQ).astype(np.int64),
                "kind": (np.zeros(len(entries), np.int32), ["syscall"]),
                "time_ns": began + offsets_ns,
                "duration_ns": _known(np.maximum((words[back + 2] & NS).astype(np.int64) - began, 0), returned),
                "pid": small[entries * 2 + 7],
                "tid": small[entries * 2 + 6],
                "ppid": small[entries * 2 + 9],
                "comm": _comms(words, entries),
                "ip": words[entries + 5],
                "abi": _coded([one.rendering.abi for one in shown], codes),
                "api": _coded(names, codes),
                "args": self._arguments(data, entries, np.where(returned, returns, -1), codes.tolist(), shown),
                "ret": _known(ret, returned),
                "ret_text": _ret_text(ret, returned, returned & address & ~failed),
                "errno": _errors(np.where(failed, -ret, 0)),
                "raw": pa.nulls(len(entries), pa.string()),
            }
        )

    def _kinds(self, heads: npt.NDArray[np.uint64], nr: npt.NDArray[np.int32]) -> tuple[Words, list[_Shown]]:
        """Tell for each record which call it is: codes, and how each code is shown."""
        import numpy as np
        import pyarrow as pa

        abis = np.minimum(heads >> 48 & 0xFF, MULTIPLEXED).astype(np.int64)
        found = pa.array(abis << 32 | nr.astype(np.uint32)).dictionary_encode()
        return found.indices.to_numpy(), [self._kind(key) for key in found.dictionary.to_pylist()]

    def _kind(self, key: int) -> _Shown:
        """Find how a call is shown; only calls that exist are kept, since a sample may try all numbers."""
        kept = self._shown.get(key)
        if kept is not None:
            return kept
        nr = key & 0xFFFFFFFF
        abi, call = find(key >> 32, nr)
        if call is None:
            return _Shown(rendering_of_unknown(nr, abi))
        self._shown[key] = found = _Shown(rendering(call, abi))
        return found

    def _arguments(
        self, data: bytes, entries: Words, returns: Words, codes: list[int], shown: list[_Shown]
    ) -> list[bytes]:
        """Show the arguments of each call as JSON."""
        found: list[bytes] = []
        kept = [one.kept for one in shown]
        bare = _ARGUMENTS_AT + _ARGUMENTS.size
        places = zip(codes, *_span(data, entries, 0), *_span(data, returns, EXIT_RECORD.size), strict=True)
        for code, start, end, back, back_end in places:
            at = start + _ARGUMENTS_AT
            # what is shown follows from the arguments and all memory; the comm stands between where there is any
            if back_end > back:
                key = data[at:end] + data[back:back_end]
            else:
                key = data[at : start + bare] if end - start == ENTER_RECORD.size else data[at:end]
            known = kept[code].get(key)
            if known is None:
                known = self._show(shown[code], key, data, (start, end, back, back_end))
            found.append(known)
        return found

    def _show(self, shown: _Shown, key: bytes, data: bytes, place: tuple[int, int, int, int]) -> bytes:
        start, end, back, back_end = place
        blobs: list[Blob] = []
        left = records.blobs(data, start + ENTER_RECORD.size, end, blobs)
        if back_end > back:
            left += records.blobs(data, back, back_end, blobs)
        known = columns.to_json(shown.rendering.show(_ARGUMENTS.unpack_from(data, start + _ARGUMENTS_AT), blobs))
        if left:
            self.bad_bytes += left
            return known
        self._held += end - start + back_end - back + len(known)
        if self._held > KEPT_BYTES:
            self._held = 0
            for one in self._shown.values():
                one.kept.clear()
        shown.kept[key] = known
        return known


def _span(data: bytes, starts: Words, skip: int) -> tuple[list[int], list[int]]:
    """Tell where records begin, ``skip`` bytes left out, and where they end; both 0 for a start of -1."""
    import numpy as np

    sizes = np.frombuffer(data, "<u4")[np.maximum(starts, 0) * 2]
    begin = starts * 8 + skip
    return np.where(starts < 0, 0, begin).tolist(), np.where(starts < 0, 0, begin - skip + sizes).tolist()


def _known(values: Words, known: npt.NDArray[np.bool_]) -> pa.Array:
    import pyarrow as pa

    return pa.array(values, pa.int64(), mask=~known)


def _coded(texts: Sequence[str], codes: Words) -> tuple[Words, list[str]]:
    """Give each text one code, also where it stands for several of ``codes``."""
    import numpy as np

    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    return np.array([places[text] for text in texts], np.int64)[codes], list(places)


def _comms(words: npt.NDArray[np.uint64], entries: Words) -> tuple[Words, list[str]]:
    import numpy as np
    import pyarrow as pa

    raw = np.stack((words[entries + 12], words[entries + 13]), axis=1).tobytes()
    found = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(entries), [None, pa.py_buffer(raw)])
    found = found.dictionary_encode()
    return _coded(list(map(records.name, found.dictionary.to_pylist())), found.indices.to_numpy())


def _ret_text(ret: Words, returned: npt.NDArray[np.bool_], address: npt.NDArray[np.bool_]) -> pa.Array:
    """Show what calls returned: a decimal number, an address, or nothing."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.fill_null(pc.cast(_known(ret, returned), pa.string()), "")
    addresses = ret[address].view(np.uint64).tolist()
    return pc.replace_with_mask(text, pa.array(address), pa.array(list(map(hex, addresses)), pa.string()))


def _errors(numbers_: Words) -> tuple[Words, list[str]]:
    import pyarrow as pa

    found = pa.array(numbers_).dictionary_encode()
    names = [constants.ERRNOS.get(number) or str(number or "") for number in found.dictionary.to_pylist()]
    return _coded(names, found.indices.to_numpy())
