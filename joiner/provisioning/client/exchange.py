"""The port under the SCIM client: one request out, one answer back. `http` fills it with sockets."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol


class Answer(NamedTuple):
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Looked up by lower-case names."""
    content: bytes


class Exchange(Protocol):
    """Speaks to one address."""

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        """One request; a create is sent once, whatever happens. `path` is what follows the address: a path, and a
        query if there is one, both encoded; nothing for the address itself, with the query that it has.

        Raises TargetError: `Timeout` and `WebExceptionProtocolError` if no whole answer came; the request may have
        taken effect.
        """
