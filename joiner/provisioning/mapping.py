"""A job's schema, compiled: what each source object becomes in the target. Nothing is parsed per object.

Pure. The rules are those of attribute mapping §2-§8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from joiner.errors import JoinerError
from joiner.expressions.compiler import Evaluate, compile_attribute, compile_expression
from joiner.expressions.errors import EvaluationError, IgnoreAttribute, IgnoreObject
from joiner.expressions.values import canonical_text, single
from joiner.provisioning.coercion import COERCIONS, CoercionError
from joiner.provisioning.schema import (
    AttributeDefinition,
    AttributeMapping,
    ObjectMapping,
    SchemaError,
    SynchronizationRule,
    SynchronizationSchema,
)
from joiner.provisioning.scoping import EVERYTHING, ScopeFilter, compile_filter
from joiner.provisioning.target_path import TargetPath, compile_path

SOFT_DELETED: Final = "IsSoftDeleted"
GUEST_MARK: Final = "#EXT#"


@dataclass(frozen=True, slots=True)
class AttributeFlow:
    """One attribute mapping."""

    target: str
    path: TargetPath
    evaluate: Evaluate
    """Source attributes → value, of the target's type. Raises EvaluationError, CoercionError, IgnoreAttribute."""
    source_attribute: str
    """The attribute that a direct mapping copies; '' for other kinds."""
    default: Any
    """What a create writes when the source has no value, coerced; None: nothing."""
    matching_priority: int
    on_create: bool
    on_update: bool
    only_if_empty: bool
    """Written to existing objects only while the target has no value."""
    follows_soft_deleted: bool
    multivalued: bool
    case_exact: bool
    required: bool
    is_secret: bool


@dataclass(frozen=True, slots=True)
class Computed:
    """The values of one object in the order of the mappings, and what went wrong."""

    values: tuple[tuple[AttributeFlow, Any], ...]
    errors: tuple[tuple[AttributeFlow, str], ...] = ()
    missing: tuple[AttributeFlow, ...] = ()
    """Required by the target, without value (creating only)."""
    is_ignored: bool = False
    """A mapping says `IgnoreObjectFlow`: the object is left alone in this cycle."""


@dataclass(frozen=True, slots=True)
class ObjectPlan:
    """One object mapping: users or groups."""

    object_type: Literal["User", "Group"]
    target_object: str
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

        A null source gives no value; on create its default takes the place (REQ-P-011, REQ-P-013).
        """
        values: list[tuple[AttributeFlow, Any]] = []
        errors: list[tuple[AttributeFlow, str]] = []
        missing: list[AttributeFlow] = []
        for flow in self.flows:
            if only_soft_deleted and not flow.follows_soft_deleted:
                continue
            if not (flow.on_create if creating else flow.on_update):
                continue
            try:
                value = flow.evaluate(attributes)
            except IgnoreAttribute:
                continue
            except IgnoreObject:
                return Computed((), is_ignored=True)
            except (EvaluationError, CoercionError) as error:
                errors.append((flow, str(error)))
                continue
            if value is None and creating:
                value = flow.default
            if value is not None:
                values.append((flow, value))
            elif creating and flow.required:
                missing.append(flow)
        return Computed(tuple(values), tuple(errors), tuple(missing))


@dataclass(frozen=True, slots=True)
class JobPlan:
    """The compiled schema of a job."""

    rule_id: str
    users: ObjectPlan | None
    groups: ObjectPlan | None


def differs(flow: AttributeFlow, current: Any, wanted: Any) -> bool:
    """Whether the target has to be written: text compares without case unless the attribute is exact, several values
    as sets, booleans and numbers by their text."""
    if flow.only_if_empty:
        return current is None
    if current is None:
        return True
    if isinstance(wanted, list) or isinstance(current, list):
        return _as_set(current, flow.case_exact) != _as_set(wanted, flow.case_exact)
    equal: bool = _comparable(current, flow.case_exact) == _comparable(wanted, flow.case_exact)
    return not equal


def compile_plan(schema: SynchronizationSchema) -> JobPlan:
    """Raises SchemaError with every problem at its place in the document."""
    problems: list[str] = []
    plans: dict[str, ObjectPlan] = {}
    rules = sorted(enumerate(schema.synchronization_rules), key=lambda item: item[1].priority)
    if not rules:
        raise SchemaError(["synchronizationRules: there is no rule"])
    for number, rule in rules:
        for position, mapping in enumerate(rule.object_mappings):
            place = f"synchronizationRules[{number}].objectMappings[{position}]"
            plan = _ObjectCompiler(schema, rule, mapping, place, problems).compile()
            if plan is not None:
                plans.setdefault(plan.object_type, plan)
    if problems:
        raise SchemaError(problems)
    return JobPlan(rules[0][1].id, plans.get("User"), plans.get("Group"))


class _ObjectCompiler:
    """Compiles one object mapping and collects what is wrong with it."""

    def __init__(
        self,
        schema: SynchronizationSchema,
        rule: SynchronizationRule,
        mapping: ObjectMapping,
        place: str,
        problems: list[str],
    ) -> None:
        self._mapping = mapping
        self._place = place
        self._problems = problems
        target = schema.object_definition(rule.target_directory_name, mapping.target_object_name)
        self._definitions = {item.name: item for item in target.attributes} if target else {}

    def compile(self) -> ObjectPlan | None:
        mapping = self._mapping
        if mapping.source_object_name not in ("User", "Group"):
            self._report("sourceObjectName", f"'{mapping.source_object_name}' is neither User nor Group")
            return None
        flows = [flow for n, item in enumerate(mapping.attribute_mappings) if (flow := self._flow(n, item)) is not None]
        matching = sorted((flow for flow in flows if flow.matching_priority > 0), key=lambda f: f.matching_priority)
        if mapping.enabled and not matching:
            self._report("attributeMappings", "no mapping has a matchingPriority above 0")
        actions = mapping.flows
        return ObjectPlan(
            object_type="User" if mapping.source_object_name == "User" else "Group",
            target_object=mapping.target_object_name,
            enabled=mapping.enabled,
            adds="add" in actions,
            updates="update" in actions,
            deletes="delete" in actions,
            flows=tuple(flow for flow in flows if not self._is_reference(flow)),
            matching=tuple(matching),
            references=tuple(flow for flow in flows if self._is_reference(flow)),
            scope=self._scope(),
        )

    def _flow(self, number: int, item: AttributeMapping) -> AttributeFlow | None:
        place = f"attributeMappings[{number}]"
        definition = self._definitions.get(
            item.target_attribute_name, AttributeDefinition(name=item.target_attribute_name)
        )
        if definition.anchor or item.target_attribute_name == "id":
            self._report(place, f"'{item.target_attribute_name}' is the anchor and cannot be written")
            return None
        try:
            path = compile_path(item.target_attribute_name)
            evaluate, attributes, expression = _source(item)
            default = _coerced(definition, item.default_value) if item.default_value not in (None, "") else None
        except JoinerError as error:
            self._report(place, str(error))
            return None
        if "appRoleAssignments" in attributes and not expression.rstrip().endswith(")"):
            self._report(place, "appRoleAssignments cannot be mapped directly; use an app-role function")
            return None
        direct = item.source is not None and item.source.type == "Attribute"
        return AttributeFlow(
            target=item.target_attribute_name,
            path=path,
            evaluate=_typed(evaluate, definition) if definition.type != "Reference" else evaluate,
            source_attribute=next(iter(attributes)) if direct else "",
            default=default,
            matching_priority=item.matching_priority,
            on_create=True,
            on_update=item.flow_type != "ObjectAddOnly",
            only_if_empty=item.source is None or item.flow_type == "AttributeAddOnly",
            follows_soft_deleted=SOFT_DELETED in attributes,
            multivalued=definition.multivalued,
            case_exact=definition.case_exact,
            required=definition.required,
            is_secret="Redact(" in expression,
        )

    def _scope(self) -> ScopeFilter:
        try:
            return compile_filter(self._mapping.scope)
        except JoinerError as error:
            self._report("scope", str(error))
            return EVERYTHING

    def _is_reference(self, flow: AttributeFlow) -> bool:
        definition = self._definitions.get(flow.target)
        return definition is not None and definition.type == "Reference"

    def _report(self, member: str, problem: str) -> None:
        self._problems.append(f"{self._place}.{member}: {problem}")


def _source(item: AttributeMapping) -> tuple[Evaluate, frozenset[str], str]:
    """How the source side is evaluated, the attributes it reads, and its text. The text wins over the tree (D-01)."""
    source = item.source
    if source is None:
        default = item.default_value
        return (lambda attributes: default), frozenset(), ""
    if source.type == "Constant":
        constant = source.name if source.name is not None else (source.expression or "").strip('"')
        return (lambda attributes: constant), frozenset(), ""
    if source.type == "Attribute":
        name = source.name or (source.expression or "").strip("[] ")
        if not name:
            raise EvaluationError("the source has neither a name nor an expression")
        compiled = compile_attribute(name)
        if name == "userPrincipalName":
            return _guest_name, compiled.attributes, compiled.text
        if name == "originalUserPrincipalName":
            return _original_name, frozenset({name}), compiled.text
        return compiled.evaluate, compiled.attributes, compiled.text
    if not source.expression:
        raise EvaluationError("the source has no expression")
    compiled = compile_expression(source.expression)
    return compiled.evaluate, compiled.attributes, compiled.text


def _guest_name(attributes: Mapping[str, Any]) -> Any:
    """A guest's `alias_domain#EXT#@tenant` is exported and matched as `alias@domain` (REQ-P-019)."""
    name = attributes.get("userPrincipalName")
    if not isinstance(name, str) or GUEST_MARK not in name:
        return name
    alias, _, domain = name.partition(GUEST_MARK)[0].rpartition("_")
    return f"{alias}@{domain}" if alias else name


def _original_name(attributes: Mapping[str, Any]) -> Any:
    return attributes.get("userPrincipalName")


def _typed(evaluate: Evaluate, definition: AttributeDefinition) -> Evaluate:
    coerce = COERCIONS[definition.type]
    if definition.multivalued:

        def several(attributes: Mapping[str, Any]) -> Any:
            value = evaluate(attributes)
            if value is None or value == []:
                return None
            return [coerce(item) for item in (value if isinstance(value, list) else [value])]

        return several

    def one(attributes: Mapping[str, Any]) -> Any:
        value = single(evaluate(attributes))
        return None if value is None else coerce(value)

    return one


def _coerced(definition: AttributeDefinition, value: Any) -> Any:
    return _typed(lambda attributes: value, definition)({})


def _as_set(value: Any, case_exact: bool) -> frozenset[Any]:
    values = value if isinstance(value, list) else [value]
    return frozenset(_comparable(item, case_exact) for item in values)


def _comparable(value: Any, case_exact: bool) -> Any:
    if isinstance(value, Mapping):
        return orjson.dumps(dict(value), option=orjson.OPT_SORT_KEYS)
    text = canonical_text(value)
    return text if case_exact else text.casefold()
