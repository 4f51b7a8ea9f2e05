"""Decisions to write nothing, and the problems that lead to them: the same words for every direction.

Pure. Sources: provisioning service §14.2 (steps of the log), attribute mapping §8 (errors of mappings).
"""

from joiner.provisioning.decisions.decision import Action, Decision, LinkChange, Problem, Status, Step
from joiner.provisioning.mapping.plan import AttributeFlow


def skip(
    action: Action,
    steps: tuple[Step, ...],
    code: str,
    reason: str,
    link: LinkChange = LinkChange.KEEP,
    target_id: str | None = None,
) -> Decision:
    """Nothing is sent, for a reason that is no failure; `code` is the `SkipReason` of the log."""
    step = Step("EntrySynchronizationSkip", "export", Status.SKIPPED, reason, {"SkipReason": code})
    return Decision(
        action, Status.SKIPPED, (*steps, step), link=link, target_id=target_id, problem=Problem(code, reason)
    )


def fail(action: Action, steps: tuple[Step, ...], problem: Problem, target_id: str | None = None) -> Decision:
    """Nothing is sent; the object is tried again."""
    step = Step("EntrySynchronizationSkip", "processing", Status.FAILURE, problem.reason, {"ErrorCode": problem.code})
    return Decision(action, Status.FAILURE, (*steps, step), target_id=target_id, problem=problem)


def mapping_problem(errors: tuple[tuple[AttributeFlow, str], ...]) -> Problem | None:
    """Nothing of an object is written while one of its mappings fails (D-12)."""
    if not errors:
        return None
    told = (f"the mapping of {flow.target} failed: {text}, in {flow.expression}" for flow, text in errors)
    return Problem("InternalError", "; ".join(told))


def missing_problem(missing: tuple[AttributeFlow, ...], source: str = "the directory") -> Problem | None:
    """Attributes that the target requires and `source` has no value for."""
    if not missing:
        return None
    names = ", ".join(flow.target for flow in missing)
    return Problem("MandatoryFieldsMissing", f"the target requires {names}, for which {source} has no value")
