"""What the directory holds, as values. Attribute names are those of the provisioning engine's source directory."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

MemberType = Literal["User", "Group"]
RuleProcessing = Literal["On", "Paused"]

DEFAULT_ACCESS: Final = "00000000-0000-0000-0000-000000000000"
"""The role of an assignment to an application that declares none."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """One user; `deleted_at` set means that it lies in the recycle bin."""

    id: str
    user_principal_name: str
    account_enabled: bool
    manager_id: str | None
    attributes: Mapping[str, Any]
    """Everything else: `displayName`, `jobTitle`, `telephoneNumber`, …; no member is null."""
    created_at: str
    deleted_at: str | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One group. Only security-enabled ones can be assigned to applications."""

    id: str
    display_name: str
    security_enabled: bool
    attributes: Mapping[str, Any]
    created_at: str
    membership_rule: str | None = None
    """Of a dynamic group: its members are the users whom this holds for, and nobody else."""
    rule_processing: RuleProcessing = "On"
    """Whether the members follow the rule; paused they stay as they are."""


class AppRole(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A role that an application declares for its users."""

    id: str
    display_name: str
    value: str | None = None
    description: str | None = None
    allowed_member_types: tuple[str, ...] = ("User",)
    is_enabled: bool = True
    origin: str = "Application"


class ServicePrincipal(msgspec.Struct, frozen=True, kw_only=True):
    """An application in this tenant."""

    id: str
    app_id: str
    application_id: str
    application_template_id: str
    display_name: str
    app_roles: tuple[AppRole, ...]
    created_at: str


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """A user or group assigned to an application with one role."""

    id: str
    principal_id: str
    principal_type: MemberType
    resource_id: str
    app_role_id: str
    created_at: str
