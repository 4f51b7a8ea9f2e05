"""What happens to one object: created, updated, disabled, deleted, or left alone, and why.

Pure: the same function serves a cycle, provisioning on demand, a preview and an explanation. `decide` picks one of
the rules below it by two questions: is the object in scope, and is it linked or matched?

Sources: provisioning service §6 (cycles), §7 (matching), §9 (deprovisioning), §14.2 (steps of the log).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from joiner.provisioning.decisions import wire
from joiner.provisioning.decisions.decision import (
    Action,
    Change,
    Create,
    Decision,
    Delete,
    Exit,
    Link,
    LinkChange,
    Modification,
    Modify,
    Problem,
    QueryMatch,
    Scope,
    Settings,
    SourceObject,
    Status,
    Step,
    TargetState,
)
from joiner.provisioning.decisions.differences import Difference, differences
from joiner.provisioning.decisions.matching import is_of_the_attempt
from joiner.provisioning.decisions.refusals import fail, mapping_problem, missing_problem, skip
from joiner.provisioning.decisions.scope import scoping_step
from joiner.provisioning.decisions.unique import add_unique
from joiner.provisioning.mapping.plan import ASSIGNMENTS, REDACTED, Computed, ObjectPlan

MOST_FOUND: Final = 10
"""Ids of matches that the log names."""


def decide(
    source: SourceObject,
    values: Mapping[str, Any],
    scope: Scope,
    link: Link | None,
    target: TargetState,
    plan: ObjectPlan,
    settings: Settings,
) -> Decision:
    """The decision on one object; `values` are `scope.source_values`, `target` the answers to `next_lookup`."""
    steps = (scoping_step(source, scope), *_matching_steps(source, link, target, plan))
    if not scope.in_scope:
        if link is None and target.is_ambiguous:
            return fail(Action.OTHER, steps, _ambiguous(source, target, plan))
        link = link or _left_behind(target, plan)
        if link is None:
            return skip(Action.CREATE, steps, "NotEffectivelyEntitled", scope.explanation)
        return _leave(source, values, scope, link, target, plan, settings, steps)
    if target.is_gone:
        return fail(Action.UPDATE, steps, _gone(source, link))
    if target.is_ambiguous:
        return fail(Action.OTHER, steps, _ambiguous(source, target, plan))
    if target.linked_to is not None:
        return fail(Action.OTHER, steps, _taken(source, target, plan))
    if target.resource is not None:
        return _update(source, values, link, target.resource, target.was_intended, plan, steps)
    return _create(source, values, target, plan, settings, steps)


def as_staged(source: SourceObject, decision: Decision) -> Decision:
    """What is left of a removal that the guard against accidental deletions holds back (REQ-P-114)."""
    verb = "disabled" if decision.action is Action.DISABLE else "deleted"
    reason = (
        f"{source.object_type} '{source.name}' would be {verb}; that is held back until an administrator allows it,"
        " because the cycle would take access from too many"
    )
    step = Step("EntrySynchronizationSkip", "export", Status.SKIPPED, reason, {"SkipReason": "TooManyDeletes"})
    return Decision(
        Action.STAGED_DELETE,
        Status.SKIPPED,
        (*decision.steps, step),
        changes=decision.changes,
        target_id=decision.target_id,
        problem=Problem("TooManyDeletes", reason),
    )


# In scope


def _create(
    source: SourceObject,
    values: Mapping[str, Any],
    target: TargetState,
    plan: ObjectPlan,
    settings: Settings,
    steps: tuple[Step, ...],
) -> Decision:
    computed = plan.compute(values, creating=True)
    if plan.unique and not computed.is_ignored:
        computed = add_unique(plan, values, target, computed)
    if computed.is_ignored:
        return _ignore(source, Action.CREATE, steps)
    problem = mapping_problem(computed.errors)
    if not target.queries and not any(flow.matching_priority for flow, _ in computed.errors):
        names = ", ".join(flow.target for flow in plan.matching)
        return skip(Action.OTHER, steps, "ImportSkipped", f"no value for any matching attribute ({names})")
    if not plan.adds:
        return skip(Action.CREATE, steps, "EntrySynchronizationSkipped", "the mapping does not allow to create")
    problem = problem or missing_problem(computed.missing)
    if problem is not None:
        return fail(Action.CREATE, steps, problem)
    evaluated = Step(
        "EntrySynchronizationAdd",
        "matching",
        Status.SUCCESS,
        f"{source.object_type} '{source.name}' will be created: it is active, in scope, and has no match in the target",
    )
    return Decision(
        Action.CREATE,
        Status.SUCCESS,
        (*steps, *_role_steps(source, values, plan), evaluated),
        changes=_added(computed),
        request=Create(wire.resource_of(plan, computed.values, lists_extensions=settings.lists_extensions)),
        link=LinkChange.MANAGE,
    )


def _update(
    source: SourceObject,
    values: Mapping[str, Any],
    link: Link | None,
    resource: Mapping[str, Any],
    was_intended: bool,
    plan: ObjectPlan,
    steps: tuple[Step, ...],
) -> Decision:
    target_id = str(resource["id"])
    if not plan.updates:
        link_change = LinkChange.MANAGE if link is None else LinkChange.KEEP
        return skip(
            Action.UPDATE,
            steps,
            "EntrySynchronizationSkipped",
            "the mapping does not allow to update",
            link=link_change,
            target_id=target_id,
        )
    computed = plan.compute(values, creating=False)
    if computed.is_ignored:
        return _ignore(source, Action.UPDATE, steps, target_id)
    problem = mapping_problem(computed.errors)
    if problem is not None:
        return fail(Action.UPDATE, steps, problem, target_id)
    found = differences(computed.values, resource)
    if not found:
        if link is None and was_intended:
            return _found_again(source, values, target_id, plan, steps)
        return _redundant(source, steps, target_id, LinkChange.MANAGE)
    steps = (*steps, *_role_steps(source, values, plan))
    request = Modify(target_id, tuple(_modification(item, values, resource) for item in found))
    return _modify(Action.UPDATE, source, steps, request, found, LinkChange.MANAGE)


def _found_again(
    source: SourceObject, values: Mapping[str, Any], target_id: str, plan: ObjectPlan, steps: tuple[Step, ...]
) -> Decision:
    """The create whose answer was lost did take effect: say so instead of calling the object unchanged."""
    computed = plan.compute(values, creating=True)
    found = Step(
        "EntryExportAdd",
        "export",
        Status.SUCCESS,
        f"{source.object_type} '{source.name}' was created by an attempt that was interrupted; it was found and linked",
        {"ReportableIdentifier": source.name},
    )
    return Decision(
        Action.CREATE,
        Status.SUCCESS,
        (*steps, found),
        changes=_added(computed),
        link=LinkChange.MANAGE,
        target_id=target_id,
    )


# Out of scope


def _left_behind(target: TargetState, plan: ObjectPlan) -> Link | None:
    """The account that an interrupted create has made, for an object that is not entitled any more."""
    if not target.was_intended or target.resource is None or target.linked_to is not None:
        return None
    if not is_of_the_attempt(plan, target, target.resource):
        return None
    return Link(str(target.resource["id"]), is_managed=True, is_disabled=False)


def _leave(
    source: SourceObject,
    values: Mapping[str, Any],
    scope: Scope,
    link: Link,
    target: TargetState,
    plan: ObjectPlan,
    settings: Settings,
    steps: tuple[Step, ...],
) -> Decision:
    """A linked object that is not entitled (any more): disable, delete, or nothing (provisioning service §9)."""
    if scope.exit is Exit.PURGED:
        return _purge(source, link, plan, steps)
    if not link.is_managed:
        if link.is_unseen and target.resource is not None and not settings.skip_out_of_scope_deletions:
            return _disable(source, values, scope, link, target, plan, steps, released=True)
        reason = f"{scope.explanation}; the job no longer manages the object"
        return skip(Action.OTHER, steps, "NotEffectivelyEntitled", reason, target_id=link.target_id)
    deletes = source.object_type == "Group" or not settings.supports_soft_delete
    if scope.exit in (Exit.UNASSIGNED, Exit.FILTERED) and settings.skip_out_of_scope_deletions:
        reason = f"{scope.explanation}; SkipOutOfScopeDeletions leaves such objects alone"
        return skip(
            Action.DELETE if deletes else Action.DISABLE, steps, "EntrySynchronizationSkipped", reason,
            link=LinkChange.RELEASE, target_id=link.target_id,
        )  # fmt: skip
    if deletes:
        after = LinkChange.RELEASE if scope.has_left else LinkChange.KEEP
        return _delete(source, link, plan, steps, scope.explanation, after_skip=after)
    return _disable(source, values, scope, link, target, plan, steps, released=scope.has_left)


def _disable(
    source: SourceObject,
    values: Mapping[str, Any],
    scope: Scope,
    link: Link,
    target: TargetState,
    plan: ObjectPlan,
    steps: tuple[Step, ...],
    *,
    released: bool,
) -> Decision:
    """Only what follows from `IsSoftDeleted` is sent; every other change waits until the user is back (REQ-P-099)."""
    after = LinkChange.RELEASE if released else LinkChange.DISABLE
    if not plan.updates:
        reason = f"{scope.explanation}; the mapping does not allow to update, and so not to disable"
        # Who has left the scope is not managed any more, disabled or not: a later deletion sends nothing (REQ-P-090).
        kept = LinkChange.RELEASE if released else LinkChange.KEEP
        return skip(Action.DISABLE, steps, "EntrySynchronizationSkipped", reason, link=kept, target_id=link.target_id)
    if target.is_gone:
        return fail(Action.DISABLE, steps, _gone(source, link))
    computed = plan.compute(values, creating=False, only_soft_deleted=True)
    if computed.is_ignored:
        return _ignore(source, Action.DISABLE, steps, link.target_id)
    problem = mapping_problem(computed.errors)
    if problem is not None:
        return fail(Action.DISABLE, steps, problem, link.target_id)
    if not computed.values:
        reason = f"{scope.explanation}; no mapping uses IsSoftDeleted, so there is nothing to send"
        return skip(Action.DISABLE, steps, "EntrySynchronizationSkipped", reason, link=after, target_id=link.target_id)
    resource = target.resource or {}
    found = differences(computed.values, resource)
    if not found:
        return _redundant(source, steps, link.target_id, after)
    if released:
        after = LinkChange.RELEASE_UNSEEN
    request = Modify(link.target_id, tuple(_modification(item, values, resource) for item in found))
    return _modify(Action.DISABLE, source, steps, request, found, after, because=scope.explanation)


def _purge(source: SourceObject, link: Link, plan: ObjectPlan, steps: tuple[Step, ...]) -> Decision:
    if not link.is_managed:
        reason = "permanently deleted from the directory; it had left the scope before, so nothing is sent"
        return skip(
            Action.OTHER,
            steps,
            "NotEffectivelyEntitled",
            reason,
            link=LinkChange.DROP,
            target_id=link.target_id,
        )
    return _delete(source, link, plan, steps, "permanently deleted from the directory", after_skip=LinkChange.DROP)


def _delete(
    source: SourceObject, link: Link, plan: ObjectPlan, steps: tuple[Step, ...], why: str, *, after_skip: LinkChange
) -> Decision:
    if not plan.deletes:
        reason = f"{why}; the mapping does not allow to delete"
        return skip(
            Action.DELETE, steps, "EntrySynchronizationSkipped", reason, link=after_skip, target_id=link.target_id
        )
    evaluated = Step(
        "EntrySynchronizationDelete",
        "matching",
        Status.SUCCESS,
        f"{source.object_type} '{source.name}' will be deleted: {why}",
    )
    return Decision(
        Action.DELETE,
        Status.SUCCESS,
        (*steps, evaluated),
        request=Delete(link.target_id),
        link=LinkChange.DROP,
        target_id=link.target_id,
    )


# Parts of decisions


def _modify(
    action: Action,
    source: SourceObject,
    steps: tuple[Step, ...],
    request: Modify,
    found: Sequence[Difference],
    link: LinkChange,
    because: str = "",
) -> Decision:
    names = ", ".join(item.flow.target for item in found)
    evaluated = Step(
        "EntrySynchronizationUpdate",
        "matching",
        Status.SUCCESS,
        f"{source.object_type} '{source.name}' will be "
        + (f"disabled: {because}" if action is Action.DISABLE else f"updated: {names} differ"),
    )
    return Decision(
        action,
        Status.SUCCESS,
        (*steps, evaluated),
        changes=tuple(Change(item.flow.target, item.current, item.value, item.flow.is_secret) for item in found),
        request=request,
        link=link,
        target_id=request.target_id,
    )


def _modification(item: Difference, values: Mapping[str, Any], resource: Mapping[str, Any]) -> Modification:
    path, roles = item.flow.path, item.flow.roles
    return Modification(
        path,
        item.verb,
        item.value,
        has_element=path.has_element(resource),
        roles=_assignments(item, values) if roles in ("single", "adding") else (),
    )


def _assignments(item: Difference, values: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """The assignments that the written roles come from."""
    held: Sequence[Mapping[str, Any]] = values.get(ASSIGNMENTS) or ()
    if item.flow.roles == "single":
        return tuple(held[:1])
    written = {element["value"] for element in item.value}
    return tuple(role for role in held if (role["value"] or role["displayName"]) in written)


def _role_steps(source: SourceObject, values: Mapping[str, Any], plan: ObjectPlan) -> tuple[Step, ...]:
    """A warning where one of several roles is taken (provisioning service §3.2)."""
    held: Sequence[Mapping[str, Any]] = values.get(ASSIGNMENTS) or ()
    if len(held) < 2 or not plan.picks_role:
        return ()
    name = held[0]["displayName"] or held[0]["value"]
    text = f"{source.object_type} '{source.name}' has {len(held)} roles; the one assigned first, '{name}', is taken"
    return (Step("EntrySynchronizationUpdate", "processing", Status.WARNING, text),)


def _added(computed: Computed) -> tuple[Change, ...]:
    return tuple(Change(flow.target, None, value, flow.is_secret) for flow, value in computed.values)


def _redundant(source: SourceObject, steps: tuple[Step, ...], target_id: str, link: LinkChange) -> Decision:
    reason = f"{source.object_type} '{source.name}' already has the wanted values in the target"
    return skip(Action.OTHER, steps, "RedundantExport", reason, link=link, target_id=target_id)


def _ignore(source: SourceObject, action: Action, steps: tuple[Step, ...], target_id: str | None = None) -> Decision:
    reason = f"a mapping says IgnoreObjectFlow, so '{source.name}' is left alone in this cycle"
    return skip(action, steps, "EntrySynchronizationSkipped", reason, target_id=target_id)


def _gone(source: SourceObject, link: Link | None) -> Problem:
    target_id = link.target_id if link else "?"
    return Problem(
        "InvalidAnchor",
        f"the target object '{target_id}' linked to '{source.name}' no longer exists; "
        "restore it, or delete the object connection to match again",
    )


def _ambiguous(source: SourceObject, target: TargetState, plan: ObjectPlan) -> Problem:
    query, number = target.queries[-1]
    return Problem(
        "DuplicateTargetEntries",
        f"{number} target objects have {query.attribute} '{_shown(query, plan)}' ({_ids(target)}); '{source.name}' can"
        " be matched to one only",
    )


def _taken(source: SourceObject, target: TargetState, plan: ObjectPlan) -> Problem:
    query, _ = target.queries[-1]
    return Problem(
        "DuplicateSourceEntries",
        f"the target object with {query.attribute} '{_shown(query, plan)}' is already linked to the source object "
        f"'{target.linked_to}', so '{source.name}' cannot have it too",
    )


def _shown(query: QueryMatch, plan: ObjectPlan) -> str:
    is_secret = any(flow.is_secret for flow in plan.matching if flow.target == query.attribute)
    return REDACTED if is_secret else query.value


def _ids(target: TargetState) -> str:
    """Of what the last query found."""
    return ", ".join(target.found[:MOST_FOUND]) + (", …" if len(target.found) > MOST_FOUND else "")


def _matching_steps(source: SourceObject, link: Link | None, target: TargetState, plan: ObjectPlan) -> tuple[Step, ...]:
    if link is not None:
        if target.resource is None and not target.is_gone:
            return ()
        outcome = "no longer exists" if target.is_gone else "was read"
        status = Status.FAILURE if target.is_gone else Status.SUCCESS
        return (
            Step(
                "EntryImport",
                "matching",
                status,
                f"The linked target object {outcome}",
                {"id": link.target_id},
            ),
        )
    return (*_forgotten_steps(target), *_query_steps(source, target, plan))


def _forgotten_steps(target: TargetState) -> tuple[Step, ...]:
    if target.forgotten is None:
        return ()
    text = "The linked target object no longer exists; the link is forgotten"
    return (Step("EntryImport", "matching", Status.WARNING, text, {"id": target.forgotten}),)


def _query_steps(source: SourceObject, target: TargetState, plan: ObjectPlan) -> tuple[Step, ...]:
    return tuple(
        Step(
            "EntryImport",
            "matching",
            Status.SUCCESS if number <= 1 else Status.FAILURE,
            f"Searched the target for '{source.name}' by {query.attribute}: {number} found",
            {query.attribute: _shown(query, plan), **({"id": _ids(target)} if number else {})},
        )
        for query, number in target.queries
    )
