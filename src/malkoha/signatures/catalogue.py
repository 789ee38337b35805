"""All signatures, and docs/signatures.md, which is made from them."""

from __future__ import annotations

from malkoha import attack
from malkoha.signatures import (
    collection,
    command_and_control,
    credential_access,
    defense_impairment,
    discovery,
    execution,
    exfiltration,
    families,
    impact,
    impact_services,
    lateral_movement,
    network_behaviour,
    own_code,
    persistence,
    persistence_login,
    privilege_escalation,
    privilege_escalation_container,
    remote_shells,
    rules_matched,
    stealth,
    stealth_evasion,
    stealth_processes,
)
from malkoha.signatures.base import Signature

SIGNATURES: tuple[type[Signature], ...] = (
    *collection.SIGNATURES,
    *command_and_control.SIGNATURES,
    *credential_access.SIGNATURES,
    *defense_impairment.SIGNATURES,
    *discovery.SIGNATURES,
    *execution.SIGNATURES,
    *exfiltration.SIGNATURES,
    *families.SIGNATURES,
    *impact.SIGNATURES,
    *impact_services.SIGNATURES,
    *lateral_movement.SIGNATURES,
    *network_behaviour.SIGNATURES,
    *own_code.SIGNATURES,
    *persistence.SIGNATURES,
    *persistence_login.SIGNATURES,
    *privilege_escalation.SIGNATURES,
    *privilege_escalation_container.SIGNATURES,
    *remote_shells.SIGNATURES,
    *rules_matched.SIGNATURES,
    *stealth.SIGNATURES,
    *stealth_evasion.SIGNATURES,
    *stealth_processes.SIGNATURES,
)

_BEFORE = """# Signatures

Made from the signatures by `make docs`: {count} rules, by the file (the tactic) that holds them. Severity: 1 ordinary
programs do it too, 2 unusual, 3 suspicious on its own, 4 and 5 malicious; [report.md](report.md) says how the verdict
follows.
"""
_HEAD = "| name | what it says | severity | ATT&CK |\n|---|---|---|---|\n"


def markdown() -> str:
    """Return docs/signatures.md: one table for each file of signatures."""
    homes: dict[str, list[type[Signature]]] = {}
    for signature in SIGNATURES:
        homes.setdefault(signature.__module__.rsplit(".", 1)[-1], []).append(signature)
    parts = [_BEFORE.format(count=len(SIGNATURES))]
    for home, signatures in sorted(homes.items()):
        parts.append(f"\n## {home.replace('_', ' ').capitalize()}\n\n{_HEAD}")
        parts += [_row(signature) for signature in signatures]
    return "".join(parts)


def _row(signature: type[Signature]) -> str:
    ids = ", ".join(f"{one} {attack.name(one)}" for one in signature.attack)
    families = f" ({', '.join(signature.families)})" if signature.families else ""
    return f"| `{signature.name}` | {signature.description}{families} | {signature.severity} | {ids} |\n"
