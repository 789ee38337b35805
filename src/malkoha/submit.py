"""Submission: one target and its options in; a Task with an analysis folder that holds the sample's bytes out.

Everything that can be known to be wrong before a machine is started is refused here, in one line, and a refused
submission leaves nothing behind. The database is not touched: ``malkoha.tasks`` records the task that this returns.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import ipaddress
import os
import re
import shlex
import shutil
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from malkoha import urls
from malkoha.config import ROUTED, Routes, Settings
from malkoha.errors import ConfigError, HostError, MalkohaError, SubmitError
from malkoha.log import printable
from malkoha.model.task import Options, Run, Sample, Status, Task, Timings
from malkoha.store import Home, Store

NETWORKS = ("none", "sim", "drop", *ROUTED)
ENGINES = ("tracepoint", "kprobe")
TIMES = ("real", "skip")
QUIET = ("none", "drop")
"""Networks in which nobody answers, so that nothing is missed when the guest's time jumps."""
CHOICES = (("follow", ("yes", "no")), ("client", urls.CLIENTS), ("chain", ("new", "yes", "no")))
"""Options that are one of a few words: who is followed, what fetches a URL, which downloads are analysed in turn."""
_CHUNK = 1 << 20
MAX_TRACE_MB = 64 << 10
"""Size of the largest trace that is imported."""
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
_USER = re.compile(r"^[a-z_][a-z0-9_-]{0,31}$")
_IMAGE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


def submit(
    home: Home, settings: Settings, target: str | bytes, options: Options, *, priority: int = 1, called: bytes = b"",
    of: str = "",
) -> Task:  # fmt: skip
    """Check ``target`` and ``options``, make the analysis folder and copy the sample into it.

    ``target`` is a path as the user gave it; ``called`` is the sample's name and ``of`` what the task is listed as,
    where the path does not tell them. Raises SubmitError when it or an option is not acceptable and HostError
    when this host cannot keep the copy; neither leaves a folder behind.
    """
    check(options, settings.routes)
    path = os.fsencode(target)
    if _URL.match(shown(path)) and not os.path.lexists(path):
        return submit_url(home, shown(path), options, priority=priority)
    with opened(path, settings.analysis.max_sample_mb) as source:
        return receive(home, settings, source, path, options, priority=priority, called=called, of=of)


def receive(
    home: Home,
    settings: Settings,
    source: int,
    path: bytes,
    options: Options,
    *,
    priority: int = 1,
    called: bytes = b"",
    of: str = "",
    **facts: Any,
) -> Task:
    """Make a task of the file that is open as ``source``; ``path`` only names it, ``facts`` are fields of Task."""
    with _no_space(home), _folder(home) as (task_id, store):
        sample = _copy(source, store.sample, settings.analysis.max_sample_mb, called or _name(path))
        if sample.size == 0:
            raise SubmitError(f"{shown(path)} is empty", mend="give a file that holds something to run")
        task = Task(
            id=task_id,
            target=of or shown(path),
            sample=sample,
            options=options,
            priority=priority,
            added_at=datetime.now(UTC),
            **facts,
        )
        save(task, store)
        return task


def bring(home: Home, target: str | bytes) -> Task:
    """Make an analysis of a trace that was recorded elsewhere: lines in Cuckoo's grammar, or binary records.

    It gets a task.json and a run.json that say so, and waits to be processed. Raises SubmitError for what is no trace.
    """
    path = os.fsencode(target)
    with opened(path, MAX_TRACE_MB) as source, _no_space(home), _folder(home) as (task_id, store):
        binary = _is_binary(os.pread(source, _CHUNK, 0), shown(path))
        trace = store.records if binary else store.stap
        trace.parent.mkdir(exist_ok=True)
        size = _copy(source, trace, MAX_TRACE_MB, b"").size
        now = datetime.now(UTC)
        task = Task(
            id=task_id, target=shown(path), sample=None, options=Options(), added_at=now, started_at=now,
            completed_at=now, status=Status.COMPLETED,
        )  # fmt: skip
        run = Run(
            engine="tracepoint" if binary else "kprobe", ended="imported", lost=0, bytes=size, image="", accelerator="",
            architecture="", machine="", package="", command=[], started_at=now, ended_at=now, timings=Timings(),
        )  # fmt: skip
        store.run.write_bytes(msgspec.json.encode(run))
        save(task, store)
        return task


def _is_binary(head: bytes, label: str) -> bool:
    """Tell records from lines by the first megabyte; raise SubmitError when it is neither."""
    from malkoha.trace import records, stap

    if next(records.scan(head), None) is not None:
        return True
    lines = stap.Lines()
    for number, line in enumerate(head.splitlines(keepends=True)):
        lines.add(line, number)
    if lines.unknown == len(lines):
        raise SubmitError(f"{label} is no trace", "it has no record and no line of a SystemTap log", "docs/trace.md")
    return False


def submit_url(home: Home, url: str, options: Options, *, priority: int = 1, **facts: Any) -> Task:
    """Make a task whose sample fetches the URL in the guest and opens what it gets; ``facts`` are fields of Task."""
    if not urls.is_url(url):
        known = ", ".join(f"{scheme}://" for scheme in urls.SCHEMES)
        raise SubmitError(f"{url} cannot be fetched", "", f"known are: {known}")
    if options.network == "none":
        raise SubmitError("a URL needs a network", "", "leave --network none out")
    name, script = urls.sample(url, options.extra.get("client", urls.CLIENTS[0]))
    with _no_space(home), _folder(home) as (task_id, store):
        store.sample.write_bytes(script)
        sample = Sample(name=name, size=len(script), sha256=hashlib.sha256(script).hexdigest(), type=describe(script))
        task = Task(
            id=task_id,
            category="url",
            target=url,
            sample=sample,
            options=options,
            priority=priority,
            added_at=datetime.now(UTC),
            **facts,
        )
        save(task, store)
        return task


def check(options: Options, routes: Routes) -> None:
    """Raise SubmitError for an option whose value cannot be right, whatever the sample is.

    ``routes`` are those that an administrator has set up; ConfigError when the one that is asked for is not whole.
    """
    if options.package is not None:
        _check_package(options.package)
    _check_network(options, routes)
    if options.engine not in ENGINES:
        raise SubmitError(f"there is no engine {options.engine!r}", "", f"known are: {', '.join(ENGINES)}")
    if options.time not in TIMES:
        raise SubmitError(f"there is no time {options.time!r}", "", f"known are: {', '.join(TIMES)}")
    if not 0 < options.timeout_s <= 86400:
        raise SubmitError(f"a timeout of {options.timeout_s:g} s is not possible", "", "more than 0, at most 86400")
    if not _USER.match(options.user):
        raise SubmitError(f"{options.user!r} is not a name of a user", "", "lower-case letters, digits, _ and -")
    if not _IMAGE.match(options.image):
        raise SubmitError(f"{options.image!r} is not a name of an image", "", "malkoha image list shows the names")
    try:
        shlex.split(options.arguments)
    except ValueError as error:
        raise SubmitError("the arguments cannot be split like a shell does", str(error).lower()) from error
    if "\0" in options.arguments:
        raise SubmitError("the arguments contain a NUL byte", "no program can be given one")
    _check_choices(options)


def _check_choices(options: Options) -> None:
    for option, known in CHOICES:
        if (chosen := options.extra.get(option, known[0])) not in known:
            mend = " or ".join(f"{option}={each}" for each in known)
            raise SubmitError(f"the option {option}={chosen} is not known", "", mend)


def save(task: Task, store: Store) -> None:
    """Write task.json whole or not at all."""
    part = store.task.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(task), indent=2) + b"\n")
    part.replace(store.task)


def load(store: Store) -> Task:
    """Read task.json of an analysis folder."""
    try:
        return msgspec.json.decode(store.task.read_bytes(), type=Task)
    except FileNotFoundError as error:
        raise SubmitError(f"there is no analysis {store.root.name}", "", "malkoha tasks lists them") from error
    except (msgspec.MsgspecError, OSError) as error:
        raise MalkohaError(f"{store.task} cannot be read", str(error)) from error


def shown(name: bytes) -> str:
    """Return a name as text that can be printed: what is not printable UTF-8 stands as backslash escapes."""
    return printable(name.decode("utf-8", "backslashreplace"))


def describe(head: bytes) -> str:
    """Return libmagic's description of a file that begins with ``head``."""
    try:
        import magic
    except ImportError as error:
        raise HostError("the type of a file cannot be told", str(error), "apt-get install libmagic1") from error
    try:
        return printable(magic.from_buffer(head))[:512]
    except magic.MagicException as error:
        return f"unknown ({printable(str(error))[:200]})"


def reserve(home: Home) -> int:
    """Return a task id that no other process got or will get, even after older analyses were removed."""
    home.analyses.mkdir(parents=True, exist_ok=True)
    with home.last_id.open("a+b") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        text = counter.read(32).strip()
        last = int(text) if text.isdigit() else _highest(home)
        counter.truncate(0)
        counter.write(b"%d\n" % (last + 1))
        counter.flush()
        return last + 1


def _highest(home: Home) -> int:
    return max((int(entry.name) for entry in home.analyses.iterdir() if entry.name.isdecimal()), default=0)


def package_names() -> list[str]:
    """Return the names of the packages, the ways to start a sample."""
    from malkoha.inguest import packages

    return [package.name for package in packages.BUILT_IN]


def _check_network(options: Options, routes: Routes) -> None:
    if options.network not in NETWORKS:
        raise SubmitError(f"there is no network mode {options.network!r}", "", f"known are: {', '.join(NETWORKS)}")
    if options.network in ROUTED:
        _check_route(options.network, routes)
    if options.time == "skip" and options.network not in QUIET:
        raise SubmitError(
            f"time cannot be skipped with the network {options.network}",
            "answers would come after the guest's own deadlines",
            f"choose --network {' or '.join(QUIET)}",
        )


def way_out(mode: str, routes: Routes) -> str:
    """Return the setting of a route that leads out, "" where an administrator has set up none."""
    return {"internet": routes.internet, "vpn": routes.vpn, "socks5": routes.socks5, "tor": routes.tor}[mode]


def _check_route(mode: str, routes: Routes) -> None:
    """Raise SubmitError unless an administrator has set this route up, ConfigError when a setting of it is wrong."""
    if not way_out(mode, routes):
        raise SubmitError(
            f"the network {mode} is not set up on this machine",
            "an administrator has to allow it",
            f"set routes.{mode} in config.toml (docs/guides/network.md)",
        )
    if not routes.resolver and mode != "tor":
        raise ConfigError(f"the network {mode} has no name server", mend="set routes.resolver to an address")
    for name, text in (
        ("resolver", routes.resolver),
        *(("blocked_networks", each) for each in routes.blocked_networks),
    ):
        try:
            if text:
                ipaddress.ip_network(text, strict=False)
        except ValueError as error:
            raise ConfigError(f"routes.{name} cannot be {text!r}", str(error)) from error


def _check_package(name: str) -> None:
    # the list is looked at only when a package was named: the guest picks the one that fits otherwise
    known = package_names()
    if name not in known:
        raise SubmitError(f"there is no package {name!r}", "", f"known are: {', '.join(known)}")


def _name(path: bytes) -> bytes:
    """The last part of the path, also of one that ends in a slash or in dots."""
    name = path.rstrip(b"/").rpartition(b"/")[2].replace(b"\0", b"")[:255]
    return b"sample" if name in (b"", b".", b"..") else name


@contextmanager
def opened(path: bytes, max_mb: int) -> Iterator[int]:
    """Yield the descriptor of a regular file; links are followed, nothing that could block or never end is opened."""
    label = shown(path)
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except ValueError as error:
        raise SubmitError("the target cannot be a file", str(error)) from error
    except OSError as error:
        raise SubmitError(f"{label} cannot be analysed", _why(error)) from error
    try:
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            raise SubmitError(f"{label} is a directory", "", "give one of its files")
        if not stat.S_ISREG(facts.st_mode):
            raise SubmitError(f"{label} is not a regular file", f"it is {_kind(facts.st_mode)}")
        if facts.st_size > max_mb << 20:
            raise _too_large(label, facts.st_size, max_mb)
        yield descriptor
    finally:
        os.close(descriptor)


def _why(error: OSError) -> str:
    return {
        errno.ENOENT: "there is no such file",
        errno.EACCES: "it is not readable for you",
        errno.ELOOP: "its links go round in a circle",
        errno.ENXIO: "it is a socket or a device",
    }.get(error.errno or 0, (error.strerror or str(error)).lower())


def _kind(mode: int) -> str:
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    return kinds.get(stat.S_IFMT(mode), "something else")


def _too_large(label: str, size: int, max_mb: int) -> SubmitError:
    why = f"it has {size / (1 << 20):.1f} MiB, at most {max_mb} are accepted"
    return SubmitError(f"{label} is too large", why, "raise analysis.max_sample_mb")


def _copy(source: int, target: Path, max_mb: int, name: bytes) -> Sample:
    """Copy and hash in one pass, bounded even when the file grows."""
    md5, sha1 = hashlib.md5(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    sha256, sha512, crc32, size, head = hashlib.sha256(), hashlib.sha512(), 0, 0, b""
    with target.open("xb") as copy:
        os.fchmod(copy.fileno(), 0o600)  # never executable on the host
        while chunk := os.read(source, _CHUNK):
            head = head or chunk
            size += len(chunk)
            if size > max_mb << 20:
                raise _too_large("the file", size, max_mb)
            for digest in (md5, sha1, sha256, sha512):
                digest.update(chunk)
            crc32 = zlib.crc32(chunk, crc32)
            copy.write(chunk)
    return Sample(
        name=name,
        size=size,
        sha256=sha256.hexdigest(),
        type=describe(head),
        md5=md5.hexdigest(),
        sha1=sha1.hexdigest(),
        sha512=sha512.hexdigest(),
        crc32=f"{crc32:08X}",
    )


@contextmanager
def _folder(home: Home) -> Iterator[tuple[int, Store]]:
    """Make a new analysis folder, and remove it again when the block fails for whatever reason."""
    task_id = reserve(home)
    store = home.analysis(task_id)
    try:
        store.create()
        yield task_id, store
    except BaseException:
        shutil.rmtree(store.root, ignore_errors=True)
        raise


@contextmanager
def _no_space(home: Home) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            mend = "malkoha clean --older-than 30d frees some"
            raise HostError(f"no space is left under {home.root}", "", mend) from error
        where = f"{home.root} cannot be written"
        raise HostError(where, error.strerror or str(error), "set MALKOHA_HOME to a folder of yours") from error
