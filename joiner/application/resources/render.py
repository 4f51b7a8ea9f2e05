"""Stored resources as they are answered. Bytes are joined, not parsed: what is stored is what is shown."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from joiner.application.resources.store import Related, Stored
from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.messages import PREFIX
from joiner.scim.projection import Projection

LIST_HEAD: Final = f'{{"schemas":["{PREFIX}ListResponse"],'


class Base:
    """The endpoint's URL as the client sees it: `url` for headers, `json` to stand inside a JSON string."""

    __slots__ = ("json", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.json = orjson.dumps(url).decode()[1:-1]


def etag_of(stored: Stored) -> str:
    """The weak ETag, equal to `meta.version` (REQ-S-010)."""
    return f'W/"{stored.version}"'


def location_of(stored: Stored, endpoint: str, base: Base) -> str:
    return f"{base.url}{endpoint}/{stored.id}"


def related_to(type_: str, projection: Projection, *, indirect: bool = False) -> Related | None:
    """What has to be read from other rows to show resources of the type."""
    if type_ == "Group":
        return "members" if projection.shows("members") else None
    if type_ == "User" and projection.shows("groups"):
        return "indirect groups" if indirect else "groups"
    return None


def render(stored: Stored, endpoint: str, base: Base, projection: Projection) -> bytes:
    """The resource as JSON. `endpoint` is that of its type, such as `/Users`."""
    body = stored.body
    cut = body.index("]") + 1
    rest = body[cut:-1]
    if stored.manager_display is not None:
        rest = _with_manager(rest, stored, base)
    head = f'{body[:cut]},"id":"{stored.id}"{rest}'
    tail = (
        f',"meta":{{"resourceType":"{stored.type}","created":"{stored.created_at}",'
        f'"lastModified":"{stored.modified_at}","location":"{base.json}{endpoint}/{stored.id}",'
        f'"version":"W/\\"{stored.version}\\""}}}}'
    )
    if stored.related is None:
        shown = (head + tail).encode()
    else:
        name = b',"members":[' if stored.type == "Group" else b',"groups":['
        shown = b"".join((head.encode(), name, stored.related, b"]", tail.encode()))
    if projection.is_everything or projection.leaves_out_only_related:
        return shown
    return orjson.dumps(projection.apply(orjson.loads(shown)))


def render_list(total: int, start_index: int | None, shown: Sequence[bytes], following: str | None = None) -> bytes:
    """A ListResponse of rendered resources; with `start_index` None one of cursor pages (RFC 9865 §2)."""
    start = "" if start_index is None else f'"startIndex":{start_index},'
    cursor = "" if following is None else f'"nextCursor":"{following}",'
    head = f'{LIST_HEAD}"totalResults":{total},{start}"itemsPerPage":{len(shown)},{cursor}"Resources":['
    return b"".join((head.encode(), b",".join(shown), b"]}"))


def _with_manager(rest: str, stored: Stored, base: Base) -> str:
    """`$ref` and `displayName` are the server's; a manager who is not here keeps the bare value (REQ-S-283)."""
    bare = f'"manager":{{"value":{orjson.dumps(stored.manager_id).decode()}}}'
    name = f',"displayName":{stored.manager_display}' if stored.manager_display else ""
    full = f'"manager":{{"value":"{stored.manager_id}","$ref":"{base.json}/Users/{stored.manager_id}"{name}}}'
    if rest.count(bare) == 1:
        return rest.replace(bare, full)
    attributes: dict[str, Any] = orjson.loads("{" + rest.removeprefix(",") + "}")
    extension = attributes[ENTERPRISE_URN]
    extension["manager"] = orjson.loads("{" + full + "}")["manager"]
    return "," + orjson.dumps(attributes).decode()[1:-1]
