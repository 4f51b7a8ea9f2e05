"""What an answer shows, for every characteristic `returned` (RFC 7643 §7, RFC 7644 §3.9)."""

from typing import Any

import pytest

from joiner.scim.core import COMMON, ENTERPRISE_URN, GROUPS, USERS
from joiner.scim.errors import InvalidAttributeError
from joiner.scim.projection import parse_projection
from joiner.scim.schemas import Attribute, ResourceType, Schema

EXTRA = "urn:example:schemas:extension:1.0:Extra"
CORE = Schema(
    "urn:example:schemas:1.0:Thing",
    "Thing",
    "",
    (Attribute("name"), Attribute("kind", returned="always"), Attribute("big", returned="request")),
)
EXTENSION = Schema(
    EXTRA, "Extra", "", (Attribute("note"), Attribute("code", returned="always"), Attribute("log", returned="request"))
)
THINGS = ResourceType("Thing", "/Things", "", CORE, (EXTENSION,), COMMON)
THING: dict[str, Any] = {
    "schemas": [CORE.id, EXTRA],
    "id": "1",
    "name": "n",
    "kind": "k",
    "big": "b",
    EXTRA: {"note": "n", "code": "c", "log": "l"},
    "meta": {"resourceType": "Thing"},
}


def shown(attributes: str | None = None, excluded: str | None = None, asserted: tuple[str, ...] = ()) -> dict[str, Any]:
    return parse_projection(THINGS, attributes, excluded).answering(asserted).apply(THING)


@pytest.mark.req("REQ-S-031")
def test_what_is_returned_on_request_is_shown_only_when_it_is_asked_for() -> None:
    default = shown()
    assert "big" not in default
    assert default[EXTRA] == {"note": "n", "code": "c"}
    assert shown("big")["big"] == "b"
    assert shown(f"{EXTRA}:log")[EXTRA] == {"log": "l", "code": "c"}
    assert "big" not in shown(None, "name")


@pytest.mark.req("REQ-S-032")
def test_what_a_request_has_set_is_in_its_answer() -> None:
    answer = shown(asserted=("BIG", EXTRA.upper()))
    assert answer["big"] == "b"
    assert answer[EXTRA]["log"] == "l"
    assert not parse_projection(THINGS, None, None).is_everything


@pytest.mark.req("REQ-S-002", "REQ-S-189")
def test_what_is_always_returned_cannot_be_left_out() -> None:
    assert set(shown("name")) == {"schemas", "id", "name", "kind", EXTRA}
    assert shown("name")[EXTRA] == {"code": "c"}
    assert shown(None, f"kind,id,schemas,{EXTRA}")["kind"] == "k"
    assert shown(None, f"kind,id,schemas,{EXTRA}")[EXTRA] == {"code": "c"}


@pytest.mark.req("REQ-S-185", "REQ-S-186", "REQ-S-187")
def test_names_may_have_their_urn_any_case_and_blanks() -> None:
    user: dict[str, Any] = {
        "schemas": ["u"],
        "id": "1",
        "userName": "k",
        "name": {"givenName": "K", "familyName": "L"},
        "title": "t",
    }
    user[ENTERPRISE_URN] = {"department": "d", "division": "e"}
    projection = parse_projection(USERS, f" USERNAME , name.GivenName,{ENTERPRISE_URN.upper()}:Department ", None)
    assert projection.apply(user) == {
        "schemas": ["u"],
        "id": "1",
        "userName": "k",
        "name": {"givenName": "K"},
        ENTERPRISE_URN: {"department": "d"},
    }


@pytest.mark.req("REQ-S-188")
def test_what_is_not_shown_is_known_beforehand() -> None:
    without = parse_projection(GROUPS, None, "Members")
    assert not without.shows("members")
    assert without.leaves_out_only_related
    assert not parse_projection(GROUPS, None, "members,externalId").leaves_out_only_related
    assert not parse_projection(GROUPS, "displayName", None).shows("members")
    assert parse_projection(GROUPS, "members.value", None).shows("members")


@pytest.mark.req("REQ-S-190")
def test_asking_for_some_and_leaving_out_others_is_refused() -> None:
    with pytest.raises(InvalidAttributeError):
        parse_projection(USERS, "title", "name")
