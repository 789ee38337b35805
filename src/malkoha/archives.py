"""Submission of archives: one archive in, a task for each member that can be run out; other targets go to ``submit``.

Unpacking happens in a bounded process and a throw-away folder, where contents are named by their hashes. What a member
is called is bytes for the guest, and text for people.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from malkoha import submit as submission
from malkoha.config import Settings
from malkoha.errors import SubmitError
from malkoha.inguest import packages
from malkoha.model.task import Options, Task
from malkoha.processing import archive, containers
from malkoha.processing.members import Contents, Limits, Member
from malkoha.store import Home

MOST = 10
"""Tasks that one archive becomes."""
_NAMED = 8


class Submitted(msgspec.Struct):
    """What a target became."""

    tasks: list[Task]
    remarks: list[str] = []
    """What was left out, one line each."""


def submit(
    home: Home, settings: Settings, target: str | bytes, options: Options, *, priority: int = 1, called: bytes = b"",
    of: str = "",
) -> Submitted:  # fmt: skip
    """Make the task of a file or a URL, or those of an archive's members.

    ``called`` and ``of`` name what the path does not tell, as for ``submit.submit``. The options ``member``,
    ``password`` and ``unpack`` (yes or no) say how an archive is taken. Raises as ``submit.submit`` does, SubmitError
    also for an archive without anything to run; nothing is left behind then.
    """
    path, wanted = os.fsencode(target), options.extra.get("member")
    unpacked = options.extra.get("unpack", "yes")
    if unpacked not in ("yes", "no"):
        raise SubmitError(f"the option unpack={unpacked} is not known", "", "unpack=yes or unpack=no")
    if unpacked == "no" or not _is_archive(path):
        if wanted is not None:
            raise SubmitError(f"{submission.shown(path)} has no members", "it is taken as it is", "leave member= out")
        task = submission.submit(home, settings, path, options, priority=priority, called=called, of=of)
        return Submitted([task])
    label = of or submission.shown(path)
    password = options.extra.get("password")
    with (
        tempfile.TemporaryDirectory(prefix="malkoha-archive-") as temporary,
        submission.opened(path, settings.analysis.max_sample_mb) as source,
    ):
        folder = Path(temporary)
        limits = Limits(member=settings.analysis.max_sample_mb << 20)
        contents = archive.unpack(source, folder, called or path, [password] if password else [], limits)
        chosen, remarks = _choose(contents, folder, label, wanted)
        tasks: list[Task] = []
        try:
            for member in chosen:
                task = submission.submit(
                    home, settings, os.fsencode(folder / member.sha256), options, priority=priority,
                    called=_called(member), of=f"{label}: {submission.shown(member.name)}",
                )  # fmt: skip
                tasks.append(task)
        except BaseException:
            for task in tasks:
                shutil.rmtree(home.analysis(task.id).root, ignore_errors=True)
            raise
    return Submitted(tasks, remarks)


def _is_archive(path: bytes) -> bool:
    try:
        place = Path(os.fsdecode(path))
        if not place.is_file():
            return False
        with place.open("rb") as file:
            return containers.is_collection(file)
    except (OSError, ValueError):
        return False  # submit says what is wrong with it


def _choose(contents: Contents, folder: Path, label: str, wanted: str | None) -> tuple[list[Member], list[str]]:
    """Choose members; raise SubmitError when there is none."""
    kept = [member for member in contents.members if member.sha256 and member.size]
    remarks = [f"{label}: {remark}" for remark in contents.remarks[:_NAMED]]
    unread = [member for member in contents.members if member.why]
    if unread:
        remarks.append(f"{label}: {len(unread)} not read: {_names(unread)} ({unread[0].why})")
    if wanted is not None:
        return [_named(kept, wanted, label)], remarks
    first: dict[str, Member] = {}
    for member in kept:
        first.setdefault(member.sha256, member)
    runnable = [member for member in first.values() if _runs(member, folder)]
    if not runnable:
        raise _nothing(contents, kept, unread, label)
    if len(runnable) > MOST:
        left = runnable[MOST:]
        remarks.append(f"{label}: {len(left)} more that can be run left out: {_names(left)} (--option member=NAME)")
    return runnable[:MOST], remarks


def _nothing(contents: Contents, kept: list[Member], unread: list[Member], label: str) -> SubmitError:
    why = contents.remarks[0] if contents.remarks else unread[0].why if unread else ""
    mend = "--option unpack=no analyses the archive itself"
    if kept:
        mend = f"--option member=NAME takes one of {_names(kept)}; {mend}"
    elif any(member.encrypted for member in unread):
        mend = f"--option password=TEXT; {mend}"
    return SubmitError(f"{label} holds nothing that can be run", why, mend)


def _named(kept: list[Member], wanted: str, label: str) -> Member:
    def fits() -> Iterator[list[Member]]:
        name = os.fsencode(wanted)
        yield [member for member in kept if member.name == name or submission.shown(member.name) == wanted]
        yield [member for member in kept if _called(member) == name]

    found = next((members for members in fits() if members), [])
    if not found:
        holds = f"it holds {_names(kept)}" if kept else ""
        raise SubmitError(f"{label} holds no member {submission.shown(os.fsencode(wanted))}", "", holds)
    if len({member.sha256 for member in found}) > 1 and len({member.name for member in found}) > 1:
        raise SubmitError(f"{label} holds several members {wanted}", "", f"they are {_names(found)}")
    return found[-1]


def _runs(member: Member, folder: Path) -> bool:
    """Tell whether a way to start it is known: a program, a script, a file of a language."""
    with (folder / member.sha256).open("rb") as file:
        head = file.read(4096)
    return any(package.name != "generic" and package.accepts(head, _called(member)) for package in packages.BUILT_IN)


def _called(member: Member) -> bytes:
    """The last part of a member's name, fit to be a file name."""
    name = member.name.replace(b"\0", b"_").rstrip(b"/").rpartition(b"/")[2][-255:]
    return b"sample" if name in (b"", b".", b"..") else name


def _names(members: list[Member]) -> str:
    names = [submission.shown(member.name)[:100] for member in members[:_NAMED]]
    more = f" and {len(members) - _NAMED} more" if len(members) > _NAMED else ""
    return ", ".join(names) + more
