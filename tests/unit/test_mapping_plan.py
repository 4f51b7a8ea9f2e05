"""Compiled mappings: kinds, defaults, flow types, types, paths, and what a schema is refused for."""

import copy
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from joiner.provisioning.mapping import AttributeFlow, ObjectPlan, compile_plan, differs
from joiner.provisioning.schema import SchemaError, parse_schema
from joiner.provisioning.target_path import compile_path
from joiner.provisioning.templates import template_by_id, templates, templates_of
from joiner.provisioning.wire import resource_of

ALVAO = template_by_id("alvaoScim").schema
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def document(*mappings: Mapping[str, Any], **definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The template with these user mappings beside the one that matches, and these target attributes."""
    schema: dict[str, Any] = orjson.loads(orjson.dumps(ALVAO))
    users = schema["synchronizationRules"][0]["objectMappings"][0]
    users["attributeMappings"] = [mapping("userName", "[userPrincipalName]", matchingPriority=1), *mappings]
    target = schema["directories"][1]["objects"][0]
    target["attributes"] += [{"name": name, **more} for name, more in definitions.items()]
    return schema


def mapping(target: str, expression: str | None, **more: Any) -> dict[str, Any]:
    source: dict[str, Any] | None = None
    if expression is not None:
        kind = "Attribute" if expression.startswith("[") else "Constant" if expression.startswith('"') else "Function"
        source = {"type": kind, "name": expression.strip('[]"'), "expression": expression}
    return {"targetAttributeName": target, "source": source, **more}


def users_of(schema: Mapping[str, Any]) -> ObjectPlan:
    plan = compile_plan(parse_schema(schema)).users
    assert plan is not None
    return plan


def values(plan: ObjectPlan, attributes: Mapping[str, Any], *, creating: bool = True, **more: Any) -> dict[str, Any]:
    computed = plan.compute({"userPrincipalName": "a@x", **attributes}, creating=creating, **more)
    assert computed.errors == ()
    found = {flow.target: value for flow, value in computed.values}
    found.pop("userName", None)
    return found


def flow_of(plan: ObjectPlan, target: str) -> AttributeFlow:
    return next(flow for flow in (*plan.flows, *plan.references) if flow.target == target)


def test_the_templates_have_22_user_and_3_group_mappings() -> None:
    for template in templates().values():
        plan = compile_plan(parse_schema(template.schema))
        assert plan.users is not None
        assert plan.groups is not None
        assert len(plan.users.flows) + len(plan.users.references) == 22
        assert len(plan.groups.flows) + len(plan.groups.references) == 3
        assert [flow.target for flow in plan.users.matching] == ["externalId", "userName"]
        assert [flow.target for flow in plan.groups.matching] == ["displayName"]
        assert [flow.source_attribute for flow in plan.users.references] == ["manager"]
    assert templates_of("no such application")[0].id == "scim"


@pytest.mark.req("REQ-P-010", "REQ-P-011", "REQ-P-013")
def test_kinds_and_defaults() -> None:
    plan = users_of(
        document(
            mapping("title", "[jobTitle]", defaultValue="None"),
            mapping("nickName", '"fixed"'),
            mapping("displayName", 'Join("-", [a], [b])'),
            mapping("userType", None, defaultValue="Employee"),
        )
    )
    assert values(plan, {"a": "1", "b": "2"}) == {
        "title": "None",
        "nickName": "fixed",
        "displayName": "1-2",
        "userType": "Employee",
    }
    assert values(plan, {"jobTitle": "Boss", "a": "1"}) == {
        "title": "Boss",
        "nickName": "fixed",
        "displayName": "1",
        "userType": "Employee",
    }
    assert "title" not in values(plan, {"a": "1"}, creating=False)
    none = flow_of(plan, "userType")
    assert differs(none, None, "Employee")
    assert not differs(none, "Guest", "Employee")


@pytest.mark.req("REQ-P-012")
def test_create_only_mappings_are_absent_from_updates() -> None:
    plan = users_of(document(mapping("title", "[jobTitle]", flowType="ObjectAddOnly")))
    assert values(plan, {"jobTitle": "x"}) == {"title": "x"}
    assert values(plan, {"jobTitle": "x"}, creating=False) == {}


def test_an_ignored_flow_writes_neither_value_nor_default() -> None:
    plan = users_of(document(mapping("title", "IgnoreFlowIfNullOrEmpty([jobTitle])", defaultValue="None")))
    assert values(plan, {}) == {}
    assert values(plan, {"jobTitle": "x"}) == {"title": "x"}


@pytest.mark.req("REQ-P-020")
def test_only_what_follows_from_is_soft_deleted() -> None:
    plan = users_of(ALVAO)
    assert values(plan, {"IsSoftDeleted": True, "jobTitle": "x"}, creating=False, only_soft_deleted=True) == {
        "active": False
    }


@pytest.mark.parametrize(
    ("kind", "source", "wanted"),
    [
        ("Boolean", "TRUE", True),
        ("Boolean", "0", False),
        ("Integer", "42", 42),
        ("DateTime", "2024-05-06T09:00:00+02:00", "2024-05-06T07:00:00Z"),
        ("DateTime", "1/2/2025 3:04:05 PM", "2025-01-02T15:04:05Z"),
        ("Binary", "aGk=", "aGk="),
        ("String", 5, "5"),
    ],
)
def test_values_take_the_type_of_the_target(kind: str, source: Any, wanted: Any) -> None:
    plan = users_of(document(mapping("custom", "[a]"), custom={"type": kind}))
    assert values(plan, {"a": source})["custom"] == wanted


@pytest.mark.parametrize(
    ("kind", "source"), [("Boolean", "x"), ("Integer", "1.5"), ("DateTime", "soon"), ("Binary", "§")]
)
def test_a_value_that_does_not_fit_is_an_error_of_its_attribute(kind: str, source: str) -> None:
    plan = users_of(document(mapping("custom", "[a]"), custom={"type": kind}))
    computed = plan.compute({"userPrincipalName": "a@x", "a": source}, creating=True)
    assert [flow.target for flow, _ in computed.errors] == ["custom"]


def test_typed_paths_share_their_element_and_extensions_their_container() -> None:
    plan = users_of(ALVAO)
    attributes = {"userPrincipalName": "a@x", "city": "Oslo", "postalCode": "1", "mobile": "2", "department": "D"}
    body = resource_of(plan, plan.compute({**attributes, "givenName": "A"}, creating=True).values)
    assert body["addresses"] == [{"type": "work", "locality": "Oslo", "postalCode": "1"}]
    assert body["phoneNumbers"] == [{"type": "mobile", "value": "2"}]
    assert body[ENTERPRISE] == {"department": "D"}
    assert body["name"] == {"givenName": "A", "formatted": "A"}


@pytest.mark.parametrize(
    ("path", "resource", "held"),
    [
        ("userName", {"USERNAME": "a"}, "a"),
        ("name.givenName", {"name": {"givenname": "A"}}, "A"),
        ('emails[type eq "work"].value', {"emails": [{"type": "home"}, {"type": "WORK", "value": "w"}]}, "w"),
        ('emails[type eq "work"].value', {"emails": [{"type": "home", "value": "h"}]}, None),
        ('roles[primary eq "True"].value', {"roles": [{"primary": True, "value": "r"}]}, "r"),
        (f"{ENTERPRISE}:department", {ENTERPRISE.lower(): {"Department": "D"}}, "D"),
        (f"{ENTERPRISE}:manager", {ENTERPRISE: {"manager": {"value": "m"}}}, "m"),
        (f"{ENTERPRISE}:manager", {ENTERPRISE: {"manager": "m"}}, "m"),
        ("urn:ietf:params:scim:schemas:core:2.0:User:name.familyName", {"name": {"familyName": "F"}}, "F"),
        ("title", {"title": ""}, None),
        ("name.givenName", {"name": "odd"}, None),
    ],
)
def test_paths_are_read_from_what_targets_answer(path: str, resource: Mapping[str, Any], held: Any) -> None:
    assert compile_path(path).read(resource) == held


def test_a_role_filter_writes_a_boolean() -> None:
    body: dict[str, Any] = {}
    compile_path('roles[primary eq "True"].value').write(body, "Admin")
    assert body == {"roles": [{"primary": True, "value": "Admin"}]}


@pytest.mark.parametrize(
    ("current", "wanted", "exact", "different"),
    [
        ("Ada", "ADA", False, False),
        ("Ada", "ADA", True, True),
        (True, True, False, False),
        ("True", True, False, False),
        (False, True, False, True),
        (["a", "b"], ["B", "A"], False, False),
        (["a"], ["a", "b"], False, True),
        (None, "x", False, True),
        ({"value": "m", "x": 1}, {"x": 1, "value": "m"}, False, False),
    ],
)
def test_change_detection(current: Any, wanted: Any, exact: bool, different: bool) -> None:
    plan = users_of(document(mapping("custom", "[a]"), custom={"caseExact": exact}))
    assert differs(flow_of(plan, "custom"), current, wanted) is different


@pytest.mark.req("REQ-P-016", "REQ-P-144")
def test_a_schema_is_refused_with_every_problem_at_its_place() -> None:
    schema = document(
        mapping("id", "[a]"),
        mapping("title", "Nope([a])"),
        mapping("nick[x]", "[a]"),
        mapping("roles", "[appRoleAssignments]"),
        mapping("active", '"perhaps"', defaultValue="never"),
    )
    schema["synchronizationRules"][0]["objectMappings"][0]["scope"] = {
        "groups": [{"name": "t", "clauses": [{"sourceOperandName": "a", "operatorName": "LIKE"}]}]
    }
    schema["synchronizationRules"][0]["objectMappings"][1]["attributeMappings"] = []
    with pytest.raises(SchemaError) as caught:
        compile_plan(parse_schema(schema))
    places = [problem.partition(":")[0] for problem in caught.value.problems]
    users, groups = (f"synchronizationRules[0].objectMappings[{number}]" for number in (0, 1))
    assert places == [
        *(f"{users}.attributeMappings[{number}]" for number in (1, 2, 3, 4, 5)),
        f"{users}.scope",
        f"{groups}.attributeMappings",
    ]


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (("synchronizationRules",), 5, "synchronizationRules"),
        (("synchronizationRules", 0, "objectMappings", 0, "attributeMappings", 2, "flowType"), "Sometimes", "flowType"),
    ],
)
def test_a_document_of_the_wrong_shape_is_refused_with_its_place(path: tuple[Any, ...], value: Any, place: str) -> None:
    schema = copy.deepcopy(dict(ALVAO))
    holder: Any = schema
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    with pytest.raises(SchemaError, match=place):
        parse_schema(schema)
