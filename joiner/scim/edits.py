"""What an operation of a PATCH makes of the value of one attribute (RFC 7644 §3.5.2.1 - §3.5.2.3).

Values are replaced and never changed in place: the resource that they are of is shared.
"""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from joiner.scim.distinct import frozen, without, without_listed
from joiner.scim.errors import InvalidAttributeError, MutabilityError, NoTargetError
from joiner.scim.messages import Verb
from joiner.scim.resources import check_count, normalise_value
from joiner.scim.schemas import Attribute
from joiner.scim.targets import Target

Element = dict[str, Any]
DECORATION: Final = frozenset({"type", "primary", "display"})
"""An element with nothing but these says nothing any more."""
MOST_ATTRIBUTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Parts:
    """What has to be minded about the sub-attributes of a complex attribute."""

    immutable: tuple[str, ...]
    required: tuple[str, ...]
    lasting: tuple[str, ...]
    """Those that stay when an element is replaced: no client can take them away."""
    has_reference: bool
    """Whether `$ref` goes with `value`."""
    says_more: bool
    """Whether elements can have anything but decoration."""


@lru_cache(maxsize=MOST_ATTRIBUTES)
def parts_of(attribute: Attribute) -> Parts:
    subs = attribute.sub_attributes
    immutable = tuple(sub.name for sub in subs if sub.mutability == "immutable")
    return Parts(
        immutable,
        tuple(sub.name for sub in subs if sub.required),
        (*immutable, *(sub.name for sub in subs if sub.mutability == "readOnly")),
        "value" in attribute.by_name and "$ref" in attribute.by_name,
        any(sub.name not in DECORATION for sub in subs),
    )


def edited(target: Target, verb: Verb, held: Any, value: Any, *, strict: bool) -> Any:
    """The attribute's value after the operation, None for unassigned. `held` is its value before, None if it has none.

    Raises InvalidAttributeError, MutabilityError, NoTargetError.
    """
    attribute, sub = target.attribute, target.sub
    after: Any
    if target.choice is not None and attribute.kind != "complex":
        after = _edited_values(target, verb, held or [], value, strict)
    elif target.choice is not None or (sub is not None and attribute.multi_valued):
        after = _edited_elements(target, verb, held or [], value, strict) or None
    elif sub is not None:
        after = _with_sub(attribute, sub, verb, held or {}, value, target.name, strict) or None
    else:
        after = _whole(attribute, verb, held, value, target.name, strict)
    _check_change(attribute, target.name, verb, held, after)
    if attribute.multi_valued and after is not None:
        check_count(attribute.name, after)
    return after


def check_removable(attribute: Attribute, held: Any) -> None:
    """Raises MutabilityError if what is held is immutable."""
    if held is not None:
        _check_immutable(attribute, held, None)


def check_parts(attribute: Attribute, value: Any) -> None:
    """Raises InvalidAttributeError if a complex value, or one of several, lacks a required sub-attribute."""
    for name in parts_of(attribute).required:
        for element in value if isinstance(value, list) else [value]:
            if name not in element:
                raise InvalidAttributeError(f"'{attribute.name}.{name}' is required")


# The whole attribute


def _whole(attribute: Attribute, verb: Verb, held: Any, value: Any, path: str, strict: bool) -> Any:
    if verb == "remove":
        # By the RFC the value of a removal means nothing; Entra lists what is to go (T8).
        if value is None or strict or not attribute.multi_valued:
            return None
        return without_listed(held or [], normalise_value(attribute, value, path) or []) or None
    if attribute.multi_valued:
        if verb == "add" and value is not None and not isinstance(value, list):
            # What is added may be one value: "a new value is added" (RFC 7644 §3.5.2.1).
            value = [value]
        new = normalise_value(attribute, value, path, strict=strict) or []
        return _joined(attribute, held or [], new) if verb == "add" else _with_last_primary(new) or None
    if attribute.kind == "complex":
        return _merged_value(attribute, held, value, path, strict)
    return normalise_value(attribute, value, path, strict=strict)


def _merged_value(attribute: Attribute, held: Any, value: Any, path: str, strict: bool) -> Any:
    """A complex attribute with one value: sub-attributes that are not named stay."""
    if _is_unassigned(value, strict):
        return held if value == {} and strict else None
    assigned, cleared = _given(attribute, value, path, strict)
    if not assigned and "value" in cleared:
        # Entra empties a manager by {"value": ""} (T11).
        return None
    if not assigned and not cleared:
        return held
    return _merged(attribute, held or {}, assigned, cleared) or None


def _joined(attribute: Attribute, held: Sequence[Any], new: Sequence[Any]) -> list[Any] | None:
    """All values, each once. One that is there already takes what is new about it; one that is made primary takes that
    from the others."""
    values = list(held)
    places: dict[Hashable, int] = {}
    for place, item in enumerate(values):
        places.setdefault(_identity(item), place)
    primary = None
    for item in without(new, held):
        place = places.setdefault(_identity(item), len(values))
        if place == len(values):
            values.append(item)
        elif isinstance(item, dict):
            values[place] = _merged(attribute, values[place], item, ())
        if isinstance(item, dict) and item.get("primary") is True:
            primary = place
    return _with_one_primary(values, primary) or None


def _identity(item: Any) -> Hashable:
    """What makes a value the same as another: no two have the same `value` and `type` (RFC 7643 §2.4)."""
    if isinstance(item, dict) and "value" in item:
        return frozen([item["value"], item.get("type")])
    return frozen(item)


def _with_last_primary(values: list[Any]) -> list[Any]:
    primary = [place for place, item in enumerate(values) if isinstance(item, dict) and item.get("primary") is True]
    return _with_one_primary(values, primary[-1]) if len(primary) > 1 else values


def _with_one_primary(values: list[Any], primary: int | None) -> list[Any]:
    """`primary` is the place of the element that has been made it, if one was (RFC 7644 §3.5.2, REQ-S-251)."""
    if primary is None:
        return values
    return [
        {**item, "primary": False} if place != primary and item.get("primary") is True else item
        for place, item in enumerate(values)
    ]


# Some of its elements


def _edited_elements(target: Target, verb: Verb, held: list[Element], value: Any, strict: bool) -> list[Element] | None:
    choice = target.choice
    chosen = [place for place, item in enumerate(held) if choice is None or choice.meets(item)]
    if not chosen:
        return held if verb == "remove" else _with_created(target, verb, held, value, strict)
    change = _change(target, verb, value, strict)
    values: list[Element] = list(held)
    for place in chosen:
        values[place] = change(held[place])
    primary = _made_primary(held, values, chosen)
    return [item for item in _with_one_primary(values, primary) if item]


def _made_primary(before: list[Element], after: list[Element], chosen: list[int]) -> int | None:
    """The place of the one that is primary now, if one has been made it. Of several the one that was it before stays,
    so that the same operation twice does what it did once."""
    primary = [place for place in chosen if after[place].get("primary") is True]
    already = [place for place in primary if before[place].get("primary") is True]
    if len(already) == len(primary):
        return None
    return already[0] if already else primary[-1]


def _change(target: Target, verb: Verb, value: Any, strict: bool) -> Callable[[Element], Element]:
    """What the operation does to an element that is meant; one that comes out empty goes."""
    attribute, sub = target.attribute, target.sub
    if sub is not None:
        return lambda item: _worth_keeping(
            attribute, sub, item, _with_sub(attribute, sub, verb, item, value, target.name, strict)
        )
    if verb == "remove":
        return lambda item: {}
    if _is_unassigned(value, strict):
        return (lambda item: item) if verb == "add" else (lambda item: {})
    assigned, cleared = _given(attribute, value, target.name, strict)
    if verb == "add":
        return lambda item: _merged(attribute, item, assigned, cleared)
    # An element is replaced, but for what the filter says of it and what only the server writes.
    described = (target.choice.template if target.choice else None) or {}
    lasting = [name for name in parts_of(attribute).lasting if name not in cleared]

    def replace(item: Element) -> Element:
        after = {**described, **{name: item[name] for name in lasting if name in item}, **assigned}
        _check_parts_immutable(attribute, item, after)
        return after

    return replace


def _with_created(target: Target, verb: Verb, held: list[Element], value: Any, strict: bool) -> list[Element] | None:
    """No element is meant: the one that the filter describes is made (T6). For `replace` that is done for a
    sub-attribute only, and not by the RFC (T7)."""
    attribute, choice, sub = target.attribute, target.choice, target.sub
    described = choice.template if choice is not None else {}
    if described is None or (choice is not None and verb == "replace" and (sub is None or strict)):
        raise NoTargetError(f"no value of '{attribute.name}' is meant by the filter of the path")
    if sub is not None:
        after = _whole(sub, "add", None, value, target.name, strict)
        assigned = {} if after is None else {sub.name: after}
    else:
        assigned = {} if _is_unassigned(value, strict) else _given(attribute, value, target.name, strict)[0]
    if not assigned:
        return held
    element = {**described, **assigned}
    if choice is not None and not choice.meets(element):
        raise NoTargetError(f"no value of '{attribute.name}' is meant by the filter of the path")
    return _joined(attribute, held, [element])


def _edited_values(target: Target, verb: Verb, held: list[Any], value: Any, strict: bool) -> list[Any] | None:
    """The same for simple values, which a filter chooses by `value`: `tags[value eq "x"]`."""
    attribute, choice = target.attribute, target.choice
    assert choice is not None
    if verb == "remove":
        return [item for item in held if not choice.meets(item)] or None
    if verb == "add":
        return _whole(attribute, "add", held, value, target.name, strict) or None
    if not any(choice.meets(item) for item in held):
        raise NoTargetError(f"no value of '{attribute.name}' is meant by the filter of the path")
    new = normalise_value(attribute, _only(value, target.name, strict), target.name, strict=strict) or []
    values = [each for item in held for each in (new if choice.meets(item) else [item])]
    return _joined(attribute, [], values)


# One complex value


def _with_sub(
    attribute: Attribute, sub: Attribute, verb: Verb, element: Element, value: Any, path: str, strict: bool
) -> Element:
    held = element.get(sub.name)
    after = _whole(sub, verb, held, value, path, strict)
    _check_change(sub, path, verb, held, after)
    if after == held:
        return element
    return _merged(attribute, element, {} if after is None else {sub.name: after}, (sub.name,) if after is None else ())


def _worth_keeping(attribute: Attribute, sub: Attribute, before: Element, after: Element) -> Element:
    """Nothing, if the sub-attribute that was taken away was the last that said anything."""
    is_emptied = sub.name in before and sub.name not in after and after.keys() <= DECORATION
    return {} if is_emptied and parts_of(attribute).says_more else after


def _given(attribute: Attribute, value: Any, path: str, strict: bool) -> tuple[Element, Collection[str]]:
    """The sub-attributes that a value assigns, and the names of those that it explicitly leaves without a value."""
    [value] = _only(value, path, strict)
    normalised = normalise_value(attribute, [value] if attribute.multi_valued else value, path, strict=strict)
    assigned: Element = (normalised[0] if attribute.multi_valued else normalised) if normalised else {}
    if not isinstance(value, Mapping) or len(assigned) == len(value):
        return assigned, ()
    named = [attribute.by_name.get(name.lower()) for name in value]
    cleared = {sub.name for sub in named if sub is not None and sub.mutability != "readOnly"} - assigned.keys()
    return assigned, cleared


def _only(value: Any, path: str, strict: bool) -> list[Any]:
    """The value, alone in a list; unless `strict`, it may come in one (T9)."""
    if not isinstance(value, list):
        return [value]
    if strict or len(value) != 1:
        raise InvalidAttributeError(f"'{path}' takes one value, not a list of {len(value)}")
    return value


def _merged(attribute: Attribute, held: Element, assigned: Element, cleared: Collection[str]) -> Element:
    after = {**held, **assigned}
    for name in cleared:
        after.pop(name, None)
    parts = parts_of(attribute)
    if parts.has_reference and "$ref" in held and "$ref" not in assigned and after.get("value") != held.get("value"):
        # It leads to the value that was there before.
        after.pop("$ref", None)
    _check_parts_immutable(attribute, held, after)
    return after


def _is_unassigned(value: Any, strict: bool) -> bool:
    return value is None or value == [] or value == {} or (value == "" and not strict)


# What must not be


def _check_change(attribute: Attribute, path: str, verb: Verb, held: Any, after: Any) -> None:
    if after is None and attribute.required:
        if verb == "remove":
            raise MutabilityError(f"'{path}' is required and cannot be removed")
        raise InvalidAttributeError(f"attribute '{path}' is required")
    if held is not None:
        _check_immutable(attribute, held, after)


def _check_immutable(attribute: Attribute, held: Any, after: Any) -> None:
    if attribute.mutability == "immutable" and after != held:
        raise MutabilityError(f"'{attribute.name}' cannot be changed once it is set")
    if attribute.kind == "complex" and not attribute.multi_valued:
        _check_parts_immutable(attribute, held, after or {})


def _check_parts_immutable(attribute: Attribute, held: Element, after: Element) -> None:
    for name in parts_of(attribute).immutable:
        if name in held and after.get(name) != held[name]:
            raise MutabilityError(f"'{attribute.name}.{name}' cannot be changed once it is set")
