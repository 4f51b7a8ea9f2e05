"""Which target object belongs to a source object: what to ask the target next, one lookup at a time.

Pure. A linked object is read by its target id; an unlinked one that is in scope is searched for by the matching
attributes in ascending precedence, until one is found (provisioning service §7). After a create whose outcome is
unknown, the object is searched for as it was then, also if it has left the scope: its account must not stay behind.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from joiner.expressions.values import canonical_text
from joiner.provisioning.decisions.decision import (
    Link,
    Lookup,
    ObjectType,
    QueryMatch,
    ReadLinked,
    Scope,
    Settings,
    TargetState,
)
from joiner.provisioning.decisions.differences import differences
from joiner.provisioning.decisions.unique import next_unique
from joiner.provisioning.mapping.plan import ObjectPlan


def next_lookup(
    plan: ObjectPlan,
    values: Mapping[str, Any],
    scope: Scope,
    link: Link | None,
    known: TargetState,
    queries: Callable[[], Sequence[QueryMatch]],
) -> Lookup | None:
    """The next lookup that the decision needs, given the answers so far; None when nothing more is to be asked.
    `queries` gives the `match_queries` of the values; it is called for who is searched for."""
    if link is not None:
        asks = scope.in_scope or link.is_managed or link.is_unseen
        # Reading what is to be deleted would tell nothing: a 404 on DELETE is success (REQ-P-101).
        is_answered = known.resource is not None or known.is_gone
        return ReadLinked(link.target_id) if asks and not is_answered and scope.exit != "purged" else None
    if not (scope.in_scope or known.was_intended) or known.resource is not None or known.is_ambiguous:
        return None
    candidates = queries()
    if known.intended:
        candidates = [*known.intended, *(query for query in candidates if query not in known.intended)]
    if len(known.queries) < len(candidates):
        return candidates[len(known.queries)]
    # Who matches nothing is created, with values that nobody has.
    creates = scope.in_scope and bool(candidates) and plan.adds
    return next_unique(plan, values, known) if creates and plan.unique else None


def is_forgotten(link: Link, object_type: ObjectType, settings: Settings) -> bool:
    """Whether the link ends when its target object no longer exists, so that the object is matched again: always if the
    job had ceased to manage it (provisioning service §9), or had begun to delete it; else by the job's switch
    `rematchMissing` (REQ-C-005, REQ-P-068)."""
    is_ended_by_deletion = object_type == "Group" or not settings.supports_soft_delete
    return settings.rematches_missing or not link.is_managed or (link.is_disabled and is_ended_by_deletion)


def is_of_the_attempt(plan: ObjectPlan, known: TargetState, resource: Mapping[str, Any]) -> bool:
    """Whether the account may be what a create of unknown outcome has made: of every matching attribute it has a value
    that was sent; several attempts may have sent different ones. One that somebody else has under the same name has not
    (REQ-P-061)."""
    has_sent: dict[str, bool] = {}
    for query in known.intended:
        flow = next((flow for flow in plan.matching if flow.target == query.attribute), None)
        if flow is not None and not has_sent.get(query.attribute):
            has_sent[query.attribute] = not differences([(flow, query.value)], resource)
    return all(has_sent.values())


def match_queries(plan: ObjectPlan, values: Mapping[str, Any]) -> list[QueryMatch]:
    """The queries of all matching attributes that have a value, in ascending precedence (REQ-P-063, REQ-P-067)."""
    return [
        QueryMatch(flow.target, canonical_text(value), flow.case_exact) for flow, value in plan.match_values(values)
    ]
