"""Why a plan has an item in it: the mapping, the filter clause, or the assignment that makes it so.

Pure.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import msgspec

from joiner.provisioning.decisions.decision import Action, Decision, Exit, Scope
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.provisioning.ports import Considered

Kind = Literal["mapping", "filter", "assignment", "directory", "reference", "target", "problem"]
LONGEST: Final = 300
ACCOUNT_GONE: Final = "its account in the application is gone"
EXITS: Final[Mapping[Exit, str]] = {
    Exit.PURGED: "permanently deleted from the directory",
    Exit.SOFT_DELETED: "deleted in the directory",
    Exit.DISABLED: "the account is disabled in the directory",
    Exit.UNASSIGNED: "not assigned to the application",
}


class Cause(msgspec.Struct, frozen=True):
    """One rule and what it did."""

    kind: Kind
    text: str
    """The same for every object that the rule has the same effect on: causes are counted."""


def causes_of(considered: Considered, plan: ObjectPlan, paths: Sequence[str]) -> list[Cause]:
    """`paths`: how the object is assigned, in words; empty if it is not, or everything is synchronized."""
    decision, scope = considered.decision, considered.scope
    gone = [] if considered.state.forgotten is None else [Cause("target", ACCOUNT_GONE)]
    return gone + _of_decision(decision, scope, plan, paths)


def _of_decision(decision: Decision, scope: Scope, plan: ObjectPlan, paths: Sequence[str]) -> list[Cause]:
    if decision.problem is not None and decision.request is None and decision.action is not Action.STAGED_DELETE:
        return [Cause("problem", f"{decision.problem.code}: {decision.problem.reason}"[:LONGEST])]
    if not scope.in_scope:
        return _leaving(scope)
    if decision.action is Action.CREATE:
        everybody = [Cause("assignment", "all users and groups are in scope")]
        return [Cause("assignment", path) for path in paths] or everybody
    return _mappings(decision, plan)


def explanation_of_skip(decision: Decision, scope: Scope) -> str:
    """Why nothing is done, in the same words for everybody of whom it is true."""
    code = decision.problem.code if decision.problem else ""
    if not scope.in_scope:
        return "; ".join(cause.text for cause in _leaving(scope))
    if code == "RedundantExport":
        return "the application has the wanted values already"
    return decision.problem.reason if decision.problem else "nothing to do"


def _leaving(scope: Scope) -> list[Cause]:
    if scope.exit is Exit.FILTERED:
        return [Cause("filter", f"the filter is not passed: {label}") for label in scope.failed_clauses]
    assert scope.exit is not None
    kind: Kind = "assignment" if scope.exit is Exit.UNASSIGNED else "directory"
    return [Cause(kind, EXITS[scope.exit])]


def _mappings(decision: Decision, plan: ObjectPlan) -> list[Cause]:
    expressions = {flow.target: flow.expression or "a constant" for flow in plan.flows}
    return [
        Cause("mapping", f"{change.attribute} ← {expressions.get(change.attribute, '?')}"[:LONGEST])
        for change in decision.changes
    ]
