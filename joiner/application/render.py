"""Stored resources as answers: `schemas`, `id`, `meta`, and what is computed from other rows."""

from collections.abc import Sequence
from typing import Any

from joiner.application.store import ResourceStore, Stored
from joiner.scim.core import ENTERPRISE_URN, RESOURCE_TYPES
from joiner.scim.projection import Projection
from joiner.scim.resources import schemas_of


def etag_of(stored: Stored) -> str:
    """The weak ETag, equal to `meta.version` (REQ-S-010)."""
    return f'W/"{stored.version}"'


def location_of(stored: Stored, base_url: str) -> str:
    return f"{base_url}{RESOURCE_TYPES[stored.type].endpoint}/{stored.id}"


def render(
    store: ResourceStore, connection_id: str, resources: Sequence[Stored], base_url: str, projection: Projection
) -> list[dict[str, Any]]:
    """The resources as they are shown. What the projection leaves out is not even read (REQ-S-188)."""
    users = [stored for stored in resources if stored.type == "User"]
    groups = store.groups_of([stored.id for stored in users]) if users and projection.shows("groups") else {}
    managers = [stored.manager_id for stored in users if stored.manager_id]
    names = store.display_names(connection_id, managers) if managers else {}
    result = []
    for stored in resources:
        resource = _resource(stored, base_url)
        if stored.type == "User":
            _add_groups(resource, groups.get(stored.id, ()), base_url)
            _add_manager(resource, stored, names, base_url)
        elif projection.shows("members"):
            _add_members(resource, store.members(stored.id), base_url)
        result.append(resource if projection.is_everything else projection.apply(resource))
    return result


def _resource(stored: Stored, base_url: str) -> dict[str, Any]:
    body = stored.resource
    return {
        "schemas": schemas_of(RESOURCE_TYPES[stored.type], body),
        "id": stored.id,
        **body,
        "meta": {
            "resourceType": stored.type,
            "created": stored.created_at,
            "lastModified": stored.modified_at,
            "location": location_of(stored, base_url),
            "version": etag_of(stored),
        },
    }


def _add_groups(resource: dict[str, Any], groups: Sequence[tuple[str, str]], base_url: str) -> None:
    if groups:
        resource["groups"] = [
            {"value": id_, "$ref": f"{base_url}/Groups/{id_}", "display": name, "type": "direct"}
            for id_, name in groups
        ]


def _add_members(resource: dict[str, Any], members: Sequence[tuple[str, str, str]], base_url: str) -> None:
    if members:
        resource["members"] = [
            {
                "value": id_,
                "$ref": f"{base_url}{RESOURCE_TYPES[type_].endpoint}/{id_}",
                "type": type_,
                **({"display": display} if display else {}),
            }
            for id_, type_, display in members
        ]


def _add_manager(resource: dict[str, Any], stored: Stored, names: dict[str, str | None], base_url: str) -> None:
    """`$ref` and `displayName` are the server's; a manager who is not here keeps the bare value (REQ-S-283)."""
    if stored.manager_id in names:
        manager = {"value": stored.manager_id, "$ref": f"{base_url}/Users/{stored.manager_id}"}
        name = names[stored.manager_id]
        if name is not None:
            manager["displayName"] = name
        resource[ENTERPRISE_URN] = {**resource[ENTERPRISE_URN], "manager": manager}
