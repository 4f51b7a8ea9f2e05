"""Hostile cursors: what this service has not written itself is refused, and nothing else is."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from joiner.application.search.cursors import Place, digest, read_cursor, write_cursor
from joiner.scim.errors import ExpiredCursorError, InvalidCountError, InvalidCursorError
from tests.fuzzing import LONG, check_sendable, mutated

KEY, OTHER_KEY = b"k" * 32, b"l" * 32
NOW = datetime(2026, 1, 2, tzinfo=UTC)
QUERY = digest("User", "userName pr", None)
VALUES = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"])), st.integers(-(2**63), 2**63 - 1))
PLACES = st.builds(
    Place,
    st.just(1),
    st.just(QUERY),
    st.integers(1, 1000),
    st.integers(int(NOW.timestamp()) - 3600, int(NOW.timestamp())),
    st.one_of(VALUES, st.floats(allow_nan=False, allow_infinity=False)),
    st.integers(0, 2**63 - 1),
)
WRITTEN = write_cursor(KEY, Place(1, QUERY, 10, int(NOW.timestamp()), "kim", 5))


def read(text: str, **changed: Any) -> Place:
    asked = {"connection_id": 1, "query": QUERY, "count": 10, "now": NOW, **changed}
    return read_cursor(KEY, text, **asked)


@pytest.mark.req("REQ-S-180", "REQ-S-182")
@LONG
@given(st.one_of(st.text(max_size=80), mutated([WRITTEN]), st.binary(max_size=60).map(lambda raw: raw.hex())))
def test_no_text_that_was_not_written_here_is_a_cursor(text: str) -> None:
    assume(text.rstrip("=") != WRITTEN)
    with pytest.raises(InvalidCursorError) as refused:
        read(text)
    check_sendable(refused.value)


@pytest.mark.req("REQ-S-180", "REQ-S-181")
@LONG
@given(PLACES)
def test_every_cursor_leads_to_its_place_for_the_same_question_only(place: Place) -> None:
    text = write_cursor(KEY, place)
    assert read(text, count=place.count) == place
    for error, changed in (
        (InvalidCursorError, {"connection_id": 2}),
        (InvalidCursorError, {"query": b"another"}),
        (InvalidCountError, {"count": place.count + 1}),
        (ExpiredCursorError, {"now": datetime(2026, 1, 3, tzinfo=UTC)}),
    ):
        with pytest.raises(error):
            read(text, **{"count": place.count, **changed})
    with pytest.raises(InvalidCursorError):
        read(write_cursor(OTHER_KEY, place), count=place.count)
