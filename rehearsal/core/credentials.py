"""Keys and certificates of the rehearsal: created once, private files in its state folder."""

from __future__ import annotations

import ipaddress
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rehearsal.core.files import write_private

YEARS = timedelta(days=3650)
MARGIN = timedelta(days=30)
"""A certificate is renewed this long before its end."""


def now() -> datetime:
    """The time, by this machine's clock."""
    return datetime.now(UTC)


def storage_key(state_dir: Path) -> bytes:
    """The key that encrypts the store; created at its first use."""
    path = state_dir / "key"
    if not path.exists():
        write_private(path, Fernet.generate_key())
    return path.read_bytes()


class Authority:
    """A certificate authority for loopback names, trusted only by this rehearsal's clients."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / "certificates"
        self._folder.mkdir(mode=0o700, exist_ok=True)
        self._lock = threading.Lock()
        self.certificate_path = self._folder / "ca.pem"
        if not _is_valid(self.certificate_path):
            # The certificates that it has signed are not valid any more.
            for path in self._folder.glob("*.pem"):
                path.unlink()
            key = ec.generate_private_key(ec.SECP256R1())
            subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Triplane rehearsal CA")])
            certificate = (
                _builder(subject, subject, key)
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage(signs=True), critical=True)
                .sign(key, hashes.SHA256())
            )
            write_private(self._folder / "ca.key", _pem(key))
            write_private(self.certificate_path, certificate.public_bytes(_PEM))
        self.bundle = state_dir / "ca-bundle.pem"
        """The public authorities and this one, for ``REQUESTS_CA_BUNDLE`` and its like."""
        public = Path(certifi.where()).read_bytes()
        write_private(self.bundle, public + self.certificate_path.read_bytes())

    def environment(self) -> dict[str, str]:
        """The variables by which clients trust this authority."""
        names = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_CA_BUNDLE", "CURL_CA_BUNDLE")
        return dict.fromkeys(names, str(self.bundle))

    def certificate(self, host: str) -> tuple[Path, Path]:
        """Certificate and key files for a host name or address, created at its first use."""
        certificate_path = self._folder / f"{host}.pem"
        key_path = self._folder / f"{host}.key"
        with self._lock:
            if not _is_valid(certificate_path):
                authority = x509.load_pem_x509_certificate(self.certificate_path.read_bytes())
                signer = serialization.load_pem_private_key(
                    (self._folder / "ca.key").read_bytes(), None
                )
                assert isinstance(signer, ec.EllipticCurvePrivateKey)
                key = ec.generate_private_key(ec.SECP256R1())
                subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
                certificate = (
                    _builder(subject, authority.subject, key)
                    .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                    .add_extension(_usage(signs=False), critical=True)
                    .add_extension(
                        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
                    )
                    .add_extension(x509.SubjectAlternativeName([_name(host)]), critical=False)
                    .add_extension(
                        x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                        critical=False,
                    )
                    .sign(signer, hashes.SHA256())
                )
                write_private(key_path, _pem(key))
                write_private(certificate_path, certificate.public_bytes(_PEM))
        return certificate_path, key_path


_PEM = serialization.Encoding.PEM


def _is_valid(path: Path) -> bool:
    """Whether a certificate exists and is valid now; the clock may have been changed since it was created."""
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_before_utc <= now() < certificate.not_valid_after_utc - MARGIN


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    created = now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(created - timedelta(days=1))
        .not_valid_after(created + YEARS)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
