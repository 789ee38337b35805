from __future__ import annotations

from malkoha.model.task import Options, needs


def test_what_a_worker_must_have_is_one_word() -> None:
    assert needs(Options(image="web", network="vpn")) == "web/x86-64/vpn"
    assert needs(Options()) == "default/x86-64/none"
