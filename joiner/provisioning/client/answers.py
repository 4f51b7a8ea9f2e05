"""What targets answer, read tolerantly (REQ-C-028). Pure."""

import re
import unicodedata
from typing import Any, Final, NamedTuple

import orjson

from joiner.expressions.values import canonical_text
from joiner.provisioning.client.exchange import Answer
from joiner.provisioning.client.failures import TargetError, incompatible
from joiner.provisioning.mapping.target_path import compile_path

Resource = dict[str, Any]

MARK: Final = b"\xef\xbb\xbf"
"""Some write it before UTF-8; a reader may skip it (RFC 8259 §8.1)."""
TITLE: Final = re.compile(rb"<title[^>]*>\s*([^<]{1,200})", re.IGNORECASE)
LOOKED_AT: Final = 16 * 1024
SHOWN: Final = 200


class Page(NamedTuple):
    """One page of a list."""

    resources: list[Resource]
    total: int | None
    """None: not told."""
    next_cursor: str | None


def json_of(content: bytes) -> Any:
    """Raises orjson.JSONDecodeError."""
    return orjson.loads(content.removeprefix(MARK))


def parsed(answer: Answer) -> Any:
    """The body; None if there is none, or if it is no JSON and the status is an error's anyway.

    Raises TargetError for a success that is not JSON.
    """
    content = answer.content
    if not content or not content.strip():
        return None
    try:
        return json_of(content)
    except orjson.JSONDecodeError:
        if answer.status < 300:
            raise incompatible(f"the application answered with {_described(answer)} instead of JSON") from None
        return None


def page_of(body: Any) -> Page:
    """A list answer: names in any case, counts as text or missing, one resource alone. Raises TargetError."""
    if not isinstance(body, dict):
        raise incompatible("the application did not answer a query with a SCIM ListResponse")
    named = {key.lower(): value for key, value in body.items()}
    total = _number(named.get("totalresults"))
    found = named.get("resources")
    if found is None:
        if "id" in named:
            found = [body]
        elif total == 0 or "listresponse" in str(named.get("schemas")).lower():
            found = []
        else:
            raise incompatible("the application did not answer a query with a SCIM ListResponse")
    if isinstance(found, dict):
        # One alone, without the list around it.
        found = [found] if found else []
    if not isinstance(found, list) or not all(id_of(item) for item in found):
        raise incompatible("the application lists objects without an id")
    cursor = named.get("nextcursor")
    return Page([_with_text_id(item) for item in found], total, cursor if isinstance(cursor, str) and cursor else None)


def resource_of(body: Any) -> Resource:
    """The one resource of a read. Raises TargetError."""
    if isinstance(body, list) or (isinstance(body, dict) and "id" not in body and len(_listed(body)) > 1):
        raise several("the application answered a read with several objects")
    if isinstance(body, dict) and "id" not in body and len(_listed(body)) == 1:
        body = _listed(body)[0]
    if not id_of(body):
        raise incompatible("the application answered a read without a SCIM resource")
    return _with_text_id(body)


def id_of(body: Any) -> str | None:
    """The id of a resource that was created, None if the answer does not tell."""
    found = body.get("id") if isinstance(body, dict) else None
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) and str(found) else None


def has_value(resource: Resource, attribute: str, value: str, *, case_exact: bool) -> bool | None:
    """Whether the attribute, given as a path, has the value, in any of its elements; None if it is not there."""
    held = [canonical_text(item) for item in compile_path(attribute).values(resource)]
    if not held:
        return None
    return value in held or (not case_exact and folded(value) in map(folded, held))


def folded(text: str) -> str:
    """As targets may compare names (RFC 7644 §5): without case, in one Unicode form."""
    return unicodedata.normalize("NFKC", text).casefold()


def several(reason: str) -> TargetError:
    """A read gave more than the one object that was asked for."""
    return incompatible(reason, "SystemForCrossDomainIdentityManagementMultipleEntriesInResponse")


def page_title(answer: Answer) -> str:
    """What a page for people, or a plain text, says that came instead of an answer; empty if there is none."""
    found = TITLE.search(answer.content[:LOOKED_AT])
    if found is not None:
        return _in_one_line(found[1])
    return _in_one_line(answer.content[:SHOWN]) if _media_type(answer) == "text/plain" else ""


def _in_one_line(text: bytes) -> str:
    return " ".join(text.decode("utf-8", "replace").split())


def _media_type(answer: Answer) -> str:
    return str(answer.headers.get("content-type") or "").partition(";")[0].strip().lower()


def _described(answer: Answer) -> str:
    kind, title = _media_type(answer), page_title(answer)
    if kind == "text/plain":
        return f"the text '{title}'"
    if kind == "text/html" or title:
        return f"an HTML page ('{title}')" if title else "an HTML page"
    return f"something that is not JSON ({kind[:60]})" if kind and "json" not in kind else "something that is not JSON"


def _listed(body: dict[str, Any]) -> list[Any]:
    found = next((value for key, value in body.items() if key.lower() == "resources"), None)
    return found if isinstance(found, list) else []


def _with_text_id(resource: Resource) -> Resource:
    """Some targets have numbers as ids; ours are texts everywhere."""
    if isinstance(resource["id"], str):
        return resource
    return {**resource, "id": str(resource["id"])}


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None
