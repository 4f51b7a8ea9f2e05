"""The application gallery: what can be added to the tenant with a few clicks, and the entry for everything else."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import msgspec
import orjson

from joiner.errors import NotFoundError
from joiner.ids import derived_id

NON_GALLERY_ID: Final = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"
"""The template of applications that are not in the gallery; the same id as in the real service."""


class ApplicationTemplate(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the gallery."""

    id: str
    key: str
    """Short stable name, for example `alvao`."""
    display_name: str
    publisher: str
    description: str
    home_page_url: str | None
    details: Mapping[str, Any]
    """The whole entry: credential fields, attributes, notes."""


def template_id_of(key: str) -> str:
    """The id that the gallery gives to the entry with this key."""
    return derived_id("application template", key)


@cache
def gallery() -> Mapping[str, ApplicationTemplate]:
    """Id → entry, in the gallery's order; the one for non-gallery applications is last."""
    document = orjson.loads(files("joiner.directory").joinpath("data/gallery.json").read_bytes())
    entries = [_entry(details) for details in document["applications"]]
    entries.append(
        ApplicationTemplate(
            id=NON_GALLERY_ID,
            key="custom",
            display_name="Custom",
            publisher="",
            description="Any application with a SCIM 2.0 endpoint that is not in the gallery.",
            home_page_url=None,
            details={},
        )
    )
    return {entry.id: entry for entry in entries}


def find_template(name: str) -> ApplicationTemplate:
    """By id, key, or display name in any case. Raises NotFoundError with the names that there are."""
    wanted = name.strip().casefold()
    for entry in gallery().values():
        if wanted in (entry.id, entry.key, entry.display_name.casefold()):
            return entry
    known = ", ".join(entry.display_name for entry in gallery().values())
    raise NotFoundError(f"the gallery has no application '{name}'; it has {known}")


def _entry(details: Mapping[str, Any]) -> ApplicationTemplate:
    return ApplicationTemplate(
        id=template_id_of(details["id"]),
        key=details["id"],
        display_name=details["name"],
        publisher=details["publisher"],
        description=details["description"],
        home_page_url=details["homepage"],
        details=details,
    )
