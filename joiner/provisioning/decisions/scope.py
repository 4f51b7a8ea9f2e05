"""Who is effectively entitled: active in the source, assigned, with the required role, passing the filter.

Pure. Source: provisioning service §3.3; the details' names are those of the scoping step in the provisioning log.
"""

from collections.abc import Mapping
from typing import Any

from joiner.expressions.environment import ENVIRONMENT, Environment
from joiner.provisioning.decisions.decision import Entitlement, Exit, Scope, Settings, SourceObject, Status, Step
from joiner.provisioning.mapping.plan import ASSIGNMENTS, SOFT_DELETED, ObjectPlan
from joiner.provisioning.mapping.scoping import PASSED

EXPLANATIONS: dict[Exit, str] = {
    Exit.PURGED: "permanently deleted from the directory",
    Exit.SOFT_DELETED: "deleted in the directory; it can be restored for 30 days",
    Exit.DISABLED: "not active in the directory: the account is disabled",
    Exit.UNASSIGNED: "not assigned to the application: assign the object, or change the scope to all users and groups",
    Exit.FILTERED: "the scoping filter is not passed",
}


def judge_scope(source: SourceObject, entitlement: Entitlement, plan: ObjectPlan, settings: Settings) -> Scope:
    """Whether `source` is in scope, with the itemised reasons (REQ-P-025 … REQ-P-032)."""
    is_active = source.exists and source.is_enabled and not source.is_soft_deleted
    is_assigned = entitlement.is_assigned and _can_be_assigned(source)
    result = plan.scope.evaluate(source.attributes) if source.exists else PASSED
    is_entitled = is_assigned or settings.sync_all
    details = {
        "Active in the source system": str(is_active),
        "Assigned to the application": str(is_assigned),
        "Scope sync all": str(settings.sync_all),
        "User has the required role": str(is_entitled),
        "Scoping filter evaluation passed": str(result.passed),
        "ScopeEvaluationResult": result.document,
    }
    exit_ = _first_exit(source, is_entitled, result.passed)
    explanation = "in scope" if exit_ is None else EXPLANATIONS[exit_]
    # Who is deleted stays managed, so that the account ends with the recycle bin.
    has_left = source.exists and not source.is_soft_deleted and not (is_entitled and result.passed)
    return Scope(exit_, explanation, details, result.failed, has_left)


def source_values(
    source: SourceObject, entitlement: Entitlement, scope: Scope, settings: Settings, environment: Environment
) -> Mapping[str, Any]:
    """The attributes that mappings see: the directory's own and the computed ones (REQ-P-020), and the time and chance
    that functions ask for, the same for all mappings of the object. With the scope "all users and groups" there is no
    assignment to read roles from (REQ-P-033)."""
    return {
        **source.attributes,
        SOFT_DELETED: not scope.in_scope,
        ASSIGNMENTS: None if settings.sync_all else list(entitlement.roles) or None,
        ENVIRONMENT: environment,
    }


def scoping_step(source: SourceObject, scope: Scope) -> Step:
    """What the log says of the verdict."""
    return Step(
        "EntrySynchronizationScoping",
        "scoping",
        Status.SUCCESS if scope.in_scope else Status.SKIPPED,
        f"Determine if {source.object_type} in scope by evaluating against each scoping filter: {scope.explanation}",
        scope.details,
    )


def _first_exit(source: SourceObject, is_entitled: bool, passed: bool) -> Exit | None:
    if not source.exists:
        return Exit.PURGED
    if source.is_soft_deleted:
        return Exit.SOFT_DELETED
    if not source.is_enabled:
        return Exit.DISABLED
    if not is_entitled:
        return Exit.UNASSIGNED
    return None if passed else Exit.FILTERED


def _can_be_assigned(source: SourceObject) -> bool:
    # Only security groups count as assigned (provisioning service §3.1).
    return source.object_type == "User" or source.attributes.get("securityEnabled") is not False
