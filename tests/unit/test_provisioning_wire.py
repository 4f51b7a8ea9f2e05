"""The requests of each dialect, word for word."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.decisions.decide import decide
from joiner.provisioning.decisions.decision import (
    Create,
    Link,
    Modify,
    QueryMatch,
    Scope,
    Settings,
    SourceObject,
    TargetState,
)
from joiner.provisioning.decisions.wire import Dialect, member_operations, operations_of
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.scim.grammar import parse_path
from joiner.scim.tree import Comparison, Path
from tests.mappings import ENTERPRISE, document, mapping, open_gates, users_of

CLERK = {"id": "06b0", "value": "Clerk", "displayName": "The clerks"}
BUYER = {"id": "17c1", "value": None, "displayName": "Buyer"}
SEARCHED = TargetState(queries=((QueryMatch("userName", "a@x", False), 0),))
TYPE = "WindowsAzureActiveDirectoryRole"
CUSTOM = "urn:ietf:params:scim:schemas:extension:Acme:2.0:User"
DEFINITIONS: Mapping[str, Mapping[str, Any]] = {
    "roles": {"multivalued": True},
    'roles[primary eq "True"].value': {},
    'roles[primary eq "True"].display': {},
    f"{CUSTOM}:badge.color": {},
}


def created(plan: ObjectPlan, values: Mapping[str, Any], settings: Settings | None = None) -> Mapping[str, Any]:
    request = decision_on(plan, values, SEARCHED, None, settings).request
    assert isinstance(request, Create)
    return request.resource


def patched(plan: ObjectPlan, values: Mapping[str, Any], resource: Mapping[str, Any], dialect: Dialect) -> Any:
    held = {"id": "t1", "userName": "a@x", **resource}
    request = decision_on(plan, values, TargetState(resource=held), Link("t1", True, False)).request
    return operations_of(dialect, request.modifications) if isinstance(request, Modify) else None


def decision_on(
    plan: ObjectPlan,
    values: Mapping[str, Any],
    target: TargetState,
    link: Link | None,
    settings: Settings | None = None,
) -> Any:
    source = SourceObject("User", "a1", "a@x", values, True, False)
    values = {"userPrincipalName": "a@x", **values}
    return decide(source, values, Scope(None, "in scope", {}), link, target, plan, settings or Settings())


def plan_of(*mappings: Mapping[str, Any]) -> ObjectPlan:
    return users_of(document(*mappings, **DEFINITIONS))


SEVERAL = plan_of(
    mapping("active", "[enabled]"),
    mapping("name.givenName", "[givenName]"),
    mapping("title", "[jobTitle]"),
    mapping('emails[type eq "work"].value', "[mail]"),
    mapping('addresses[type eq "work"].locality', "[city]"),
    mapping('addresses[type eq "work"].country', "[country]"),
    mapping(f"{ENTERPRISE}:department", "[department]"),
)
CHANGED = {
    "enabled": False,
    "givenName": "Ada",
    "jobTitle": "Boss",
    "mail": "a@x",
    "city": "Oslo",
    "country": "NO",
    "department": "D",
}
HELD = {"active": True, "name": {"givenName": "A"}, "emails": [{"type": "work", "value": "b@x"}]}


@pytest.mark.req("REQ-P-111", "REQ-C-009", "REQ-C-012", "REQ-C-013")
def test_the_entra_dialect_sends_capital_verbs_text_booleans_and_paths_as_mapped() -> None:
    assert patched(SEVERAL, CHANGED, HELD, Dialect.ENTRA) == [
        {"op": "Replace", "path": "active", "value": "False"},
        {"op": "Replace", "path": "name.givenName", "value": "Ada"},
        {"op": "Add", "path": "title", "value": "Boss"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "a@x"},
        {"op": "Add", "path": 'addresses[type eq "work"].locality', "value": "Oslo"},
        {"op": "Add", "path": 'addresses[type eq "work"].country', "value": "NO"},
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "D"},
    ]


@pytest.mark.req("REQ-P-111", "REQ-C-010", "REQ-C-012", "REQ-C-013")
def test_the_compliant_dialect_puts_simple_attributes_into_one_operation_per_verb() -> None:
    assert patched(SEVERAL, CHANGED, HELD, Dialect.ENTRA_COMPLIANT) == [
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@x"},
        {"op": "add", "path": 'addresses[type eq "work"].locality', "value": "Oslo"},
        {"op": "add", "path": 'addresses[type eq "work"].country', "value": "NO"},
        {"op": "replace", "value": {"active": False, "name.givenName": "Ada"}},
        {"op": "add", "value": {"title": "Boss", f"{ENTERPRISE}:department": "D"}},
    ]


@pytest.mark.req("REQ-C-011")
def test_the_rfc_dialect_adds_elements_that_do_not_exist_as_a_whole() -> None:
    assert patched(SEVERAL, CHANGED, HELD, Dialect.RFC) == [
        {"op": "replace", "path": "active", "value": False},
        {"op": "replace", "path": "name.givenName", "value": "Ada"},
        {"op": "add", "path": "title", "value": "Boss"},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "a@x"},
        {"op": "add", "path": "addresses", "value": [{"type": "work", "locality": "Oslo", "country": "NO"}]},
        {"op": "add", "path": f"{ENTERPRISE}:department", "value": "D"},
    ]


@pytest.mark.req("REQ-P-014")
@pytest.mark.parametrize(
    ("dialect", "verb"), [(Dialect.ENTRA, "Remove"), (Dialect.ENTRA_COMPLIANT, "remove"), (Dialect.RFC, "remove")]
)
def test_clearing_removes_the_path(dialect: Dialect, verb: str) -> None:
    gate = {"metadata": [{"key": "FlowNullValues", "value": "true"}]}
    schema = document(mapping("title", "[jobTitle]", **gate), mapping('emails[type eq "work"].value', "[mail]", **gate))
    open_gates(schema, "jobTitle", "mail")
    resource = {"title": "Boss", "emails": [{"type": "work", "value": "a@x"}]}
    assert patched(users_of(schema), {}, resource, dialect) == [
        {"op": verb, "path": "title"},
        {"op": verb, "path": 'emails[type eq "work"].value'},
    ]


# Roles

ONE = plan_of(mapping('roles[primary eq "True"].value', "SingleAppRoleAssignment([appRoleAssignments])"))
ALL = plan_of(mapping("roles", "AppRoleAssignmentsComplex([appRoleAssignments])"))
ASSERTED = plan_of(mapping("roles", "AssertiveAppRoleAssignmentsComplex([appRoleAssignments])"))
BOTH = {"appRoleAssignments": [CLERK, BUYER]}


def in_json(*roles: Any) -> list[dict[str, str]]:
    return [{"value": orjson.dumps(role).decode()} for role in roles]


def element(role: Any, key: str) -> dict[str, Any]:
    name, value = role["displayName"], role["value"] or role["displayName"]
    return {"primary": False, "type": TYPE, key: name, "value": value}


def test_roles_are_created_as_objects() -> None:
    assert created(ONE, BOTH)["roles"] == [{"primary": True, "value": "The clerks", "type": TYPE}]
    assert created(ALL, BOTH)["roles"] == [element(CLERK, "displayName"), element(BUYER, "displayName")]
    assert created(ASSERTED, BOTH)["roles"] == [element(CLERK, "display"), element(BUYER, "display")]


@pytest.mark.req("REQ-P-034")
def test_added_roles_are_json_in_texts_in_the_entra_dialect_and_objects_in_the_others() -> None:
    held = {"roles": [{"value": "Clerk"}, {"value": "Own"}]}
    assert patched(ALL, BOTH, held, Dialect.ENTRA) == [{"op": "Add", "path": "roles", "value": in_json(BUYER)}]
    for dialect in (Dialect.ENTRA_COMPLIANT, Dialect.RFC):
        assert patched(ALL, BOTH, held, dialect) == [
            {"op": "add", "path": "roles", "value": [element(BUYER, "displayName")]}
        ]
    assert patched(ALL, {"appRoleAssignments": [CLERK]}, held, Dialect.RFC) is None


@pytest.mark.req("REQ-P-034")
@pytest.mark.parametrize("dialect", Dialect)
def test_asserted_roles_replace_what_the_target_has(dialect: Dialect) -> None:
    roles = [element(CLERK, "display"), element(BUYER, "display")]
    verb = "Replace" if dialect is Dialect.ENTRA else "replace"
    for held in ({}, {"roles": [{"value": "Own"}]}):
        assert patched(ASSERTED, BOTH, held, dialect) == [{"op": verb, "path": "roles", "value": roles}]


def test_a_single_role_is_written_to_its_path_and_as_json_in_the_entra_dialect() -> None:
    held = {"roles": [{"primary": True, "value": "Old"}]}
    path = 'roles[primary eq "True"].value'
    assert patched(ONE, BOTH, held, Dialect.ENTRA_COMPLIANT) == [{"op": "replace", "path": path, "value": "The clerks"}]
    strict = "roles[primary eq true].value"
    assert patched(ONE, BOTH, held, Dialect.RFC) == [{"op": "replace", "path": strict, "value": "The clerks"}]
    assert patched(ONE, BOTH, {}, Dialect.RFC) == [
        {"op": "add", "path": "roles", "value": [{"primary": True, "value": "The clerks", "type": TYPE}]}
    ]
    assert patched(ONE, BOTH, held, Dialect.ENTRA) == [{"op": "Add", "path": "roles", "value": in_json(CLERK)}]
    assert patched(ONE, BOTH, {"roles": [*held["roles"], *in_json(CLERK)]}, Dialect.ENTRA) is None


def test_parts_of_a_single_role_are_one_operation_in_the_entra_dialect() -> None:
    parts = (mapping(f'roles[primary eq "True"].{part}', "SingleAppRoleAssignment([appRoleAssignments])")
             for part in ("value", "display"))  # fmt: skip
    assert patched(plan_of(*parts), BOTH, {}, Dialect.ENTRA) == [
        {"op": "Add", "path": "roles", "value": in_json(CLERK)}
    ]


def test_a_role_inside_of_another_function_is_an_ordinary_text() -> None:
    plan = plan_of(mapping('roles[primary eq "True"].value', "ToUpper(SingleAppRoleAssignment([appRoleAssignments]))"))
    assert patched(plan, BOTH, {}, Dialect.ENTRA) == [
        {"op": "Add", "path": 'roles[primary eq "True"].value', "value": "THE CLERKS"}
    ]


def test_taking_one_of_several_roles_is_a_warning_in_the_log() -> None:
    steps = decision_on(ONE, BOTH, TargetState(resource={"id": "t1"}), Link("t1", True, False)).steps
    assert [step.description for step in steps if step.status == "warning"] == [
        "User 'a@x' has 2 roles; the one assigned first, 'The clerks', is taken"
    ]


# Extensions and references


def test_extensions_are_named_in_schemas_only_if_that_was_asked_for() -> None:
    plan = plan_of(mapping(f"{CUSTOM}:badge.color", "[color]"))
    body = created(plan, {"color": "red"})
    assert body[CUSTOM] == {"badge": {"color": "red"}}
    assert CUSTOM not in body["schemas"]
    listed = created(plan, {"color": "red"}, Settings(lists_extensions=True))
    assert listed["schemas"][-1] == CUSTOM
    assert listed["schemas"].count(ENTERPRISE) == 1
    path = f"{CUSTOM}:badge.color"
    assert patched(plan, {"color": "red"}, {}, Dialect.ENTRA) == [{"op": "Add", "path": path, "value": "red"}]


@pytest.mark.req("REQ-P-111")
def test_members_are_taken_out_by_a_list_in_the_entra_dialect_and_by_filters_in_the_others() -> None:
    profile = TargetProfile()
    assert member_operations(Dialect.ENTRA, ["1"], ["2"], by_value=profile.removes_by_value(Dialect.ENTRA)) == [
        {"op": "Add", "path": "members", "value": [{"$ref": None, "value": "1"}]},
        {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": "2"}]},
    ]
    for dialect in (Dialect.ENTRA_COMPLIANT, Dialect.RFC):
        assert member_operations(dialect, ["1"], ["2"], by_value=profile.removes_by_value(dialect)) == [
            {"op": "add", "path": "members", "value": [{"value": "1"}]},
            {"op": "remove", "path": 'members[value eq "2"]'},
        ]


@pytest.mark.parametrize("dialect", Dialect)
def test_a_profile_can_ask_for_the_other_way_to_take_members_out(dialect: Dialect) -> None:
    profile = TargetProfile(removes_members_by="filter" if dialect is Dialect.ENTRA else "value")
    [operation] = member_operations(dialect, [], ["2"], by_value=profile.removes_by_value(dialect))
    assert operation in (
        {"op": "Remove", "path": 'members[value eq "2"]'},
        {"op": "remove", "path": "members", "value": [{"value": "2"}]},
    )
    # Where all is written as a whole, the operations are carried out here, by the RFC.
    assert not TargetProfile(updates="put", removes_members_by="value").removes_by_value(Dialect.RFC)


def test_an_id_is_written_in_a_filter_so_that_it_ends_nothing() -> None:
    [operation] = member_operations(Dialect.RFC, [], ['a"b\\c'], by_value=False)
    assert parse_path(operation["path"]).filter == Comparison(Path(None, "value"), "eq", 'a"b\\c')
