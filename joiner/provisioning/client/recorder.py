"""What was said between us and a target, for the log and for explanations; secrets and redacted values masked
(REQ-C-033, REQ-C-034). Off unless somebody asks for it."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import unquote

import msgspec
import orjson

MASK: Final = "*"
ALWAYS_SECRET: Final = frozenset({"password", "secret", "token", "access_token", "client_secret", "clientsecret"})
"""Lower-cased names of attributes that are never shown."""
MOST_CHARACTERS: Final = 64 * 1024
"""Of one body."""
FILTERED: Final = re.compile(r'(([\w$:.-]+(?:\[[^\]]*\][\w.$]*)?) eq )"(?:[^"\\]|\\.)*"')
"""A comparison of a filter: what stands before the value, and the attribute in it."""
NAME: Final = re.compile(r"[^.\[\]:\s]+$")


class Recording(msgspec.Struct, frozen=True):
    """One request with its answer."""

    method: str
    path: str
    """From behind the Tenant URL, with the query."""
    status: int | None
    """None: no answer."""
    seconds: float
    request: Any = None
    """The body as JSON, None if there is none."""
    answer: Any = None
    error: str | None = None
    """The code, if no answer came."""


Record = Callable[[Recording], None]


class Masking:
    """Leaves out what nobody may see: `attributes` by name, at any depth and as the end of PATCH paths; `texts`
    wherever they stand."""

    def __init__(self, attributes: Collection[str] = (), texts: Sequence[str] = ()) -> None:
        self._names = ALWAYS_SECRET | {name.lower() for name in attributes}
        self._texts = [text for text in texts if text]

    def text(self, text: str) -> str:
        """The text without secrets."""
        for secret in self._texts:
            text = text.replace(secret, MASK)
        return text

    def path(self, path: str) -> str:
        """An encoded path with its query; what a filter compares with a secret attribute is a secret as well."""
        text = self.text(unquote(path))
        return FILTERED.sub(lambda found: f"{found[1]}{MASK}" if self._is_secret(found[2]) else found[0], text)

    def body(self, content: bytes | None) -> Any:
        """A body as it may be shown; what is not JSON as text."""
        if not content:
            return None
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError:
            return self.text(content[:MOST_CHARACTERS].decode("utf-8", "replace"))
        if len(content) > MOST_CHARACTERS:
            return f"{len(content)} bytes of JSON"
        return self._shown(document)

    def _shown(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._shown(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        is_secret = self._is_secret(str(value.get("path") or ""))
        return {
            key: MASK if self._is_secret(key) or (is_secret and key == "value") else self._shown(item)
            for key, item in value.items()
        }

    def _is_secret(self, path: str) -> bool:
        folded = path.lower()
        if folded in self._names:
            return True
        name = NAME.search(folded)
        return name is not None and name[0] in self._names
