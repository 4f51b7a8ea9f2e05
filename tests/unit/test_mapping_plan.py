"""Compiled mappings: kinds, defaults, flow types, types, paths, and what a schema is refused for."""

import copy
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from joiner.provisioning.mapping import AttributeFlow, ObjectPlan, compile_plan, differs, value_to_write
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
            nickName={},
            userType={},
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


@pytest.mark.req("REQ-P-019")
@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("[userPrincipalName]", "dana.w@northwind.example"),
        ("ToUpper([userPrincipalName])", "DANA.W@NORTHWIND.EXAMPLE"),
        ("[originalUserPrincipalName]", "dana.w_northwind.example#EXT#@home.example"),
        ("ToLower([originalUserPrincipalName])", "dana.w_northwind.example#ext#@home.example"),
    ],
)
def test_a_guest_is_exported_by_the_name_of_its_home(expression: str, wanted: str) -> None:
    plan = users_of(document(mapping("title", expression)))
    guest = {"userPrincipalName": "dana.w_northwind.example#EXT#@home.example"}
    assert values(plan, guest) == {"title": wanted}
    assert plan.match_values(guest) == [(plan.matching[0], "dana.w@northwind.example")]


def test_the_text_of_a_source_wins_over_its_tree_if_it_can_be_read() -> None:
    source = {"type": "Attribute", "name": "b", "expression": "[a]"}
    unreadable = {"type": "Constant", "name": 'say "hi"', "expression": 'say "hi"'}
    plan = users_of(
        document({**mapping("title", None), "source": source}, {**mapping("nick", None), "source": unreadable}, nick={})
    )
    assert values(plan, {"a": "1", "b": "2"}) == {"title": "1", "nick": 'say "hi"'}


def test_an_object_that_a_mapping_ignores_has_no_values() -> None:
    plan = users_of(document(mapping("title", 'IIF([a] = "x", IgnoreObjectFlow, IgnoreAttributeFlow)')))
    assert values(plan, {"a": "y"}) == {}
    computed = plan.compute({"userPrincipalName": "a@x", "a": "x"}, creating=False)
    assert (computed.is_ignored, computed.values) == (True, ())


def test_a_matching_mapping_that_fails_is_passed_over() -> None:
    plan = users_of(document(mapping("title", "Item([a], 2)", matchingPriority=2)))
    assert [flow.target for flow, _ in plan.match_values({"userPrincipalName": "u", "a": "one"})] == ["userName"]


def test_what_goes_wrong_with_a_secret_does_not_quote_it() -> None:
    plan = users_of(document(mapping("custom", "Redact([a])"), custom={"type": "Integer"}))
    ((flow, problem),) = plan.compute({"userPrincipalName": "u", "a": "s3cret"}, creating=True).errors
    assert flow.is_secret
    assert "s3cret" not in problem


@pytest.mark.req("REQ-P-034")
def test_roles_are_added_or_replaced() -> None:
    held, wanted = [{"value": "Own"}, {"value": "admin", "$ref": "x"}], [{"value": "Admin", "primary": False}]
    adding, replacing = (
        flow_of(
            users_of(document(mapping("roles", f"{name}([appRoleAssignments])"), roles={"multivalued": True})), "roles"
        )
        for name in ("AppRoleAssignmentsComplex", "AssertiveAppRoleAssignmentsComplex")
    )
    assert not differs(adding, held, wanted)
    assert differs(adding, held[:1], wanted)
    assert value_to_write(adding, held[:1], wanted) == [{"value": "Own"}, *wanted]
    assert differs(replacing, held, wanted)
    assert value_to_write(replacing, held, wanted) == wanted


@pytest.mark.parametrize(("kind", "adds"), [("MultiValueAddOnly", True), ("ValueAddOnly", True), ("Always", False)])
def test_flow_types_that_only_add_keep_what_the_target_has(kind: str, adds: bool) -> None:
    plan = users_of(document(mapping("custom", "[a]", flowType=kind), custom={"multivalued": True}))
    flow = flow_of(plan, "custom")
    assert differs(flow, ["x", "y"], ["Y"]) is not adds
    assert value_to_write(flow, ["x", "y"], ["Y", "z"]) == (["x", "Y", "z"] if adds else ["Y", "z"])


def test_what_flows_always_is_written_though_it_does_not_differ() -> None:
    plan = users_of(document(mapping("title", "[a]", flowBehavior="FlowAlways"), mapping("custom", "[a]"), custom={}))
    assert differs(flow_of(plan, "title"), "x", "x")
    assert not differs(flow_of(plan, "custom"), "x", "x")


def test_dates_are_compared_as_moments() -> None:
    plan = users_of(document(mapping("custom", "[a]"), custom={"type": "DateTime"}))
    flow = flow_of(plan, "custom")
    assert not differs(flow, "2024-05-06T09:00:00.000+02:00", "2024-05-06T07:00:00Z")
    assert differs(flow, "2024-05-06T09:00:00Z", "2024-05-06T07:00:00Z")


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


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        ("name", "name.givenName", "name writes a single value and name.givenName a complex attribute"),
        ("emails.value", 'emails[type eq "work"].value', "emails.value writes a complex attribute and emails[type"),
        ("roles", 'roles[primary eq "True"].value', "roles writes a single value and roles[primary"),
    ],
)
def test_mappings_that_cannot_write_to_the_same_attribute_are_refused(first: str, second: str, problem: str) -> None:
    schema = document(mapping(first, "[a]"), mapping(second, "[b]"), **{first: {}, second: {}})
    with pytest.raises(SchemaError) as caught:
        compile_plan(parse_schema(schema))
    assert problem in caught.value.problems[0]


def test_a_list_and_an_element_of_it_are_written_side_by_side() -> None:
    roles = [{"value": "x"}]
    body: dict[str, Any] = {}
    compile_path("roles").write(body, roles)
    compile_path('roles[primary eq "True"]').write(body, "y")
    assert body == {"roles": [{"value": "x"}, {"primary": True, "value": "y"}]}
    assert roles == [{"value": "x"}]
    assert compile_path('roles[primary eq "True"]').read(body) == "y"


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
        mapping("nosuch", "[a]"),
        mapping("displayName", "[a]", matchingPriority=1),
        mapping("several", "[a]", matchingPriority=2),
        **{"nick[x]": {}, "roles": {"multivalued": True}, "several": {"multivalued": True}},
    )
    schema["synchronizationRules"][0]["objectMappings"][0]["scope"] = {
        "groups": [{"name": "t", "clauses": [{"sourceOperandName": "a", "operatorName": "LIKE"}]}]
    }
    groups = schema["synchronizationRules"][0]["objectMappings"][1]
    groups.update(attributeMappings=[], sourceObjectName="Group", targetObjectName="Team")
    with pytest.raises(SchemaError) as caught:
        compile_plan(parse_schema(schema))
    places = [problem.partition(":")[0] for problem in caught.value.problems]
    rule = "synchronizationRules[0].objectMappings"
    assert places == [
        f"{rule}[0].attributeMappings[1].targetAttributeName",
        f"{rule}[0].attributeMappings[2].source",
        f"{rule}[0].attributeMappings[3].targetAttributeName",
        f"{rule}[0].attributeMappings[4].source",
        f"{rule}[0].attributeMappings[5].defaultValue",
        f"{rule}[0].attributeMappings[6].targetAttributeName",
        f"{rule}[0].attributeMappings",
        f"{rule}[0].attributeMappings",
        f"{rule}[0].scope.groups[0].clauses[0]",
        f"{rule}[1].targetObjectName",
        f"{rule}[1].attributeMappings",
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
