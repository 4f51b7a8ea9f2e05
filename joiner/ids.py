"""Identifiers: random ones for things that are created, derived ones for things that may be computed twice."""

from uuid import NAMESPACE_URL, uuid4, uuid5


def new_id() -> str:
    """A random UUID in lower case with hyphens. Never contains the text `bulkId` (RFC 7643 §3.1)."""
    return str(uuid4())


def derived_id(*parts: str) -> str:
    """The same UUID for the same parts: what is computed again after a crash keeps its identity."""
    return str(uuid5(NAMESPACE_URL, "\x1f".join(parts)))
