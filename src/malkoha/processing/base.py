"""What a processing module is: it reads the analysis folder and what earlier modules found, and returns its section."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import msgspec

from malkoha.model.task import Run, Task
from malkoha.store import Store


class Facts(msgspec.Struct, frozen=True):
    """What is known before any module runs."""

    store: Store
    task: Task
    run: Run


class Processing(ABC):
    """One module. ``run`` returns its section, which the report shows under ``name``, and changes nothing else.

    ``isolated`` modules read bytes of the sample with libraries in C: they run in a process of their own, with
    ``timeout_s`` and bounded memory, and their section must be plain JSON values.
    """

    name: ClassVar[str]
    requires: ClassVar[tuple[type[Processing], ...]] = ()
    isolated: ClassVar[bool] = False
    timeout_s: ClassVar[float] = 60.0

    @classmethod
    def applies(cls, facts: Facts) -> bool:
        """Tell, cheaply, whether the module has anything to do; else it has no section."""
        del facts
        return True

    @abstractmethod
    def run(self, facts: Facts, earlier: Earlier) -> Any:
        """Make the section; whatever is raised is recorded and leaves the other modules alone."""


class Earlier:
    """Sections of the modules that ran before, asked for by class; empty ones of modules that failed are absent."""

    def __init__(self, sections: Mapping[str, Any]) -> None:
        self._sections = sections

    def get(self, module: type[Processing]) -> Any | None:
        """Give the section of a module, None when it failed or did not run."""
        return self._sections.get(module.name)
