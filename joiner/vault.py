"""Credentials at rest: AES-256-GCM, bound to the place where they are stored."""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from joiner.errors import InvalidStateError

VERSION: Final = b"\x01"
NONCE_BYTES: Final = 12


class Vault:
    """Encrypts and decrypts with one 32-byte key. What was encrypted for one place does not open at another."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def encrypt(self, text: str, place: str) -> bytes:
        """`place` names the row, for example `secret/<service principal>/<key>`; it is authenticated, not stored."""
        nonce = os.urandom(NONCE_BYTES)
        return VERSION + nonce + self._cipher.encrypt(nonce, text.encode(), place.encode())

    def decrypt(self, sealed: bytes, place: str) -> str:
        """Raises InvalidStateError if the key is not the one it was encrypted with, or the row was moved."""
        nonce, body = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, body, place.encode()).decode()
        except InvalidTag:
            raise InvalidStateError(
                "a stored credential does not open with this key; was the data folder's secret.key replaced?"
            ) from None
