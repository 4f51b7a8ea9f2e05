"""Identifiers: random ones for things that are created, derived ones for things that may be computed twice."""

import os
import time
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5


def new_id() -> str:
    """A random UUID in lower case with hyphens. Never contains the text `bulkId` (RFC 7643 §3.1)."""
    return str(uuid4())


def new_ordered_id() -> str:
    """A UUID of version 7 (RFC 9562 §5.7): milliseconds, then 74 random bits.

    For what is created in great numbers: ids made one after the other stand beside each other in an index, so that a
    database writes few pages for many of them.
    """
    milliseconds = time.time_ns() // 1_000_000
    digits = os.urandom(10).hex()
    head = f"{milliseconds:012x}"
    return f"{head[:8]}-{head[8:]}-7{digits[:3]}-{'89ab'[int(digits[3], 16) & 3]}{digits[4:7]}-{digits[7:19]}"


def derived_id(*parts: str) -> str:
    """The same UUID for the same parts: what is computed again after a crash keeps its identity."""
    return str(uuid5(NAMESPACE_URL, "\x1f".join(parts)))


def normal_id(text: str) -> str:
    """GUIDs in the one spelling that they are stored in; other ids as they are."""
    try:
        return str(UUID(text))
    except ValueError:
        return text
