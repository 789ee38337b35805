"""Every error that malkoha raises on purpose.

    MalkohaError                 exit status 4: the analysis failed
    ├── UsageError               2: what the user asked for cannot be understood
    │   ├── SubmitError          2: the target or its options are not acceptable
    │   └── ConfigError          2: config.toml or an environment variable is wrong
    ├── HostError                3: this machine cannot do it (no QEMU, no disk space, no rights)
    │   └── ImageError           3: a guest image or a module could not be built or found
    ├── LeaseLostError           4: a task was given to another worker meanwhile
    ├── MachineError             4: the virtual machine failed
    ├── GuestError               4: the agent in the guest failed or does not answer
    ├── TraceError               4: a trace cannot be read
    ├── ProcessingError          4: a processing module failed
    └── ReportError              4: a report could not be written

An error is one line: what went wrong, why, and how to mend it. The command line prints that line and exits with
``exit_status``; the traceback is shown with ``--debug`` only.
"""

from __future__ import annotations


class MalkohaError(Exception):
    """Say what failed, why, and what the user can do about it."""

    exit_status = 4

    def __init__(self, what: str, why: str = "", mend: str = "") -> None:
        self.what = what
        self.why = why
        self.mend = mend
        super().__init__(what, why, mend)

    def __str__(self) -> str:
        line = self.what
        if self.why:
            line += f": {self.why}"
        if self.mend:
            line += f" ({self.mend})"
        return line


class UsageError(MalkohaError):
    """What the user asked for cannot be understood."""

    exit_status = 2


class SubmitError(UsageError):
    """The target or one of its options is not acceptable."""


class ConfigError(UsageError):
    """A setting has a wrong name, type or value."""


class HostError(MalkohaError):
    """This machine cannot do what was asked."""

    exit_status = 3


class ImageError(HostError):
    """A guest image, its build root or a tracer module is missing or could not be built."""


class LeaseLostError(MalkohaError):
    """Another attempt of the task has begun, so what this one made is not taken."""


class MachineError(MalkohaError):
    """The virtual machine could not be started, restored or kept running."""


class GuestError(MalkohaError):
    """The agent in the guest refused a request, answered nonsense or does not answer."""


class TraceError(MalkohaError):
    """A trace cannot be read at all; single bad records are counted instead."""


class ProcessingError(MalkohaError):
    """A processing module failed."""


class ReportError(MalkohaError):
    """A report could not be written or read."""
