"""The certificate authority that guests trust: made once for an armed snapshot, signs any name on the fly.

FOLDER/root.pem       its certificate, the only part that a guest ever sees
FOLDER/root.key       its key
FOLDER/server.key     the key that all servers share, so that a new name costs one signature
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import ssl
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

YEARS = 12
CACHE = 2048
"""Contexts that are kept; a sample can ask for as many names as it likes."""
_NAME = re.compile(r"^[A-Za-z0-9_*]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?$")


class Authority:
    """The authority of one folder."""

    def __init__(self, folder: Path) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        self.certificate_pem = (folder / "root.pem").read_bytes()
        self._certificate = x509.load_pem_x509_certificate(self.certificate_pem)
        self._key: RSAPrivateKey = serialization.load_pem_private_key(  # type: ignore[assignment]
            (folder / "root.key").read_bytes(), None
        )
        self._server_key: RSAPrivateKey = serialization.load_pem_private_key(  # type: ignore[assignment]
            (folder / "server.key").read_bytes(), None
        )
        self._server_pem = (folder / "server.key").read_bytes()
        self._contexts: dict[str, ssl.SSLContext] = {}

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """Return the authority of ``folder``, made there when it is missing."""
        if not (folder / "root.pem").exists():
            _create(folder)
        return cls(folder)

    def context(self, name: str, keys: Path | None = None) -> ssl.SSLContext:
        """Return the context of a server of that name or address; one that asks for another name gets that one's.

        ``keys`` is a file for the session keys, so that the capture can be read later.
        """
        name = name if _NAME.match(name) or _is_address(name) else "localhost"
        found = self._contexts.get(name)
        if found is None:
            if len(self._contexts) >= CACHE:
                self._contexts.clear()
            found = self._contexts[name] = self._context(name, keys)
        return found

    def _context(self, name: str, keys: Path | None) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with contextlib.suppress(ssl.SSLError, ValueError):
            # old clients and the odd ones that malware brings along; nothing here is to be kept from anybody
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.set_ciphers("ALL:@SECLEVEL=0")
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(self.sign(name) + self._server_pem)
            file.flush()
            context.load_cert_chain(file.name)
        context.set_alpn_protocols(["http/1.1"])
        if keys is not None:
            context.keylog_filename = str(keys)

        def asked(connection: ssl.SSLObject | ssl.SSLSocket, wanted: str | None, _: ssl.SSLContext) -> None:
            if wanted and wanted != name:
                connection.context = self.context(wanted, keys)

        context.sni_callback = asked
        return context

    def sign(self, name: str) -> bytes:
        """Return a certificate for a name or an address, as PEM."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        also: x509.GeneralName = x509.IPAddress(ipaddress.ip_address(name)) if _is_address(name) else x509.DNSName(name)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._certificate.subject)
            .public_key(self._server_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=41))
            .not_valid_after(now + timedelta(days=300))
            .add_extension(x509.SubjectAlternativeName([also]), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _create(folder: Path) -> None:
    """Make the keys and the root certificate; the certificate comes last, so it says that all is there."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    root, server = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
    for name, key in (("root.key", root), ("server.key", server)):
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "BE"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "GlobalTrust Services"),
            x509.NameAttribute(NameOID.COMMON_NAME, "GlobalTrust Root CA R2"),
        ]
    )
    begin = datetime(2019, 3, 12, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(root.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + timedelta(days=365 * (YEARS + 8)))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(root.public_key()), critical=False)
        .sign(root, hashes.SHA256())
    )
    part = folder / "root.pem.part"
    part.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    part.replace(folder / "root.pem")
