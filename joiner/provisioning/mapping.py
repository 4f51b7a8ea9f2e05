"""A job's schema, compiled: what each source object becomes in the target. Nothing is parsed per object.

Pure. The rules are those of attribute mapping §2-§8.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import orjson

from joiner.errors import InvalidValueError, JoinerError
from joiner.expressions.compiler import Compiled, compile_attribute, compile_expression
from joiner.expressions.errors import EvaluationError, ExpressionError, IgnoreAttribute, IgnoreObject, with_caret
from joiner.expressions.function import Evaluate
from joiner.expressions.syntax import Attribute, Constant, to_text
from joiner.expressions.values import canonical_text, single
from joiner.provisioning.coercion import COERCIONS, CoercionError
from joiner.provisioning.schema import (
    AttributeDefinition,
    AttributeMapping,
    AttributeType,
    ObjectMapping,
    SchemaError,
    SynchronizationRule,
    SynchronizationSchema,
)
from joiner.provisioning.scoping import EVERYTHING, ScopeFilter, compile_filter, validate_filter
from joiner.provisioning.target_path import TargetPath, compile_path

SOFT_DELETED: Final = "IsSoftDeleted"
NAME: Final = "userPrincipalName"
RAW_NAME: Final = "originalUserPrincipalName"
GUEST_MARK: Final = "#EXT#"
ADDING: Final = frozenset({"MultiValueAddOnly", "ValueAddOnly"})
"""Flow types that never take away what the target has."""
ADDING_FUNCTION: Final = "AppRoleAssignmentsComplex"


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
    source_attribute: str
    """The attribute that a direct mapping copies; '' for other kinds."""
    copied_text: str
    """The attribute that it copies text by text, '' if it does more than that: a text needs no evaluation at all."""
    default: Any
    """What a create writes when the source has no value, coerced; None: nothing."""
    matching_priority: int
    on_create: bool
    on_update: bool
    only_if_empty: bool
    """Written to existing objects only while the target has no value."""
    only_adds: bool
    """Values that the target has besides stay (REQ-P-034)."""
    flows_always: bool
    """Written at every evaluation, whether it differs or not."""
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
        get = attributes.get
        for flow in self.flows:
            if only_soft_deleted and not flow.follows_soft_deleted:
                continue
            if not (flow.on_create if creating else flow.on_update):
                continue
            if flow.copied_text and (value := get(flow.copied_text)).__class__ is str and value:
                # By far the most frequent mapping, and nothing can go wrong with it.
                values.append((flow, value))
                continue
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
    as sets, booleans and numbers by their text, dates as moments."""
    if flow.only_if_empty:
        return current is None
    if current is None or flow.flows_always:
        return True
    if isinstance(wanted, list) or isinstance(current, list):
        held, needed = _as_set(flow, current), _as_set(flow, wanted)
        return not needed <= held if flow.only_adds else needed != held
    equal: bool = _comparable(flow, current) == _comparable(flow, wanted)
    return not equal


def value_to_write(flow: AttributeFlow, current: Any, wanted: Any) -> Any:
    """What a write carries: the wanted value, and for flows that only add, what the target has besides."""
    if not (flow.only_adds and isinstance(wanted, list) and isinstance(current, list)):
        return wanted
    needed = _as_set(flow, wanted)
    return [*(item for item in current if _comparable(flow, item) not in needed), *wanted]


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
        self._schema = schema
        self._sources = self._declared("source", rule.source_directory_name, mapping.source_object_name)
        self._definitions = self._declared("target", rule.target_directory_name, mapping.target_object_name)

    def compile(self) -> ObjectPlan | None:
        mapping = self._mapping
        if mapping.source_object_name not in ("User", "Group"):
            self._report("sourceObjectName", f"'{mapping.source_object_name}' is neither User nor Group")
            return None
        flows = [flow for n, item in enumerate(mapping.attribute_mappings) if (flow := self._flow(n, item)) is not None]
        matching = sorted((flow for flow in flows if flow.matching_priority > 0), key=lambda f: f.matching_priority)
        self._check_matching(matching)
        self._check_shapes(flows)
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
        name = item.target_attribute_name
        definition = self._definitions.get(name)
        if definition is None:
            if self._definitions:
                self._report(f"{place}.targetAttributeName", f"the target object has no attribute '{name}'")
                return None
            definition = AttributeDefinition(name=name)
        if definition.anchor or name == "id":
            self._report(f"{place}.targetAttributeName", f"'{name}' is the anchor and cannot be written")
            return None
        member = "targetAttributeName"
        try:
            path = compile_path(name)
            member = "source"
            source = _compile_source(item)
            _check_source(source)
            evaluate = _with_guest_names(source)
            member = "defaultValue"
            default = _coerced(definition, item.default_value) if item.default_value not in (None, "") else None
        except JoinerError as error:
            self._report(f"{place}.{member}", str(error))
            return None
        if isinstance(source.tree, Attribute) and source.tree.name == "appRoleAssignments":
            self._report(f"{place}.source", "appRoleAssignments cannot be mapped directly; use an app-role function")
            return None
        return AttributeFlow(
            target=name,
            path=path,
            target_type=definition.type,
            expression=source.text if item.source is not None else "",
            evaluate=_typed(evaluate, definition),
            copied_text=_copied_text(source, definition),
            source_attribute=source.tree.name if isinstance(source.tree, Attribute) else "",
            default=default,
            matching_priority=item.matching_priority,
            on_create=True,
            on_update=item.flow_type != "ObjectAddOnly",
            only_if_empty=item.source is None or item.flow_type == "AttributeAddOnly",
            only_adds=item.flow_type in ADDING or ADDING_FUNCTION in source.functions,
            flows_always=item.flow_behavior == "FlowAlways",
            follows_soft_deleted=SOFT_DELETED in source.attributes,
            multivalued=definition.multivalued,
            case_exact=definition.case_exact,
            required=definition.required,
            is_secret="Redact" in source.functions,
        )

    def _check_matching(self, matching: list[AttributeFlow]) -> None:
        if self._mapping.enabled and not matching:
            self._report("attributeMappings", "no mapping has a matchingPriority above 0")
        for flow, other in pairwise(matching):
            if flow.matching_priority == other.matching_priority:
                self._report(
                    "attributeMappings",
                    f"{flow.target} and {other.target} have the same matchingPriority {flow.matching_priority}",
                )
        for flow in matching:
            if flow.multivalued:
                self._report("attributeMappings", f"{flow.target} has several values and cannot be matched by")

    def _check_shapes(self, flows: list[AttributeFlow]) -> None:
        """`name` as a text and `name.givenName` cannot both be written."""
        shapes: dict[tuple[str | None, str], tuple[str, str]] = {}
        for flow in flows:
            path = flow.path
            is_list = path.selector is not None or (flow.multivalued and path.sub_attribute is None)
            shape = "list" if is_list else "complex attribute" if path.sub_attribute is not None else "single value"
            known, other = shapes.setdefault(path.container, (shape, flow.target))
            if known != shape:
                self._report(
                    "attributeMappings", f"{other} writes a {known} and {flow.target} a {shape} to the same attribute"
                )

    def _declared(self, side: str, directory: str, name: str) -> dict[str, AttributeDefinition]:
        """The attributes of an object by name; {} if the schema declares no directories at all."""
        if not self._schema.directories:
            return {}
        definition = self._schema.object_definition(directory, name)
        if definition is None:
            self._report(f"{side}ObjectName", f"the directory '{directory}' declares no object '{name}'")
            return {}
        if side == "target" and (anchors := sum(item.anchor for item in definition.attributes)) != 1:
            self._report(f"{side}ObjectName", f"'{name}' must have exactly one anchor attribute, not {anchors}")
        return {item.name: item for item in definition.attributes}

    def _scope(self) -> ScopeFilter:
        problems = validate_filter(self._mapping.scope, self._sources)
        self._problems.extend(f"{self._place}.scope.{problem}" for problem in problems)
        return EVERYTHING if problems else compile_filter(self._mapping.scope)

    def _is_reference(self, flow: AttributeFlow) -> bool:
        definition = self._definitions.get(flow.target)
        return definition is not None and definition.type == "Reference"

    def _report(self, member: str, problem: str) -> None:
        self._problems.append(f"{self._place}.{member}: {problem}")


def _compile_source(item: AttributeMapping) -> Compiled:
    """The source side; that of kind None is its default. The text wins over the tree if it can be read (D-01)."""
    source = item.source
    if source is None:
        return _constant(item.default_value)
    if source.expression:
        try:
            return compile_expression(source.expression)
        except ExpressionError:
            if source.type == "Function":
                raise
    if source.type == "Constant" and source.name is not None:
        return _constant(source.name)
    if source.type == "Attribute" and source.name:
        return compile_attribute(source.name)
    raise InvalidValueError("there is no expression" if source.type == "Function" else "there is no name")


def _check_source(source: Compiled) -> None:
    """Raises InvalidValueError for an expression that compiles and that this engine can evaluate for no object."""
    for caution in source.cautions:
        if caution.is_certain:
            raise InvalidValueError(with_caret(caution.problem, source.text, caution.position))
    if source.candidates is not None:
        raise InvalidValueError("SelectUniqueValue has to ask the target, which this version does not do in a job")


def _constant(text: str | None) -> Compiled:
    tree = Constant(text or "")
    return Compiled(to_text(tree), tree, frozenset(), frozenset(), lambda attributes: text)


def _with_guest_names(source: Compiled) -> Evaluate:
    """A guest's `alias_domain#EXT#@tenant` is exported and matched as `alias@domain`; the name as it stands is the
    attribute originalUserPrincipalName (REQ-P-019)."""
    evaluate = source.evaluate
    if not source.attributes & {NAME, RAW_NAME}:
        return evaluate
    reads_raw = RAW_NAME in source.attributes

    def exported(attributes: Mapping[str, Any]) -> Any:
        name = attributes.get(NAME)
        if isinstance(name, str) and GUEST_MARK in name:
            return evaluate({**attributes, NAME: _guest_name(name), RAW_NAME: name})
        return evaluate({**attributes, RAW_NAME: name} if reads_raw else attributes)

    return exported


def _guest_name(name: str) -> str:
    alias, _, domain = name.partition(GUEST_MARK)[0].rpartition("_")
    return f"{alias}@{domain}" if alias else name


def _typed(evaluate: Evaluate, definition: AttributeDefinition) -> Evaluate:
    if definition.type == "Reference":
        # Ids of source objects, translated in a phase of their own.
        return evaluate
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


def _copied_text(source: Compiled, definition: AttributeDefinition) -> str:
    """See `AttributeFlow.copied_text`."""
    if not isinstance(source.tree, Attribute) or definition.type != "String" or definition.multivalued:
        return ""
    return "" if source.tree.name in (NAME, RAW_NAME) else source.tree.name


def _coerced(definition: AttributeDefinition, value: Any) -> Any:
    return _typed(lambda attributes: value, definition)({})


def _as_set(flow: AttributeFlow, value: Any) -> frozenset[Any]:
    values = value if isinstance(value, list) else [value]
    return frozenset(_comparable(flow, item) for item in values)


def _comparable(flow: AttributeFlow, value: Any) -> Any:
    if isinstance(value, Mapping):
        # Elements such as roles are known by their value: targets add members of their own to them.
        known = value.get("value")
        return orjson.dumps(dict(value), option=orjson.OPT_SORT_KEYS) if known is None else _comparable(flow, known)
    if flow.target_type == "DateTime":
        try:
            return COERCIONS["DateTime"](value)
        except CoercionError:
            return canonical_text(value)
    text = canonical_text(value)
    return text if flow.case_exact else text.casefold()
