"""Resources and types that PATCH is proved on, and how a test patches."""

import copy
from typing import Any

from joiner.scim.core import COMMON, ENTERPRISE_URN, USERS
from joiner.scim.messages import PATCH_OP, parse_patch
from joiner.scim.patches import Patched, apply_patch
from joiner.scim.schemas import Attribute, ResourceType, Schema

USER: dict[str, Any] = {
    "userName": "iris.holm@delta.example",
    "externalId": "iholm",
    "active": True,
    "displayName": "Iris Holm",
    "title": "Planner",
    "name": {"givenName": "Iris", "familyName": "Holm"},
    "emails": [
        {"type": "work", "value": "iris@delta.example", "primary": True},
        {"type": "home", "value": "iris@home.example", "display": "Home"},
    ],
    "phoneNumbers": [{"type": "work", "value": "555-0100"}, {"type": "work", "value": "555-0101"}],
    "roles": [{"value": "clerk"}, {"value": "clerk", "type": "night"}],
    ENTERPRISE_URN: {"department": "Roads", "manager": {"value": "u-1", "$ref": "../Users/u-1"}},
}

SHELF_URN = "urn:example:params:scim:schemas:extension:1.5:Shelf"
NOTES_URN = "urn:example:params:scim:schemas:extension:1.5:Notes"
THING_URN = "urn:example:params:scim:schemas:core:1.5:Thing"
THINGS = ResourceType(
    "Thing",
    "/Things",
    "Something that is kept",
    Schema(
        THING_URN,
        "Thing",
        "",
        (
            Attribute("label", required=True),
            Attribute("serial", mutability="immutable"),
            Attribute("made", mutability="readOnly"),
            Attribute("pin", mutability="writeOnly", returned="never"),
            Attribute("tags", multi_valued=True),
            Attribute("sizes", "integer", multi_valued=True),
            Attribute("marks", multi_valued=True, required=True),
            Attribute("stamps", multi_valued=True, mutability="immutable"),
            Attribute("weight", "decimal"),
            Attribute("count", "integer"),
            Attribute("bought", "dateTime"),
            Attribute("picture", "binary", case_exact=True),
            Attribute(
                "owner",
                "complex",
                sub_attributes=(
                    Attribute("value", mutability="immutable"),
                    Attribute("note"),
                    Attribute("since", mutability="readOnly"),
                    Attribute("aliases", multi_valued=True),
                ),
            ),
            Attribute(
                "origin",
                "complex",
                mutability="immutable",
                sub_attributes=(Attribute("country"), Attribute("town")),
            ),
            Attribute(
                "screws",
                "complex",
                multi_valued=True,
                sub_attributes=(
                    Attribute("value", required=True, mutability="immutable"),
                    Attribute("type"),
                    Attribute("length", "integer"),
                    Attribute("checked", mutability="readOnly"),
                    Attribute("primary", "boolean"),
                ),
            ),
            Attribute(
                "box", "complex", sub_attributes=(Attribute("colour", required=True), Attribute("full", "boolean"))
            ),
        ),
    ),
    (
        Schema(
            SHELF_URN,
            "Shelf",
            "",
            (
                Attribute("row", required=True),
                Attribute("place", "integer"),
                Attribute("room"),
                Attribute("counted", mutability="readOnly"),
            ),
        ),
        Schema(
            NOTES_URN,
            "Notes",
            "",
            (Attribute("first", mutability="immutable"), Attribute("room"), Attribute("seal", returned="never")),
        ),
    ),
    COMMON,
)
THING: dict[str, Any] = {
    "label": "Lamp",
    "marks": ["x"],
    "serial": "S-1",
    "made": "in the east",
    "stamps": ["a", "b"],
    "tags": ["old", "loud"],
    "owner": {"value": "u-1", "note": "lent"},
    "origin": {"country": "NO"},
    "screws": [
        {"value": "m3", "type": "wood", "length": 10, "checked": "today"},
        {"value": "m4", "type": "iron"},
    ],
    SHELF_URN: {"row": "A", "place": 3, "counted": "today"},
    NOTES_URN: {"first": "bought"},
}


def patch(resource_type: ResourceType, resource: dict[str, Any], *operations: Any, strict: bool = False) -> Patched:
    """What the operations make of the resource, which has to stay as it is."""
    before = copy.deepcopy(resource)
    body = {"schemas": [PATCH_OP], "Operations": list(operations)}
    try:
        return apply_patch(resource_type, resource, parse_patch(body, strict=strict), strict=strict)
    finally:
        assert resource == before


def patch_user(*operations: Any, strict: bool = False) -> dict[str, Any]:
    return patch(USERS, USER, *operations, strict=strict).resource


def patch_thing(*operations: Any, strict: bool = False) -> dict[str, Any]:
    return patch(THINGS, THING, *operations, strict=strict).resource


def without(resource: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in names}
