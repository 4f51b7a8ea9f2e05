"""Which requests and answers of an object the provisioning log keeps, and how much of them (REQ-C-034).

Pure. While a page is worked off each is the JSON text of a list, so that nothing is parsed that nobody reads; entries
that are shown have documents in their place.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeVar

import msgspec
import orjson

from joiner.provisioning.client.recorder import Masking, Said
from joiner.provisioning.decisions.decision import Change
from joiner.provisioning.mapping.plan import ALWAYS_SECRET, AttributeFlow

T = TypeVar("T")
Amount = Literal["off", "changes", "all"]
AMOUNTS: Final[tuple[Amount, ...]] = ("off", "changes", "all")
REQUESTS: Final = "joiner.requests"
"""The member of an entry; our own, beside those of Graph."""
MEMBERS: Final = ("method", "path", "status", "error", "request", "answer")
MOST: Final = 20
"""Of more requests for one object, the first and the last are kept."""
PLAIN: Final = 2048
"""Bodies of so many bytes are kept as they are, if nothing in them is secret."""
LONGEST_TEXT: Final = 256
MOST_ITEMS: Final = 5
ITEMS_KEPT: Final = 3
"""Of a list with more than `MOST_ITEMS`."""
DEEPEST: Final = 6
LONGEST_BODY: Final = 4096
SHORTEST_SECRET: Final = 2
"""Shorter values are not looked for: they would be found everywhere."""
NO_NEWS: Final = ("schemas", "meta")
MEMBERS_OF: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
SUSPICIOUS: Final = tuple(
    name.encode() for name in (*ALWAYS_SECRET, "\\u") if not any(other in name for other in ALWAYS_SECRET - {name})
)
"""What every name of `ALWAYS_SECRET` has in it, or could have as an escape."""


class RequestLog:
    """What the log keeps of the requests for objects of one type."""

    def __init__(self, amount: Amount, flows: Iterable[AttributeFlow]) -> None:
        self._is_off = amount == "off"
        self._is_whole = amount == "all"
        paths = [flow.path for flow in flows if flow.is_secret]
        self._names = {
            name for path in paths for name in (path.text, path.strict_text, path.attribute_path, path.attribute)
        }
        self._masking = Masking(self._names)

    def kept(self, said: Sequence[Said], changes: Iterable[Change] = (), *, failed: bool) -> list[bytes]:
        """Each as JSON. Of `changes`, requests that write and whatever did not succeed, or all of an object that
        `failed`; of an answer that says that something is created, what the request did not say already."""
        if self._is_off:
            return []
        chosen = [each for each in said if self._is_whole or failed or each.method != "GET" or not _is_done(each)]
        if not chosen:
            return []
        masking = self._masking_of(changes) if self._names else self._masking
        return [self._text(each, masking) for each in trimmed(chosen)]

    def _masking_of(self, changes: Iterable[Change]) -> Masking:
        """Redacted attributes are hidden as a whole, by their name, and their values wherever they stand."""
        return Masking(self._names, redacted_texts(changes))

    def _text(self, said: Said, masking: Masking) -> bytes:
        path, answer = said.path, said.answer
        if not self._is_whole and _is_done(said) and said.method != "GET":
            answer = _news(said.request, answer) if said.method == "POST" and said.request and answer else None
        return orjson.dumps(
            (
                said.method,
                masking.path(path) if self._names or "%" in path or "?" in path else path,
                said.status,
                said.error,
                self._shown(said.request, masking),
                self._shown(answer, masking),
            )
        )

    def _shown(self, content: bytes | None, masking: Masking) -> Any:
        """The body without secrets, shortened until it is for reading; what is not JSON as text."""
        if content is None:
            return None
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError:
            return _short(masking.text(content.decode("utf-8", "replace")), 0)
        if self._names or _is_suspicious(content):
            document = masking.shown(document)
        elif len(content) <= PLAIN:
            return orjson.Fragment(content) if b"\n" not in content else document
        short = _short(document, 0)
        text = orjson.dumps(short)
        return short if len(text) <= LONGEST_BODY else text[:LONGEST_BODY].decode("utf-8", "replace") + "…"


def redacted_texts(changes: Iterable[Change]) -> list[str]:
    """The values that nobody may see, the longest first."""
    texts = {text for change in changes if change.is_secret for text in (*texts_in(change.old), *texts_in(change.new))}
    return sorted((text for text in texts if len(text) >= SHORTEST_SECRET), key=len, reverse=True)


def document_of(text: bytes) -> dict[str, Any]:
    """One kept request as it is shown: its `MEMBERS`."""
    return dict(zip(MEMBERS, orjson.loads(text), strict=True))


def trimmed(exchanges: Sequence[T]) -> list[T]:
    """The first and the last of them."""
    return list(exchanges) if len(exchanges) <= MOST else [*exchanges[: MOST // 2], *exchanges[-MOST // 2 :]]


def _is_suspicious(content: bytes) -> bool:
    """Something in it may be secret."""
    folded = content.lower()
    for name in SUSPICIOUS:  # noqa: SIM110 - for every request; a generator takes three times as long
        if name in folded:
            return True
    return False


def _is_done(said: Said) -> bool:
    return said.status is not None and said.status < 300


def _news(request: bytes, answer: bytes) -> bytes:
    """Of the answer to a create what the request did not say."""
    try:
        sent, received = MEMBERS_OF.decode(request), MEMBERS_OF.decode(answer)
    except msgspec.MsgspecError:
        return answer
    news = {name: raw for name, raw in received.items() if name not in NO_NEWS and sent.get(name) != raw}
    return msgspec.json.encode(news)


def _short(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT] + "…"
    if isinstance(value, Mapping):
        if depth == DEEPEST:
            return "…"
        return {key: _short(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        if len(value) > MOST_ITEMS:
            return [*(_short(item, depth + 1) for item in value[:ITEMS_KEPT]), f"… {len(value) - ITEMS_KEPT} more"]
        return [_short(item, depth + 1) for item in value]
    return value


def texts_in(value: Any) -> Iterable[str]:
    """All texts and numbers of a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)
