"""Reading a SCIM source: the window that is asked for, and where a list goes on that changes while it is read."""

from typing import Any, Literal

import orjson
import pytest
from aiohttp import web

from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.inbound.source import START, Place, from_cursor, read_part, to_cursor, window
from tests.scripted_target import Reply, Script, talking_to

Paging = Literal["index", "cursor", "none"]


def listed(*ids: int, total: int | None = None, cursor: str | None = None) -> Reply:
    """A ListResponse with users of these ids."""
    body: dict[str, Any] = {"Resources": [{"id": str(id_)} for id_ in ids]}
    body |= {} if total is None else {"totalResults": total}
    body |= {} if cursor is None else {"nextCursor": cursor}
    return lambda: web.Response(body=orjson.dumps(body), content_type="application/scim+json")


async def read_all(script: Script, paging: Paging = "index") -> list[str]:
    """Every id that is read, in order, with repetitions."""
    found: list[str] = []
    async with talking_to(script, profile=TargetProfile(page_size=2, paging=paging)) as target:
        place: Place | None = START
        while place is not None:
            part = await read_part(target, "active eq true", from_cursor(to_cursor(place)))
            found += [resource["id"] for resource in part.resources]
            place = part.after
    return found


def starts(script: Script) -> list[str | None]:
    return [seen.query.get("startIndex", seen.query.get("cursor")) for seen in script.requests]


@pytest.mark.req("REQ-C-037")
def test_the_window_of_a_full_read_begins_with_time_and_ends_with_the_cycle() -> None:
    assert window(None, "2024-05-06T07:08:09.123456Z", only_active=True) == (
        'active eq true and (meta.lastModified ge "0001-01-03T00:00:00.0000000Z"'
        ' and meta.lastModified le "2024-05-06T07:08:09.1234560Z")'
    )


@pytest.mark.req("REQ-C-037")
def test_the_window_of_an_incremental_read_begins_five_minutes_before_the_last_one_ended() -> None:
    assert window("2024-05-06T07:08:09.000001Z", "2024-05-06T07:48:09Z", only_active=False) == (
        'meta.lastModified ge "2024-05-06T07:03:09.0000010Z" and meta.lastModified le "2024-05-06T07:48:09.0000000Z"'
    )


async def test_pages_follow_each_other_until_the_total_is_reached() -> None:
    script = Script(listed(1, 2, total=5), listed(3, 4, total=5), listed(5, total=5))
    assert await read_all(script) == ["1", "2", "3", "4", "5"]
    assert starts(script) == ["1", "3", "5"]


async def test_pages_that_are_shorter_than_asked_for_are_followed_from_their_end() -> None:
    script = Script(listed(1, total=3), listed(2, total=3), listed(3, total=3))
    assert await read_all(script) == ["1", "2", "3"]
    assert starts(script) == ["1", "2", "3"]


async def test_a_source_that_tells_no_total_is_read_until_a_page_is_empty() -> None:
    script = Script(listed(1, 2), listed(3), listed())
    assert await read_all(script) == ["1", "2", "3"]


async def test_what_moved_up_while_the_list_was_read_is_not_passed_over() -> None:
    # 1 and 2 are modified after the first page: they leave the window, and 3 and 4 take their places.
    script = Script(listed(1, 2, total=6), listed(5, 6, total=4), listed(3, 4, total=4), listed(5, 6, total=4))
    assert set(await read_all(script)) == {"1", "2", "3", "4", "5", "6"}
    assert starts(script) == ["1", "3", "1", "3"]


async def test_everybody_who_is_left_may_leave_the_window() -> None:
    script = Script(listed(1, 2, total=3), listed(total=0), listed(total=0))
    assert await read_all(script) == ["1", "2"]


async def test_a_cursor_that_comes_unasked_is_followed() -> None:
    script = Script(listed(1, 2, total=3, cursor="abc"), listed(3))
    assert await read_all(script) == ["1", "2", "3"]
    assert starts(script) == ["1", "abc"]


async def test_a_source_is_read_by_cursor_or_at_once_where_its_profile_says_so() -> None:
    script = Script(listed(1, 2, cursor="abc"), listed(3))
    assert await read_all(script, "cursor") == ["1", "2", "3"]
    assert starts(script) == ["", "abc"]
    script = Script(listed(1, 2, 3, total=3))
    assert await read_all(script, "none") == ["1", "2", "3"]
    assert set(script.requests[0].query) == {"filter"}


async def test_a_list_that_promises_more_and_gives_nothing_is_an_error() -> None:
    with pytest.raises(TargetError, match="lists nothing from 3 on"):
        await read_all(Script(listed(1, 2, total=5), listed(total=5)))
    with pytest.raises(TargetError, match="same cursor"):
        await read_all(Script(listed(1, cursor="abc"), listed(2, cursor="abc")))
