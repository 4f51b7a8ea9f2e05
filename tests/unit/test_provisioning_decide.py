"""What happens to one object: every rule of creating, updating, disabling and deleting, on the real template."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from joiner.expressions.environment import Environment
from joiner.expressions.errors import EvaluationError, IgnoreObject
from joiner.provisioning.decisions.decide import decide
from joiner.provisioning.decisions.decision import (
    Action,
    Create,
    Decision,
    Delete,
    Entitlement,
    Link,
    LinkChange,
    Modify,
    QueryMatch,
    ReadLinked,
    Settings,
    SourceObject,
    Status,
    TargetState,
)
from joiner.provisioning.decisions.matching import is_of_the_attempt, match_queries, next_lookup
from joiner.provisioning.decisions.scope import judge_scope, source_values
from joiner.provisioning.job.templates import template_by_id
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import JobPlan, ObjectPlan
from joiner.provisioning.mapping.schema import parse_schema

PLAN: JobPlan = compile_plan(parse_schema(template_by_id("alvaoScim").schema))
assert PLAN.users is not None
assert PLAN.groups is not None
USERS: ObjectPlan = PLAN.users
GROUPS: ObjectPlan = PLAN.groups
ENVIRONMENT = Environment(datetime(2026, 1, 2, tzinfo=UTC), lambda number: number - 1)

ADA = SourceObject(
    "User",
    "a1",
    "ada@contoso.example",
    {
        "objectId": "a1",
        "userPrincipalName": "ada@contoso.example",
        "accountEnabled": True,
        "displayName": "Ada Lovelace",
        "givenName": "Ada",
        "surname": "Lovelace",
        "mail": "ada@contoso.example",
        "jobTitle": "Engineer",
    },
    is_enabled=True,
    is_soft_deleted=False,
)
TEAM = SourceObject(
    "Group", "g1", "Engineers", {"objectId": "g1", "displayName": "Engineers", "securityEnabled": True}, True, False
)
ASSIGNED = Entitlement(True)
LINKED = Link("t1", is_managed=True, is_disabled=False)
UNSEEN = Link("t1", is_managed=False, is_disabled=False)
IN_TARGET: Mapping[str, Any] = {
    "id": "t1",
    "externalId": "a1",
    "userName": "ada@contoso.example",
    "active": True,
    "displayName": "Ada Lovelace",
    "title": "Engineer",
    "name": {"givenName": "Ada", "familyName": "Lovelace", "formatted": "Ada Lovelace"},
    "emails": [{"type": "work", "value": "ada@contoso.example"}],
}
SEARCHED = ((QueryMatch("externalId", "a1", True), 0), (QueryMatch("userName", "ada@contoso.example", False), 0))


def decision_on(
    source: SourceObject = ADA,
    *,
    entitlement: Entitlement = ASSIGNED,
    link: Link | None = None,
    target: TargetState | None = None,
    plan: ObjectPlan = USERS,
    settings: Settings | None = None,
) -> Decision:
    settings = settings or Settings()
    scope = judge_scope(source, entitlement, plan, settings)
    values = source_values(source, entitlement, scope, settings, ENVIRONMENT)
    return decide(source, values, scope, link, target or TargetState(), plan, settings)


def lookups(source: SourceObject, link: Link | None, known: TargetState, entitlement: Entitlement = ASSIGNED) -> Any:
    scope = judge_scope(source, entitlement, USERS, Settings())
    values = source_values(source, entitlement, scope, Settings(), ENVIRONMENT)
    return next_lookup(USERS, values, scope, link, known, lambda: match_queries(USERS, values))


def replaced(source: SourceObject, **attributes: Any) -> SourceObject:
    return msgspec.structs.replace(source, attributes={**source.attributes, **attributes})


# Lookups


@pytest.mark.req("REQ-P-063", "REQ-C-002")
def test_matching_attributes_are_asked_in_ascending_precedence_until_one_matches() -> None:
    first = lookups(ADA, None, TargetState())
    assert isinstance(first, QueryMatch)
    assert (first.attribute, first.value) == ("externalId", "a1")
    second = lookups(ADA, None, TargetState(queries=SEARCHED[:1]))
    assert (second.attribute, second.value) == ("userName", "ada@contoso.example")
    assert lookups(ADA, None, TargetState(queries=SEARCHED)) is None
    assert lookups(ADA, None, TargetState(queries=SEARCHED[:1], resource=IN_TARGET)) is None


@pytest.mark.req("REQ-P-064")
def test_nothing_more_is_asked_after_two_matches() -> None:
    assert lookups(ADA, None, TargetState(queries=((SEARCHED[0][0], 2),))) is None


def test_a_linked_object_is_read_by_its_target_id_and_not_searched_for() -> None:
    assert lookups(ADA, LINKED, TargetState()) == ReadLinked("t1")
    assert lookups(ADA, LINKED, TargetState(resource=IN_TARGET)) is None
    assert lookups(ADA, LINKED, TargetState(is_gone=True)) is None


def test_an_object_out_of_scope_and_without_link_asks_the_target_nothing() -> None:
    assert lookups(ADA, None, TargetState(), Entitlement(False)) is None


@pytest.mark.req("REQ-P-019")
def test_a_guest_is_searched_for_by_the_name_that_is_exported() -> None:
    guest = replaced(ADA, userPrincipalName="eve_fabrikam.example#EXT#@contoso.example")
    query = lookups(guest, None, TargetState(queries=SEARCHED[:1]))
    assert query.value == "eve@fabrikam.example"


# In scope


@pytest.mark.req("REQ-C-012", "REQ-C-013", "REQ-P-103")
def test_an_unmatched_user_in_scope_is_created_with_all_values_and_no_references() -> None:
    source = replaced(ADA, manager="b2", department="R&D")
    decision = decision_on(source, target=TargetState(queries=SEARCHED))
    assert (decision.action, decision.status, decision.link) == (Action.CREATE, Status.SUCCESS, LinkChange.MANAGE)
    assert isinstance(decision.request, Create)
    body = decision.request.resource
    assert body["userName"] == "ada@contoso.example"
    assert body["active"] is True
    assert body["name"] == {"givenName": "Ada", "familyName": "Lovelace", "formatted": "Ada Lovelace"}
    assert body["emails"] == [{"type": "work", "value": "ada@contoso.example"}]
    extension = body["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]
    assert extension == {"department": "R&D"}
    assert "addresses" not in body
    assert ("userName", None, "ada@contoso.example") in [(c.attribute, c.old, c.new) for c in decision.changes]


@pytest.mark.req("REQ-P-021")
def test_without_create_an_unmatched_user_is_skipped() -> None:
    decision = decision_on(target=TargetState(queries=SEARCHED), plan=replace(USERS, adds=False))
    assert (decision.action, decision.status, decision.request) == (Action.CREATE, Status.SKIPPED, None)


@pytest.mark.req("REQ-P-066")
def test_an_object_without_a_matching_value_is_skipped_as_import_skipped() -> None:
    nameless = replaced(ADA, objectId=None, userPrincipalName=None)
    assert lookups(nameless, None, TargetState()) is None
    decision = decision_on(nameless)
    assert decision.problem is not None
    assert (decision.status, decision.problem.code) == (Status.SKIPPED, "ImportSkipped")


def test_an_object_that_a_mapping_ignores_is_left_alone() -> None:
    def ignore(attributes: Mapping[str, Any]) -> Any:
        raise IgnoreObject

    plan = replace(USERS, flows=tuple(replace(flow, evaluate=ignore) for flow in USERS.flows))
    found = TargetState(resource={**IN_TARGET, "title": "Clerk"})
    for source, link, target in (
        (ADA, None, TargetState(queries=SEARCHED)),
        (ADA, LINKED, found),
        (msgspec.structs.replace(ADA, is_enabled=False), LINKED, found),
    ):
        decision = decision_on(source, link=link, target=target, plan=plan)
        assert (decision.status, decision.request, decision.link) == (Status.SKIPPED, None, LinkChange.KEEP)
        assert decision.problem is not None
        assert "IgnoreObjectFlow" in decision.problem.reason


def fail(attributes: Mapping[str, Any]) -> Any:
    raise EvaluationError("no")


@pytest.mark.req("REQ-P-066")
def test_nothing_else_is_said_of_an_object_without_a_matching_value() -> None:
    flows = tuple(replace(flow, evaluate=fail) if flow.target == "active" else flow for flow in USERS.flows)
    decision = decision_on(replaced(ADA, objectId=None, userPrincipalName=None), plan=replace(USERS, flows=flows))
    assert decision.problem is not None
    assert (decision.status, decision.problem.code) == (Status.SKIPPED, "ImportSkipped")


def test_a_matching_mapping_that_fails_fails_its_object_alone() -> None:
    broken = {flow.target: replace(flow, evaluate=fail) for flow in USERS.matching}
    flows = tuple(broken.get(flow.target, flow) for flow in USERS.flows)
    decision = decision_on(plan=replace(USERS, flows=flows, matching=tuple(broken.values())))
    assert (decision.status, decision.request) == (Status.FAILURE, None)


def test_a_required_value_that_is_missing_fails_the_create_and_names_the_attribute() -> None:
    decision = decision_on(replaced(ADA, displayName=None), target=TargetState(queries=SEARCHED))
    assert decision.problem is not None
    assert (decision.status, decision.problem.code) == (Status.FAILURE, "MandatoryFieldsMissing")
    assert "displayName" in decision.problem.reason
    assert decision.request is None


@pytest.mark.req("REQ-P-052", "REQ-C-006")
def test_a_match_that_equals_is_linked_and_not_written() -> None:
    state = TargetState(queries=((SEARCHED[0][0], 1),), resource=IN_TARGET)
    decision = decision_on(target=state)
    assert decision.problem is not None
    assert (decision.action, decision.status, decision.problem.code) == (
        Action.OTHER,
        Status.SKIPPED,
        "RedundantExport",
    )
    assert (decision.request, decision.link, decision.target_id) == (None, LinkChange.MANAGE, "t1")


@pytest.mark.req("REQ-C-007", "REQ-P-070")
def test_a_match_gets_only_what_differs_and_an_inactive_one_is_reactivated() -> None:
    state = TargetState(queries=((SEARCHED[0][0], 1),), resource={**IN_TARGET, "active": False, "title": "Clerk"})
    decision = decision_on(target=state)
    assert isinstance(decision.request, Modify)
    changed = {item.path.text: (item.value, item.verb == "add") for item in decision.request.modifications}
    assert changed == {"active": (True, False), "title": ("Engineer", False)}
    assert {(c.attribute, c.old, c.new) for c in decision.changes} == {
        ("active", False, True),
        ("title", "Clerk", "Engineer"),
    }


@pytest.mark.req("REQ-P-013")
def test_an_empty_source_value_leaves_the_target_value_alone() -> None:
    decision = decision_on(replaced(ADA, jobTitle=None), link=LINKED, target=TargetState(resource=IN_TARGET))
    assert decision.request is None


@pytest.mark.req("REQ-P-022")
def test_without_update_a_match_is_linked_but_not_written() -> None:
    state = TargetState(queries=((SEARCHED[0][0], 1),), resource={**IN_TARGET, "title": "Clerk"})
    decision = decision_on(target=state, plan=replace(USERS, updates=False))
    assert (decision.status, decision.request, decision.link) == (Status.SKIPPED, None, LinkChange.MANAGE)


@pytest.mark.req("REQ-P-064", "REQ-P-065", "REQ-P-068")
@pytest.mark.parametrize(
    ("link", "state", "code"),
    [
        (None, TargetState(queries=((SEARCHED[0][0], 2),)), "DuplicateTargetEntries"),
        (
            None,
            TargetState(queries=((SEARCHED[0][0], 1),), resource=IN_TARGET, linked_to="b2"),
            "DuplicateSourceEntries",
        ),
        (LINKED, TargetState(is_gone=True), "InvalidAnchor"),
    ],
)
def test_what_cannot_be_matched_safely_fails_and_writes_nothing(
    link: Link | None, state: TargetState, code: str
) -> None:
    decision = decision_on(link=link, target=state)
    assert decision.problem is not None
    assert (decision.status, decision.problem.code, decision.request) == (Status.FAILURE, code, None)
    assert decision.link is LinkChange.KEEP


def test_a_create_whose_answer_was_lost_is_told_as_a_create_when_it_is_found() -> None:
    state = TargetState(queries=((SEARCHED[0][0], 1),), resource=IN_TARGET, intended=(SEARCHED[0][0],))
    decision = decision_on(target=state)
    assert (decision.action, decision.status, decision.request) == (Action.CREATE, Status.SUCCESS, None)
    assert (decision.link, decision.target_id) == (LinkChange.MANAGE, "t1")


# Out of scope

DISABLED = msgspec.structs.replace(ADA, is_enabled=False)
SOFT_DELETED = msgspec.structs.replace(ADA, is_soft_deleted=True)
PURGED = msgspec.structs.replace(ADA, exists=False, attributes={}, is_enabled=False, is_soft_deleted=True)
UNASSIGNED = Entitlement(False)


def test_what_one_of_several_attempts_has_made_is_found_by_what_that_one_sent() -> None:
    sent = [("externalId", ADA.id), ("userName", "former@fjord.example"), ("userName", ADA.name)]
    known = TargetState(intended=tuple(QueryMatch(name, value, case_exact=False) for name, value in sent))
    mine = {"id": "t1", "externalId": ADA.id}
    for name in ("former@fjord.example", ADA.name):
        assert is_of_the_attempt(USERS, known, {**mine, "userName": name})
    assert not is_of_the_attempt(USERS, known, {**mine, "userName": "somebody.else@fjord.example"})
    assert not is_of_the_attempt(USERS, known, {"id": "t1", "userName": ADA.name})


@pytest.mark.req("REQ-P-032")
@pytest.mark.parametrize(("source", "entitlement"), [(DISABLED, ASSIGNED), (SOFT_DELETED, ASSIGNED), (ADA, UNASSIGNED)])
def test_an_unlinked_user_that_is_not_entitled_is_skipped_with_the_reason(
    source: SourceObject, entitlement: Entitlement
) -> None:
    decision = decision_on(source, entitlement=entitlement)
    assert decision.problem is not None
    assert (decision.action, decision.status) == (Action.CREATE, Status.SKIPPED)
    assert decision.problem.code == "NotEffectivelyEntitled"


@pytest.mark.req("REQ-P-090", "REQ-P-092", "REQ-P-099")
@pytest.mark.parametrize(
    ("source", "entitlement", "after"),
    [
        (replaced(DISABLED, jobTitle="Changed"), ASSIGNED, LinkChange.DISABLE),
        (replaced(SOFT_DELETED, jobTitle="Changed"), ASSIGNED, LinkChange.DISABLE),
        (replaced(ADA, jobTitle="Changed"), UNASSIGNED, LinkChange.RELEASE_UNSEEN),
    ],
)
def test_a_linked_user_that_leaves_is_disabled_and_gets_nothing_else(
    source: SourceObject, entitlement: Entitlement, after: LinkChange
) -> None:
    decision = decision_on(source, entitlement=entitlement, link=LINKED, target=TargetState(resource=IN_TARGET))
    assert (decision.action, decision.status, decision.link) == (Action.DISABLE, Status.SUCCESS, after)
    assert isinstance(decision.request, Modify)
    assert [(item.path.text, item.value) for item in decision.request.modifications] == [("active", False)]
    assert decision.is_removal


@pytest.mark.parametrize(
    ("link", "is_active", "expected"),
    [
        (UNSEEN, True, (Action.DISABLE, LinkChange.RELEASE_UNSEEN)),
        (UNSEEN, False, (Action.OTHER, LinkChange.RELEASE)),
        (msgspec.structs.replace(UNSEEN, is_disabled=True), True, (Action.OTHER, LinkChange.KEEP)),
    ],
)
def test_who_was_released_is_disabled_until_that_was_seen_and_then_left_alone(
    link: Link, is_active: bool, expected: tuple[Action, LinkChange]
) -> None:
    target = TargetState(resource={**IN_TARGET, "active": is_active})
    decision = decision_on(ADA, entitlement=UNASSIGNED, link=link, target=target)
    assert (decision.action, decision.link) == expected


@pytest.mark.req("REQ-P-022")
def test_without_update_nobody_is_disabled() -> None:
    decision = decision_on(
        DISABLED, link=LINKED, target=TargetState(resource=IN_TARGET), plan=replace(USERS, updates=False)
    )
    assert (decision.action, decision.status, decision.request) == (Action.DISABLE, Status.SKIPPED, None)


@pytest.mark.req("REQ-P-095")
def test_without_a_mapping_of_is_soft_deleted_no_disable_is_sent() -> None:
    flows = tuple(flow for flow in USERS.flows if not flow.follows_soft_deleted)
    decision = decision_on(
        DISABLED, link=LINKED, target=TargetState(resource=IN_TARGET), plan=replace(USERS, flows=flows)
    )
    assert (decision.status, decision.request) == (Status.SKIPPED, None)


@pytest.mark.req("REQ-P-097", "REQ-P-098")
def test_skip_out_of_scope_spares_the_unassigned_but_not_the_disabled_and_deleted() -> None:
    settings = Settings(skip_out_of_scope_deletions=True)
    state = TargetState(resource=IN_TARGET)
    spared = decision_on(entitlement=UNASSIGNED, link=LINKED, target=state, settings=settings)
    assert (spared.status, spared.request) == (Status.SKIPPED, None)
    assert decision_on(DISABLED, link=LINKED, target=state, settings=settings).action is Action.DISABLE
    assert isinstance(decision_on(PURGED, link=LINKED, settings=settings).request, Delete)


@pytest.mark.req("REQ-P-093")
def test_a_purged_user_is_deleted_in_the_target() -> None:
    decision = decision_on(PURGED, entitlement=UNASSIGNED, link=LINKED)
    assert (decision.action, decision.link) == (Action.DELETE, LinkChange.DROP)
    assert decision.request == Delete("t1")


@pytest.mark.req("REQ-P-090")
def test_a_purged_user_that_had_left_the_scope_before_sends_nothing() -> None:
    released = Link("t1", is_managed=False, is_disabled=True)
    decision = decision_on(PURGED, entitlement=UNASSIGNED, link=released)
    assert (decision.status, decision.request, decision.link) == (Status.SKIPPED, None, LinkChange.DROP)


@pytest.mark.req("REQ-P-023")
def test_without_delete_a_purge_sends_nothing() -> None:
    decision = decision_on(PURGED, link=LINKED, plan=replace(USERS, deletes=False))
    assert (decision.action, decision.status, decision.request) == (Action.DELETE, Status.SKIPPED, None)


@pytest.mark.req("REQ-P-023", "REQ-P-090")
@pytest.mark.parametrize(
    ("source", "entitlement", "after"),
    [(ADA, UNASSIGNED, LinkChange.RELEASE), (DISABLED, ASSIGNED, LinkChange.KEEP), (PURGED, ASSIGNED, LinkChange.DROP)],
)
def test_without_delete_and_soft_delete_only_who_left_the_scope_is_released(
    source: SourceObject, entitlement: Entitlement, after: LinkChange
) -> None:
    decision = decision_on(
        source,
        entitlement=entitlement,
        link=LINKED,
        target=TargetState(resource=IN_TARGET),
        plan=replace(USERS, deletes=False),
        settings=Settings(supports_soft_delete=False),
    )
    assert (decision.action, decision.request, decision.link) == (Action.DELETE, None, after)


@pytest.mark.req("REQ-P-096")
@pytest.mark.parametrize(
    ("source", "entitlement"), [(ADA, UNASSIGNED), (DISABLED, ASSIGNED), (SOFT_DELETED, ASSIGNED), (PURGED, ASSIGNED)]
)
def test_a_target_without_soft_delete_gets_a_delete_for_every_way_to_leave(
    source: SourceObject, entitlement: Entitlement
) -> None:
    settings = Settings(supports_soft_delete=False)
    decision = decision_on(
        source, entitlement=entitlement, link=LINKED, target=TargetState(resource=IN_TARGET), settings=settings
    )
    assert decision.request == Delete("t1")


@pytest.mark.req("REQ-P-094")
def test_a_user_who_comes_back_is_enabled_under_the_same_target_id() -> None:
    released = Link("t1", is_managed=False, is_disabled=True)
    decision = decision_on(link=released, target=TargetState(resource={**IN_TARGET, "active": False}))
    assert isinstance(decision.request, Modify)
    assert decision.request.target_id == "t1"
    assert [(item.path.text, item.value) for item in decision.request.modifications] == [("active", True)]
    assert decision.link is LinkChange.MANAGE


@pytest.mark.req("REQ-P-100")
def test_a_group_that_leaves_is_deleted() -> None:
    decision = decision_on(
        TEAM, entitlement=UNASSIGNED, link=LINKED, target=TargetState(resource={"id": "t1"}), plan=GROUPS
    )
    assert (decision.action, decision.request) == (Action.DELETE, Delete("t1"))


def test_an_assigned_group_that_is_not_a_security_group_is_out_of_scope() -> None:
    decision = decision_on(replaced(TEAM, securityEnabled=False), plan=GROUPS)
    assert decision.status is Status.SKIPPED


@pytest.mark.req("REQ-P-027")
def test_sync_all_needs_no_assignment() -> None:
    decision = decision_on(
        entitlement=UNASSIGNED, target=TargetState(queries=SEARCHED), settings=Settings(sync_all=True)
    )
    assert decision.action is Action.CREATE
    assert decision.request is not None
