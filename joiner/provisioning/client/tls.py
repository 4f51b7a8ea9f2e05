"""TLS towards targets: certificates and host names verified, TLS 1.2 at least, our own certificate if they ask for one
(REQ-C-031)."""

import os
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from joiner.errors import InvalidValueError


class TlsMaterial(msgspec.Struct, frozen=True):
    """What one application's connections need beyond the system's authorities; texts in PEM form."""

    certificate: str | None = None
    """Our client certificate and its chain."""
    key: str | None = None
    """Its private key, not encrypted."""
    authority: str | None = None
    """Certificates of further authorities, for applications whose certificate no public one has signed."""

    def __repr__(self) -> str:
        return "TlsMaterial(…)"


def tls_context(material: TlsMaterial) -> ssl.SSLContext:
    """Raises InvalidValueError that says what cannot be used."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if material.authority:
        try:
            context.load_verify_locations(cadata=material.authority)
        except (ssl.SSLError, ValueError) as error:
            raise InvalidValueError(f"the certificate authority cannot be read: {_told(error)}") from None
    if material.certificate:
        # OpenSSL reads a certificate with its key from a file only.
        with _file(f"{material.certificate}\n{material.key or ''}") as path:
            try:
                context.load_cert_chain(path, password=_no_password)
            except (ssl.SSLError, ValueError) as error:
                raise InvalidValueError(f"the client certificate and its key cannot be used: {_told(error)}") from None
    return context


@contextmanager
def _file(text: str) -> Iterator[str]:
    """A path at which the text can be read while the block lasts; in memory where the system can do that."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(descriptor), "wb") as file:
                file.write(text.encode())
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "certificate.pem")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
        yield path


def _no_password() -> str:
    # Without this OpenSSL would ask on the terminal.
    raise ValueError("the key is encrypted; enter it without a password")


def _told(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).replace("_", " ").lower()
