"""Collections: `$filter`, `$select`, `$top`, `$count` and pages, the same for every kind of object (§1.4, §1.5).

An option that is not supported is refused: ignoring it would give another answer than the one that was asked for.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from joiner.errors import InvalidValueError
from joiner.graph.errors import GraphError
from joiner.graph.http import NUMBER, collection, option, page_size
from joiner.graph.odata import Known, Predicate, parse_filter

T = TypeVar("T")
Document = Mapping[str, Any]

READ_AT_ONCE: Final = 1000
"""Objects looked at per step when a filter has no index."""
SUPPORTED: Final = frozenset({"$filter", "$select", "$top", "$skiptoken", "$count"})
IN_MEMORY: Final = SUPPORTED | {"$orderby", "$skip"}


class Kind(Generic[T]):
    """One kind of stored object: how a page of it is read, and what it shows.

    `read(after, limit)` gives objects in id order, id > `after`; `count()` their number in all; `known` tells whether
    there is a property of a name in lower case.
    """

    def __init__(
        self,
        *,
        read: Callable[[str, int], list[T]],
        count: Callable[[], int],
        id_of: Callable[[T], str],
        document: Callable[[T], dict[str, Any]],
        known: Known,
        default: tuple[str, ...] | None = None,
    ) -> None:
        self._read = read
        self._count = count
        self._id_of = id_of
        self._document = document
        self._known = known
        self._default = default

    async def page(self, request: Request) -> Response:
        """A page of the collection."""
        refuse_unsupported(request, SUPPORTED)
        text, top = option(request, "$filter"), page_size(request)
        show = self.showing(request)
        holds = parse_filter(text, ignore_case=True, known=self._known) if text else None
        after = option(request, "$skiptoken") or ""
        if holds is None:
            page = self._read(after, top + 1)
        else:
            # It may have to look at every object, which the event loop cannot wait for.
            page = await asyncio.to_thread(self._scan, holds, after, top + 1)
        count = await asyncio.to_thread(self._count_matches, holds) if wants_count(request) else None
        next_token = self._id_of(page[top - 1]) if len(page) > top else None
        return collection(request, [show(item) for item in page[:top]], next_token, count)

    def only(self, request: Request, found: Sequence[T]) -> Response:
        """The collection when an index has answered the filter."""
        refuse_unsupported(request, SUPPORTED)
        show = self.showing(request)
        return collection(request, [show(item) for item in found], count=len(found) if wants_count(request) else None)

    def showing(self, request: Request) -> Callable[[T], dict[str, Any]]:
        """What `$select` asks for, of an object. Raises GraphError for an unknown name."""
        names = option(request, "$select")
        if names is None and self._default is None:
            return self._document
        if names is None:
            default = self._default or ()
            return lambda item: _picked(self._document(item), default)
        wanted = _selected(names, self._known)
        return lambda item: _select(self._document(item), wanted)

    def _scan(self, holds: Predicate, after: str, limit: int) -> list[T]:
        found: list[T] = []
        while len(found) < limit:
            batch = self._read(after, READ_AT_ONCE)
            if not batch:
                break
            after = self._id_of(batch[-1])
            found += [item for item in batch if holds(self._document(item))]
        return found[:limit]

    def _count_matches(self, holds: Predicate | None) -> int:
        if holds is None:
            return self._count()
        found, after = 0, ""
        while batch := self._read(after, READ_AT_ONCE):
            after = self._id_of(batch[-1])
            found += sum(holds(self._document(item)) for item in batch)
        return found


def list_documents(request: Request, documents: Sequence[Document], names: frozenset[str]) -> Response:
    """The collection of a few documents that are all at hand; `names` of their properties, in lower case."""
    refuse_unsupported(request, IN_MEMORY)
    text, selected, top = option(request, "$filter"), option(request, "$select"), page_size(request)
    wanted = _selected(selected, names.__contains__) if selected is not None else None
    if text:
        holds = parse_filter(text, ignore_case=True, known=names.__contains__)
        documents = [document for document in documents if holds(document)]
    documents = _ordered(documents, option(request, "$orderby"))
    token = option(request, "$skiptoken")
    start = _number("$skiptoken", token) if token is not None else _number("$skip", option(request, "$skip") or "0")
    page = documents[start : start + top]
    next_token = str(start + top) if start + top < len(documents) else None
    count = len(documents) if wants_count(request) else None
    return collection(request, [dict(d) if wanted is None else _select(d, wanted) for d in page], next_token, count)


def refuse_unsupported(request: Request, supported: frozenset[str]) -> None:
    """Raises GraphError for an option that would change the answer and is not supported here."""
    for name in request.query_params:
        if name.startswith("$") and name.lower() not in supported:
            raise GraphError(400, "BadRequest", f"The query option '{name}' is not supported for this resource.")


def wants_count(request: Request) -> bool:
    """`$count=true`."""
    text = option(request, "$count") or "false"
    if text.lower() not in ("true", "false"):
        raise InvalidValueError(f"$count must be true or false, not '{text}'")
    return text.lower() == "true"


def selected_document(request: Request, document: Document, names: frozenset[str]) -> dict[str, Any]:
    """One document with the properties that `$select` asks for. Raises GraphError for an unknown name."""
    text = option(request, "$select")
    return dict(document) if text is None else _select(document, _selected(text, names.__contains__))


def _selected(names: str, known: Known) -> list[str]:
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    unknown = next((name for name in wanted if name != "*" and not known(name.lower())), None)
    if unknown is not None:
        raise GraphError(400, "BadRequest", f"$select: could not find a property named '{unknown}'.")
    return wanted


def _select(document: Document, wanted: Sequence[str]) -> dict[str, Any]:
    if "*" in wanted:
        return dict(document)
    folded = {key.lower(): key for key in document}
    return {"id": document["id"], **{name: document.get(folded.get(name.lower(), "")) for name in wanted}}


def _picked(document: Document, names: Sequence[str]) -> dict[str, Any]:
    return {name: document.get(name) for name in names}


def _ordered(documents: Sequence[Document], orderby: str | None) -> Sequence[Document]:
    if orderby is None:
        return documents
    words = orderby.lower().split()
    if words[:1] != ["displayname"] or words[1:] not in ([], ["asc"], ["desc"]):
        raise InvalidValueError("$orderby can be 'displayName' or 'displayName desc'")
    return sorted(documents, key=lambda d: str(d["displayName"]).casefold(), reverse=words[1:] == ["desc"])


def _number(name: str, text: str) -> int:
    if not NUMBER.fullmatch(text):
        raise InvalidValueError(f"{name} must be a number, not '{text}'")
    return int(text)
