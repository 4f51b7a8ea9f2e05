"""Reading a SCIM endpoint as a source: what was modified in a window of time, page by page (SCIM clients §1.9,
REQ-C-037).

The window is closed: it ends when the cycle began. So what is modified while it is read leaves it, the list behind
moves up, and the number of users that the source tells becomes smaller: then as many are read again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from joiner.clock import from_iso
from joiner.errors import NotFoundError
from joiner.provisioning.client.answers import Page
from joiner.provisioning.client.failures import incompatible
from joiner.provisioning.client.target import ScimTarget

USERS: Final = "/Users"
CHECK: Final = "list of users (/Users?count=1)"
BEGINNING: Final = "0001-01-03T00:00:00.0000000Z"
"""From when on a full read asks: as the reference does."""
OVERLAP: Final = timedelta(minutes=5)
"""So much of the time before is read again: clocks differ, and a change may get its time before others can see it."""


class Place(NamedTuple):
    """How far a window has been read."""

    next: int | str
    """An index, or the source's own cursor."""
    total: int | None
    """How many users the source said there are; None: it has not been asked yet, or does not say."""


START: Final = Place(1, None)


@dataclass(frozen=True, slots=True)
class Part:
    """A page of users, and where to go on; None: that was all."""

    resources: list[dict[str, Any]]
    after: Place | None


def window(read_to: str | None, until: str, *, only_active: bool) -> str:
    """The filter for what was modified since `read_to` (None: ever) up to `until`, both ISO 8601."""
    begin = BEGINNING if read_to is None else _stamp(from_iso(read_to) - OVERLAP)
    modified = f'meta.lastModified ge "{begin}" and meta.lastModified le "{_stamp(from_iso(until))}"'
    return f"active eq true and ({modified})" if only_active else modified


async def read_part(target: ScimTarget, condition: str, place: Place) -> Part:
    """The users at the place. Raises TargetError."""
    paging = target.profile.paging
    if paging == "none":
        return Part((await target.select(USERS, condition)).resources, None)
    if paging == "cursor" and place == START:
        place = Place("", None)
    page = await target.select(USERS, condition, place=place.next, count=target.profile.page_size)
    if page.next_cursor is not None:
        if page.next_cursor == place.next:
            raise incompatible("the source gives the same cursor again and again")
        return Part(page.resources, Place(page.next_cursor, page.total))
    if isinstance(place.next, str):
        return Part(page.resources, None)
    return _after(page, place.next, place.total)


def _after(page: Page, place: int, known: int | None) -> Part:
    if page.total is not None and known is not None and page.total < known:
        return Part(page.resources, Place(max(1, place - (known - page.total)), page.total))
    after = place + len(page.resources)
    is_last = not page.resources or (page.total is not None and after > page.total)
    if is_last and page.total is not None and page.total >= place and not page.resources:
        raise incompatible(f"the source says that it has {page.total} users, and lists nothing from {place} on")
    return Part(page.resources, None if is_last else Place(after, page.total))


async def read_one(target: ScimTarget, user_id: str) -> dict[str, Any]:
    """The user with this id, as provisioning on demand asks for it. Raises NotFoundError, TargetError."""
    page = await target.select(USERS, f"id eq {orjson.dumps(user_id).decode()}")
    found = [resource for resource in page.resources if resource["id"] == user_id]
    if not found:
        raise NotFoundError(f"the source has no user with the id '{user_id}'")
    return found[0]


async def probe_source(target: ScimTarget) -> None:
    """Raises TargetError unless the source lists users."""
    await target.select(USERS, None, count=1)


def to_cursor(place: Place) -> str:
    """The place as a cycle keeps it."""
    return orjson.dumps(tuple(place)).decode()


def from_cursor(text: str) -> Place:
    """The place that `to_cursor` has written; '' is the beginning."""
    return Place(*orjson.loads(text)) if text else START


def _stamp(moment: datetime) -> str:
    """With the seven digits of the reference."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
