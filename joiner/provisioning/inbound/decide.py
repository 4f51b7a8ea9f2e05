"""What becomes of one user of the source: created, updated or disabled in our directory, or left alone, and why.

Pure. An empty text counts as no value in this direction, and what has no value leaves the directory as it is, unless
both gates of clearing are open (attribute mapping §8).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from joiner.provisioning.decisions.decision import (
    Action,
    Change,
    Create,
    Decision,
    LinkChange,
    Modification,
    Modify,
    Problem,
    Scope,
    SourceObject,
    Status,
    Step,
)
from joiner.provisioning.decisions.differences import Difference, differences
from joiner.provisioning.decisions.refusals import fail, mapping_problem, missing_problem, skip
from joiner.provisioning.decisions.scope import scoping_step
from joiner.provisioning.inbound.plan import ENABLED
from joiner.provisioning.mapping.plan import Computed, ObjectPlan


@dataclass(frozen=True, slots=True)
class Match:
    """The user of the directory that belongs to the source's, if there is one."""

    user_id: str | None = None
    held: Mapping[str, Any] | None = None
    """Its attributes; None: nobody was found."""
    is_deleted: bool = False
    """It lies in the recycle bin."""
    is_managed: bool | None = None
    """As the link says; None: it is not linked."""
    steps: tuple[Step, ...] = ()
    problem: Problem | None = None
    """Why it cannot be told who it is."""


def decide(
    source: SourceObject, scope: Scope, match: Match, computed: Computed, plan: ObjectPlan, *, keeps_leavers: bool
) -> Decision:
    """`computed`: the values for a create if nobody was found, else for an update; `keeps_leavers`: who leaves the
    scope is left alone."""
    steps = (scoping_step(source, scope), *match.steps)
    if not scope.in_scope:
        return _leave(source, scope, match, plan, steps, keeps_leavers=keeps_leavers)
    if match.problem is not None:
        return fail(Action.OTHER, steps, match.problem)
    if match.user_id is None:
        return _create(source, computed, plan, steps)
    return _update(source, match, computed, plan, steps)


def put_off(source: SourceObject, decision: Decision) -> Decision:
    """What a decision to disable somebody does at once: everything but that."""
    assert isinstance(decision.request, Modify)
    told = "is disabled when the cycle knows how many would be"
    steps = (*decision.steps, _evaluated("EntrySynchronizationUpdate", source, told))
    rest = tuple(each for each in decision.request.modifications if each.path.text != ENABLED)
    changes = tuple(each for each in decision.changes if each.attribute != ENABLED)
    link = LinkChange.KEEP if decision.link is LinkChange.RELEASE else decision.link
    if not rest:
        return Decision(Action.OTHER, Status.SKIPPED, steps, link=link, target_id=decision.target_id)
    request = Modify(decision.request.target_id, rest)
    return Decision(
        Action.UPDATE, Status.SUCCESS, steps, changes=changes, request=request, link=link, target_id=decision.target_id
    )


def without_empty(computed: Computed) -> Computed:
    """The values without empty texts; one that may clear becomes None, one that is required and new is missing."""
    kept = []
    for flow, value in computed.values:
        if value != "":
            kept.append((flow, value))
        elif flow.clears:
            kept.append((flow, None))
    return replace(computed, values=tuple(kept))


def _create(source: SourceObject, computed: Computed, plan: ObjectPlan, steps: tuple[Step, ...]) -> Decision:
    if computed.is_ignored:
        return _ignore(source, Action.CREATE, steps)
    if not plan.adds:
        return skip(Action.CREATE, steps, "EntrySynchronizationSkipped", "the mapping does not allow to create")
    written = {flow.target for flow, value in computed.values if value is not None}
    empty = tuple(flow for flow in plan.flows if flow.required and flow.target not in written)
    problem = mapping_problem(computed.errors) or missing_problem(empty, "the source")
    if problem is not None:
        return fail(Action.CREATE, steps, problem)
    evaluated = _evaluated("EntrySynchronizationAdd", source, "will be created: it has no match in the directory")
    return Decision(
        Action.CREATE,
        Status.SUCCESS,
        (*steps, evaluated),
        changes=tuple(Change(flow.target, None, value, flow.is_secret) for flow, value in computed.values),
        request=Create({flow.target: value for flow, value in computed.values}),
        link=LinkChange.MANAGE,
    )


def _update(
    source: SourceObject, match: Match, computed: Computed, plan: ObjectPlan, steps: tuple[Step, ...]
) -> Decision:
    if not plan.updates:
        reason = "the mapping does not allow to update"
        return skip(
            Action.UPDATE, steps, "EntrySynchronizationSkipped", reason,
            link=LinkChange.MANAGE, target_id=match.user_id,
        )  # fmt: skip
    if computed.is_ignored:
        return _ignore(source, Action.UPDATE, steps, match.user_id)
    problem = mapping_problem(computed.errors)
    if problem is not None:
        return fail(Action.UPDATE, steps, problem, match.user_id)
    held = match.held or {}
    found = differences(computed.values, held)
    enabled = {flow.target: value for flow, value in computed.values}.get(ENABLED, held.get(ENABLED))
    if match.is_deleted and not enabled:
        reason = f"User '{source.name}' is not active, and lies in the recycle bin already"
        return skip(
            Action.OTHER, steps, "RedundantExport", reason, link=LinkChange.MANAGE, target_id=match.user_id
        )  # fmt: skip
    if not found and not match.is_deleted:
        reason = f"User '{source.name}' already has the wanted values in the directory"
        return skip(Action.OTHER, steps, "RedundantExport", reason, link=LinkChange.MANAGE, target_id=match.user_id)
    action = Action.DISABLE if held.get(ENABLED) and not enabled else Action.UPDATE
    told = (
        "restored from the recycle bin" if match.is_deleted else "disabled" if action is Action.DISABLE else "updated"
    )
    names = ", ".join(item.flow.target for item in found)
    evaluated = _evaluated(
        "EntrySynchronizationUpdate", source, f"will be {told}{f': {names} differ' if names else ''}"
    )
    return _modify(action, match, found, (*steps, evaluated), LinkChange.MANAGE)


def _leave(
    source: SourceObject,
    scope: Scope,
    match: Match,
    plan: ObjectPlan,
    steps: tuple[Step, ...],
    *,
    keeps_leavers: bool,
) -> Decision:
    """Who is not in scope: disabled if the job has managed the user so far, else left alone."""
    if match.user_id is None or not match.is_managed:
        return skip(Action.OTHER, steps, "NotEffectivelyEntitled", scope.explanation, target_id=match.user_id)
    after = LinkChange.RELEASE
    if keeps_leavers:
        reason = f"{scope.explanation}; SkipOutOfScopeDeletions leaves such users alone"
    elif not plan.updates:
        reason = f"{scope.explanation}; the mapping does not allow to update, and so not to disable"
    else:
        flows = [flow for flow in plan.flows if flow.target == ENABLED]
        found = differences([(flow, False) for flow in flows], match.held or {})
        if found and not match.is_deleted:
            evaluated = _evaluated("EntrySynchronizationUpdate", source, f"will be disabled: {scope.explanation}")
            return _modify(Action.DISABLE, match, found, (*steps, evaluated), after)
        told = "the user is disabled already" if flows else f"no mapping writes {ENABLED}"
        reason = f"{scope.explanation}; {told}"
    return skip(
        Action.DISABLE, steps, "EntrySynchronizationSkipped", reason, link=after, target_id=match.user_id
    )  # fmt: skip


def _modify(
    action: Action, match: Match, found: list[Difference], steps: tuple[Step, ...], link: LinkChange
) -> Decision:
    assert match.user_id is not None
    modifications = tuple(Modification(item.flow.path, item.verb, item.value) for item in found)
    return Decision(
        action,
        Status.SUCCESS,
        steps,
        changes=tuple(Change(item.flow.target, item.current, item.value, item.flow.is_secret) for item in found),
        request=Modify(match.user_id, modifications),
        link=link,
        target_id=match.user_id,
    )


def _evaluated(name: str, source: SourceObject, told: str) -> Step:
    return Step(name, "matching", Status.SUCCESS, f"User '{source.name}' {told}")


def _ignore(source: SourceObject, action: Action, steps: tuple[Step, ...], user_id: str | None = None) -> Decision:
    reason = f"a mapping says IgnoreObjectFlow, so '{source.name}' is left alone"
    return skip(action, steps, "EntrySynchronizationSkipped", reason, target_id=user_id)
