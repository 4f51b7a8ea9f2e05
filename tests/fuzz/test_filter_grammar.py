"""Hostile filters: whatever is sent, the answer is a tree, a condition, SQL, or a refusal in SCIM's terms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.application.search.filters import compile_filter
from joiner.scim.core import GROUPS, USERS
from joiner.scim.errors import InvalidFilterError
from joiner.scim.grammar import LONGEST, parse_filter
from tests.fuzzing import FRAGMENTS, LONG, VALID_FILTERS, check_sendable, mutated
from tests.searching import THINGS


def parse_and_compile(text: str) -> None:
    """Raises what is not expected."""
    for strict in (False, True):
        try:
            tree = parse_filter(text, strict=strict)
        except InvalidFilterError as error:
            check_sendable(error)
            continue
        if len(str(tree)) <= LONGEST:
            assert repr(parse_filter(str(tree), strict=True)) == repr(tree)
        for types in ([USERS], [THINGS], [USERS, GROUPS]):
            try:
                compile_filter(types, tree, "postgresql", strict=strict)
                compile_filter(types, tree, "sqlite", strict=strict)
            except InvalidFilterError as error:
                check_sendable(error)


@pytest.mark.req("REQ-S-157", "REQ-S-156")
@LONG
@given(st.text(max_size=80) | st.text(alphabet="aeq[]()\"' .:$\\1notrud", max_size=60))
def test_no_text_makes_a_filter_fail_in_any_other_way(text: str) -> None:
    parse_and_compile(text)


@pytest.mark.req("REQ-S-157", "REQ-S-156")
@LONG
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map("".join))
def test_no_sequence_of_what_filters_are_made_of_fails_in_any_other_way(text: str) -> None:
    parse_and_compile(text)


@pytest.mark.req("REQ-S-157", "REQ-S-158")
@LONG
@given(mutated(VALID_FILTERS))
def test_no_damage_to_a_valid_filter_makes_it_fail_in_any_other_way(text: str) -> None:
    parse_and_compile(text)
