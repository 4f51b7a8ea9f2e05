"""Values compared as a whole, each in constant time: a list of values may be as long as a body may be."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any


def frozen(value: Any) -> Hashable:
    """Equal for JSON values that are equal, and only for them."""
    if type(value) is dict:
        try:
            return frozenset(value.items())
        except TypeError:
            return frozenset([(name, frozen(part)) for name, part in value.items()])
    return tuple([frozen(each) for each in value]) if type(value) is list else value


def distinct(values: list[Any]) -> list[Any]:
    """The values without those that have come before: the same twice says nothing more (RFC 7643 §2.4)."""
    if len(values) < 2:
        return values
    found: dict[Hashable, Any] = {}
    for value in values:
        found.setdefault(frozen(value), value)
    return list(found.values())


def without(values: Iterable[Any], others: Iterable[Any]) -> list[Any]:
    """The values that are not among the others."""
    known = {frozen(each) for each in others}
    return [value for value in values if frozen(value) not in known]


def without_listed(held: Iterable[Any], listed: Iterable[Any]) -> list[Any]:
    """What is held and not meant by one of those listed: an element by its `value`, else by all members given."""
    gone: dict[Sequence[str], set[Hashable]] = {}
    for each in listed:
        names = _telling(each)
        gone.setdefault(names, set()).add(_parts(each, names))
    return [item for item in held if not any(_parts(item, names) in parts for names, parts in gone.items())]


def _telling(listed: Any) -> Sequence[str]:
    """The members by which a listed value tells what it means; none for a simple value."""
    if not isinstance(listed, Mapping):
        return ()
    return ("value",) if "value" in listed else tuple(sorted(listed))


def _parts(item: Any, names: Sequence[str]) -> Hashable:
    return tuple([frozen(item.get(name)) for name in names]) if names else frozen(item)
