"""A job's schema, compiled into a plan, with everything that is wrong with it. Nothing is parsed per object.

Pure. The rules are those of attribute mapping §2-§8.
"""

from itertools import pairwise
from typing import Any, Final

from joiner.errors import JoinerError
from joiner.expressions.compiler import Compiled
from joiner.expressions.syntax import Attribute, Call
from joiner.provisioning.mapping.mapped_source import (
    candidates_of,
    coerced,
    compile_source,
    copied_text,
    evaluation_of,
    filtering,
)
from joiner.provisioning.mapping.plan import (
    ALWAYS_SECRET,
    ASSIGNMENTS,
    ROLE_LISTS,
    SINGLE_ROLE,
    SOFT_DELETED,
    AttributeFlow,
    JobPlan,
    ObjectPlan,
    Roles,
)
from joiner.provisioning.mapping.schema import (
    AttributeDefinition,
    AttributeMapping,
    ObjectMapping,
    SchemaError,
    SynchronizationRule,
    SynchronizationSchema,
)
from joiner.provisioning.mapping.scoping import EVERYTHING, ScopeFilter, compile_filter, validate_filter
from joiner.provisioning.mapping.target_path import TargetPath, compile_path

OBJECT_FILTER: Final = "objectFilter"
"""A target that no target has: its mapping is there only to say `IgnoreObjectFlow`."""
ADDING: Final = frozenset({"MultiValueAddOnly", "ValueAddOnly"})
"""Flow types that never take away what the target has."""


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
            enabled=mapping.enabled,
            adds="add" in actions,
            updates="update" in actions,
            deletes="delete" in actions,
            flows=tuple(flow for flow in flows if not self._is_reference(flow)),
            matching=tuple(matching),
            # Writing a reference is an update, so there is none without that (REQ-P-022).
            references=tuple(flow for flow in flows if self._is_reference(flow)) if "update" in actions else (),
            scope=self._scope(),
        )

    def _flow(self, number: int, item: AttributeMapping) -> AttributeFlow | None:
        place = f"attributeMappings[{number}]"
        name = item.target_attribute_name
        definition = self._target(name, place)
        if definition is None:
            return None
        member = "targetAttributeName"
        try:
            path = compile_path(name)
            member = "source"
            source = compile_source(item)
            member = "defaultValue"
            default = _default(item, definition)
        except JoinerError as error:
            self._report(f"{place}.{member}", str(error))
            return None
        problem = self._source_problem(item, definition, source)
        if problem:
            self._report(f"{place}.source", problem)
            return None
        is_constant = item.source is None
        roles = _roles(source, path)
        # A single value has nothing to add to.
        only_first = item.flow_type == "ObjectAddOnly" or (
            item.flow_type == "MultiValueAddOnly" and not definition.multivalued
        )
        return AttributeFlow(
            target=name,
            path=path,
            target_type=definition.type,
            expression="" if is_constant else source.text,
            evaluate=filtering(source) if name == OBJECT_FILTER else evaluation_of(source, definition),
            candidates=candidates_of(source),
            source_attribute=source.tree.name if isinstance(source.tree, Attribute) else "",
            copied_text="" if name == OBJECT_FILTER else copied_text(source, definition),
            functions=source.functions,
            default=default,
            matching_priority=item.matching_priority,
            on_update=not only_first and definition.mutability != "Immutable",
            only_if_empty=is_constant or item.flow_type == "AttributeAddOnly",
            only_adds=item.flow_type in ADDING or roles == "adding",
            flows_always=item.flow_behavior == "FlowAlways",
            clears=self._clears(place, item, definition, source),
            roles=roles,
            follows_soft_deleted=SOFT_DELETED in source.attributes,
            multivalued=definition.multivalued,
            case_exact=definition.case_exact,
            required=definition.required,
            is_secret="Redact" in source.functions or path.attribute.lower() in ALWAYS_SECRET,
        )

    def _target(self, name: str, place: str) -> AttributeDefinition | None:
        """The definition of a mapping's target, None if it cannot be one."""
        definition = self._definitions.get(name)
        if definition is None and (name == OBJECT_FILTER or not self._definitions):
            definition = AttributeDefinition(name=name)
        if definition is None:
            problem = f"the target object has no attribute '{name}'"
        elif definition.anchor or name == "id":
            problem = f"'{name}' is the anchor and cannot be written"
        elif definition.mutability == "ReadOnly":
            problem = f"'{name}' is read-only and cannot be written"
        else:
            return definition
        self._report(f"{place}.targetAttributeName", problem)
        return None

    def _source_problem(self, item: AttributeMapping, definition: AttributeDefinition, source: Compiled) -> str:
        """What is wrong with a source that can be read, '' if nothing."""
        if isinstance(source.tree, Attribute) and source.tree.name == ASSIGNMENTS:
            return f"{ASSIGNMENTS} cannot be mapped directly; use an app-role function"
        if self._definitions and not definition.multivalued and source.functions & ROLE_LISTS.keys():
            return f"several roles need a target with several values, and '{definition.name}' has one"
        if definition.type == "Reference" and item.source is not None and not isinstance(source.tree, Attribute):
            return f"'{definition.name}' is a Reference, which is mapped directly, such as from [manager]"
        if source.candidates is not None:
            return _unique_problem(item, definition)
        return ""

    def _clears(self, place: str, item: AttributeMapping, definition: AttributeDefinition, source: Compiled) -> bool:
        """Whether null clears: both gates, the mapping's own and that of every attribute read, are open (D-06)."""
        if not item.flows_null_values:
            return False
        for is_refused, what in (
            (definition.multivalued, "has several values"),
            (definition.required, "is required by the target"),
            (definition.type == "Reference", "is a reference"),
            (item.matching_priority > 0, "is matched by"),
        ):
            if is_refused:
                self._report(f"{place}.metadata", f"null values cannot flow to '{definition.name}': it {what}")
                return False
        read = [self._sources.get(name) for name in source.attributes]
        is_open = bool(read) and all(known is not None and known.flow_null_values for known in read)
        return is_open and item.flow_type == "Always"

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


def _default(item: AttributeMapping, definition: AttributeDefinition) -> Any:
    """What a create writes for null: the mapping's default, else that of a required attribute. Raises CoercionError."""
    text = item.default_value or (definition.default_value if definition.required else None)
    return coerced(text, definition) if text else None


def _unique_problem(item: AttributeMapping, definition: AttributeDefinition) -> str:
    """What a mapping with SelectUniqueValue cannot be, '' if nothing (attribute mapping §11)."""
    if item.flow_type != "ObjectAddOnly":
        return "SelectUniqueValue needs the flowType ObjectAddOnly: what was chosen stays"
    if item.matching_priority > 0:
        return "SelectUniqueValue cannot be matched by"
    if definition.multivalued or definition.type != "String":
        return f"SelectUniqueValue gives one text, and '{definition.name}' is something else"
    return ""


def _roles(source: Compiled, path: TargetPath) -> Roles | None:
    for function, roles in ROLE_LISTS.items():
        if function in source.functions:
            return roles
    # The name of one role is a role only in an element of a list; elsewhere, or inside of others, it is a text.
    is_single = isinstance(source.tree, Call) and source.tree.name == SINGLE_ROLE
    return "single" if is_single and path.selector is not None else None
