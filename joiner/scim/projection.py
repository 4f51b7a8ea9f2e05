"""`attributes` and `excludedAttributes`: which parts of a resource an answer shows (RFC 7644 §3.4.2.5, §3.9)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from joiner.scim.errors import InvalidAttributeError
from joiner.scim.grammar import split_urn
from joiner.scim.schemas import ResourceType

LONGEST: Final = 8192
"""Characters of a list: lists are remembered."""
ALWAYS: Final = frozenset({"schemas", "id"})
RELATED: Final = frozenset({"members", "groups"})
"""What is made of other rows."""

Names = dict[str, set[str] | None]
"""Lower-cased attribute → its lower-cased sub-attributes, None for the whole attribute."""


@dataclass(frozen=True, slots=True)
class Projection:
    """What to show. With neither list everything of the default set is shown."""

    only: Mapping[str, Names] | None = None
    """Lower-cased extension URN ('' for the core) → names."""
    without: Mapping[str, Names] = field(default_factory=dict)
    always: frozenset[tuple[str, str]] = frozenset()
    """(URN or '', attribute), lower-cased, that are shown whatever is asked for."""
    on_request: frozenset[tuple[str, str]] = frozenset()
    """The same for those that are shown only when they are asked for."""

    @property
    def is_everything(self) -> bool:
        """Whether a resource is shown as it is."""
        return self.only is None and not self.without and not self.on_request

    @property
    def leaves_out_only_related(self) -> bool:
        """Whether all that is left out stands in other rows, so that not reading it is enough."""
        if self.only is not None or self.on_request or set(self.without) != {""}:
            return False
        return all(name in RELATED and subs is None for name, subs in self.without[""].items())

    def shows(self, name: str) -> bool:
        """Whether a core attribute is shown at all; what is not need not be loaded."""
        folded = name.lower()
        if self.only is not None:
            return folded in self.only.get("", {})
        return self.without.get("", {}).get(folded, set()) is not None

    def answering(self, asserted: Iterable[str]) -> "Projection":
        """The same for the answer to a request that has set these members: what it has set, it gets back
        (REQ-S-032)."""
        if not self.on_request:
            return self
        names = {name.lower() for name in asserted}
        left = frozenset((holder, name) for holder, name in self.on_request if (holder or name) not in names)
        return replace(self, on_request=left)

    def apply(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of a resource that are shown."""
        if self.only is not None:
            return self._chosen(resource, self.only)
        shown = self._remaining(resource)
        return self._without_unasked(shown) if self.on_request else shown

    def _without_unasked(self, shown: dict[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in shown.items():
            folded = key.lower()
            if ("", folded) in self.on_request:
                continue
            if isinstance(value, dict) and ":" in key:
                value = {name: item for name, item in value.items() if (folded, name.lower()) not in self.on_request}
                if not value:
                    continue
            result[key] = value
        return result

    def _chosen(self, resource: Mapping[str, Any], only: Mapping[str, Names]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in resource.items():
            folded = key.lower()
            if folded in ALWAYS or ("", folded) in self.always:
                result[key] = value
            elif folded in only:
                names = only[folded]
                result[key] = value if not names else _pick(value, names)
            elif folded in only.get("", {}):
                subs = only[""][folded]
                result[key] = value if subs is None else _each(value, lambda v, subs=subs: _sub_pick(v, subs))
            if ":" in key and isinstance(value, dict):
                kept = {name: item for name, item in value.items() if (folded, name.lower()) in self.always}
                if kept:
                    result[key] = {**result.get(key, {}), **kept}
        return {key: value for key, value in result.items() if value not in ({}, [])}

    def _remaining(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, value in resource.items():
            folded = key.lower()
            if folded in ALWAYS or ("", folded) in self.always:
                result[key] = value
            elif folded in self.without:
                names = self.without[folded]
                dropped = _drop(value, names) if names else {}
                kept = {name: item for name, item in value.items() if (folded, name.lower()) in self.always}
                result[key] = {**dropped, **kept}
            else:
                dropped = _drop({key: value}, self.without.get("", {}))
                result.update(dropped)
        return {key: value for key, value in result.items() if value not in ({}, [])}


def parse_projection(resource_type: ResourceType, attributes: str | None, excluded: str | None) -> Projection:
    """Both at once are refused. Unknown names are ignored; `[…]` behind a name is left out (T21).

    Raises InvalidAttributeError.
    """
    if attributes and excluded:
        raise InvalidAttributeError("attributes and excludedAttributes cannot be used together")
    if len(attributes or excluded or "") > LONGEST:
        raise InvalidAttributeError(f"attributes and excludedAttributes may have {LONGEST} characters")
    return _parsed(resource_type, attributes or None, excluded or None)


@lru_cache(maxsize=1024)
def _parsed(resource_type: ResourceType, attributes: str | None, excluded: str | None) -> Projection:
    """Clients send the same few lists again and again."""
    always, on_request = _of_schemas(resource_type, "always"), _of_schemas(resource_type, "request")
    if attributes is not None:
        return Projection(_names(resource_type, attributes), always=always, on_request=on_request)
    if excluded is not None:
        return Projection(without=_names(resource_type, excluded), always=always, on_request=on_request)
    return Projection(always=always, on_request=on_request)


def _of_schemas(resource_type: ResourceType, returned: str) -> frozenset[tuple[str, str]]:
    schemas = (("", resource_type.schema), *((urn, schema) for urn, schema in resource_type.by_urn.items()))
    return frozenset(
        (holder, name)
        for holder, schema in schemas
        for name, attribute in schema.by_name.items()
        if attribute.returned == returned
    )


def _names(resource_type: ResourceType, listed: str) -> dict[str, Names]:
    names: dict[str, Names] = {}
    for item in listed.split(","):
        text = item.strip().partition("[")[0].strip()
        if not text:
            continue
        if text.lower() in resource_type.by_urn:
            names.setdefault(text.lower(), {})
            continue
        urn, rest = split_urn(text, resource_type.urns)
        attribute, _, sub = rest.lower().partition(".")
        holder = "" if urn is None or urn.lower() == resource_type.schema.id.lower() else urn.lower()
        if not holder:
            sole = resource_type.sole_extension_of(attribute)
            holder = sole.id.lower() if sole is not None else ""
        known = names.setdefault(holder, {})
        if not sub:
            known[attribute] = None
        elif known.get(attribute, set()) is not None:
            held = known.setdefault(attribute, set())
            assert held is not None
            held.add(sub)
    return names


def _pick(value: Any, names: Names) -> Any:
    return {
        key: item if names[key.lower()] is None else _each(item, lambda v, key=key: _sub_pick(v, names[key.lower()]))
        for key, item in value.items()
        if key.lower() in names
    }


def _drop(value: Any, names: Names) -> dict[str, Any]:
    result = {}
    for key, item in value.items():
        if key.lower() not in names:
            result[key] = item
            continue
        subs = names[key.lower()]
        if subs is not None:
            result[key] = _each(item, lambda v, subs=subs: {k: x for k, x in v.items() if k.lower() not in subs})
    return result


def _sub_pick(value: Any, subs: set[str] | None) -> Any:
    return {key: item for key, item in value.items() if subs is None or key.lower() in subs}


def _each(value: Any, change: Any) -> Any:
    """`change` applied to a complex value or to each of several; simple values stay."""
    if isinstance(value, list):
        return [changed for item in value if (changed := change(item) if isinstance(item, dict) else item)]
    return change(value) if isinstance(value, dict) else value
