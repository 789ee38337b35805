"""Getting at passwords and keys."""

from __future__ import annotations

from malkoha.signatures.base import READS, Signature
from malkoha.signatures.places import HASHES
from malkoha.signatures.programs import ACCOUNTS


class ReadsPasswordHashes(Signature):
    """Programs that check or change passwords read these files; hardly any other does."""

    name = "reads_password_hashes"
    description = "Reads the password hashes of the system's users"
    severity = 3
    attack = ("T1003.008",)
    paths = HASHES
    access = READS
    ordinary = ACCOUNTS


SIGNATURES: tuple[type[Signature], ...] = (ReadsPasswordHashes,)
