from __future__ import annotations

from collections.abc import Callable
from typing import Any

from malkoha.store import Home
from malkoha.web.tokens import Role, Tokens


def test_add_list_remove(malkoha_: Callable[..., Any], home: Home) -> None:
    secret = malkoha_("token", "add", "alice", "--role", "admin").out.strip()
    found = Tokens(home).of(secret)
    assert found is not None
    assert found.role is Role.ADMIN
    listed = malkoha_("token", "list").out
    assert "alice\tadmin\t" in listed
    assert secret not in listed
    assert malkoha_("token", "remove", "alice").status == 0
    assert malkoha_("token", "list").out == "name\trole\tadded\n"


def test_refusals(malkoha_: Callable[..., Any]) -> None:
    assert "there is no role" in malkoha_("token", "add", "alice", "--role", "king").err
    assert malkoha_("token", "remove", "alice").status == 2


def test_other_addresses_need_a_token(malkoha_: Callable[..., Any]) -> None:
    result = malkoha_("serve", "--host", "0.0.0.0", "--port", "0")
    assert result.status == 2
    assert "malkoha token add NAME" in result.err
