"""Schema documents: read and written without loss, checked, completed, compared."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.directory.columns import USER_ATTRIBUTES
from joiner.errors import InvalidValueError
from joiner.provisioning.document.changes import changes_between
from joiner.provisioning.document.check import Before, check_document
from joiner.provisioning.document.completion import complete_document
from joiner.provisioning.document.discovery import definitions_of, with_discovered
from joiner.provisioning.document.text import read_document, write_document
from joiner.provisioning.job.templates import template_by_id, templates
from joiner.scim.core import ENTERPRISE, GROUP, USER
from joiner.scim.discovery import schema_document

ALVAO: dict[str, Any] = dict(template_by_id("alvaoScim").schema)
RULE = "synchronizationRules[0]"
USERS = f"{RULE}.objectMappings[0]"
FLOWS = f"{USERS}.attributeMappings"
Edit = Callable[[dict[str, Any], dict[str, Any]], None]


def edited(edit: Edit) -> dict[str, Any]:
    """The template after `edit(the document, its user mapping)`."""
    document = copy.deepcopy(ALVAO)
    edit(document, document["synchronizationRules"][0]["objectMappings"][0])
    return document


def flow(number: int, **members: Any) -> Edit:
    """An edit of one attribute mapping of users: 0 is userName, 1 externalId, 4 title, 21 manager."""
    return lambda document, users: users["attributeMappings"][number].update(members)


def function(text: str) -> dict[str, Any]:
    return {"type": "Function", "expression": text}


def attribute(side: int, name: str, **members: Any) -> Edit:
    """An edit of one attribute definition of users, on side 0 (source) or 1 (target); it is made if there is none."""

    def edit(document: dict[str, Any], users: dict[str, Any]) -> None:
        attributes = document["directories"][side]["objects"][0]["attributes"]
        found = next((each for each in attributes if each["name"] == name), None)
        if found is None:
            attributes.append(found := {"name": name})
        found.update(members)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(document: dict[str, Any], users: dict[str, Any]) -> None:
        for each in edits:
            each(document, users)

    return edit


def members(**values: Any) -> Edit:
    """An edit of the user mapping."""
    return lambda document, users: users.update(values)


def at(path: tuple[Any, ...], value: Any) -> Edit:
    """An edit of whatever stands at the path; `...` deletes it."""

    def edit(document: dict[str, Any], users: dict[str, Any]) -> None:
        holder: Any = document
        for step in path[:-1]:
            holder = holder[step]
        if value is ...:
            del holder[path[-1]]
        else:
            holder[path[-1]] = value

    return edit


def clause(name: str, operator: str, *values: str) -> dict[str, Any]:
    clauses = [{"sourceOperandName": name, "operatorName": operator, "targetOperand": {"values": list(values)}}]
    return {"groups": [{"name": "title", "clauses": clauses}]}


def test_templates_have_nothing_wrong() -> None:
    for template in templates().values():
        report = check_document(template.schema, Before(template.schema, template.schema, sync_all=False))
        assert (report.errors, report.warnings) == ((), ())


CLEARS = [{"key": "FlowNullValues", "value": "true"}]
ERRORS: list[tuple[Edit, str, str]] = [
    (at(("synchronizationRules",), 5), "synchronizationRules", "must be a list, not a number"),
    (at(("synchronizationRules",), []), "synchronizationRules", "there is no rule"),
    (at(("synchronizationRules", 0, "priority"), "1"), f"{RULE}.priority", "must be a whole number, not text"),
    (at(("synchronizationRules", 0, "id"), ...), f"{RULE}.id", "is missing"),
    (at(("synchronizationRules", 0, "sourceDirectoryName"), "AD"), f"{RULE}.sourceDirectoryName", "no directory 'AD'"),
    (at(("directories", 1, "name"), "Azure Active Directory"), "directories[1].name", "another directory"),
    (at(("directories", 1, "discoverabilities"), "All"), "directories[1].discoverabilities", "'All' is none of"),
    (at(("directories", 1, "objects", 1, "name"), ALVAO["directories"][1]["objects"][0]["name"]),
     "directories[1].objects[1].name", "another object"),
    (attribute(1, "id", anchor=False), "directories[1].objects[0].attributes", "exactly one anchor; there is none"),
    (attribute(1, "title", anchor=True), "directories[1].objects[0].attributes", "there are id, title"),
    (attribute(1, "title", type="Text"), "directories[1].objects[0].attributes[5].type", "'Text' is none of"),
    (at(("directories", 1, "objects", 0, "attributes", 5, "name"), "userName"),
     "directories[1].objects[0].attributes[5].name", "another attribute"),
    (members(enabled=False), f"{USERS}.enabled", "users cannot be disabled"),
    (members(enabled="no"), f"{USERS}.enabled", "must be true or false, not text"),
    (members(flowTypes="Add, Remove"), f"{USERS}.flowTypes", "'Remove' is none of"),
    (members(sourceObjectName="Person"), f"{USERS}.sourceObjectName", "has no object 'Person'"),
    (members(targetObjectName="User"), f"{USERS}.targetObjectName", "has no object 'User'"),
    (members(name="Synchronize Azure Active Directory Groups to ALVAO"), f"{RULE}.objectMappings", "several mappings"),
    (members(attributeMappings="x"), FLOWS, "must be a list, not text"),
    (flow(4, targetAttributeName=...), f"{FLOWS}[4].targetAttributeName", "is missing"),
    (flow(4, targetAttributeName="id"), f"{FLOWS}[4].targetAttributeName", "'id' is the anchor"),
    (flow(4, targetAttributeName="titel"), f"{FLOWS}[4].targetAttributeName", "did you mean 'title'?"),
    (flow(4, targetAttributeName="displayName"), f"{FLOWS}[4].targetAttributeName", "another mapping to 'displayName'"),
    (both(attribute(1, "x[y]"), flow(4, targetAttributeName="x[y]")), f"{FLOWS}[4].targetAttributeName", "not a SCIM"),
    (attribute(1, "title", mutability="ReadOnly"), f"{FLOWS}[4].targetAttributeName", "read-only"),
    (flow(4, flowType="Sometimes"), f"{FLOWS}[4].flowType", "'Sometimes' is none of"),
    (flow(4, flowBehavior="Never"), f"{FLOWS}[4].flowBehavior", "'Never' is none of"),
    (flow(4, source={"type": "Variable"}), f"{FLOWS}[4].source.type", "'Variable' is none of"),
    (flow(4, source={"type": "Function"}), f"{FLOWS}[4].source", "neither an expression nor a tree"),
    (flow(4, source=function("Append([a], ")), f"{FLOWS}[4].source.expression", "position 13"),
    (flow(4, source=function("append([a], [b])")), f"{FLOWS}[4].source.expression", "did you mean 'Append'"),
    (flow(4, source=function("Append([a])")), f"{FLOWS}[4].source.expression", "takes 2 arguments"),
    (flow(4, source=function('Append([a], "' + "x" * 10_000 + '")')), f"{FLOWS}[4].source.expression", "10,000"),
    (flow(4, source=function("[appRoleAssignments]")), f"{FLOWS}[4].source", "cannot be mapped directly"),
    (flow(4, source=function("[userType]")), f"{FLOWS}[4].source", "cannot be provisioned"),
    (flow(4, source=function("[proxyAddresses]")), f"{FLOWS}[4].source", "has several values"),
    (both(attribute(0, "extension_1_x", multivalued=True), flow(4, source=function("[extension_1_x]"))),
     f"{FLOWS}[4].source", "directory extensions with several values"),
    (flow(21, source=function('Switch([manager], , "a", "b")')), f"{FLOWS}[21].source", "reference attribute"),
    (flow(4, source=function('Join("", Switch([manager], , "a", "b"))')), f"{FLOWS}[4].source", "attribute 'manager'"),
    (flow(2, source={"type": "Constant", "expression": '"perhaps"'}), f"{FLOWS}[2].source", "is not a Boolean"),
    (flow(2, defaultValue="perhaps"), f"{FLOWS}[2].defaultValue", "is not a Boolean"),
    (flow(0, matchingPriority=1), f"{FLOWS}[1].matchingPriority", "has the precedence 1 already"),
    (flow(4, matchingPriority=-1), f"{FLOWS}[4].matchingPriority", "must be 0"),
    (flow(4, matchingPriority=3, source=None), f"{FLOWS}[4].matchingPriority", "nothing to match by"),
    (flow(21, matchingPriority=3), f"{FLOWS}[21].matchingPriority", "is a reference"),
    (both(attribute(1, "title", multivalued=True), flow(4, matchingPriority=3)), f"{FLOWS}[4].matchingPriority",
     "several values"),
    (both(flow(0, matchingPriority=0), flow(1, matchingPriority=0)), FLOWS, "no mapping has a"),
    (both(flow(0, matchingPriority=0), flow(1, source=function("DNComponent([a], 1)"))), FLOWS, "no mapping has a"),
    (flow(0, metadata=CLEARS), f"{FLOWS}[0].metadata", "a matching attribute cannot be cleared"),
    (flow(3, metadata=CLEARS), f"{FLOWS}[3].metadata", "is required in the target"),
    (both(attribute(1, "title", multivalued=True), flow(4, metadata=CLEARS)), f"{FLOWS}[4].metadata",
     "only single values"),
    (members(scope=clause("city", "LIKE", "x")), f"{USERS}.scope.groups[0].clauses[0].operatorName", "not an operator"),
    (members(scope=clause("manager", "IS NULL")), f"{USERS}.scope.groups[0].clauses[0].sourceOperandName", "filtered"),
    (members(scope={"groups": [{"clauses": []}]}), f"{USERS}.scope.groups[0].name", "needs a title"),
    (members(scope={"groups": 5}), f"{USERS}.scope.groups", "must be a list"),
]  # fmt: skip


@pytest.mark.req("REQ-P-015", "REQ-P-016", "REQ-P-045", "REQ-P-144")
@pytest.mark.parametrize(("edit", "path", "message"), ERRORS, ids=[f"{path} {message}" for _, path, message in ERRORS])
def test_what_is_wrong_is_told_at_its_path(edit: Edit, path: str, message: str) -> None:
    document = edited(edit)
    for item in document["synchronizationRules"] if isinstance(document["synchronizationRules"], list) else ():
        for each in item["objectMappings"][0]["attributeMappings"]:
            if isinstance(each, dict) and each["targetAttributeName"] is ...:
                del each["targetAttributeName"]
    errors = check_document(document).errors
    assert path in [problem.path for problem in errors]
    assert any(message in problem.message for problem in errors if problem.path == path), errors


@pytest.mark.parametrize(
    ("edit", "path", "message"),
    [
        (flow(4, source=function("ToUpper([jobTitel])")), f"{FLOWS}[4].source.expression", "did you mean 'jobTitle'?"),
        (flow(4, source=function("StringFromSid([a])")), f"{FLOWS}[4].source.expression", "only in other services"),
        (flow(4, source={"type": "Constant", "name": "bare words", "expression": "bare words"}),
         f"{FLOWS}[4].source.expression", "the name 'bare words' is used"),
        (flow(2, source=function('"True"')), FLOWS, "no mapping reads IsSoftDeleted"),
        (flow(4, metadata=CLEARS), f"{FLOWS}[4].metadata", "'jobTitle' has flowNullValues off"),
        (attribute(1, "nickName", required=True), FLOWS, "the target requires 'nickName'"),
        (members(scope=clause("town", "IS NULL")), f"{USERS}.scope.groups[0].clauses[0].sourceOperandName", "'town'"),
    ],
)  # fmt: skip
def test_what_may_surprise_is_a_warning(edit: Edit, path: str, message: str) -> None:
    report = check_document(edited(edit))
    assert report.errors == ()
    assert any(message in warning.message for warning in report.warnings if warning.path == path), report.warnings


def test_every_problem_is_told_at_once_and_in_the_order_of_the_paths() -> None:
    document = edited(both(flow(10, flowType="x"), flow(2, targetAttributeName="id"), attribute(1, "title", type="x")))
    assert [problem.path for problem in check_document(document).errors] == [
        "directories[1].objects[0].attributes[5].type",
        f"{FLOWS}[2].targetAttributeName",
        f"{FLOWS}[10].flowType",
    ]


@pytest.mark.req("REQ-P-016", "REQ-P-033")
def test_the_job_adds_rules_of_its_own() -> None:
    def errors(document: dict[str, Any], *, stored: dict[str, Any] = ALVAO, sync_all: bool = False) -> list[str]:
        return [problem.message for problem in check_document(document, Before(ALVAO, stored, sync_all)).errors]

    def without_external_id(document: dict[str, Any], users: dict[str, Any]) -> None:
        users["attributeMappings"].pop(1)

    assert errors(edited(without_external_id)) == [
        "the template requires the mapping to 'externalId'; it cannot be deleted"
    ]
    roles = edited(flow(4, source=function("SingleAppRoleAssignment([appRoleAssignments])")))
    assert errors(roles) == []
    assert "roles come from assignments" in errors(roles, sync_all=True)[0]
    fixed = edited(at(("synchronizationRules", 0, "editable"), False))
    changed = copy.deepcopy(fixed)
    flow(4, defaultValue="x")(changed, changed["synchronizationRules"][0]["objectMappings"][0])
    assert errors(fixed, stored=fixed) == []
    assert errors(changed, stored=fixed) == ["the rule 'USER_OUTBOUND_USER' is not editable"]


# Without loss

NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
PLAIN = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), NAMES)
NESTED = st.one_of(PLAIN, st.lists(PLAIN, max_size=3), st.dictionaries(NAMES, PLAIN, max_size=3))
VALUES = st.one_of(NESTED, st.lists(NESTED, max_size=3), st.dictionaries(NAMES, NESTED, max_size=3))


@given(st.data())
def test_unknown_members_anywhere_survive_reading_completing_and_writing(data: st.DataObject) -> None:
    document = copy.deepcopy(ALVAO)
    holders: list[Any] = [document]
    for holder in holders:
        holders += [
            item
            for value in holder.values()
            for item in (value if isinstance(value, list) else [value])
            if isinstance(item, dict)
        ]
    for holder in data.draw(st.lists(st.sampled_from(holders), max_size=4)):
        name = data.draw(NAMES)
        holder.setdefault(f"x{name}", data.draw(VALUES))
    text = json.dumps(document, ensure_ascii=data.draw(st.booleans()))
    read = read_document(text)
    completed = complete_document(read, read)
    assert write_document(completed) == write_document(read)
    assert json.dumps(json.loads(write_document(completed))) == json.dumps(json.loads(text))


def test_numbers_are_written_as_they_were() -> None:
    text = '{"a":1.50,"b":1E3,"c":12345678901234567890123,"d":-0,"e":[2.0,7]}'
    assert write_document(read_document(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "5", '{"a": NaN}', '{"a": 1e400}', '{"a": "\\ud800"}', '{"a":' * 300 + "1" + "}" * 300, b"\xff"],
)
def test_what_is_no_document_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidValueError, match="document"):
        read_document(text)


def test_sources_are_brought_into_agreement_with_themselves() -> None:
    document = edited(
        both(
            flow(3, source={"type": "Attribute", "name": "mail"}),
            flow(4, source={**ALVAO["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][4]["source"],
                            "expression": 'Append([jobTitle], "!")', "own": 1}),
            flow(5, source={"type": "Function", "name": "Not", "expression": "",
                            "parameters": [{"key": "source", "value": {"name": "a"}}]}),
        )
    )  # fmt: skip
    flows = complete_document(document)["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"]
    assert flows[3]["source"]["expression"] == "[mail]"
    assert (flows[4]["source"]["name"], flows[4]["source"]["own"]) == ("Append", 1)
    assert flows[5]["source"]["expression"] == "Not([a])"
    assert flows[6:] == document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][6:]


@given(st.data())
def test_no_value_in_any_place_makes_checking_or_comparing_fail(data: st.DataObject) -> None:
    document = copy.deepcopy(ALVAO)
    for _ in range(data.draw(st.integers(1, 3))):
        holder: Any = document
        while True:
            key = data.draw(st.sampled_from(sorted(holder) if isinstance(holder, dict) else range(len(holder))))
            below = holder[key]
            if not below or not isinstance(below, dict | list) or data.draw(st.integers(0, 3)) == 0:
                holder[key] = data.draw(VALUES)
                break
            holder = below
        if not document:
            break
    report = check_document(document, Before(ALVAO, ALVAO, sync_all=True))
    assert all(problem.message for problem in (*report.errors, *report.warnings))
    completed = complete_document(document, ALVAO)
    assert complete_document(completed, ALVAO) == completed
    assert changes_between(completed, completed) == []
    back = [(each.place, each.what, each.after, each.before) for each in changes_between(document, ALVAO)]
    assert sorted(each[1:] for each in changes_between(ALVAO, document)) == sorted(back)


def test_the_source_list_has_every_attribute_that_the_directory_keeps() -> None:
    source = {each["name"]: each for each in ALVAO["directories"][0]["objects"][0]["attributes"]}
    assert {*USER_ATTRIBUTES, "objectId", "userPrincipalName", "accountEnabled", "manager"} <= source.keys()
    assert source["dirSyncEnabled"]["type"] == "Boolean"
    assert source["otherMails"]["multivalued"] is True


# Differences and discovery


def test_differences_are_told_as_mappings_filters_and_attributes() -> None:
    def change(document: dict[str, Any], users: dict[str, Any]) -> None:
        users["attributeMappings"].pop(5)
        flow(4, source=function("ToUpper([jobTitle])"), flowType="ObjectAddOnly")(document, users)
        users["scope"] = clause("city", "EQUALS", "Oslo")
        attribute(1, "nickName", type="String")(document, users)

    found = {(each.kind, each.what, each.before, each.after) for each in changes_between(ALVAO, edited(change))}
    assert found == {
        ("removed", 'mapping to emails[type eq "work"].value', "[mail]", ""),
        ("changed", "mapping to title", "[jobTitle]", "ToUpper([jobTitle])"),
        ("changed", "mapping to title: flowType", "Always", "ObjectAddOnly"),
        ("added", "scoping filter", "", "city EQUALS Oslo"),
        ("added", "attribute nickName", "", "String"),
    }
    assert changes_between(ALVAO, ALVAO) == []
    spelled_out = edited(
        both(flow(4, defaultValue=...), attribute(1, "title", metadata=[{"key": "own", "value": "1"}]))
    )
    del spelled_out["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][4]["defaultValue"]
    assert changes_between(ALVAO, spelled_out) == [], "neither defaults nor notes make a difference"
    exact = edited(attribute(1, "title", caseExact=True))
    assert [(each.before, each.after) for each in changes_between(ALVAO, exact)] == [("String", "String, caseExact")]
    assert changes_between({}, {"synchronizationRules": 5, "directories": ["x"]}) == []


def test_the_attributes_of_a_target_are_named_as_mappings_name_them() -> None:
    schemas = [schema_document(schema, "https://x") for schema in (USER, GROUP, ENTERPRISE)]
    found = {each["name"]: each for each in definitions_of("User", schemas, [], {"User": "people", "Group": "teams"})}
    assert found["userName"]["required"] is True
    assert found["active"]["type"] == "Boolean"
    assert "name.givenName" in found
    assert 'emails[type eq "work"].value' in found
    assert 'addresses[type eq "work"].locality' in found
    manager = found["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"]
    assert (manager["type"], manager["referencedObjects"]) == (
        "Reference",
        [{"referencedObjectName": "people", "referencedProperty": None}],
    )
    assert found["roles"]["multivalued"] is True
    assert not {"id", "meta", "password", "groups", "emails"} & found.keys()
    members_ = {each["name"]: each for each in definitions_of("Group", schemas, [], {"User": "people"})}["members"]
    assert (members_["type"], members_["multivalued"]) == ("Reference", True)


def test_only_attributes_that_are_not_in_the_list_are_added() -> None:
    known = [{"name": "urn:ietf:params:scim:schemas:core:2.0:User:UserName"}, {"name": "title", "type": "Integer"}]
    found = [{"name": "userName"}, {"name": "title"}, {"name": "nickName"}]
    assert with_discovered(known, found) == ([*known, {"name": "nickName"}], ["nickName"])


@given(st.lists(st.dictionaries(st.sampled_from(["id", "name", "attributes", "type", "schema"]), VALUES), max_size=3))
def test_whatever_a_target_says_of_itself_gives_a_list_or_none(schemas: list[dict[str, Any]]) -> None:
    names = [each["name"] for each in definitions_of("User", schemas, schemas, {"User": "people"})]
    assert all(names)
    assert len(set(names)) == len(names)
