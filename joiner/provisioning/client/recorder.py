"""What was said between us and a target, for the log: secrets and redacted values masked (REQ-C-033, REQ-C-034).

Whoever works on an object says `listen`; the client then gives every request with its answer to that list.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import orjson

from joiner.provisioning.client.exchange import Answer
from joiner.provisioning.mapping.plan import ALWAYS_SECRET

MASK: Final = "*"
MASKED: Final = MASK.encode()
MOST_BYTES: Final = 64 * 1024
"""Of one body; of a longer one only the length is kept."""
MOST_SAID: Final = 64
"""Of more, those in the middle are forgotten."""
FILTERED: Final = re.compile(r'(([\w$:.-]+(?:\[[^\]]*\][\w.$]*)?) eq )"(?:[^"\\]|\\.)*"')
"""A comparison of a filter: what stands before the value, and the attribute in it."""
NAME: Final = re.compile(r"[^.\[\]:\s]+$")


class Said(NamedTuple):
    """One request with its answer, as they were sent; what the connection was made with is masked already."""

    method: str
    path: str
    """From behind the Tenant URL, encoded, with the query."""
    status: int | None
    """None: no answer."""
    request: bytes | None = None
    answer: bytes | None = None
    error: str | None = None
    """The code, if no answer came."""


_listening: ContextVar[list[Said] | None] = ContextVar("listening", default=None)
# Between the code that knows the object and the one that knows the requests stand protocols that need neither.


def listen(said: list[Said] | None) -> None:
    """From now on what this task says to a target is added to the list; None: no longer."""
    _listening.set(said)


def tell(
    method: str,
    path: str,
    request: bytes | None,
    answer: Answer | None,
    error: str | None,
    secrets: Callable[[], Sequence[bytes]],
) -> None:
    """Adds a request and its answer, or the error's code, to the list of whoever listens. `secrets`: the `forms` of
    the connection's."""
    said = _listening.get()
    if said is None:
        return
    if len(said) == MOST_SAID:
        del said[MOST_SAID // 2]
    status, content = (answer.status, answer.content) if answer else (None, None)
    hidden = secrets()
    said.append(Said(method, path, status, _overheard(request, hidden), _overheard(content, hidden), error))


def forms(secrets: Sequence[str]) -> Sequence[bytes]:
    """How secrets may stand in a body, in the order in which to mask them."""
    found = dict[bytes, None]()
    for secret in secrets:
        # Some escape slashes as well.
        escaped = orjson.dumps(secret)[1:-1]
        found.update(dict.fromkeys((secret.encode(), escaped, escaped.replace(b"/", b"\\/"))))
    return [form for form in found if form]


def _overheard(content: bytes | None, secrets: Sequence[bytes]) -> bytes | None:
    """A body as it is kept in memory: not too long, and without the secrets."""
    if not content:
        return None
    if len(content) > MOST_BYTES:
        return orjson.dumps(f"{len(content)} bytes")
    for secret in secrets:
        content = content.replace(secret, MASKED)
    return content


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

    def shown(self, value: Any) -> Any:
        """JSON as it may be shown."""
        if isinstance(value, str):
            return self.text(value) if self._texts else value
        if isinstance(value, list):
            return [self.shown(item) for item in value]
        if not isinstance(value, Mapping):
            return value
        path = value.get("path")
        is_secret = isinstance(path, str) and self._is_secret(path)
        return {
            key: MASK if self._is_secret(key) or (is_secret and key == "value") else self.shown(item)
            for key, item in value.items()
        }

    def _is_secret(self, path: str) -> bool:
        folded = path.lower()
        if folded in self._names:
            return True
        name = NAME.search(folded)
        return name is not None and name[0] in self._names
