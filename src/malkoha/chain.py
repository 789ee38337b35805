"""What an analysis downloaded is analysed in turn: a finished report in, child tasks out, and what came of them kept.

Every analysis of a chain has a file ``chain.json`` in its folder: which analysis it came from, how deep it lies, and
the links below it. A link is a download, with the task that it became or why it became none. When a child is done, the
links of all analyses above it are brought up to date, and their reports written again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from malkoha import archives, pipeline, urls
from malkoha import submit as submission
from malkoha.config import Settings
from malkoha.errors import ReportError, SubmitError
from malkoha.inguest import packages
from malkoha.model.report import Chain, Link
from malkoha.model.task import Options, Status, Task
from malkoha.processing import containers
from malkoha.reporting import json_report
from malkoha.store import Home, Store

LINKS = 200
"""Downloads of one analysis that are looked at."""
_HEAD = 4096
_MARKUP = (b"<", b"{", b"[", b"%PDF", b"\x89PNG", b"GIF8", b"\xff\xd8\xff")
_RUNNING_ONLY = frozenset({"member", "password", "client", "chain"})


class Found(msgspec.Struct):
    """One content that was downloaded, and where it lies on the host."""

    url: str
    path: Path
    sha256: str
    ran: list[int] = []


def extend(home: Home, settings: Settings, task: Task, report: Mapping[str, Any]) -> list[Task]:
    """Make a task of each download of a finished analysis that is to be analysed in turn: pending, in no table yet.

    The option ``chain`` says which: ``new`` (those that did not run in this guest already; the default of a URL),
    ``yes`` (all that can be run, and archives), ``no`` (the default of a file). Each becomes a link of the chain.
    """
    which = task.options.extra.get("chain", "new" if task.category == "url" else "no")
    store = home.analysis(task.id)
    chain = pipeline.chain(store)
    if which == "no" or chain.links:
        return []
    above = _above(home, task.id)
    links_of_all = pipeline.chain(home.analysis(above[-1] if above else task.id)).links
    known = {link.sha256: link.id for link in links_of_all if link.id is not None}
    left = settings.analysis.chain_tasks - len(set(known.values()))
    known |= {_sha256(home.analysis(number)): number for number in (task.id, *above)}
    made: list[Task] = []
    links: list[Link] = []
    for found in _downloads(task, store, report):
        link = _link(found, task.id, chain.depth + 1)
        if not link.kind:
            continue
        link.why = _why_not(found, which, chain.depth, settings, known)
        if not link.why and left < 1:
            link.why = f"the chain has {settings.analysis.chain_tasks} analyses already (analysis.chain_tasks)"
        if link.why:
            links.append(link)
            continue
        tasks, link.why = _tasks(home, settings, task, found, link)
        for child in tasks[:left]:
            links.append(msgspec.structs.replace(link, id=child.id, status=child.status.value, name=_name(child)))
            known.setdefault(link.sha256, child.id)
            known.setdefault(_sha256(home.analysis(child.id)), child.id)
            _write(home.analysis(child.id), Chain(parent=task.id, depth=chain.depth + 1))
        for child in tasks[left:]:
            shutil.rmtree(home.analysis(child.id).root, ignore_errors=True)
        if len(tasks) > left:
            link.why = f"{len(tasks) - left} of its members were left out (analysis.chain_tasks)"
        if link.why:
            links.append(link)
        made += tasks[:left]
        left -= len(tasks[:left])
    if links:
        for number in (task.id, *above):
            _change(home.analysis(number), lambda held: held.links.extend(links))
    return made


def settle(home: Home, task: Task, report: Mapping[str, Any] | None) -> None:
    """Tell the analyses above a task how it ended: with its report, or by failing."""
    own = pipeline.chain(home.analysis(task.id))
    if own.parent is None:
        return
    verdict = ((report or {}).get("malkoha") or {}).get("verdict") or {}

    def note(held: Chain) -> None:
        for link in held.links:
            if link.id == task.id:
                link.status = Status.REPORTED.value if report is not None else Status.FAILED_ANALYSIS.value
                link.level, link.score = str(verdict.get("level", "")), verdict.get("score")
                link.signatures = [str(name) for name in verdict.get("why", ())][:10]
                link.why = "" if report is not None else "its analysis failed"

    for number in _above(home, task.id):
        _change(home.analysis(number), note)


def _above(home: Home, task_id: int) -> list[int]:
    """List the analyses above one, the nearest first."""
    found: list[int] = []
    parent = pipeline.chain(home.analysis(task_id)).parent
    while parent is not None and parent not in found and parent != task_id:
        found.append(parent)
        parent = pipeline.chain(home.analysis(parent)).parent
    return found


def _downloads(task: Task, store: Store, report: Mapping[str, Any]) -> Iterator[Found]:
    """Yield what was downloaded, each content once: as the simulated internet gave it, else as the guest wrote it."""
    seen: set[str] = set()
    for entry in report.get("network", {}).get("downloads", ())[:LINKS]:
        path = store.payloads / entry["sha256"]
        if entry["sha256"] not in seen and _is_content(entry["sha256"], path):
            seen.add(entry["sha256"])
            yield Found(entry["url"], path, entry["sha256"], list(entry["executed"]))
    behavior = report.get("behavior", {})
    fetched = set(map(str, behavior.get("summary", {}).get("downloads_file", ())))
    ran: dict[str, list[int]] = {}
    for process in behavior.get("processes", ()):
        for image in process["images"]:
            ran.setdefault(image["path"], []).append(process["pid"])
    for entry in report.get("dropped", ()):
        where, path = entry.get("moved_to") or entry["filepath"], store.dropped / entry["sha256"]
        kept = task.category == "url" and urls.FOLDER.fullmatch(where) is not None
        ours = where.endswith((urls.PICTURE, urls.PAGE))
        if entry["sha256"] in seen or ours or not (kept or where in fetched) or len(seen) >= LINKS:
            continue
        if _is_content(entry["sha256"], path):
            seen.add(entry["sha256"])
            yield Found(task.target if kept else where, path, entry["sha256"], ran.get(where, []))


def _is_content(sha256: str, path: Path) -> bool:
    # the name is a hash that the host computed, never one of the guest's choosing
    return len(sha256) == 64 and sha256.isalnum() and path.is_file() and path.stat().st_size > 0


def _link(found: Found, via: int, depth: int) -> Link:
    with found.path.open("rb") as file:
        head = file.read(_HEAD)
    return Link(
        via=via,
        depth=depth,
        url=found.url[:2048],
        name=submission.shown(called(found.url)),
        sha256=found.sha256,
        size=found.path.stat().st_size,
        type=submission.describe(head),
        kind=kind_of(head, called(found.url)),
    )


def kind_of(head: bytes, name: bytes) -> str:
    """Name what can be analysed in turn: program, script or archive; else the name is empty."""
    if containers.kind_of(head):
        return "archive"
    accepting = next((package.name for package in packages.BUILT_IN if package.accepts(head, name)), "generic")
    if accepting == "elf":
        return "program"
    if accepting == "generic" or (accepting == "shell" and head.lstrip().startswith(_MARKUP)):
        return ""
    return "script"


def called(url: str) -> bytes:
    """Return the file name at the end of a URL's path or of a path, fit to be a sample's."""
    path = url.partition("://")[2].partition("/")[2] if "://" in url else url
    name = os.fsencode(path.partition("?")[0].partition("#")[0]).rstrip(b"/").rpartition(b"/")[2].replace(b"\0", b"")
    return b"download" if name in (b"", b".", b"..") else name[-255:]


def _why_not(found: Found, which: str, depth: int, settings: Settings, known: Mapping[str, int]) -> str:
    """Say why a download is not analysed; empty when it is."""
    if found.sha256 in known:
        return f"analysis {known[found.sha256]} has the same content"
    if found.ran and which != "yes":
        return f"it ran here, as process {', '.join(map(str, found.ran[:5]))}"
    if depth >= settings.analysis.chain_depth:
        return f"chains are followed {settings.analysis.chain_depth} deep (analysis.chain_depth)"
    return ""


def _tasks(home: Home, settings: Settings, parent: Task, found: Found, link: Link) -> tuple[list[Task], str]:
    """Make the tasks of one download: one, or those of an archive's members; or say why there is none."""
    options = child_options(parent.options, parent.category)
    try:
        submitted = archives.submit(
            home, settings, os.fsencode(found.path), options, priority=parent.priority,
            called=called(found.url), of=link.url,
        )  # fmt: skip
    except SubmitError as error:
        return [], str(error)
    inherited = {"custom": parent.custom, "owner": parent.owner, "tags": parent.tags, "submit_id": parent.submit_id}
    tasks = [msgspec.structs.replace(child, **inherited) for child in submitted.tasks]
    for child in tasks:
        submission.save(child, home.analysis(child.id))
    return tasks, ""


def child_options(options: Options, category: str) -> Options:
    """Return the options of what was downloaded: those of its parent, without what was said of that one's own start."""
    extra = {name: value for name, value in options.extra.items() if name not in _RUNNING_ONLY}
    # a child of a URL goes on as the URL would; one of a file does as it was told
    extra["chain"] = options.extra.get("chain", "new" if category == "url" else "no")
    return msgspec.structs.replace(options, package=None, arguments="", extra=extra)


def _name(task: Task) -> str:
    return submission.shown(task.sample.name) if task.sample is not None else ""


def _sha256(store: Store) -> str:
    task = submission.load(store)
    return task.sample.sha256 if task.sample is not None else ""


def _write(store: Store, chain: Chain) -> None:
    part = store.chain.with_suffix(".part")
    part.write_bytes(msgspec.json.encode(chain) + b"\n")
    part.replace(store.chain)


def _change(store: Store, change: Any) -> None:
    """Change the chain of an analysis and the one that stands in its report; one at a time does."""
    with _alone(store):
        chain = pipeline.chain(store)
        change(chain)
        _write(store, chain)
        try:
            report = json_report.read(store.report_json)
        except ReportError:
            return  # it is being made, and will read the chain itself
        report.malkoha.chain = chain
        pipeline.write_all(report, store, again=True)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    folder = os.open(store.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)
