"""Credentials at rest."""

import os

import pytest

from joiner.errors import InvalidStateError
from joiner.vault import Vault


def test_a_credential_opens_only_with_its_key_and_at_its_place() -> None:
    vault = Vault(os.urandom(32))
    sealed = vault.encrypt("s3cret", "secret/a/SecretToken")
    assert b"s3cret" not in sealed
    assert vault.decrypt(sealed, "secret/a/SecretToken") == "s3cret"
    with pytest.raises(InvalidStateError):
        vault.decrypt(sealed, "secret/b/SecretToken")
    with pytest.raises(InvalidStateError):
        Vault(os.urandom(32)).decrypt(sealed, "secret/a/SecretToken")


def test_the_same_text_is_encrypted_differently_each_time() -> None:
    vault = Vault(os.urandom(32))
    assert vault.encrypt("x", "p") != vault.encrypt("x", "p")
