"""Hiding: programs that delete themselves or never were on a disk, modules of the kernel."""

from __future__ import annotations

from malkoha.model.event import Event
from malkoha.signatures.base import Evidence, Scene, Signature
from malkoha.trace.descriptors import Descriptor, argument

_UNLINKS = {"unlink": (0, None), "unlinkat": (1, 0)}


class DeletesItself(Signature):
    """A program removes the file that it runs from."""

    name = "deletes_itself"
    description = "Deletes the file of the program that is running"
    severity = 4
    attack = ("T1070.004",)
    syscalls = frozenset(_UNLINKS)

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.ret != 0:
            return None
        path = scene.path(event, *_UNLINKS[event.api])
        return Evidence(path, "file") if path and path == scene.exe else None


class RunsFromMemory(Signature):
    """A program is run from a file that exists in memory only."""

    name = "runs_from_memory"
    description = "Runs a program from an anonymous file in memory"
    severity = 4
    attack = ("T1620",)
    references = ("man 2 memfd_create",)
    syscalls = frozenset({"exec", "execveat", "execve"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        if event.kind == "exec":
            exe = str(event.args.get("exe", ""))
            return Evidence(exe, "file") if exe.startswith("/memfd:") else None
        if event.ret is not None and event.ret < 0:
            return None
        if event.api == "execveat" and "AT_EMPTY_PATH" in str(argument(event, 4)):
            item = scene.descriptor(argument(event, 0))
        else:
            item = self._by_proc(event, scene)
        return Evidence(item.path, "file") if item is not None and item.kind == "memfd" else None

    @staticmethod
    def _by_proc(event: Event, scene: Scene) -> Descriptor | None:
        path = argument(event, 1 if event.api == "execveat" else 0)
        parts = str(path).split("/")
        if len(parts) == 5 and parts[1] == "proc" and parts[3] == "fd":
            return scene.descriptor(parts[4])
        return None


class LoadsKernelModule(Signature):
    """A module runs with all rights and can hide whatever it wants."""

    name = "loads_kernel_module"
    description = "Loads a module into the kernel"
    severity = 4
    attack = ("T1547.006", "T1014")
    syscalls = frozenset({"init_module", "finit_module"})

    def on_event(self, event: Event, scene: Scene) -> Evidence | None:
        item = scene.descriptor(argument(event, 0)) if event.api == "finit_module" else None
        outcome = "loaded" if event.ret == 0 else f"refused: {event.errno or 'no answer'}"
        return Evidence(item.path if item and item.path else "from memory", "module", outcome)


SIGNATURES: tuple[type[Signature], ...] = (DeletesItself, RunsFromMemory, LoadsKernelModule)
