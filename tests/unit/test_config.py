from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from malkoha import config
from malkoha.config import Cluster, Settings, every_setting, home_from, load
from malkoha.errors import ConfigError
from malkoha.store import Home

REPOSITORY = Path(__file__).parents[2]


def write(home: Home, text: str | bytes) -> None:
    home.root.mkdir(parents=True, exist_ok=True)
    home.config.write_bytes(text if isinstance(text, bytes) else text.encode())


def test_defaults_without_file(home: Home) -> None:
    assert load(home, {}) == Settings()


def test_variable_wins_over_file_wins_over_default(home: Home) -> None:
    write(home, "[guest]\nmemory_mb = 512\ncpus = 1\n")
    settings = load(home, {"MALKOHA_GUEST_MEMORY_MB": "2048"})
    assert (settings.guest.memory_mb, settings.guest.cpus, settings.guest.disk_gb) == (
        2048,
        1,
        Settings().guest.disk_gb,
    )


def test_every_type_from_the_environment(home: Home) -> None:
    settings = load(
        home,
        {
            "MALKOHA_GUEST_PACKAGES": "curl, perl  jq",
            "MALKOHA_ANALYSIS_TIMEOUT_S": "7.5",
            "MALKOHA_MACHINE_ACCELERATOR": "tcg",
            "MALKOHA_HOME": "/elsewhere",
            "MALKOHA_NO_INSTALL": "1",
        },
    )
    assert settings.guest.packages == ("curl", "perl", "jq")
    assert settings.analysis.timeout_s == 7.5
    assert settings.machine.accelerator == "tcg"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[gest]\na = 1", ["[gest]", "did you mean guest?"]),
        ("[guest]\nmemory = 1", ["guest.memory", "did you mean guest.memory_mb?"]),
        ('[guest]\nmemory_mb = "x"', ["guest.memory_mb cannot be 'x'", "expected `int`"]),
        ("[guest]\nmemory_mb = 1", ["guest.memory_mb cannot be 1", ">= 256"]),
        ("guest = 1", ["guest has to be a section"]),
        ('[guest]\npackages = ["A B"]', ["guest.packages", "regex"]),
        ('[machine]\naccelerator = "fast"', ["machine.accelerator cannot be 'fast'"]),
        ("[guest", ["not valid TOML"]),
        (b"\xff", ["not UTF-8"]),
    ],
)
def test_errors_name_key_and_file(home: Home, text: str | bytes, words: list[str]) -> None:
    write(home, text)
    with pytest.raises(ConfigError) as caught:
        load(home, {})
    line = str(caught.value)
    assert str(home.config) in line
    assert "\n" not in line
    for word in words:
        assert word in line


def test_errors_name_the_variable(home: Home) -> None:
    with pytest.raises(ConfigError, match="MALKOHA_GUEST_CPUS: guest.cpus cannot be '999'"):
        load(home, {"MALKOHA_GUEST_CPUS": "999"})
    with pytest.raises(ConfigError, match="MALKOHA_GUEST_CPU .*did you mean MALKOHA_GUEST_CPUS"):
        load(home, {"MALKOHA_GUEST_CPU": "1"})


def test_unreadable_file(home: Home) -> None:
    home.config.mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be read"):
        load(home, {})


def test_home_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert home_from({}).root == Path("/home/somebody/.malkoha")
    assert home_from({"MALKOHA_HOME": "/srv/m"}).root == Path("/srv/m")
    assert home_from({"MALKOHA_HOME": "m"}).root == Path.cwd() / "m"
    with pytest.raises(ConfigError):
        home_from({"MALKOHA_HOME": "a\0b"})


def test_every_setting_is_described_and_its_default_is_valid(home: Home) -> None:
    rows = list(every_setting())
    assert len({row.variable for row in rows}) == len(rows) >= 12
    for row in rows:
        assert row.description.endswith("."), row.name


def test_template_is_valid_with_and_without_its_comments(home: Home) -> None:
    text = config.template()
    write(home, text)
    assert load(home, {}) == Settings()
    keys = {f"# {row.key} = " for row in every_setting()}
    active = "\n".join(line[2:] if any(line.startswith(key) for key in keys) else line for line in text.splitlines())
    assert sum(len(section) for section in tomllib.loads(active).values()) == len(keys)
    write(home, active)
    assert load(home, {}) == Settings()


def test_documentation_is_what_the_code_says() -> None:
    assert (REPOSITORY / "docs" / "settings.md").read_text() == config.markdown(), "run: make docs"


def test_every_setting_is_used_somewhere() -> None:
    package = Path(config.__file__).parent
    text = "".join(path.read_text() for path in package.rglob("*.py") if path.name != "config.py")
    unused = [row.name for row in every_setting() if f".{row.key}" not in text]
    assert unused == []


def test_many_machines_share_tasks_and_analyses(home: Home) -> None:
    assert config.place(home, Settings()) == home
    shared = Cluster(database="postgresql://db/malkoha", folder="/srv/malkoha", lost_after_s=9)
    placed = config.place(home, Settings(cluster=shared))
    assert (placed.server, placed.lost_after_s) == ("postgresql://db/malkoha", 9)
    assert placed.analyses == Path("/srv/malkoha/analyses")
    assert placed.last_id.parent == Path("/srv/malkoha")
    assert placed.images == home.images
    with pytest.raises(ConfigError, match="absolute path"):
        config.place(home, Settings(cluster=Cluster(database="postgresql://db/malkoha")))
