"""What of the computed values has to be written to an existing target object, and how.

Pure. Source: attribute mapping §1 (flow types), §7 (roles), §8 (clearing), §9 (several values compare as sets).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from joiner.expressions.values import canonical_text
from joiner.provisioning.decisions.decision import Verb
from joiner.provisioning.mapping.coercion import COERCIONS, CoercionError
from joiner.provisioning.mapping.plan import AttributeFlow


class Difference(msgspec.Struct, frozen=True):
    """One attribute that is to be written."""

    flow: AttributeFlow
    current: Any
    """What the target has; None: nothing."""
    value: Any
    """What the write carries; None removes."""
    verb: Verb


def differences(values: Iterable[tuple[AttributeFlow, Any]], resource: Mapping[str, Any]) -> list[Difference]:
    """Only what the target does not have already (REQ-P-052), in the order of the mappings."""
    found = []
    for flow, wanted in values:
        current = flow.path.read(resource)
        # Most values are what they were, down to the type: nothing else has to be asked about them.
        if current == wanted and current.__class__ is wanted.__class__ and not flow.flows_always:
            continue
        difference = _difference(flow, current, wanted, resource)
        if difference is not None:
            found.append(difference)
    return found


def _difference(flow: AttributeFlow, current: Any, wanted: Any, resource: Mapping[str, Any]) -> Difference | None:
    if flow.only_if_empty:
        return Difference(flow, None, wanted, "add") if current is None and wanted not in (None, "") else None
    if wanted is None:
        return Difference(flow, current, None, "remove") if current is not None else None
    if not flow.flows_always:
        # An empty text and no value are the same to most targets: it would be sent again in every cycle.
        if current is None and wanted == "":
            return None
        if flow.roles == "single" and _holds_as_text(flow, wanted, resource):
            return None
    if flow.only_adds and isinstance(wanted, list):
        return _addition(flow, current, wanted)
    if current is not None and not flow.flows_always and _is_same(flow, current, wanted):
        return None
    is_new = current is None and flow.roles != "replacing"
    return Difference(flow, current, wanted, "add" if is_new else "replace")


def _addition(flow: AttributeFlow, current: Any, wanted: list[Any]) -> Difference | None:
    """The values that the target lacks: others that it has stay, and so do those it gets from elsewhere meanwhile."""
    held = _as_set(flow, current) if current is not None else frozenset()
    lacking = [item for item in wanted if _comparable(flow, item) not in held]
    if not lacking and not flow.flows_always:
        return None
    return Difference(flow, current, lacking or wanted, "add")


def _is_same(flow: AttributeFlow, current: Any, wanted: Any) -> bool:
    if isinstance(wanted, list) or isinstance(current, list):
        return _as_set(flow, current) == _as_set(flow, wanted)
    same: bool = _comparable(flow, current) == _comparable(flow, wanted)
    return same


def _as_set(flow: AttributeFlow, value: Any) -> frozenset[Any]:
    values = value if isinstance(value, list) else [value]
    return frozenset(_comparable(flow, item) for item in values)


def _comparable(flow: AttributeFlow, value: Any) -> Any:
    """Numbers, booleans and dates by their meaning; text without case unless the attribute is exact."""
    if isinstance(value, Mapping):
        # Elements such as roles are known by their value: targets add members of their own to them.
        known = value.get("value")
        return orjson.dumps(dict(value), option=orjson.OPT_SORT_KEYS) if known is None else _comparable(flow, known)
    if flow.target_type not in ("String", "Reference", "Binary"):
        try:
            return COERCIONS[flow.target_type](value)
        except CoercionError:
            return canonical_text(value)
    text = canonical_text(value)
    if flow.roles is not None:
        text = next(iter(_roles_in(text)), text)
    return text if flow.case_exact else text.casefold()


def _holds_as_text(flow: AttributeFlow, wanted: Any, resource: Mapping[str, Any]) -> bool:
    """Whether the target has the role as the JSON text that the Entra dialect writes: not in the element meant, but
    somewhere in the list (attribute mapping §7)."""
    return any(wanted in _roles_in(item.get("value")) for item in flow.path.elements(resource))


def _roles_in(value: Any) -> tuple[str, ...]:
    """Value and name of the role that a text is the JSON of; nothing for any other value."""
    if not isinstance(value, str) or not value.startswith("{"):
        return ()
    try:
        role = orjson.loads(value)
    except orjson.JSONDecodeError:
        return ()
    return tuple(role[name] for name in ("value", "displayName") if role.get(name))
