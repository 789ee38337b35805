"""What all analyses came to: reports in, answers to searches and statistics out, from two tables beside the tasks.

``outcomes`` has one row for each report, ``terms`` the texts by which it is found: hashes, names, addresses, domains,
paths, commands, signatures. Both are made from report.json alone and can be made again from it at any time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Literal

import msgspec
import sqlalchemy as sa

from malkoha.database import metadata
from malkoha.errors import HostError
from malkoha.log import printable
from malkoha.model.task import Status
from malkoha.store import Store
from malkoha.tasks import Tasks, table

Kind = Literal["hash", "name", "ip", "domain", "url", "path", "command", "signature", "technique"]
KINDS: tuple[Kind, ...] = ("hash", "name", "ip", "domain", "url", "path", "command", "signature", "technique")
LENGTH = 400
"""Characters of one text that are kept."""
PER_KIND = 2_000
"""Texts of one kind that are kept of one analysis."""
FOUND = 5_000
"""Rows that one search looks at."""

_BYTEWISE = sa.String(LENGTH).with_variant(sa.String(LENGTH, collation="C"), "postgresql")
"""A text that is ordered by its code points, so that what begins with a text stands together."""

outcomes = sa.Table(
    "outcomes",
    metadata,
    sa.Column(
        "task_id", sa.Integer, sa.ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    sa.Column("level", sa.String(16), nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("ended_at", sa.String(40), nullable=False),
    sa.Column("run_s", sa.Float, nullable=True),
    sa.Column("total_s", sa.Float, nullable=True),
    sa.Column("events", sa.BigInteger, nullable=False),
    sa.Column("processes", sa.Integer, nullable=False),
    sa.Column("tlsh", sa.String(80), nullable=False),
    sa.Column("ssdeep", sa.String(160), nullable=False),
    sa.Column("omitted", sa.Integer, nullable=False),
)
terms = sa.Table(
    "terms",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("task_id", sa.Integer, sa.ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("folded", _BYTEWISE, nullable=False),
    sa.Column("value", sa.String(LENGTH), nullable=False),
    sa.Index("terms_by_value", "folded", "kind"),
    sa.Index("terms_by_kind", "kind", "folded"),
    sa.Index("terms_by_task", "task_id"),
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one report came to."""

    task_id: int
    level: str
    score: float
    ended_at: str
    run_s: float | None
    total_s: float | None
    events: int
    processes: int
    tlsh: str
    ssdeep: str
    omitted: int
    """Texts that were not kept since there were too many of their kind."""


class Hit(msgspec.Struct, frozen=True):
    """An analysis that a search found, and by what."""

    task_id: int
    found: list[tuple[str, str]]
    """Kind and text, a few of them."""
    total: int


class Catalogue:
    """The two tables in the database that ``tasks`` has open."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def record(self, task_id: int, store: Store) -> Outcome | None:
        """Take in the report of an analysis in place of an earlier one; None where there is none, or no such task."""
        try:
            report = msgspec.json.decode(store.report_json.read_bytes(), type=_Report)
        except (OSError, msgspec.MsgspecError):
            return None
        kept, omitted = _bounded(_terms(report))
        row = _outcome(task_id, report, omitted)
        with self._write() as connection:
            for each in (terms, outcomes):
                connection.execute(each.delete().where(each.c.task_id == task_id))
            if connection.execute(sa.select(table.c.id).where(table.c.id == task_id)).scalar() is None:
                return None
            connection.execute(outcomes.insert().values(msgspec.structs.asdict(row)))
            found = [{"task_id": task_id, "kind": kind, "folded": fold(text), "value": text} for kind, text in kept]
            if found:
                connection.execute(terms.insert(), found)
        return row

    def catch_up(self, limit: int = 5) -> int:
        """Take in reports that nobody recorded, the newest first; return how many are still missing."""
        left = table.outerjoin(outcomes, outcomes.c.task_id == table.c.id)
        missing = (table.c.status == Status.REPORTED.value, outcomes.c.task_id.is_(None))
        with self._read() as connection:
            query = sa.select(table.c.id).select_from(left).where(*missing).order_by(table.c.id.desc())
            ids = list(connection.execute(query).scalars())
        for task_id in ids[:limit]:
            self.record(task_id, self._tasks.home.analysis(task_id))
        return max(len(ids) - limit, 0)

    def outcomes(self, task_ids: Sequence[int]) -> dict[int, Outcome]:
        """Return what is known of these analyses."""
        with self._read() as connection:
            rows = connection.execute(outcomes.select().where(outcomes.c.task_id.in_(task_ids))).mappings()
            return {row["task_id"]: Outcome(**row) for row in rows}

    def signatures(self, task_ids: Sequence[int]) -> dict[int, list[str]]:
        """Return the signatures of these analyses, in the order of their reports."""
        found: dict[int, list[str]] = {}
        query = sa.select(terms.c.task_id, terms.c.value).order_by(terms.c.id)
        query = query.where(terms.c.task_id.in_(task_ids), terms.c.kind == "signature")
        with self._read() as connection:
            for task_id, value in connection.execute(query):
                found.setdefault(task_id, []).append(value)
        return found

    def named(self, text: str, statuses: Sequence[Status] = (), *, limit: int, offset: int = 0) -> list[int]:
        """Find tasks, finished or not, by a part of the target, the beginning of a SHA-256 or the number."""
        wanted = text.strip()
        tests = [sa.func.lower(table.c.target).contains(wanted.lower(), autoescape=True)]
        tests.append(table.c.sha256.startswith(wanted.lower(), autoescape=True))
        if wanted.isascii() and wanted.isdecimal() and len(wanted) < 10:
            tests.append(table.c.id == int(wanted))
        query = sa.select(table.c.id).where(sa.or_(*tests)).order_by(table.c.id.desc()).limit(limit).offset(offset)
        if statuses:
            query = query.where(table.c.status.in_([status.value for status in statuses]))
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def terms(self, task_id: int) -> dict[str, list[str]]:
        """Return the texts of one analysis by kind."""
        found: dict[str, list[str]] = {}
        query = sa.select(terms.c.kind, terms.c.value).where(terms.c.task_id == task_id).order_by(terms.c.folded)
        with self._read() as connection:
            for kind, value in connection.execute(query):
                found.setdefault(kind, []).append(value)
        return found

    def search(self, text: str, kind: Kind | None = None, *, limit: int = 100) -> tuple[list[Hit], bool]:
        """Find analyses that have a text, without regard to case, the newest first; and whether there may be more.

        What begins with the text is looked for first; what only has it somewhere inside, when that found nothing.
        """
        wanted = fold(text.strip()[:LENGTH])
        if not wanted:
            return [], False
        begins = (terms.c.folded >= wanted, terms.c.folded < wanted + "\U0010ffff")
        inside = (terms.c.folded.contains(wanted, autoescape=True),)
        for where in (begins, inside):
            found, cut = self._matching((*where, terms.c.kind == kind) if kind else where)
            if found:
                hits = [_hit(task_id, rows) for task_id, rows in found.items()]
                return hits[:limit], cut or len(hits) > limit
        return [], False

    def _matching(self, where: tuple[Any, ...]) -> tuple[dict[int, list[tuple[str, str]]], bool]:
        query = sa.select(terms.c.task_id, terms.c.kind, terms.c.value).where(*where)
        query = query.order_by(terms.c.task_id.desc(), terms.c.id).limit(FOUND)
        found: dict[int, list[tuple[str, str]]] = {}
        number = 0
        with self._read() as connection:
            for task_id, kind, value in connection.execute(query):
                found.setdefault(task_id, []).append((kind, value))
                number += 1
        return found, number == FOUND

    def digests(self, name: Literal["tlsh", "ssdeep"]) -> list[tuple[int, str]]:
        """Return the fuzzy hash of every analysis that has one."""
        column = outcomes.c[name]
        with self._read() as connection:
            return [
                (task_id, digest)
                for task_id, digest in connection.execute(sa.select(outcomes.c.task_id, column).where(column != ""))
            ]

    def top(self, kind: Kind, *, since: str = "", limit: int = 20) -> list[tuple[str, int]]:
        """Count in how many analyses each text of a kind stands, the most frequent first."""
        number = sa.func.count(sa.distinct(terms.c.task_id)).label("number")
        query = sa.select(sa.func.min(terms.c.value), number).where(terms.c.kind == kind).group_by(terms.c.folded)
        if since:
            query = query.join(outcomes, outcomes.c.task_id == terms.c.task_id).where(outcomes.c.ended_at >= since)
        query = query.order_by(number.desc(), sa.func.min(terms.c.value)).limit(limit)
        with self._read() as connection:
            return [(value, total) for value, total in connection.execute(query)]

    def since(self, moment: str) -> list[Outcome]:
        """Return what ended since a moment (ISO 8601, UTC), oldest first."""
        query = outcomes.select().where(outcomes.c.ended_at >= moment).order_by(outcomes.c.ended_at)
        with self._read() as connection:
            return [Outcome(**row) for row in connection.execute(query).mappings()]

    @contextmanager
    def _read(self) -> Iterator[sa.Connection]:
        with _database(), self._tasks.engine.connect() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sa.Connection]:
        with _database(), self._tasks.engine.begin() as connection:
            yield connection


@contextmanager
def _database() -> Iterator[None]:
    try:
        yield
    except sa.exc.DatabaseError as error:
        why = str(error.orig or error).splitlines()[0]
        raise HostError("the catalogue of analyses cannot be used", why, "malkoha doctor looks closer") from error


def fold(text: str) -> str:
    """Return a text as it is compared."""
    return text.lower()[:LENGTH]


class _Behavior(msgspec.Struct):
    summary: dict[str, Any] = {}


class _Own(msgspec.Struct):
    verdict: dict[str, Any] = {}
    timings: dict[str, Any] = {}
    trace: dict[str, Any] = {}
    processes_total: int = 0


class _Network(msgspec.Struct):
    hosts: list[Any] = []
    domains: list[dict[str, Any]] = []
    http: list[dict[str, Any]] = []
    downloads: list[dict[str, Any]] = []


class _Match(msgspec.Struct):
    name: str = ""
    ttp: dict[str, Any] = {}


class _File(msgspec.Struct):
    name: str = ""
    filepath: str = ""
    md5: str = ""
    sha1: str = ""
    sha256: str = ""
    sha512: str = ""
    ssdeep: str | None = None
    tlsh: str | None = None


class _Target(msgspec.Struct):
    file: _File | None = None
    url: str | None = None


class _Report(msgspec.Struct):
    """The part of a report that is kept here; the rest is passed over."""

    info: dict[str, Any] = {}
    target: _Target = msgspec.field(default_factory=_Target)
    behavior: _Behavior = msgspec.field(default_factory=_Behavior)
    network: _Network = msgspec.field(default_factory=_Network)
    dropped: list[_File] = []
    signatures: list[_Match] = []
    malkoha: _Own = msgspec.field(default_factory=_Own)


_SUMMARY: tuple[tuple[Kind, str], ...] = (
    ("path", "persistence file_created file_written file_deleted file_moved downloads_file file_read fileless"),
    ("path", "directory_created file_executed"),
    ("command", "command_line"),
    ("ip", "connects_ip"),
    ("domain", "resolves_host connects_host"),
    ("url", "fetches_url"),
)


def _terms(report: _Report) -> Iterator[tuple[Kind, str]]:
    """List the texts by which a report shall be found, the most telling of each kind first."""
    for file in ([report.target.file] if report.target.file else []) + report.dropped:
        yield "name", file.name
        if file.filepath:
            yield "path", file.filepath
        for digest in (file.sha256, file.sha1, file.md5, file.sha512):
            yield "hash", digest
    if report.target.url:
        yield "url", report.target.url
    for match in report.signatures:
        yield "signature", match.name
        for technique in match.ttp:
            yield "technique", technique
    yield from _summary_terms(report.behavior.summary)
    for host in report.network.hosts:
        yield "ip", str(host)
    for named in report.network.domains:
        yield "domain", str(named.get("domain", ""))
    for fetched in (*report.network.http, *report.network.downloads):
        yield "url", str(fetched.get("uri") or fetched.get("url") or "")


def _summary_terms(summary: Mapping[str, Any]) -> Iterator[tuple[Kind, str]]:
    for kind, names in _SUMMARY:
        for name in names.split():
            entries = summary.get(name)
            if isinstance(entries, list):
                for text in chain.from_iterable(map(_texts, entries)):
                    yield kind, text


def _texts(entry: Any) -> Iterator[str]:
    """List the texts of an entry of the summary: itself, both of a pair, or the named facts that are texts."""
    if isinstance(entry, str):
        yield entry
    elif isinstance(entry, list):
        yield from (each for each in entry if isinstance(each, str))
    elif isinstance(entry, Mapping):
        yield from (entry[name] for name in ("path", "url", "name", "address") if isinstance(entry.get(name), str))


def _bounded(found: Iterable[tuple[Kind, str]]) -> tuple[list[tuple[Kind, str]], int]:
    """Keep each text once and not too many of a kind; return how many were left out."""
    counts: Counter[str] = Counter()
    kept: dict[tuple[Kind, str], None] = {}
    omitted = 0
    for kind, text in found:
        key = (kind, printable(text)[:LENGTH])
        if not text or key in kept:
            continue
        if counts[kind] >= PER_KIND:
            omitted += 1
            continue
        counts[kind] += 1
        kept[key] = None
    return list(kept), omitted


def _outcome(task_id: int, report: _Report, omitted: int) -> Outcome:
    from datetime import UTC, datetime

    own, file = report.malkoha, report.target.file
    ended = min(max(_number(report.info.get("ended")) or 0.0, 0.0), 32_503_680_000.0)
    return Outcome(
        task_id=task_id,
        level=str(own.verdict.get("level", ""))[:16],
        score=_number(own.verdict.get("score")) or 0.0,
        ended_at=datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds"),
        run_s=_number(own.timings.get("run_s")),
        total_s=_number(own.timings.get("total_s")),
        events=int(_number(own.trace.get("events")) or 0),
        processes=min(own.processes_total, (1 << 31) - 1),
        tlsh=((file.tlsh if file else None) or "")[:80],
        ssdeep=((file.ssdeep if file else None) or "")[:160],
        omitted=min(omitted, (1 << 31) - 1),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and -1e18 < value < 1e18 else None


def _hit(task_id: int, rows: list[tuple[str, str]]) -> Hit:
    return Hit(task_id, rows[:6], len(rows))
