"""The first line of an explanation: whether somebody is provisioned, and the one reason that matters. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from joiner.provisioning.client.failures import RECOMMENDATIONS
from joiner.provisioning.decisions.decision import Action, Decision, Exit, Link, Scope, SourceObject, Status

WHY_NOT: Final[Mapping[Exit, str]] = {
    Exit.PURGED: "it was permanently deleted from the directory",
    Exit.SOFT_DELETED: "it was deleted in the directory (it can be restored for 30 days)",
    Exit.DISABLED: "the account is disabled in the directory",
    Exit.UNASSIGNED: "it is not assigned to the application, neither directly nor through a group",
}
ADVICE: Final[Mapping[Exit, str]] = {
    Exit.DISABLED: "Enable the account in the directory.",
    Exit.UNASSIGNED: "Assign it, or a security group that it is a direct member of: joiner app assign.",
    Exit.FILTERED: "Change the attribute, or the scoping filter.",
    Exit.SOFT_DELETED: "Restore it in the directory.",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What the verdict is made from."""

    source: SourceObject
    application: str
    scope: Scope
    link: Link | None
    is_mapped: bool
    """The job provisions objects of this type."""
    has_match_value: bool
    mapping_errors: Sequence[str]
    escrow: Mapping[str, Any] | None
    job_state: str
    """`status.code` of the job."""
    quarantine: str | None
    """The reason in words."""
    decision: Decision | None
    """What would be done now; None if the target was not asked."""


def verdict_of(known: Known) -> tuple[str, str]:
    """A sentence, and what to do about it ('' for nothing)."""
    name = known.source.name
    if not known.is_mapped:
        kind = "users" if known.source.object_type == "User" else "groups"
        return f"{name} is not provisioned because the job does not provision {kind}.", "Enable their mapping."
    if not known.scope.in_scope:
        return _out_of_scope(known)
    if known.decision is not None and known.decision.status is Status.FAILURE and known.decision.problem is not None:
        problem = known.decision.problem
        return f"{name} cannot be provisioned: {problem.reason.rstrip('.')}.", RECOMMENDATIONS.get(problem.code, "")
    if known.escrow is not None:
        text = f"{name} could not be provisioned: {known.escrow['reason'].rstrip('.')}."
        again = f"It is tried again by the first cycle after {known.escrow['nextAttempt'][:16].replace('T', ' ')}."
        return text, " ".join(filter(None, (RECOMMENDATIONS.get(known.escrow["code"]), again)))
    if known.mapping_errors:
        return f"{name} cannot be provisioned because {known.mapping_errors[0].rstrip('.')}.", "Correct the mapping."
    if known.link is None and not known.has_match_value:
        return f"{name} is not provisioned because it has no value for any matching attribute.", ""
    if known.link is None:
        return _not_yet(known)
    return _provisioned(known), _advice_of_job(known) if known.decision is None or known.decision.request else ""


def _out_of_scope(known: Known) -> tuple[str, str]:
    name, application = known.source.name, known.application
    exit_ = known.scope.exit
    assert exit_ is not None
    why, advice = WHY_NOT.get(exit_) or _filtered(known.scope), ADVICE.get(exit_, "")
    if known.source.object_type == "Group" and exit_ is Exit.UNASSIGNED:
        why, advice = "it is not assigned to the application", "Assign it: joiner app assign."
    if known.link is None:
        return f"{name} is not provisioned because {why}.", advice
    if known.link.is_disabled or not known.link.is_managed:
        return (
            f"{name} has no access to {application} any more because {why}; account {known.link.target_id} remains.",
            advice,
        )
    what = known.decision.action if known.decision and known.decision.request else None
    will = {Action.DISABLE: "will be disabled", Action.DELETE: "will be deleted"}.get(what) if what else None
    return f"The account of {name} in {application} {will or 'is to be taken away'} because {why}.", _advice_of_job(
        known
    )


def _filtered(scope: Scope) -> str:
    return f"it does not pass the scoping filter ({', '.join(scope.failed_clauses)} is false)"


def _not_yet(known: Known) -> tuple[str, str]:
    name, application = known.source.name, known.application
    if known.decision is not None and known.decision.action is Action.CREATE:
        return f"{name} is in scope and has no account in {application} yet: it will be created.", _advice_of_job(known)
    if known.decision is not None and known.decision.status is Status.SKIPPED and known.decision.problem is not None:
        text = known.decision.problem.reason
        if known.decision.problem.code == "RedundantExport":
            return (
                f"{name} has an account in {application} that will be linked; nothing of it changes.",
                _advice_of_job(known),
            )
        return f"{name} is not provisioned: {text}.", ""
    return f"{name} is in scope and not provisioned yet: no cycle has dealt with it.", _advice_of_job(known)


def _provisioned(known: Known) -> str:
    assert known.link is not None
    text = f"{known.source.name} is provisioned: its account in {known.application} is {known.link.target_id}"
    decision = known.decision
    if decision is None:
        return f"{text}."
    if decision.request is None:
        return f"{text}, with all values as they should be."
    names = ", ".join(change.attribute for change in decision.changes)
    return f"{text}. The next look at it will change {names}."


def _advice_of_job(known: Known) -> str:
    if known.quarantine is not None:
        return f"The job is in quarantine: {known.quarantine}"
    return {
        "NotConfigured": "The application has no Tenant URL yet: joiner app connect.",
        "Paused": "The job is paused: joiner job start, or joiner job run for one cycle.",
    }.get(known.job_state, "The next cycle deals with it, if it has changed since the last one.")
