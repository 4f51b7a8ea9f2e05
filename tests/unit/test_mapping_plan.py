"""Compiled mappings: kinds, defaults, flow types, types, paths, and what a schema is refused for."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest

from joiner.provisioning.decisions.differences import Difference, differences
from joiner.provisioning.decisions.wire import resource_of
from joiner.provisioning.job.templates import template_by_id, templates, templates_of
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import AttributeFlow
from joiner.provisioning.mapping.schema import SchemaError, parse_schema
from joiner.provisioning.mapping.target_path import compile_path
from tests.mappings import ALVAO, ENTERPRISE, document, flow_of, mapping, users_of, values


def difference(flow: AttributeFlow, current: Any, wanted: Any) -> Difference | None:
    """What is written of one attribute that stands at the top of the resource."""
    return next(iter(differences([(flow, wanted)], {flow.target: current})), None)


def differs(flow: AttributeFlow, current: Any, wanted: Any) -> bool:
    return difference(flow, current, wanted) is not None


def written(flow: AttributeFlow, current: Any, wanted: Any) -> tuple[str, Any] | None:
    found = difference(flow, current, wanted)
    return (found.verb, found.value) if found is not None else None


def test_the_templates_have_22_user_and_3_group_mappings() -> None:
    outbound = [template for template in templates().values() if template.source == "directory"]
    assert len(outbound) == 2
    for template in outbound:
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
    assert written(none, None, "Employee") == ("add", "Employee")
    assert written(none, "Guest", "Employee") is None


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


def test_an_object_filter_is_evaluated_and_written_nowhere() -> None:
    plan = users_of(document(mapping("objectFilter", 'IIF([a] = "x", IgnoreObjectFlow, IgnoreAttributeFlow)')))
    assert plan.compute({"userPrincipalName": "a@x", "a": "x"}, creating=True).is_ignored
    assert values(plan, {"a": "y"}) == {}
    assert values(users_of(document(mapping("objectFilter", '"text"'))), {}) == {}


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
    assert written(adding, held, wanted) is None
    assert written(adding, held[:1], wanted) == ("add", wanted)
    assert written(replacing, held, wanted) == ("replace", wanted)
    assert written(replacing, None, wanted) == ("replace", wanted)
    assert written(replacing, wanted, wanted) is None
    in_json = [{"value": '{"id":"1","value":"Admin","displayName":"The admins"}'}]
    assert written(adding, in_json, wanted) is None


@pytest.mark.req("REQ-P-010")
@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("MultiValueAddOnly", ("add", ["z"])),
        ("ValueAddOnly", ("add", ["z"])),
        ("Always", ("replace", ["Y", "z"])),
        ("AttributeAddOnly", None),
    ],
)
def test_flow_types_that_only_add_leave_what_the_target_has(kind: str, wanted: Any) -> None:
    plan = users_of(document(mapping("custom", "[a]", flowType=kind), custom={"multivalued": True}))
    flow = flow_of(plan, "custom")
    assert written(flow, ["x", "y"], ["Y", "z"]) == wanted
    assert differs(flow, ["x", "y"], ["Y"]) is (kind == "Always")
    assert written(flow, None, ["Y", "z"]) == ("add", ["Y", "z"])


@pytest.mark.req("REQ-P-010")
@pytest.mark.parametrize(
    ("kind", "flows", "over"),
    [
        ("Always", True, ("replace", "b")),
        ("ValueAddOnly", True, ("replace", "b")),
        ("AttributeAddOnly", True, None),
        ("MultiValueAddOnly", False, None),
        ("ObjectAddOnly", False, None),
    ],
)
def test_flow_types_of_single_values(kind: str, flows: bool, over: Any) -> None:
    plan = users_of(document(mapping("title", "[a]", flowType=kind)))
    assert values(plan, {"a": "b"}) == {"title": "b"}
    assert values(plan, {"a": "b"}, creating=False) == ({"title": "b"} if flows else {})
    if flows:
        flow = flow_of(plan, "title")
        assert written(flow, None, "b") == ("add", "b")
        assert written(flow, "a", "b") == over


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


def test_the_error_of_a_value_names_it_and_the_type_and_cuts_it_short() -> None:
    plan = users_of(document(mapping("custom", "[a]"), custom={"type": "Integer"}))
    ((_, problem),) = plan.compute({"userPrincipalName": "a@x", "a": "x" * 100}, creating=True).errors
    assert problem == f"'{'x' * 60}…' is not an Integer"


def test_several_values_and_one_value_meet() -> None:
    plan = users_of(document(mapping("one", "[a]"), mapping("many", "[a]"), one={}, many={"multivalued": True}))
    assert values(plan, {"a": "x"}) == {"one": "x", "many": ["x"]}
    assert values(plan, {"a": ["x", None, 5]}) == {"one": "x", "many": ["x", "5"]}
    assert values(plan, {"a": []}) == {}
    assert values(plan, {"a": [None]}) == {}


@pytest.mark.parametrize(
    ("kind", "held", "wanted"),
    [
        ("Boolean", "true", True),
        ("Boolean", 1, True),
        ("Integer", "042", 42),
        ("Integer", 42.0, 42),
        ("DateTime", "5/6/2024 7:00:00 AM", "2024-05-06T07:00:00Z"),
    ],
)
def test_values_of_a_type_are_compared_by_what_they_mean(kind: str, held: Any, wanted: Any) -> None:
    flow = flow_of(users_of(document(mapping("custom", "[a]"), custom={"type": kind, "caseExact": True})), "custom")
    assert not differs(flow, held, wanted)
    assert differs(flow, "no such value", wanted)


def test_several_roles_need_a_target_with_several_values() -> None:
    schema = document(mapping("title", "AppRoleAssignmentsComplex([appRoleAssignments])"))
    with pytest.raises(SchemaError, match="several roles need a target with several values"):
        compile_plan(parse_schema(schema))


@pytest.mark.parametrize(
    ("definition", "expression", "problem"),
    [
        ({"type": "Reference"}, 'Switch([manager], , "a", "b")', "is a Reference, which is mapped directly"),
        ({"mutability": "ReadOnly"}, "[a]", "is read-only and cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(definition: dict[str, Any], expression: str, problem: str) -> None:
    with pytest.raises(SchemaError, match=problem):
        compile_plan(parse_schema(document(mapping("custom", expression), custom=definition)))


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


def test_an_element_and_a_list_are_written_side_by_side_in_any_order() -> None:
    body: dict[str, Any] = {}
    compile_path('roles[primary eq "True"]').write(body, "y")
    compile_path("roles").write(body, [{"value": "x"}])
    assert body == {"roles": [{"value": "x"}, {"primary": True, "value": "y"}]}


@pytest.mark.parametrize(
    ("text", "whole", "strict"),
    [
        ('roles[primary eq "True"].value', "roles", "roles[primary eq true].value"),
        ('emails[type eq "work"].value', "emails", 'emails[type eq "work"].value'),
        ("name.givenName", "name", "name.givenName"),
        (f"{ENTERPRISE}:manager", f"{ENTERPRISE}:manager", f"{ENTERPRISE}:manager"),
        ("urn:acme:2.0:User:badge.color", "urn:acme:2.0:User:badge", "urn:acme:2.0:User:badge.color"),
        ('urn:acme:2.0:User:cars[kind eq "a\\"b"].plate', "urn:acme:2.0:User:cars", None),
    ],
)
def test_paths_as_the_rfc_writes_them(text: str, whole: str, strict: str | None) -> None:
    path = compile_path(text)
    assert path.attribute_path == whole
    assert path.strict_text == (strict or text)


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
        f"{rule}[0].scope.groups[0].clauses[0].operatorName",
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


def test_a_country_is_a_region_for_alvao_alone() -> None:
    def sources(template_id: str) -> dict[str, str]:
        schema = template_by_id(template_id).schema
        return {
            flow["targetAttributeName"].rpartition(".")[2]: flow["source"]["name"]
            for flow in schema["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
            if flow["targetAttributeName"].startswith("addresses")
        }

    assert (sources("alvaoScim")["region"], sources("alvaoScim")["country"]) == ("country", "state")
    assert (sources("scim")["region"], sources("scim")["country"]) == ("state", "country")
