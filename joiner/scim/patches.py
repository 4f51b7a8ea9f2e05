"""PATCH: operations applied to a resource (RFC 7644 §3.5.2), with what Entra and Okta send beside it (T1 - T16).

The members of a group may be many and live in rows: their operations never come here, see `members`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from joiner.scim.edits import check_parts, check_removable, edited
from joiner.scim.errors import InvalidAttributeError, MutabilityError
from joiner.scim.messages import Operation, Verb
from joiner.scim.resources import check_required, normalise_value
from joiner.scim.schemas import Attribute, ResourceType, Schema
from joiner.scim.targets import Target, Targets, is_schemas, targets_of

Resource = dict[str, Any]


class Patched(msgspec.Struct, frozen=True):
    """What operations make of a resource."""

    resource: Resource
    """Equal to what it was if nothing has changed."""
    secrets: dict[str, Any]
    """What is never returned and no part of the resource, such as `password`: name → value, None if it was removed.
    Names of extensions' attributes begin with the URN."""
    asserted: frozenset[str]
    """Lower-cased names of the attributes that were written, whether they changed or not (REQ-S-032). One of an
    extension stands there with its URN, and so does the URN alone."""


Step = tuple[Verb, Target | Schema, Any]
"""What is done to one attribute; for a schema, the removal of a whole extension."""


def apply_patch(
    resource_type: ResourceType, resource: Resource, operations: Sequence[Operation], *, strict: bool = False
) -> Patched:
    """The resource after the operations. Raises ScimError, and then nothing has happened.

    `resource` is a stored one, without `schemas`, `id` and `meta`. It is not changed, and parts of it are part of the
    result. What is required must be there at the end.
    """
    draft = _Draft(resource, strict)
    for verb, target, value in _steps(resource_type, operations, strict):
        if isinstance(target, Schema):
            draft.remove_extension(target)
        else:
            draft.apply(verb, target, value)
    check_required(resource_type, draft.resource)
    draft.check_required_parts()
    return Patched(draft.resource, draft.secrets, frozenset(draft.asserted))


def secrets_in(resource_type: ResourceType, operations: Sequence[Operation], *, strict: bool = False) -> dict[str, Any]:
    """The secrets that the operations set, as in `Patched`: they do not depend on the resource. Raises ScimError."""
    found: dict[str, Any] = {}
    for verb, target, value in _steps(resource_type, operations, strict):
        if isinstance(target, Schema):
            found.update(_removed_secrets(target))
        elif target.secret is not None:
            found[target.secret] = _secret(verb, target, value, strict)
    return found


def without_own_id(operations: Sequence[Operation], id_: str) -> list[Operation]:
    """The operations without the id of the resource in objects without path: to repeat it changes nothing
    (REQ-S-249)."""
    return [
        Operation(each.verb, None, {name: item for name, item in each.value.items() if name != "id"}, True)
        if each.path is None and isinstance(each.value, Mapping) and each.value.get("id") == id_
        else each
        for each in operations
    ]


# Operations to attributes


def _steps(resource_type: ResourceType, operations: Sequence[Operation], strict: bool) -> Iterator[Step]:
    targets = targets_of(resource_type, strict)
    for operation in operations:
        verb, path, value = operation.verb, operation.path, operation.value
        if path is None:
            yield from _named_steps(targets, verb, value, "")
            continue
        target = targets.at(path)
        if isinstance(target, Schema):
            yield from _extension_steps(targets, verb, target, value)
        elif not is_schemas(target):
            yield verb, target, value
        elif verb == "remove":
            raise MutabilityError("'schemas' is required and cannot be removed")
        # It follows from what the resource has, so that naming an extension in it changes nothing.


def _named_steps(targets: Targets, verb: Verb, value: Any, urn: str) -> Iterator[Step]:
    """Each name in an object is a path of its own: an attribute, `name.givenName`, or `urn:…:attribute` (T5)."""
    if not isinstance(value, Mapping):
        shown = f"'{urn}'" if urn else f"{verb} without a path"
        raise InvalidAttributeError(f"{shown} takes an object of attributes")
    for name, item in value.items():
        target = targets.named(f"{urn}:{name}" if urn else name)
        if isinstance(target, Schema):
            yield from _extension_steps(targets, verb, target, item)
        elif target is not None and (name == target.name or target.name not in value):
            # Of names that differ in case only, the exact spelling is meant (REQ-S-344).
            yield verb, target, item


def _extension_steps(targets: Targets, verb: Verb, schema: Schema, value: Any) -> Iterator[Step]:
    """The container of an extension is no attribute, but an object of them like the resource itself."""
    if verb == "remove" or (verb == "replace" and value is None):
        yield "remove", schema, None
    elif value is not None:
        yield from _named_steps(targets, verb, value, schema.id)


# Steps to the resource


class _Draft:
    """A resource while steps are applied to it."""

    __slots__ = ("_strict", "_with_required_parts", "asserted", "resource", "secrets")

    def __init__(self, resource: Resource, strict: bool) -> None:
        self._strict = strict
        self._with_required_parts: set[tuple[str, Attribute]] = set()
        self.resource = dict(resource)
        self.secrets: dict[str, Any] = {}
        self.asserted: set[str] = set()

    def apply(self, verb: Verb, target: Target, value: Any) -> None:
        self.asserted.update(target.asserted)
        if target.secret is not None:
            self.secrets[target.secret] = _secret(verb, target, value, self._strict)
            return
        name, extension = target.attribute.name, target.extension
        if target.has_required_parts:
            self._with_required_parts.add(("" if extension is None else extension.id, target.attribute))
        if extension is None:
            self._hold(name, edited(target, verb, self.resource.get(name), value, strict=self._strict))
            return
        held = self.resource.get(extension.id, {})
        after = edited(target, verb, held.get(name), value, strict=self._strict)
        rest = {key: item for key, item in held.items() if key != name}
        self._hold(extension.id, rest if after is None else {**held, name: after})

    def remove_extension(self, schema: Schema) -> None:
        """All of it goes: what an extension requires, it requires of the resources that have it."""
        held = self.resource.pop(schema.id, {})
        self.asserted.add(schema.id.lower())
        for attribute in schema.attributes:
            check_removable(attribute, held.get(attribute.name))
            if attribute.mutability != "readOnly":
                self.asserted.add(f"{schema.id}:{attribute.name}".lower())
        self.secrets.update(_removed_secrets(schema))

    def check_required_parts(self) -> None:
        """At the end, since one operation may make an element and the next complete it."""
        for holder, attribute in self._with_required_parts:
            value = (self.resource.get(holder, {}) if holder else self.resource).get(attribute.name)
            if value is not None:
                check_parts(attribute, value)

    def _hold(self, name: str, value: Any) -> None:
        if value is None or value == {}:
            self.resource.pop(name, None)
        else:
            self.resource[name] = value


def _secret(verb: Verb, target: Target, value: Any, strict: bool) -> Any:
    attribute = target.sub or target.attribute
    if verb == "remove":
        return None
    return normalise_value(attribute, value, target.name, strict=strict)


def _removed_secrets(schema: Schema) -> dict[str, None]:
    return {f"{schema.id}:{attribute.name}": None for attribute in schema.attributes if attribute.returned == "never"}
