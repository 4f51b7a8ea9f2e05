"""What a target can do, as data: probed once, editable, never asked of a product's name. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from joiner.errors import InvalidValueError
from joiner.provisioning.client.pace import PaceLimits
from joiner.provisioning.decisions.wire import Dialect, changes_members

ENTRA_RATE = 25.0
"""Requests per second that every application must sustain (provisioning service §16, REQ-C-035)."""

Count = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class TargetProfile(
    msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True, omit_defaults=True
):
    """The abilities and limits of one target. The defaults are those of a target that does all that SCIM 2.0 asks."""

    dialect: Literal["rfc", "entra", "entra-compliant"] | None = None
    """How PATCH requests are written; a flag in the Tenant URL counts more. Unset: `rfc`."""
    updates: Literal["patch", "put"] = "patch"
    """`put`: the target knows no PATCH, or not enough of it. Objects are read, changed, and written as a whole."""
    member_updates: Literal["patch", "put"] | None = None
    """How the members of groups are written. Unset: as `updates` says."""
    removes_members_by: Literal["filter", "value"] | None = None
    """`filter`: members are removed by a path that selects them (RFC 7644 §3.5.2.2); `value`: by a list beside the path
    `members`, which by the RFC removes all of them. Unset: as the dialect does it."""
    pathless_patch: bool = True
    """Whether PATCH operations without a path are understood; the dialect `entra-compliant` needs them."""
    filters: bool = True
    """Whether queries with a filter are answered. If not, accounts are found by reading all of them."""
    filterable: tuple[str, ...] | None = None
    """The attributes that filters may name. Unset: all."""
    excludes_attributes: bool = True
    """Whether `excludedAttributes` is sent. It spares reading the members of groups."""
    paging: Literal["index", "cursor", "none"] = "index"
    """How lists are read. A cursor that comes unasked is followed in any case (RFC 9865 §2.3)."""
    page_size: Count = 100
    """How many objects a list is asked for at once."""
    members_added_per_patch: Count = 100
    """The most members that one request adds to a group."""
    members_removed_per_patch: Count = 100
    """The most members that one request removes from a group."""
    mixed_member_changes: bool = True
    """Whether one request may add and remove members."""
    soft_delete: bool = True
    """Whether the target has `active`. If not, who leaves the scope is deleted."""
    requests_per_second: Annotated[float, msgspec.Meta(gt=0, le=100_000)] | None = None
    """The most requests per second. Unset: 25 in the dialects of Entra and in its mode, otherwise as many as the target
    bears."""
    most_concurrent: Annotated[int, msgspec.Meta(ge=1, le=256)] = 32
    """The most requests under way at once; fewer while the target is slow."""
    timeout_seconds: Annotated[float, msgspec.Meta(ge=1, le=600)] = 60.0
    """How long an answer may take."""

    def limits(self, dialect: Dialect) -> PaceLimits:
        """The limits of the pace for requests in this dialect."""
        rate = self.requests_per_second
        if rate is None and dialect is not Dialect.RFC:
            rate = ENTRA_RATE
        return PaceLimits(most_concurrent=self.most_concurrent, requests_per_second=rate)

    def dialect_for(self, flagged: Dialect | None) -> Dialect:
        """The dialect of requests; `flagged`: what the Tenant URL asks for."""
        dialect = flagged or Dialect(self.dialect or Dialect.RFC)
        if self.uses_put or (dialect is Dialect.ENTRA_COMPLIANT and not self.pathless_patch):
            return Dialect.RFC
        return dialect

    @property
    def uses_put(self) -> bool:
        """Whether anything is written by PUT."""
        return "put" in (self.updates, self.member_updates)

    def is_put(self, patch: Mapping[str, Any]) -> bool:
        """Whether what the PatchOp says is written by PUT."""
        of_members = self.member_updates is not None and changes_members(patch)
        return (self.member_updates if of_members else self.updates) == "put"

    def removes_by_value(self, dialect: Dialect) -> bool:
        """Whether members are removed by a list of them."""
        if (self.member_updates or self.updates) == "put":
            return False
        return dialect is Dialect.ENTRA if self.removes_members_by is None else self.removes_members_by == "value"

    def can_filter(self, attribute: str) -> bool:
        """Whether a filter may name the attribute."""
        if not self.filters or self.filterable is None:
            return self.filters
        return attribute.lower() in {name.lower() for name in self.filterable}


DEFAULT_PROFILE = TargetProfile()


def profile_document(profile: TargetProfile) -> dict[str, Any]:
    """Every member with its value, also those that are as by default; JSON names."""
    return {field.encode_name: msgspec.to_builtins(getattr(profile, field.name)) for field in FIELDS}


def changed_profile(stored: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """What is to be stored after setting `changes` (JSON names; None: the default again): only what differs from the
    defaults.

    Raises InvalidValueError that names the member.
    """
    known = {field.encode_name for field in FIELDS}
    unknown = next((name for name in changes if name not in known), None)
    if unknown is not None:
        raise InvalidValueError(
            f"there is no '{unknown}' in the profile of a target; it has {', '.join(sorted(known))}"
        )
    merged = {name: value for name, value in {**stored, **changes}.items() if value is not None}
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(parse_profile(merged)))
    return kept


def parse_profile(stored: Mapping[str, Any]) -> TargetProfile:
    """Raises InvalidValueError that names the member."""
    try:
        return msgspec.convert(stored, TargetProfile)
    except msgspec.ValidationError as error:
        raise InvalidValueError(f"the profile of the target: {error}") from None


FIELDS = msgspec.structs.fields(TargetProfile)
