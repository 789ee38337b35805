"""Keeps what the sample writes to its standard output and error, as it comes and within a limit."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import BinaryIO, Self

from malkoha.store import Store

_SPOKEN = {"stdout": "standard output", "stderr": "standard error"}


class Outputs:
    """Appends to output/stdout and output/stderr; ``cut`` counts the bytes of each that were not kept."""

    def __init__(self, store: Store, limit: int) -> None:
        self._paths = {"stdout": store.stdout, "stderr": store.stderr}
        self._files: dict[str, BinaryIO] = {}
        self._open = ExitStack()
        self._kept = dict.fromkeys(self._paths, 0)
        self._limit = limit
        self._trouble = ""
        self.cut = dict.fromkeys(self._paths, 0)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name, path in self._paths.items():
                self._files[name] = stack.enter_context(path.open("xb", buffering=0))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def write(self, stream: str, data: bytes) -> None:
        """Keep a piece; streams that the sample does not have are ignored, what cannot be written counts as cut."""
        if stream not in self._files:
            return
        left = memoryview(data)[: max(self._limit - self._kept[stream], 0)]
        try:
            # an unbuffered file may take less at a time, as a disk that fills up does before it fails
            while left:
                size = self._files[stream].write(left)
                self._kept[stream] += size
                data, left = data[size:], left[size:]
        except OSError as error:
            self._trouble = error.strerror or str(error)
        self.cut[stream] += len(data)

    def remarks(self) -> list[str]:
        """Say what was not kept."""
        why = self._trouble or f"the limit is {self._limit} bytes"
        cut = {_SPOKEN[name]: size for name, size in self.cut.items() if size}
        return [f"output cut: {size} bytes of {name} were not kept: {why}" for name, size in cut.items()]
