"""Hostile attribute paths: whatever is sent, the answer is a path, an order, or a refusal in SCIM's terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import USERS
from joiner.scim.errors import InvalidFilterError, InvalidPathError
from joiner.scim.grammar import LONGEST, parse_path
from joiner.scim.sorting import parse_sort
from tests.fuzzing import FRAGMENTS, LONG, VALID_PATHS, check_sendable, mutated


def parse_and_sort(text: str) -> None:
    """Raises what is not expected."""
    for strict in (False, True):
        try:
            path = parse_path(text, USERS.urns, strict=strict)
        except (InvalidPathError, InvalidFilterError) as error:
            check_sendable(error)
            continue
        if len(str(path)) <= LONGEST:
            assert repr(parse_path(str(path), USERS.urns, strict=True)) == repr(path)
    try:
        parse_sort([USERS], text, None)
    except InvalidPathError as error:
        check_sendable(error)


@pytest.mark.req("REQ-S-255")
@LONG
@given(st.text(max_size=80) | st.text(alphabet="aeq[]()\"' .:$\\1notrud", max_size=60))
def test_no_text_makes_a_path_fail_in_any_other_way(text: str) -> None:
    parse_and_sort(text)


@pytest.mark.req("REQ-S-255")
@LONG
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
def test_no_sequence_of_what_paths_are_made_of_fails_in_any_other_way(text: str) -> None:
    parse_and_sort(text)


@pytest.mark.req("REQ-S-255", "REQ-S-253")
@LONG
@given(mutated(VALID_PATHS))
def test_no_damage_to_a_valid_path_makes_it_fail_in_any_other_way(text: str) -> None:
    parse_and_sort(text)
