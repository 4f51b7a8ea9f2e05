"""Hostile lists of attributes: whatever is asked for, the answer is part of the resource, and says whose it is."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.core import GROUPS, USERS
from joiner.scim.errors import InvalidAttributeError
from joiner.scim.projection import LONGEST, Projection, parse_projection
from joiner.scim.schemas import ResourceType
from tests.fuzzing import ENTERPRISE, FRAGMENTS, LONG, VALID_PATHS, check_sendable, mutated
from tests.scim_client import ENTRA_USER, GROUP
from tests.searching import THINGS

USER: dict[str, Any] = {**ENTRA_USER, "id": "1", "groups": [{"value": "g", "type": "direct"}]}
TEAM: dict[str, Any] = {"schemas": [GROUP], "id": "2", "displayName": "Team", "members": [{"value": "1"}]}
THING: dict[str, Any] = {"schemas": [THINGS.schema.id], "id": "3", "tags": ["a"], "members": [{"value": "b", "n": 1}]}
RESOURCES = ((USERS, USER), (GROUPS, TEAM), (THINGS, THING))
NAMES = (
    *VALID_PATHS,
    *USER,
    "emails.value",
    "emails.",
    ".value",
    f"{ENTERPRISE}:",
    "meta.version",
    "id",
    "ID",
    "name.a.b",
)
LISTS = st.one_of(
    st.text(max_size=60),
    st.lists(st.one_of(st.sampled_from(NAMES), mutated(NAMES), st.sampled_from(FRAGMENTS)), max_size=6).map(",".join),
)


def check_part(part: Any, whole: Any) -> None:
    """That nothing has come to it."""
    if isinstance(part, dict):
        for name, value in part.items():
            check_part(value, whole[name])
    elif isinstance(part, list):
        assert len(part) <= len(whole)
        for each in part:
            assert not isinstance(each, dict) or any(each.items() <= one.items() for one in whole)
    else:
        assert part == whole


def check_shown(resource_type: ResourceType, resource: dict[str, Any], projection: Projection) -> None:
    before = orjson.dumps(resource)
    shown = projection.apply(resource)
    assert orjson.dumps(resource) == before
    check_part(shown, resource)
    assert shown["id"] == resource["id"]
    assert shown["schemas"] == resource["schemas"]
    for name in ("groups", "members"):
        assert projection.shows(name) or name not in shown


@pytest.mark.req("REQ-S-002", "REQ-S-136")
@LONG
@given(attributes=st.one_of(st.none(), LISTS), excluded=st.one_of(st.none(), LISTS))
def test_no_list_of_attributes_fails_in_any_other_way(attributes: str | None, excluded: str | None) -> None:
    for resource_type, resource in RESOURCES:
        for wanted, unwanted in ((attributes, None), (None, excluded), (attributes, excluded)):
            try:
                projection = parse_projection(resource_type, wanted, unwanted)
            except InvalidAttributeError as error:
                assert wanted
                assert unwanted
                check_sendable(error)
                continue
            check_shown(resource_type, resource, projection)


def test_a_list_is_refused_before_it_is_read_if_it_is_too_long() -> None:
    for wanted, unwanted in (("a," * LONGEST, None), (None, "a" * (LONGEST + 1))):
        with pytest.raises(InvalidAttributeError, match=str(LONGEST)):
            parse_projection(USERS, wanted, unwanted)
