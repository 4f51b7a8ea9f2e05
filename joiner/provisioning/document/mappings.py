"""Whether the attribute mappings of one object mapping can be saved (attribute mapping §2, §3, §7-§10)."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from joiner.errors import InvalidValueError
from joiner.expressions.compiler import Compiled, compile_attribute, compile_expression
from joiner.expressions.errors import ExpressionError, with_caret
from joiner.expressions.syntax import LONGEST, Attribute, Call, Comparison, Constant, Node, attributes_of
from joiner.provisioning.document.findings import Findings
from joiner.provisioning.document.unsupported import unsupported_functions
from joiner.provisioning.mapping.coercion import COERCIONS, CoercionError
from joiner.provisioning.mapping.mapped_source import RAW_NAME
from joiner.provisioning.mapping.plan import ASSIGNMENTS, ROLE_FUNCTIONS, SOFT_DELETED
from joiner.provisioning.mapping.schema import AttributeDefinition, AttributeMapping, ObjectMapping
from joiner.provisioning.mapping.target_path import compile_path

CHANCE: Final = frozenset({"Guid", "RandomString"})
UNIQUE: Final = "SelectUniqueValue"
COMPUTED: Final = frozenset({SOFT_DELETED, ASSIGNMENTS, RAW_NAME})
"""Source attributes that exist whether the document declares them or not."""
UNMAPPABLE: Final = frozenset({"samAccountName", "userType", "thumbnailPhoto", "photo", "password", "passwordProfile"})
"""Source attributes that cannot be mapped (attribute mapping §2)."""

Definitions = Mapping[str, AttributeDefinition]


@dataclass(frozen=True, slots=True)
class Objects:
    """The attributes of both sides by name; None where the document does not declare the object."""

    sources: Definitions | None
    targets: Definitions | None


@dataclass(frozen=True, slots=True)
class Flow:
    """One attribute mapping with what is known of it."""

    path: str
    item: AttributeMapping
    target: AttributeDefinition | None
    source: Compiled | None
    """None: there is no source, or it cannot be read, or it calls a function that exists only elsewhere."""
    is_carried_out: bool

    @property
    def is_matching(self) -> bool:
        """Objects are matched by the target attribute."""
        return self.item.matching_priority > 0


def check_mappings(mapping: ObjectMapping, objects: Objects, path: str, findings: Findings, *, sync_all: bool) -> None:
    """Reports what is wrong with each mapping, and with all of them together."""
    flows = []
    for number, item in enumerate(mapping.attribute_mappings):
        place = f"{path}.attributeMappings[{number}]"
        flow = Flow(
            place,
            item,
            (objects.targets or {}).get(item.target_attribute_name),
            _compile_source(item, place, findings),
            not unsupported_functions(item),
        )
        flows.append(flow)
        for check in CHECKS:
            check(flow, objects, findings)
        if sync_all and flow.source is not None and flow.source.functions & ROLE_FUNCTIONS:
            told = "roles come from assignments, and the scope is all users and groups: there are none"
            findings.error(f"{place}.source", told)
    _check_targets_differ(flows, findings)
    _check_matching(mapping, flows, path, findings)
    _check_coverage(mapping, flows, objects, path, findings)


def _compile_source(item: AttributeMapping, path: str, findings: Findings) -> Compiled | None:
    source = item.source
    if source is None:
        return None
    unsupported = unsupported_functions(item)
    if unsupported:
        names = ", ".join(sorted(unsupported))
        findings.warn(
            f"{path}.source.expression", f"{names} exists only in other services; the mapping is kept, unused"
        )
        return None
    try:
        if source.expression:
            compiled = compile_expression(source.expression)
            for caution in compiled.cautions:
                told = with_caret(caution.problem, compiled.text, caution.position)
                report = findings.error if caution.is_certain else findings.warn
                report(f"{path}.source.expression", told)
            return compiled
    except ExpressionError as error:
        if source.type == "Function" or source.name is None or len(source.expression or "") > LONGEST:
            findings.error(f"{path}.source.expression", str(error))
            return None
        findings.warn(f"{path}.source.expression", f"cannot be read; the name '{source.name}' is used instead: {error}")
    if source.type == "Attribute" and source.name:
        return compile_attribute(source.name)
    if source.type == "Constant" and source.name is not None:
        return Compiled(source.name, Constant(source.name), frozenset(), frozenset(), lambda attributes: source.name)
    findings.error(f"{path}.source", "there is neither an expression nor a tree that can be read")
    return None


# One mapping


def _check_target(flow: Flow, objects: Objects, findings: Findings) -> None:
    name, path = flow.item.target_attribute_name, f"{flow.path}.targetAttributeName"
    if name == "id" or (flow.target is not None and flow.target.anchor):
        findings.error(path, f"'{name}' is the anchor and cannot be a target")
        return
    if objects.targets is not None and flow.target is None:
        findings.error(path, f"the target object has no attribute '{name}'{_similar(name, objects.targets)}")
        return
    if flow.target is not None and flow.target.mutability == "ReadOnly":
        findings.error(path, f"'{name}' is read-only in the target")
    try:
        compile_path(name)
    except InvalidValueError as error:
        findings.error(path, str(error))


def _check_source(flow: Flow, objects: Objects, findings: Findings) -> None:
    if flow.source is None:
        return
    path = f"{flow.path}.source"
    if isinstance(flow.source.tree, Attribute) and flow.source.tree.name == ASSIGNMENTS:
        findings.error(path, f"{ASSIGNMENTS} cannot be mapped directly; use one of {', '.join(sorted(ROLE_FUNCTIONS))}")
    for name in sorted(flow.source.attributes):
        if name in UNMAPPABLE:
            findings.error(path, f"'{name}' cannot be provisioned")
        elif objects.sources is not None and name not in objects.sources and name not in COMPUTED:
            told = f"the source has no attribute '{name}'; it counts as empty{_similar(name, objects.sources)}"
            findings.warn(f"{path}.expression" if flow.item.source and flow.item.source.expression else path, told)


def _check_values(flow: Flow, objects: Objects, findings: Findings) -> None:
    """Several values for one, and texts that the target's type does not take."""
    if flow.target is None:
        return
    source = flow.source
    if source is not None and isinstance(source.tree, Attribute):
        definition = (objects.sources or {}).get(source.tree.name)
        if definition is not None and definition.multivalued and definition.name != ASSIGNMENTS:
            if definition.name.startswith("extension_"):
                findings.error(f"{flow.path}.source", "directory extensions with several values cannot be mapped")
            elif not flow.target.multivalued:
                told = f"'{definition.name}' has several values, '{flow.target.name}' one; choose by Item or Join"
                findings.error(f"{flow.path}.source", told)
    if source is not None and isinstance(source.tree, Constant):
        _check_type(flow.target, source.tree.value, f"{flow.path}.source", findings)
    if flow.item.default_value:
        _check_type(flow.target, flow.item.default_value, f"{flow.path}.defaultValue", findings)


def _check_type(target: AttributeDefinition, value: Any, path: str, findings: Findings) -> None:
    try:
        COERCIONS[target.type](value)
    except CoercionError as error:
        findings.error(path, f"'{target.name}' has the type {target.type}: {error}")


def _check_functions(flow: Flow, objects: Objects, findings: Findings) -> None:
    """What functions may be used for."""
    if flow.source is None:
        return
    path = f"{flow.path}.source"
    references = {name for name, each in (objects.sources or {}).items() if each.type == "Reference"}
    is_reference = flow.target is not None and flow.target.type == "Reference"
    for call in _calls(flow.source.tree):
        read = references.intersection(attributes_of(call))
        if call.name == "Switch" and (read or is_reference):
            name = min(read, default=flow.item.target_attribute_name)
            findings.error(path, f"Switch cannot be used on the reference attribute '{name}'")
            break
    only_creates = flow.item.flow_type == "ObjectAddOnly"
    if UNIQUE in flow.source.functions and not only_creates:
        findings.error(f"{flow.path}.flowType", f"{UNIQUE} needs ObjectAddOnly: it chooses when an object is created")
    if flow.source.functions & CHANCE and not only_creates:
        named = min(flow.source.functions & CHANCE)
        findings.warn(f"{flow.path}.flowType", f"{named} gives another value every time; ObjectAddOnly keeps the first")


def _check_clearing(flow: Flow, objects: Objects, findings: Findings) -> None:
    """Clearing is for single values that nothing depends on (attribute mapping §8)."""
    if not flow.item.flows_null_values:
        return
    path = f"{flow.path}.metadata"
    if flow.is_matching:
        findings.error(path, "a matching attribute cannot be cleared")
    if flow.target is not None and flow.target.required:
        findings.error(path, f"'{flow.target.name}' is required in the target and cannot be cleared")
    if flow.target is not None and flow.target.multivalued:
        findings.error(path, f"'{flow.target.name}' has several values; only single values can be cleared")
    definitions = [(objects.sources or {}).get(name) for name in sorted(flow.source.attributes if flow.source else ())]
    closed = [each.name for each in definitions if each is not None and not each.flow_null_values]
    if closed:
        findings.warn(path, f"nothing is cleared while the source attribute '{closed[0]}' has flowNullValues off")


CHECKS: Final[tuple[Callable[[Flow, Objects, Findings], None], ...]] = (
    _check_target,
    _check_source,
    _check_values,
    _check_functions,
    _check_clearing,
)


# All mappings of an object


def _check_targets_differ(flows: list[Flow], findings: Findings) -> None:
    seen: dict[str, str] = {}
    for flow in flows:
        name = flow.item.target_attribute_name
        first = seen.setdefault(name, flow.path)
        if first != flow.path:
            findings.error(f"{flow.path}.targetAttributeName", f"there is another mapping to '{name}'")


def _check_matching(mapping: ObjectMapping, flows: list[Flow], path: str, findings: Findings) -> None:
    by_priority: dict[int, str] = {}
    for flow in flows:
        place, priority = f"{flow.path}.matchingPriority", flow.item.matching_priority
        if priority < 0:
            findings.error(place, "must be 0 (not a matching attribute) or more")
        if not flow.is_matching:
            continue
        name = flow.item.target_attribute_name
        other = by_priority.setdefault(priority, name)
        if other != name:
            findings.error(place, f"'{other}' has the precedence {priority} already")
        if flow.target is not None and flow.target.multivalued:
            findings.error(place, f"'{name}' has several values; objects cannot be matched by it")
        if flow.target is not None and flow.target.type == "Reference":
            findings.error(place, f"'{name}' is a reference; objects cannot be matched by it")
        if flow.source is not None and UNIQUE in flow.source.functions:
            findings.error(place, f"objects cannot be matched by a value of {UNIQUE}")
        if flow.item.source is None:
            findings.error(place, "a mapping without a source has nothing to match by")
    if mapping.enabled and not any(flow.is_matching and flow.is_carried_out for flow in flows):
        findings.error(f"{path}.attributeMappings", "no mapping has a matchingPriority above 0")


def _check_coverage(mapping: ObjectMapping, flows: list[Flow], objects: Objects, path: str, findings: Findings) -> None:
    """What is likely to surprise: required attributes that nothing writes, leavers who keep their accounts."""
    if not mapping.enabled:
        return
    place = f"{path}.attributeMappings"
    written = {flow.item.target_attribute_name for flow in flows if flow.is_carried_out}
    for name, definition in (objects.targets or {}).items():
        if definition.required and not definition.anchor and name not in written:
            findings.warn(place, f"the target requires '{name}', and no mapping writes it")
    follows = any(flow.source is not None and SOFT_DELETED in flow.source.attributes for flow in flows)
    # Of a source without it nobody is expected to leave a scope of assignments.
    can_leave = objects.sources is None or SOFT_DELETED in objects.sources
    if mapping.source_object_name == "User" and can_leave and not follows:
        findings.warn(place, f"no mapping reads {SOFT_DELETED}: users who leave the scope keep active accounts")


def _calls(node: Node) -> Iterator[Call]:
    match node:
        case Call(_, arguments, _):
            yield node
            for argument in arguments:
                yield from _calls(argument)
        case Comparison(_, left, right):
            yield from _calls(left)
            yield from _calls(right)


def _similar(name: str, known: Definitions) -> str:
    by_key = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), by_key, n=1, cutoff=0.75)
    return f"; did you mean '{by_key[close[0]]}'?" if close else ""
