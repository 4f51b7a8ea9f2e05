"""Passwords that clients set: kept as argon2id hashes only (REQ-S-023, REQ-S-024)."""

import asyncio
import unicodedata
from typing import Any, Final

from joiner.scim.errors import InvalidAttributeError

LONGEST: Final = 1024


async def hash_password(value: Any) -> str | None:
    """The argon2id hash of a password, prepared as RFC 8265 §4.2 says; None for none. Takes a tenth of a second, on
    another thread.

    Raises InvalidAttributeError, which does not repeat the password.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > LONGEST:
        raise InvalidAttributeError(f"'password' takes a text of at most {LONGEST} characters")
    spaces = "".join(" " if unicodedata.category(each) == "Zs" else each for each in value)
    from argon2 import PasswordHasher

    return await asyncio.to_thread(PasswordHasher().hash, unicodedata.normalize("NFC", spaces))
