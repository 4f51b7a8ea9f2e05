"""PATCH as Entra (in both of its modes), Okta and Microsoft's validator send it."""

from typing import Any

import pytest

from joiner.scim.core import ENTERPRISE_URN, GROUP_URN, GROUPS, USERS
from joiner.scim.members import MemberChange, net_changes, split_members
from joiner.scim.messages import PATCH_OP, parse_patch
from joiner.scim.patches import apply_patch
from tests.patching import patch

NINA: dict[str, Any] = {
    "userName": "n.berg@harbour.example",
    "externalId": "nberg",
    "active": True,
    "displayName": "Nina Berg",
    "title": "Pilot",
    "preferredLanguage": "nb",
    "name": {"formatted": "Nina Berg", "familyName": "Berg", "givenName": "Nina"},
    "emails": [{"primary": True, "type": "work", "value": "n.berg@harbour.example"}],
    "addresses": [{"type": "work", "streetAddress": "3 Pier", "locality": "Molde", "primary": True}],
    "phoneNumbers": [{"type": "work", "value": "71000000"}],
    ENTERPRISE_URN: {"department": "Harbour", "employeeNumber": "H-1"},
}


def nina_after(*operations: dict[str, Any]) -> dict[str, Any]:
    return patch(USERS, NINA, *operations).resource


def members_after(*operations: dict[str, Any]) -> list[MemberChange]:
    """What is to be done to the members, where nothing else is to be done."""
    body = {"schemas": [PATCH_OP], "Operations": list(operations)}
    others, changes = split_members(GROUPS, parse_patch(body))
    assert others == []
    return net_changes(changes)


@pytest.mark.req("REQ-S-223", "REQ-S-233", "REQ-S-243", "REQ-S-244", "REQ-S-252", "REQ-S-254", "REQ-S-253")
def test_entras_default_mode_changes_several_attributes() -> None:
    assert nina_after(
        {"op": "Replace", "path": "displayName", "value": "Nina Berg-Lie"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "n.lie@harbour.example"},
        {"op": "Replace", "path": "name.familyName", "value": "Berg-Lie"},
        {"op": "Add", "path": "nickName", "value": "Nin"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "90000000"},
        {"op": "Add", "path": 'addresses[type eq "work"].formatted', "value": "3 Pier, Molde"},
        {"op": "Add", "path": 'emails[type eq "other"].Value', "value": "nina@boat.example"},
        {"op": "Replace", "path": f"{ENTERPRISE_URN}:employeeNumber", "value": "H-2"},
    ) == {
        **NINA,
        "displayName": "Nina Berg-Lie",
        "name": {"formatted": "Nina Berg", "familyName": "Berg-Lie", "givenName": "Nina"},
        "nickName": "Nin",
        "emails": [
            {"primary": True, "type": "work", "value": "n.lie@harbour.example"},
            {"type": "other", "value": "nina@boat.example"},
        ],
        "addresses": [{**NINA["addresses"][0], "formatted": "3 Pier, Molde"}],
        "phoneNumbers": [*NINA["phoneNumbers"], {"type": "mobile", "value": "90000000"}],
        ENTERPRISE_URN: {"department": "Harbour", "employeeNumber": "H-2"},
    }


@pytest.mark.req("REQ-S-248", "REQ-S-229", "REQ-S-247")
def test_entras_compliant_mode_expands_dotted_and_qualified_names() -> None:
    assert nina_after(
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "n.lie@harbour.example"},
        {
            "op": "replace",
            "value": {
                "displayName": "Nina Lie",
                "name.givenName": "Nina M.",
                "name.familyName": "Lie",
                f"{ENTERPRISE_URN}:employeeNumber": "H-3",
            },
        },
        {"op": "add", "value": {"nickName": "Nin", "name.formatted": "Nina Lie", "roles": None}},
    ) == {
        **NINA,
        "displayName": "Nina Lie",
        "nickName": "Nin",
        "name": {"formatted": "Nina Lie", "familyName": "Lie", "givenName": "Nina M."},
        "emails": [{"primary": True, "type": "work", "value": "n.lie@harbour.example"}],
        ENTERPRISE_URN: {"department": "Harbour", "employeeNumber": "H-3"},
    }


@pytest.mark.req("REQ-S-270", "REQ-S-093", "REQ-S-247")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Replace", "path": "active", "value": False},
        {"op": "replace", "value": {"active": False}},
        {"op": "replace", "value": {"ACTIVE": "fAlSe"}},
        {"op": "Add", "path": "active", "value": ["false"]},
    ],
)
def test_every_way_to_disable_a_user(operation: dict[str, Any]) -> None:
    assert nina_after(operation) == {**NINA, "active": False}


@pytest.mark.req("REQ-S-258", "REQ-S-259", "REQ-S-254")
@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{ENTERPRISE_URN}:manager", "u-3"),
        ("manager", [{"$ref": "https://x.example/scim/Users/u-3", "value": "u-3"}]),
        (f"{ENTERPRISE_URN}:manager", {"value": "u-3"}),
        (f"{ENTERPRISE_URN}.manager", "u-3"),
        (f"{ENTERPRISE_URN}:manager", ["u-3"]),
        (f"{ENTERPRISE_URN}:manager.value", "u-3"),
        ("manager", {"$ref": None, "Value": "u-3"}),
    ],
)
@pytest.mark.parametrize(
    "emptied",
    [
        {"op": "replace", "value": {"value": ""}},
        {"op": "replace", "value": ""},
        {"op": "replace", "value": None},
        {"op": "Replace", "value": {}},
        {"op": "Add", "value": {"value": ""}},
        {"op": "Remove"},
        {"op": "Remove", "value": "u-3"},
    ],
)
def test_every_way_to_set_and_empty_the_manager(path: str, value: Any, emptied: dict[str, Any]) -> None:
    for verb in ("Add", "replace"):
        with_manager = nina_after({"op": verb, "path": path, "value": value})
        assert with_manager[ENTERPRISE_URN]["manager"]["value"] == "u-3"
        assert patch(USERS, with_manager, {"path": f"{ENTERPRISE_URN}:manager", **emptied}).resource == NINA
        assert patch(USERS, with_manager, {"op": "replace", "path": path, "value": ""}).resource == NINA
        assert patch(USERS, with_manager, {"op": "remove", "path": path}).resource == NINA


@pytest.mark.req("REQ-S-260", "REQ-S-016")
@pytest.mark.parametrize("value", ["", None])
@pytest.mark.parametrize("verb", ["add", "replace"])
def test_empty_texts_and_nulls_leave_nothing_behind(verb: str, value: Any) -> None:
    after = nina_after(
        {"op": verb, "path": "title", "value": value},
        {"op": verb, "path": "name.formatted", "value": value},
        {"op": verb, "value": {"preferredLanguage": value, f"{ENTERPRISE_URN}:employeeNumber": value}},
        {"op": verb, "path": 'phoneNumbers[type eq "work"].value', "value": value},
    )
    expected = {name: item for name, item in NINA.items() if name not in ("title", "preferredLanguage", "phoneNumbers")}
    assert after == {
        **expected,
        "name": {"familyName": "Berg", "givenName": "Nina"},
        ENTERPRISE_URN: {"department": "Harbour"},
    }


@pytest.mark.req("REQ-S-269", "REQ-S-251")
def test_roles_as_entra_sends_them() -> None:
    text = '{"id":"18d1","value":"Steward","displayName":"Steward"}'
    assert nina_after({"op": "Add", "path": "roles", "value": [{"value": text}]})["roles"] == [{"value": text}]
    assert nina_after({"op": "Add", "path": 'roles[primary eq "True"].value', "value": "Mate"})["roles"] == [
        {"primary": True, "value": "Mate"}
    ]
    shown = [{"primary": "True", "type": "WindowsAzureActiveDirectoryRole", "displayName": "Mate", "value": "m"}]
    assert nina_after({"op": "replace", "path": "roles", "value": shown})["roles"] == [
        {"primary": True, "type": "WindowsAzureActiveDirectoryRole", "display": "Mate", "value": "m"}
    ]


@pytest.mark.req("REQ-S-236")
def test_a_removal_that_repeats_the_old_value_removes() -> None:
    after = nina_after({"op": "Remove", "path": 'emails[type eq "work"].value', "value": "old@harbour.example"})
    assert "emails" not in after


@pytest.mark.req("REQ-S-233")
def test_the_validator_builds_an_element_part_by_part() -> None:
    after = nina_after(
        {"op": "add", "path": 'emails[type eq "home"].value', "value": "nina@home.example"},
        {"op": "add", "path": 'emails[type eq "home"].display', "value": "kx3"},
        {"op": "add", "path": 'emails[type eq "home"].primary', "value": "True"},
    )
    assert after["emails"] == [
        {"primary": False, "type": "work", "value": "n.berg@harbour.example"},
        {"type": "home", "value": "nina@home.example", "display": "kx3", "primary": True},
    ]


@pytest.mark.req("REQ-S-225")
def test_of_several_operations_on_one_attribute_the_last_wins() -> None:
    after = nina_after(
        {"op": "replace", "path": "displayName", "value": "A"},
        {"op": "remove", "path": "displayName"},
        {"op": "add", "path": "displayName", "value": "B"},
    )
    assert after == {**NINA, "displayName": "B"}


# Groups


@pytest.mark.req("REQ-S-243", "REQ-S-249")
@pytest.mark.parametrize(
    "operation",
    [
        {"op": "Replace", "path": "displayName", "value": "Night shift"},
        {"op": "replace", "value": {"id": "g-5", "displayName": "Night shift"}},
    ],
)
def test_entra_and_okta_rename_a_group(operation: dict[str, Any]) -> None:
    others, changes = split_members(GROUPS, parse_patch({"Operations": [operation]}))
    assert changes == []
    assert apply_patch(GROUPS, {"displayName": "Crew"}, others).resource == {"displayName": "Night shift"}


@pytest.mark.req("REQ-S-265", "REQ-S-239")
def test_entra_adds_and_removes_a_member_by_list() -> None:
    listed = [{"$ref": None, "value": "u-17"}]
    assert members_after({"op": "Add", "path": "members", "value": listed}) == [MemberChange("add", {"u-17": None})]
    assert members_after({"op": "Remove", "path": "members", "value": listed}) == [
        MemberChange("remove", {"u-17": None})
    ]


@pytest.mark.req("REQ-S-262")
def test_entras_compliant_mode_removes_members_one_by_one() -> None:
    operations = [{"op": "remove", "path": f'members[value eq "u-{number}"]'} for number in range(1000)]
    [change] = members_after(*operations)
    assert change == MemberChange("remove", {f"u-{number}": None for number in range(1000)})


@pytest.mark.req("REQ-S-263", "REQ-S-264")
def test_okta_changes_and_pushes_the_membership() -> None:
    assert members_after(
        {"op": "remove", "path": 'members[value eq "u-1"]'},
        {"op": "add", "path": "members", "value": [{"value": "u-2", "display": "nina@harbour.example"}]},
    ) == [MemberChange("remove", {"u-1": None}), MemberChange("add", {"u-2": "nina@harbour.example"})]
    pushed = {"op": "replace", "path": "members", "value": [{"value": "u-1"}, {"value": "u-2", "display": "N"}]}
    assert members_after(pushed) == [MemberChange("replace", {"u-1": None, "u-2": "N"})]


@pytest.mark.req("REQ-S-253")
@pytest.mark.parametrize("path", ["Members", "MEMBERS", f"{GROUP_URN}:members", f"{GROUP_URN.lower()}:Members"])
def test_members_are_found_whatever_the_case_and_with_the_urn(path: str) -> None:
    added = [MemberChange("add", {"u-9": None})]
    for value in ("u-9", {"value": "u-9"}, ["u-9"], [{"VALUE": "u-9"}]):
        assert members_after({"op": "add", "path": path, "value": value}) == added
        assert members_after({"op": "add", "value": {path: value}}) == added
    assert members_after({"op": "remove", "path": f'{path}[value eq "u-9"]'}) == [MemberChange("remove", {"u-9": None})]
