"""What a compiled schema is: for each object type its attribute flows, and the values that they give for one object.

Pure. `compiler.py` makes plans; the rules are those of attribute mapping §2, §3 and §8.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from joiner.expressions.compiler import Candidates
from joiner.expressions.errors import EvaluationError, IgnoreAttribute, IgnoreObject
from joiner.expressions.function import Evaluate
from joiner.provisioning.mapping.coercion import CoercionError
from joiner.provisioning.mapping.schema import AttributeType
from joiner.provisioning.mapping.scoping import ScopeFilter
from joiner.provisioning.mapping.target_path import TargetPath

Roles = Literal["single", "adding", "replacing"]
"""What a mapping does with app roles: writes the name of one, adds all, or replaces the target's."""
SINGLE_ROLE: Final = "SingleAppRoleAssignment"
ROLE_LISTS: Final[Mapping[str, Roles]] = {
    "AppRoleAssignmentsComplex": "adding",
    "AssertiveAppRoleAssignmentsComplex": "replacing",
}
ROLE_FUNCTIONS: Final = frozenset({SINGLE_ROLE, *ROLE_LISTS})
COMPUTED: Final = object()
"""Stands for the value of a mapping that is more than a copy."""
ROLE_TYPE: Final = "WindowsAzureActiveDirectoryRole"
SOFT_DELETED: Final = "IsSoftDeleted"
ASSIGNMENTS: Final = "appRoleAssignments"
ALWAYS_SECRET: Final = frozenset({"password", "secret", "token", "access_token", "client_secret", "clientsecret"})
"""Lower-cased names of attributes that are never shown."""
REDACTED: Final = "[Redact]"
"""Stands for a value that is not shown."""


@dataclass(frozen=True, slots=True)
class AttributeFlow:
    """One attribute mapping."""

    target: str
    path: TargetPath
    target_type: AttributeType
    expression: str
    """The source side as text; '' for mappings without source."""
    evaluate: Evaluate
    """Source attributes → value, of the target's type. Raises EvaluationError, CoercionError, IgnoreAttribute."""
    candidates: Candidates | None
    """For a value that no other target object may have: what to try, one after the other. None: any value will do."""
    source_attribute: str
    """The attribute that a direct mapping copies; '' for other kinds."""
    copied_text: str
    """The attribute that it copies text by text, '' if it does more than that: a text needs no evaluation at all."""
    functions: frozenset[str]
    """Names of the functions that the expression calls."""
    default: Any
    """What a create writes when the source has no value, coerced; None: nothing."""
    matching_priority: int
    on_update: bool
    """Takes part in updates as well as in creates."""
    only_if_empty: bool
    """Written to existing objects only while the target has no value."""
    only_adds: bool
    """Values that the target has besides stay (REQ-P-034)."""
    flows_always: bool
    """Written at every evaluation, whether it differs or not."""
    clears: bool
    """A value that is null or empty takes the target's away when the object is updated (REQ-P-014)."""
    roles: Roles | None
    """None: not a mapping of app roles."""
    follows_soft_deleted: bool
    multivalued: bool
    case_exact: bool
    required: bool
    is_secret: bool


class Computed(msgspec.Struct, frozen=True):
    """The values of one object in the order of the mappings, and what went wrong."""

    values: tuple[tuple[AttributeFlow, Any], ...]
    """None as a value takes the target's away."""
    errors: tuple[tuple[AttributeFlow, str], ...] = ()
    missing: tuple[AttributeFlow, ...] = ()
    """Required by the target, without value (creating only)."""
    is_ignored: bool = False
    """A mapping says `IgnoreObjectFlow`: the object is left alone in this cycle."""


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """One object mapping: users or groups."""

    object_type: Literal["User", "Group"]
    enabled: bool
    adds: bool
    updates: bool
    deletes: bool
    flows: tuple[AttributeFlow, ...]
    matching: tuple[AttributeFlow, ...]
    """Those with a matching priority, ascending."""
    references: tuple[AttributeFlow, ...]
    """Members and manager: they flow in their own phase, and are not among `flows`."""
    scope: ScopeFilter
    unique: tuple[AttributeFlow, ...] = field(init=False)
    """Those of `flows` whose value the target has to be asked about first; they take part in creates only."""
    # Sorted out once, so that no object has to.
    _on_create: tuple[AttributeFlow, ...] = field(init=False)
    _on_update: tuple[AttributeFlow, ...] = field(init=False)
    _on_leaving: tuple[AttributeFlow, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "unique", tuple(flow for flow in self.flows if flow.candidates is not None))
        object.__setattr__(self, "_on_create", tuple(flow for flow in self.flows if flow.candidates is None))
        on_update = tuple(flow for flow in self.flows if flow.on_update)
        object.__setattr__(self, "_on_update", on_update)
        object.__setattr__(self, "_on_leaving", tuple(flow for flow in on_update if flow.follows_soft_deleted))

    @property
    def uses_roles(self) -> bool:
        """Some mapping reads app roles, which only those have who are assigned (REQ-P-033)."""
        return any(flow.functions & ROLE_FUNCTIONS for flow in self.flows)

    @property
    def picks_role(self) -> bool:
        """Some mapping takes one of several roles."""
        return any(SINGLE_ROLE in flow.functions for flow in self.flows)

    def reference(self, source_attribute: str) -> AttributeFlow | None:
        """The one of `references` that writes this attribute of the source; None if no mapping does."""
        return next((flow for flow in self.references if flow.source_attribute == source_attribute), None)

    def match_values(self, attributes: Mapping[str, Any]) -> list[tuple[AttributeFlow, Any]]:
        """The values to search the target by, in ascending precedence; empty ones are left out (REQ-P-067).

        A matching mapping that fails finds nothing; `compute` reports why.
        """
        found = []
        for flow in self.matching:
            try:
                value = flow.evaluate(attributes)
            except (EvaluationError, CoercionError, IgnoreAttribute, IgnoreObject):
                continue
            if value is not None and value != "":
                found.append((flow, value))
        return found

    def compute(self, attributes: Mapping[str, Any], *, creating: bool, only_soft_deleted: bool = False) -> Computed:
        """The values to write. `only_soft_deleted`: only what follows from `IsSoftDeleted`.

        A null source gives no value; on create its default takes the place, on update it clears the target where that
        was asked for (REQ-P-011, REQ-P-013, REQ-P-014). Those of `unique` are left out.
        """
        flows = self._on_create if creating else self._on_leaving if only_soft_deleted else self._on_update
        values: list[tuple[AttributeFlow, Any]] = []
        errors: list[tuple[AttributeFlow, str]] = []
        missing: list[AttributeFlow] = []
        get = attributes.get
        for flow in flows:
            value = get(flow.copied_text) if flow.copied_text else COMPUTED
            if value.__class__ is str and value:
                # By far the most frequent mapping, and nothing can go wrong with it.
                values.append((flow, value))
                continue
            if value is not None:
                try:
                    value = flow.evaluate(attributes)
                except IgnoreAttribute:
                    continue
                except IgnoreObject:
                    return Computed((), is_ignored=True)
                except (EvaluationError, CoercionError) as error:
                    # What went wrong may quote the value.
                    errors.append((flow, "its value cannot be used" if flow.is_secret else str(error)))
                    continue
            if value is None or (flow.clears and value == ""):
                value = flow.default if creating else None
                if value is None and (creating or not flow.clears):
                    if creating and flow.required:
                        missing.append(flow)
                    continue
            values.append((flow, value))
        return Computed(tuple(values), tuple(errors), tuple(missing))


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The compiled schema of a job."""

    rule_id: str
    users: ObjectPlan | None
    groups: ObjectPlan | None

    @property
    def uses_roles(self) -> bool:
        """As `ObjectPlan.uses_roles`, of the users."""
        return self.users is not None and self.users.enabled and self.users.uses_roles
