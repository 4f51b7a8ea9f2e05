"""PATCH of a user: what add, remove and replace do to every kind of target (RFC 7644 §3.5.2.1 - §3.5.2.3)."""

from typing import Any

import pytest

from joiner.scim.core import ENTERPRISE_URN, USER_URN, USERS
from joiner.scim.errors import (
    InvalidAttributeError,
    InvalidFilterError,
    InvalidPathError,
    InvalidSyntaxError,
    MutabilityError,
    NoTargetError,
    ScimError,
)
from joiner.scim.messages import MOST_OPERATIONS, PATCH_OP, PREFIX, Operation, parse_patch
from joiner.scim.patches import secrets_in, without_own_id
from tests.patching import USER, patch, patch_user, without

WORK, HOME = USER["emails"]
IRA = {"givenName": "Ira", "familyName": "Holm"}
SEA = {**USER[ENTERPRISE_URN], "department": "Sea"}


def changed(operation: dict[str, Any], *, strict: bool = False) -> dict[str, Any]:
    """The attributes that differ afterwards, None for those that are gone."""
    after = patch_user(operation, strict=strict)
    return {name: after.get(name) for name in USER | after if USER.get(name) != after.get(name)}


# The message


@pytest.mark.req("REQ-S-223", "REQ-S-221")
def test_names_and_verbs_may_be_in_any_case_and_what_else_is_there_is_ignored() -> None:
    body = {"OPERATIONS": [{"OP": "aDD", "Path": "title", "VALUE": 1, "name": "addTitle"}], "id": "1"}
    assert parse_patch(body) == [Operation("add", "title", 1, True)]
    both = {"operations": [], "Operations": [{"Value": 1, "value": 2, "path": "title", "op": "add"}]}
    assert parse_patch(both) == [Operation("add", "title", 2, True)]


@pytest.mark.req("REQ-S-221", "REQ-S-224", "REQ-S-232", "REQ-S-235")
@pytest.mark.parametrize(
    ("body", "error"),
    [
        (None, InvalidSyntaxError),
        ([], InvalidSyntaxError),
        ({}, InvalidSyntaxError),
        ({"Operations": {}}, InvalidSyntaxError),
        ({"Operations": None}, InvalidSyntaxError),
        ({"Operations": ["remove"]}, InvalidSyntaxError),
        ({"Operations": [{}]}, InvalidSyntaxError),
        ({"Operations": [{"op": "move", "path": "title"}]}, InvalidSyntaxError),
        ({"Operations": [{"op": ["add"], "path": "title", "value": 1}]}, InvalidSyntaxError),
        ({"Operations": [{"op": "add", "path": 1, "value": 1}]}, InvalidSyntaxError),
        ({"Operations": [{"op": "remove", "path": "title"}] * (MOST_OPERATIONS + 1)}, InvalidSyntaxError),
        ({"Operations": [{"op": "add", "path": "title"}]}, InvalidAttributeError),
        ({"Operations": [{"op": "replace", "path": "title"}]}, InvalidAttributeError),
        ({"Operations": [{"op": "remove"}]}, NoTargetError),
        ({"Operations": [{"op": "remove", "path": ""}]}, NoTargetError),
    ],
)
def test_a_message_that_is_no_patch_is_refused(body: Any, error: type[ScimError]) -> None:
    with pytest.raises(error):
        parse_patch(body)


@pytest.mark.req("REQ-S-220", "REQ-S-222")
@pytest.mark.parametrize(
    "body",
    [
        {"Operations": [{"op": "remove", "path": "title"}]},
        {"schemas": PATCH_OP, "Operations": [{"op": "remove", "path": "title"}]},
        {"schemas": [f"{PREFIX}BulkRequest", 1], "Operations": [{"op": "remove", "path": "title"}]},
        {"schemas": [PATCH_OP], "Operations": []},
    ],
)
def test_the_urn_and_an_operation_are_wanted_in_strict_only(body: dict[str, Any]) -> None:
    assert len(parse_patch(body)) == len(body["Operations"])
    with pytest.raises(InvalidSyntaxError):
        parse_patch(body, strict=True)


@pytest.mark.req("REQ-S-222", "REQ-S-228")
def test_no_operation_changes_nothing() -> None:
    result = patch(USERS, USER)
    assert (result.resource, result.secrets, result.asserted) == (USER, {}, frozenset())


# add


@pytest.mark.req("REQ-S-229", "REQ-S-230", "REQ-S-231", "REQ-S-228", "REQ-S-251")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("path", "value", "difference"),
    [
        ("nickName", "Ri", {"nickName": "Ri"}),
        ("title", "Lead", {"title": "Lead"}),
        ("title", "Planner", {}),
        ("active", False, {"active": False}),
        ("name", {"formatted": "I. H."}, {"name": {**USER["name"], "formatted": "I. H."}}),
        ("name.givenName", "Ira", {"name": IRA}),
        ("emails", [WORK], {}),
        ("emails", HOME, {}),
        ("emails", [{"value": "x"}], {"emails": [WORK, HOME, {"value": "x"}]}),
        ("emails", {"value": "x"}, {"emails": [WORK, HOME, {"value": "x"}]}),
        (
            "emails",
            [{"value": "x", "primary": True}],
            {"emails": [{**WORK, "primary": False}, HOME, {"value": "x", "primary": True}]},
        ),
        # The same value and type again is no second element, but says more of the first.
        (
            "emails",
            [{"type": "home", "value": HOME["value"], "primary": True}],
            {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
        ),
        ("emails", None, {}),
        ("emails", [], {}),
        ("ims", [{"value": "i", "type": "xmpp"}], {"ims": [{"value": "i", "type": "xmpp"}]}),
        ('emails[type eq "work"]', {"display": "W"}, {"emails": [{**WORK, "display": "W"}, HOME]}),
        ('emails[type eq "work"].display', "W", {"emails": [{**WORK, "display": "W"}, HOME]}),
        (
            "phoneNumbers.display",
            "P",
            {"phoneNumbers": [{**each, "display": "P"} for each in USER["phoneNumbers"]]},
        ),
        (
            'addresses[type eq "work"].locality',
            "Oslo",
            {"addresses": [{"type": "work", "locality": "Oslo"}]},
        ),
        (
            'emails[type eq "other" and primary eq true]',
            {"value": "o"},
            {"emails": [{**WORK, "primary": False}, HOME, {"type": "other", "primary": True, "value": "o"}]},
        ),
        ('emails[type eq "other"]', {}, {}),
        (
            f"{ENTERPRISE_URN}:division",
            "N",
            {ENTERPRISE_URN: {**USER[ENTERPRISE_URN], "division": "N"}},
        ),
        (ENTERPRISE_URN, {"division": "N"}, {ENTERPRISE_URN: {**USER[ENTERPRISE_URN], "division": "N"}}),
        (ENTERPRISE_URN, {}, {}),
        (ENTERPRISE_URN, None, {}),
        (f"{USER_URN}:title", "Lead", {"title": "Lead"}),
        (f"{USER_URN}:name.givenName", "Ira", {"name": IRA}),
        (f'{USER_URN}:emails[type eq "home"].display', "H", {"emails": [WORK, {**HOME, "display": "H"}]}),
        ("schemas", [USER_URN, ENTERPRISE_URN], {}),
    ],
)  # fmt: skip
def test_add(path: str, value: Any, difference: dict[str, Any], strict: bool) -> None:
    assert changed({"op": "add", "path": path, "value": value}, strict=strict) == difference


@pytest.mark.req("REQ-S-252")
def test_the_container_of_an_extension_comes_and_goes_with_its_attributes() -> None:
    bare = without(USER, ENTERPRISE_URN)
    path = f"{ENTERPRISE_URN}:division"
    with_it = patch(USERS, bare, {"op": "add", "path": path, "value": "N"}).resource
    assert with_it == {**bare, ENTERPRISE_URN: {"division": "N"}}
    assert patch(USERS, with_it, {"op": "remove", "path": path}).resource == bare


# remove


@pytest.mark.req("REQ-S-236", "REQ-S-242", "REQ-S-228")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("path", "difference"),
    [
        ("title", {"title": None}),
        ("nickName", {}),
        ("name", {"name": None}),
        ("name.givenName", {"name": {"familyName": "Holm"}}),
        ("name.formatted", {}),
        ("emails", {"emails": None}),
        ("ims", {}),
        ('emails[type eq "home"]', {"emails": [WORK]}),
        ('emails[type eq "other"]', {}),
        ('emails[value ew ".example"]', {"emails": None}),
        ('emails[not (primary eq true) and type eq "home"]', {"emails": [WORK]}),
        ('emails[type eq "home"].display', {"emails": [WORK, without(HOME, "display")]}),
        ('emails[type eq "work"].display', {}),
        # Nothing but type and display would be left of it.
        ('emails[type eq "home"].value', {"emails": [WORK]}),
        ('phoneNumbers[type eq "work"].value', {"phoneNumbers": None}),
        ("phoneNumbers.type", {"phoneNumbers": [{"value": "555-0100"}, {"value": "555-0101"}]}),
        (ENTERPRISE_URN, {ENTERPRISE_URN: None}),
        (f"{ENTERPRISE_URN}:department", {ENTERPRISE_URN: without(USER[ENTERPRISE_URN], "department")}),
        (f"{ENTERPRISE_URN}:manager", {ENTERPRISE_URN: {"department": "Roads"}}),
        (f"{ENTERPRISE_URN}:manager.value", {ENTERPRISE_URN: {"department": "Roads"}}),
    ],
)
def test_remove(path: str, difference: dict[str, Any], strict: bool) -> None:
    assert changed({"op": "remove", "path": path}, strict=strict) == difference


@pytest.mark.req("REQ-S-236")
@pytest.mark.parametrize("path", ["title", "name.givenName", 'emails[type eq "home"]', 'emails[type eq "home"].value'])
def test_a_removal_never_assigns_what_it_carries(path: str) -> None:
    with_value = {"op": "Remove", "path": path, "value": "something else"}
    assert patch_user(with_value) == patch_user({"op": "remove", "path": path})


def test_only_the_element_that_was_emptied_goes() -> None:
    resource = {"userName": "k", "emails": [{"type": "home"}, {"type": "work", "value": "w"}]}
    after = patch(USERS, resource, {"op": "remove", "path": 'emails[type eq "work"].value'}).resource
    assert after == {"userName": "k", "emails": [{"type": "home"}]}


@pytest.mark.req("REQ-S-239", "REQ-S-240", "REQ-S-241")
@pytest.mark.parametrize(
    ("path", "value", "left"),
    [
        ("emails", [{"value": WORK["value"]}], [HOME]),
        ("emails", {"value": WORK["value"], "display": "whatever"}, [HOME]),
        ("emails", WORK["value"], [HOME]),
        ("emails", [{"type": "work"}, {"type": "home", "primary": True}], [HOME]),
        ("emails", [{"value": "unknown"}], [WORK, HOME]),
        ("emails", [WORK, HOME], None),
        ("emails", [], [WORK, HOME]),
        ("emails", "", [WORK, HOME]),
        ("emails", None, None),
        ("roles", [{"value": "clerk"}], None),
    ],
)
def test_a_removal_with_a_list_takes_what_is_listed_and_by_the_rfc_everything(path: str, value: Any, left: Any) -> None:
    operation = {"op": "Remove", "path": path, "value": value}
    assert patch_user(operation).get(path) == left
    assert path not in patch_user(operation, strict=True)


# replace


@pytest.mark.req("REQ-S-243", "REQ-S-244", "REQ-S-228", "REQ-S-251")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("path", "value", "difference"),
    [
        ("title", "Lead", {"title": "Lead"}),
        ("title", None, {"title": None}),
        ("title", "", {"title": None}),
        ("nickName", "Ri", {"nickName": "Ri"}),
        ("name", {"givenName": "Ira"}, {"name": IRA}),
        ("name", {"givenName": None, "familyName": "H"}, {"name": {"familyName": "H"}}),
        ("name", {"givenName": None}, {"name": {"familyName": "Holm"}}),
        ("name", {"givenName": None, "familyName": ""}, {"name": None}),
        ("name", {"unknown": 1}, {}),
        ("name", None, {"name": None}),
        ("emails", [{"value": "x"}], {"emails": [{"value": "x"}]}),
        ("emails", [{"value": "x"}, {"value": "x"}], {"emails": [{"value": "x"}]}),
        (
            "emails",
            [{"value": "x", "primary": True}, {"value": "y", "primary": True}],
            {"emails": [{"value": "x", "primary": False}, {"value": "y", "primary": True}]},
        ),
        ("emails", [], {"emails": None}),
        ("emails", None, {"emails": None}),
        ("ims", [{"value": "i"}], {"ims": [{"value": "i"}]}),
        ('emails[type eq "home"]', {"value": "h"}, {"emails": [WORK, {"type": "home", "value": "h"}]}),
        ('emails[type eq "home"]', {"value": "o", "type": "x"}, {"emails": [WORK, {"type": "x", "value": "o"}]}),
        ('emails[type eq "home"]', None, {"emails": [WORK]}),
        ('emails[type eq "home"].value', "h", {"emails": [WORK, {**HOME, "value": "h"}]}),
        ('emails[type eq "home"].value', None, {"emails": [WORK]}),
        (
            'emails[type eq "home"].primary',
            True,
            {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
        ),
        ('emails[type eq "work"].primary', True, {}),
        (
            'phoneNumbers[type eq "work"].display',
            "P",
            {"phoneNumbers": [{**each, "display": "P"} for each in USER["phoneNumbers"]]},
        ),
        # Two are meant and one can be primary.
        (
            'phoneNumbers[type eq "work"].primary',
            True,
            {
                "phoneNumbers": [
                    {**USER["phoneNumbers"][0], "primary": False},
                    {**USER["phoneNumbers"][1], "primary": True},
                ]
            },
        ),
        # `$ref` leads to the manager before.
        (
            f"{ENTERPRISE_URN}:manager",
            {"value": "u-2"},
            {ENTERPRISE_URN: {"department": "Roads", "manager": {"value": "u-2"}}},
        ),
        (f"{ENTERPRISE_URN}:manager", {"value": "u-1"}, {}),
        (
            f"{ENTERPRISE_URN}:manager.value",
            "u-2",
            {ENTERPRISE_URN: {"department": "Roads", "manager": {"value": "u-2"}}},
        ),
        (ENTERPRISE_URN, {"department": None}, {ENTERPRISE_URN: {"manager": USER[ENTERPRISE_URN]["manager"]}}),
        (ENTERPRISE_URN, None, {ENTERPRISE_URN: None}),
    ],
)  # fmt: skip
def test_replace(path: str, value: Any, difference: dict[str, Any], strict: bool) -> None:
    assert changed({"op": "replace", "path": path, "value": value}, strict=strict) == difference


@pytest.mark.req("REQ-S-245", "REQ-S-246", "REQ-S-234")
@pytest.mark.parametrize(
    ("verb", "path", "value", "in_lenient"),
    [
        ("replace", 'emails[type eq "other"]', {"value": "o"}, None),
        ("replace", 'emails[type eq "other"].value', "o", {"type": "other", "value": "o"}),
        ("replace", 'ims[type eq "xmpp"].value', "o", {"type": "xmpp", "value": "o"}),
        ("replace", 'emails[type eq "other" or type eq "x"].value', "o", None),
        ("add", 'emails[value co "nowhere"].display', "o", None),
        ("add", 'emails[type eq "a" and type eq "b"].value', "o", None),
        # It would not be what the filter means.
        ("replace", 'emails[type eq "other"].type', "home", None),
        ("add", 'emails[type eq "other"]', {"type": "home", "value": "o"}, None),
    ],
)
def test_a_filter_without_a_match_makes_an_element_or_is_refused(
    verb: str, path: str, value: Any, in_lenient: dict[str, Any] | None
) -> None:
    operation = {"op": verb, "path": path, "value": value}
    with pytest.raises(NoTargetError):
        patch_user(operation, strict=True)
    if in_lenient is None:
        with pytest.raises(NoTargetError):
            patch_user(operation)
    else:
        name = path.partition("[")[0]
        assert patch_user(operation)[name] == [*USER.get(name, []), in_lenient]


# Without path


@pytest.mark.req("REQ-S-229", "REQ-S-247", "REQ-S-248", "REQ-S-249", "REQ-S-252", "REQ-S-006")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("verb", ["add", "replace"])
@pytest.mark.parametrize(
    ("value", "difference"),
    [
        ({"active": False}, {"active": False}),
        ({"TITLE": "Lead", "Name": {"GIVENNAME": "Ira"}}, {"title": "Lead", "name": IRA}),
        ({"TITLE": "Lead", "title": "Chief"}, {"title": "Chief"}),
        ({"title": "Chief", "TITLE": "Lead"}, {"title": "Chief"}),
        ({"title": None}, {"title": None}),
        ({"name.givenName": "Ira", "name.formatted": "I"}, {"name": {**IRA, "formatted": "I"}}),
        ({'emails[type eq "home"].value': "h"}, {"emails": [WORK, {**HOME, "value": "h"}]}),
        ({f"{ENTERPRISE_URN}:department": "Sea"}, {ENTERPRISE_URN: SEA}),
        ({ENTERPRISE_URN.upper(): {"Department": "Sea"}}, {ENTERPRISE_URN: SEA}),
        (
            {ENTERPRISE_URN: {"manager.value": "u-2", "manager": {"displayName": "read only"}}},
            {ENTERPRISE_URN: {"department": "Roads", "manager": {"value": "u-2"}}},
        ),
        ({"schemas": ["x"]}, {}),
        ({"unknown": 1, "na me": 2, "name.unknown": 3, "urn:x:y": 4, "": 5, "emails[": 6, "x" * 5000: 7}, {}),
    ],
)  # fmt: skip
def test_an_object_without_path_names_attributes(
    verb: str, value: dict[str, Any], difference: dict[str, Any], strict: bool
) -> None:
    assert changed({"op": verb, "value": value}, strict=strict) == difference


@pytest.mark.req("REQ-S-249", "REQ-S-250")
@pytest.mark.parametrize("name", ["id", "meta", "meta.version", "groups", f"{USER_URN}:groups"])
def test_what_the_server_writes_is_ignored_in_an_object_and_in_strict_refused(name: str) -> None:
    operation = {"op": "replace", "value": {name: "x", "title": "Chief"}}
    assert changed(operation) == {"title": "Chief"}
    with pytest.raises(MutabilityError):
        changed(operation, strict=True)


@pytest.mark.req("REQ-S-249")
def test_a_resource_may_be_told_its_own_id() -> None:
    named, other = ({"id": id_, "title": "Chief"} for id_ in ("u-17", "u-18"))
    operations = parse_patch({"Operations": [{"op": "replace", "value": value} for value in (named, other)]})
    assert [each.value for each in without_own_id(operations, "u-17")] == [{"title": "Chief"}, other]


@pytest.mark.req("REQ-S-343")
def test_no_attribute_grows_beyond_what_a_patch_can_look_at() -> None:
    user = {**USER, "emails": [{"value": str(number)} for number in range(1000)]}
    for value in ({"value": "more"}, [{"value": "a"}, {"value": "b"}]):
        with pytest.raises(InvalidAttributeError, match="'emails' may have 1000 values"):
            patch(USERS, user, {"op": "add", "path": "emails", "value": value})
    again = patch(USERS, user, {"op": "add", "path": "emails", "value": {"value": "7"}})
    assert len(again.resource["emails"]) == 1000


# What is refused


@pytest.mark.req("REQ-S-237", "REQ-S-250", "REQ-S-255", "REQ-S-256", "REQ-S-270")
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize(
    ("verb", "path", "value", "error"),
    [
        ("remove", "userName", None, MutabilityError),
        ("replace", "userName", "", InvalidAttributeError),
        ("replace", "userName", "  ", InvalidAttributeError),
        ("replace", "userName", None, InvalidAttributeError),
        ("add", None, {"userName": None}, InvalidAttributeError),
        ("remove", "id", None, MutabilityError),
        ("replace", "id", "x", MutabilityError),
        ("replace", "meta.created", "x", MutabilityError),
        ("add", "meta", {}, MutabilityError),
        ("add", "groups", [{"value": "g"}], MutabilityError),
        ("remove", 'groups[value eq "g"]', None, MutabilityError),
        ("remove", "schemas", None, MutabilityError),
        ("remove", f'schemas[value eq "{ENTERPRISE_URN}"]', None, MutabilityError),
        ("replace", f"{ENTERPRISE_URN}:manager.displayName", "x", MutabilityError),
        ("replace", "unknown", "x", InvalidPathError),
        ("remove", "unknown", None, InvalidPathError),
        ("replace", "name.unknown", "x", InvalidPathError),
        ("replace", "title.part", "x", InvalidPathError),
        ("replace", "emails[0]", "x", InvalidFilterError),
        ("replace", "/emails/0", "x", InvalidPathError),
        ("replace", "emails[", "x", InvalidPathError),
        ("replace", 'emails[type eq "work"]value', "x", InvalidPathError),
        ("replace", 'name[givenName eq "x"]', "x", InvalidPathError),
        ("replace", "urn:x:y:title", "x", InvalidPathError),
        ("replace", "urn:x:y", {}, InvalidPathError),
        ("replace", USER_URN, {}, InvalidPathError),
        ("replace", f"{ENTERPRISE_URN}:unknown", "x", InvalidPathError),
        ("replace", "t" * 5000, "x", InvalidPathError),
        ("replace", "emails[type zz 1].value", "x", InvalidFilterError),
        ("replace", 'ims[unknown eq "x"].value', "x", InvalidFilterError),
        ("remove", 'ims[type eq "x" and unknown eq "x"]', None, InvalidFilterError),
        ("remove", 'ims[primary gt "x"]', None, InvalidFilterError),
        ("add", None, {'ims[unknown eq "x"].value': "x"}, InvalidFilterError),
        ("replace", "active", "maybe", InvalidAttributeError),
        ("replace", "name", "Iris", InvalidAttributeError),
        ("replace", "name", [{"givenName": "a"}, {"givenName": "b"}], InvalidAttributeError),
        ("replace", "title", ["a", "b"], InvalidAttributeError),
        ("replace", "title", {"value": "x"}, InvalidAttributeError),
        ("add", "emails", [{"value": {"x": 1}}], InvalidAttributeError),
        ("replace", 'emails[type eq "work"]', [{"value": "a"}, {"value": "b"}], InvalidAttributeError),
        ("replace", ENTERPRISE_URN, "x", InvalidAttributeError),
        ("replace", None, "x", InvalidAttributeError),
        ("replace", None, [{"title": "x"}], InvalidAttributeError),
        ("add", None, {ENTERPRISE_URN: "x"}, InvalidAttributeError),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    verb: str, path: str | None, value: Any, error: type[ScimError], strict: bool
) -> None:
    good = {"op": "replace", "path": "title", "value": "Changed"}
    bad = {"op": verb, "path": path, "value": value}
    with pytest.raises(error):
        patch_user(good, bad, strict=strict)


@pytest.mark.req("REQ-S-225", "REQ-S-226")
def test_operations_see_what_those_before_them_did() -> None:
    assert patch_user(
        {"op": "remove", "path": "emails"},
        {"op": "add", "path": 'emails[type eq "work"].value', "value": "a"},
        {"op": "replace", "path": 'emails[type eq "work"]', "value": {"value": "b", "type": "other"}},
        {"op": "add", "path": "emails", "value": {"value": "c"}},
        {"op": "replace", "path": 'emails[type eq "other"].value', "value": "d"},
        {"op": "add", "path": "title", "value": "x"},
        {"op": "replace", "path": "title", "value": "y"},
    ) == {**USER, "title": "y", "emails": [{"type": "other", "value": "d"}, {"value": "c"}]}


# The two profiles


@pytest.mark.req("REQ-S-258", "REQ-S-270", "REQ-S-093")
@pytest.mark.parametrize(
    ("path", "value", "error"),
    [
        ("active", "False", InvalidAttributeError),
        ('emails[type eq "home"].primary', "True", InvalidAttributeError),
        ('emails[primary eq "True"].value', "x", InvalidFilterError),
        ("title", 17, InvalidAttributeError),
        ("title", ["Lead"], InvalidAttributeError),
        ("name", [{"givenName": "Ira"}], InvalidAttributeError),
        ("name", {"givenName": 1}, InvalidAttributeError),
        ("emails", "x", InvalidAttributeError),
        ("emails", {"value": "x"}, InvalidAttributeError),
        ("emails", [{"value": "x", "primary": "true"}], InvalidAttributeError),
        ('emails[type eq "work"]', "x", InvalidAttributeError),
        ('emails[type eq "work"]', [{"value": "x"}], InvalidAttributeError),
        (f"{ENTERPRISE_URN}:manager", "u-3", InvalidAttributeError),
        (f"{ENTERPRISE_URN}.manager", {"value": "u-3"}, InvalidPathError),
        ("manager", {"value": "u-3"}, InvalidPathError),
        ("department", "Sea", InvalidPathError),
    ],
)
def test_what_clients_take_for_granted_is_understood_and_refused_in_strict(
    path: str, value: Any, error: type[ScimError]
) -> None:
    operation = {"op": "replace", "path": path, "value": value}
    assert patch_user(operation) != USER
    with pytest.raises(error):
        patch_user(operation, strict=True)


@pytest.mark.req("REQ-S-258", "REQ-S-248")
def test_names_without_their_urn_are_found_and_in_strict_unknown() -> None:
    value = {"manager": "u-3", "department": "Sea", f"{ENTERPRISE_URN}.division": "N"}
    lenient = patch_user({"op": "add", "value": value})
    assert lenient[ENTERPRISE_URN] == {"department": "Sea", "division": "N", "manager": {"value": "u-3"}}
    assert patch_user({"op": "add", "value": value}, strict=True) == USER


# What comes out apart


@pytest.mark.req("REQ-S-023")
@pytest.mark.parametrize(
    ("operation", "secret"),
    [
        ({"op": "add", "path": "password", "value": "Correct horse"}, "Correct horse"),
        ({"op": "Replace", "path": f"{USER_URN}:PassWord", "value": "Correct horse"}, "Correct horse"),
        ({"op": "replace", "value": {"PASSWORD": "Correct horse", "title": "Planner"}}, "Correct horse"),
        ({"op": "replace", "value": {f"{USER_URN}:password": "Correct horse"}}, "Correct horse"),
        ({"op": "replace", "path": "password", "value": None}, None),
        ({"op": "remove", "path": "password"}, None),
    ],
)
def test_a_password_comes_out_apart(operation: dict[str, Any], secret: str | None) -> None:
    result = patch(USERS, USER, operation)
    assert result.resource == USER
    assert result.secrets == {"password": secret}
    assert "password" in result.asserted
    assert secrets_in(USERS, parse_patch({"Operations": [operation]})) == {"password": secret}


@pytest.mark.req("REQ-S-256", "REQ-S-053")
def test_a_password_of_another_type_is_refused_without_repeating_it() -> None:
    with pytest.raises(InvalidAttributeError) as refused:
        patch_user({"op": "add", "path": "password", "value": {"hidden": "horse"}})
    assert "horse" not in str(refused.value)


@pytest.mark.req("REQ-S-032")
def test_what_was_written_is_told_by_name_even_if_it_is_as_it_was() -> None:
    result = patch(
        USERS,
        USER,
        {"op": "add", "path": 'emails[type eq "work"].value', "value": "x"},
        {"op": "add", "path": "MANAGER", "value": "u-1"},
        {"op": "replace", "value": {"name.givenName": "Iris", "unknown": 1, "id": "x", "groups": []}},
        {"op": "remove", "path": "nickName"},
    )
    urn = ENTERPRISE_URN.lower()
    assert result.asserted == {"emails", urn, f"{urn}:manager", "name", "nickname"}


def test_the_same_path_is_refused_as_often_as_it_comes() -> None:
    for _ in range(2):
        with pytest.raises(InvalidPathError):
            patch_user({"op": "remove", "path": "unknown"})
        with pytest.raises(MutabilityError):
            patch_user({"op": "remove", "path": "id"})
