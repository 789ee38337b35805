"""The database is made and migrated when it is opened, also by several at once; one of a newer version is not."""

from __future__ import annotations

import fcntl
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import pytest
import sqlalchemy as sa

from malkoha import catalogue, database
from malkoha.errors import HostError
from malkoha.model.task import Status
from malkoha.queue import open_queue
from malkoha.store import Home
from malkoha.tasks import Tasks


def test_migrations_make_the_table_that_the_code_describes(home: Home) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "newline")
    assert ScriptDirectory.from_config(config).get_heads() == [database.HEAD]
    Tasks(home).close()
    engine = sa.create_engine(f"sqlite:///{home.database}")
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert context.get_current_revision() == database.HEAD
        assert catalogue.terms.metadata is database.metadata
        assert compare_metadata(context, database.metadata) == []
    engine.dispose()


def test_many_first_openings_at_once(home: Home) -> None:
    program = "import sys; from pathlib import Path; from malkoha.store import Home; from malkoha.tasks import Tasks;"
    program += "Tasks(Home(Path(sys.argv[1]))).close()"
    started = [subprocess.Popen([sys.executable, "-c", program, home.root], stderr=subprocess.PIPE) for _ in range(4)]
    errors = [process.communicate()[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, errors


def test_an_opening_waits_for_one_that_makes_the_file(home: Home) -> None:
    # two that turn on the write-ahead log at the same moment fail (database is locked), whatever their timeout
    Tasks(home).close()
    with ThreadPoolExecutor(1) as pool, home.database_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        opening = pool.submit(lambda: Tasks(home).close())
        with pytest.raises(FutureTimeout):
            opening.result(timeout=1)
        fcntl.flock(lock, fcntl.LOCK_UN)
        opening.result(timeout=60)


def test_a_database_of_a_newer_version(home: Home) -> None:
    Tasks(home).close()
    connection = sqlite3.connect(home.database)
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(HostError, match="newer malkoha"):
        Tasks(home)


def test_what_is_no_database(home: Home) -> None:
    home.root.mkdir()
    home.database.write_bytes(b"not a database" * 100)
    with pytest.raises(HostError, match="cannot be used"):
        Tasks(home)


def test_a_home_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(HostError, match="cannot be written"):
        Tasks(Home(tmp_path / "file" / "home"))


def test_a_table_of_the_first_version_is_migrated(home: Home) -> None:
    from alembic import command
    from alembic.config import Config

    home.root.mkdir(parents=True)
    config = Config()
    config.set_main_option("script_location", str(Path(database.__file__).with_name("migrations")))
    config.set_main_option("path_separator", "newline")
    engine = sa.create_engine(f"sqlite:///{home.database}")
    with engine.connect() as connection:
        config.attributes.update(connection=connection, metadata=database.metadata)
        command.upgrade(config, "0001")
        connection.execute(
            sa.text(
                "INSERT INTO tasks VALUES (1, 'file', '/x', NULL, '', '{}', 1, 'pending', "
                "'2026-01-01T00:00:00+00:00', NULL, NULL, '', '')"
            )
        )
        connection.commit()
    with Tasks(home) as table:
        assert (table.get(1).owner, table.get(1).tags, table.get(1).submit_id) == ("", [], None)
        with open_queue(table) as queue:
            found = queue.take(["default/x86-64/none"])
            assert found is not None
            assert (found.id, found.status) == (1, Status.RUNNING)
    with engine.connect() as connection:
        config.attributes.update(connection=connection, metadata=database.metadata)
        command.downgrade(config, "0001")
        connection.commit()
        assert "attempts" not in [column["name"] for column in sa.inspect(connection).get_columns("tasks")]
    engine.dispose()
