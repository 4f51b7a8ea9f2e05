"""Values that no other target object has: which candidate of `SelectUniqueValue` to ask the target about next, and
which one was found free.

Pure. Candidates are drawn one after the other, and only until one is free (attribute mapping §11, D-25).
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from joiner.expressions.errors import EvaluationError, IgnoreAttribute, IgnoreObject
from joiner.provisioning.decisions.decision import QueryUnique, TargetState
from joiner.provisioning.mapping.coercion import CoercionError
from joiner.provisioning.mapping.plan import AttributeFlow, Computed, ObjectPlan


def next_unique(plan: ObjectPlan, values: Mapping[str, Any], known: TargetState) -> QueryUnique | None:
    """The next candidate to ask about; None when every attribute has its value, or one cannot get any."""
    for flow in plan.unique:
        asked = _asked(flow, known)
        if asked and not asked[-1].is_taken:
            continue
        try:
            candidate = _draw(flow, values, asked)
        except (EvaluationError, CoercionError, IgnoreAttribute, IgnoreObject):
            # `add_unique` says why.
            return None
        if candidate is not None:
            return QueryUnique(flow.target, candidate)
        if asked:
            return None
    return None


def add_unique(plan: ObjectPlan, values: Mapping[str, Any], known: TargetState, computed: Computed) -> Computed:
    """`computed` with the values that were found free, and an error for each attribute whose candidates all exist."""
    found, errors, missing = list(computed.values), list(computed.errors), list(computed.missing)
    for flow in plan.unique:
        asked = _asked(flow, known)
        if asked and not asked[-1].is_taken:
            found.append((flow, asked[-1].value))
            continue
        try:
            _draw(flow, values, asked)
        except IgnoreAttribute:
            continue
        except IgnoreObject:
            return Computed((), is_ignored=True)
        except (EvaluationError, CoercionError) as error:
            errors.append((flow, str(error)))
            continue
        if asked:
            taken = ", ".join(f"'{query.value}'" for query in asked)
            errors.append((flow, f"every value that it may take exists in the target already: {taken}"))
        elif flow.default is not None:
            found.append((flow, flow.default))
        elif flow.required:
            missing.append(flow)
    return Computed(tuple(found), tuple(errors), tuple(missing))


def _asked(flow: AttributeFlow, known: TargetState) -> Sequence[QueryUnique]:
    return [query for query in known.unique if query.attribute == flow.target]


def _draw(flow: AttributeFlow, values: Mapping[str, Any], asked: Sequence[QueryUnique]) -> str | None:
    assert flow.candidates is not None
    return next(islice(flow.candidates(values), len(asked), None), None)
