from __future__ import annotations

import pytest

from malkoha.errors import ConfigError, UsageError
from malkoha.store import Home
from malkoha.web.tokens import SETTING, Role, Tokens


def test_only_hashes_are_kept_and_nobody_else_may_read_them(home: Home) -> None:
    tokens = Tokens(home)
    secret = tokens.add("mailgate", Role.SUBMIT)
    assert secret not in home.tokens.read_text()
    assert home.tokens.stat().st_mode & 0o777 == 0o600
    found = tokens.of(secret)
    assert found is not None
    assert (found.name, found.role) == ("mailgate", Role.SUBMIT)
    assert tokens.of(secret[:-1]) is None
    assert tokens.of("") is None


def test_another_process_changes_the_list(home: Home) -> None:
    seen, other = Tokens(home), Tokens(home)
    secrets = [seen.add("a", Role.READ), other.add("b", Role.ADMIN)]
    assert all(seen.of(secret) for secret in secrets)
    other.remove("a")
    assert [seen.of(secret) is None for secret in secrets] == [True, False]
    assert seen.named("a") is None


def test_what_cannot_be(home: Home) -> None:
    tokens = Tokens(home)
    tokens.add("a", Role.READ)
    for name in ("a", "", "../a", SETTING, "a" * 65):
        with pytest.raises(UsageError):
            tokens.add(name, Role.READ)
    with pytest.raises(UsageError, match="there is no token b"):
        tokens.remove("b")
    assert [token.name for token in tokens.all()] == ["a"]


def test_the_token_of_the_settings_is_an_admin(home: Home) -> None:
    found = Tokens(home, "a-token-of-some-length").of("a-token-of-some-length")
    assert found is not None
    assert found.role is Role.ADMIN
    assert not home.tokens.exists()


def test_a_broken_file_lets_nobody_in(home: Home) -> None:
    home.root.mkdir(parents=True)
    home.tokens.write_text("{}")
    with pytest.raises(ConfigError, match="no list of tokens"):
        Tokens(home).all()


def test_roles_are_a_ladder() -> None:
    assert [[one.covers(other) for other in Role] for one in Role] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
