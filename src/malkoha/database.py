"""The database: a file of SQLite in the home, or PostgreSQL for many machines; opened, made and migrated here."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from malkoha import jobs
from malkoha.errors import HostError
from malkoha.store import Home

HEAD = "0005"
"""Newest revision in malkoha/migrations; a database that is at it needs no Alembic to be opened."""

metadata = sa.MetaData()
_LOCK = 0x6D616C6B6F6861
"""PostgreSQL's advisory lock that is held while the tables are made or migrated."""


class Database:
    """An open database; everything that it cannot do is a HostError."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.name = "the database on PostgreSQL" if home.server else str(home.database)
        with self._told():
            home.root.mkdir(parents=True, exist_ok=True)
            if home.server:
                self.engine = _postgresql(home.server)
            else:
                self.engine = sa.create_engine(f"sqlite:///{home.database}", connect_args={"timeout": 30})
                sa.event.listen(self.engine, "connect", _set_pragmas)
            try:
                with self._alone():
                    if self._revision() != HEAD:
                        self._migrate()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Yield a connection to look something up."""
        with self._told(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[sa.Connection]:
        """Yield a connection whose changes are all made when the block ends, or none when it fails."""
        with self._told(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if self.home.server:
            with self.engine.connect() as connection:
                connection.execute(sa.select(sa.func.pg_advisory_lock(_LOCK)))
                try:
                    yield
                finally:
                    connection.execute(sa.select(sa.func.pg_advisory_unlock(_LOCK)))
            return
        # SQLite does not wait for others when the first connection makes the file one with a write-ahead log
        with self.home.database_lock.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _revision(self) -> str | None:
        with self.engine.connect() as connection:
            if not sa.inspect(connection).has_table("alembic_version"):
                return None
            return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
        config.set_main_option("path_separator", "newline")
        with self.engine.connect() as connection:
            config.attributes.update(connection=connection, metadata=metadata)
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                why = f"{error} (was it made by a newer malkoha?)"
                raise HostError(f"{self.name} cannot be used", why) from error
            if self.home.server and not sa.inspect(connection).has_table("procrastinate_jobs"):
                jobs.prepare(connection)
            connection.commit()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DatabaseError as error:
            why = str(error.orig or error).splitlines()[0]
            raise HostError(f"{self.name} cannot be used", why, "malkoha doctor looks closer") from error
        except OSError as error:
            where = f"{self.home.root} cannot be written"
            raise HostError(where, error.strerror or str(error), "set MALKOHA_HOME") from error


def _postgresql(server: str) -> sa.Engine:
    return sa.create_engine(sa.make_url(server).set(drivername="postgresql+psycopg"), pool_pre_ping=True)


def _set_pragmas(connection: Any, record: object) -> None:
    del record
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.execute("PRAGMA foreign_keys=ON")  # what is kept of a task goes with it
