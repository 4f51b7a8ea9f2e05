"""What new jobs start with: the synchronizationSchema of each application that has one, and a generic one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

import orjson

from joiner.directory.gallery import template_id_of
from joiner.errors import NotFoundError

GENERIC: Final = "scim"
"""Id of the generic template; jobs of non-gallery applications start with it (REQ-P-009)."""
GENERIC_DIRECTORY: Final = "customappsso"
UPLOADS: Final = "API2AAD"
"""Id of the template whose jobs take uploads."""


Source = Literal["directory", "uploads", "endpoint"]
"""Where a job's objects come from: our directory, which makes it an outbound job; what a system of record uploads, or
what is read from a SCIM endpoint, which make it an inbound one, whose target is our directory."""


@dataclass(frozen=True, slots=True)
class Template:
    """One synchronizationTemplate with its schema document."""

    id: str
    factory_tag: str
    description: str
    application_template_id: str | None
    """The gallery entry it belongs to; None: every application."""
    schema: Mapping[str, Any]
    default: bool = True
    source: Source = "directory"


@cache
def templates() -> Mapping[str, Template]:
    """Id → template."""
    alvao, inbound = _document("alvao"), _document("inbound")
    generic = _with_addresses_in_place(_renamed(alvao, "ALVAO", GENERIC_DIRECTORY))
    offered = (
        Template("alvaoScim", "alvaoScim", "Users and groups to ALVAO", template_id_of("alvao"), alvao),
        Template(GENERIC, "CustomSCIM", "Users and groups to a SCIM 2.0 application", None, generic),
        Template(
            UPLOADS, UPLOADS, "Users that a system of record uploads, to this directory",
            template_id_of("api2aad"), inbound, source="uploads",
        ),
        Template(
            "SCIM2AAD", "SCIM2AAD", "Users of a SCIM 2.0 endpoint, to this directory",
            template_id_of("scim2aad"), _known_by_id(_renamed(inbound, "API", "SCIM")), source="endpoint",
        ),
    )  # fmt: skip
    return {template.id: template for template in offered}


def template_by_id(template_id: str) -> Template:
    """Raises NotFoundError."""
    template = templates().get(template_id)
    if template is None:
        raise NotFoundError(f"there is no synchronization template '{template_id}'")
    return template


def templates_of(application_template_id: str) -> tuple[Template, ...]:
    """What jobs of an application can be made from: its own template if it has one, else the generic one."""
    own = tuple(t for t in templates().values() if t.application_template_id == application_template_id)
    return own or (templates()[GENERIC],)


def source_of(template_id: str) -> Source:
    """Where the objects of a job come from; those of a template that is not known any more, from the directory."""
    template = templates().get(template_id)
    return "directory" if template is None else template.source


def _document(name: str) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(files("joiner.provisioning").joinpath(f"data/{name}.json").read_bytes())
    return document


def _renamed(document: Any, old: str, new: str) -> Any:
    """The document with the target directory's name replaced, wherever it stands."""
    if isinstance(document, dict):
        return {key: _renamed(value, old, new) for key, value in document.items()}
    if isinstance(document, list):
        return [_renamed(item, old, new) for item in document]
    if isinstance(document, str):
        return new if document == old else document.replace(f" to {old}", f" to {new}")
    return document


def _with_addresses_in_place(document: Any) -> Any:
    """ALVAO takes the country from `region` and keeps what is in `country` elsewhere; other applications mean what the
    names say (RFC 7643 §4.1.2)."""
    flows = [
        flow
        for rule in document["synchronizationRules"]
        for mapping in rule["objectMappings"]
        for flow in mapping["attributeMappings"]
    ]
    by_target = {flow["targetAttributeName"]: flow for flow in flows}
    region, country = (by_target[f'addresses[type eq "work"].{name}'] for name in ("region", "country"))
    region["source"], country["source"] = country["source"], region["source"]
    return document


def _known_by_id(document: Any) -> Any:
    """An endpoint's users are told apart by the id that it gives them, and managers are named by it (RFC 7643 §4.3)."""
    [source, _] = document["directories"]
    for attribute in source["objects"][0]["attributes"]:
        attribute["anchor"] = attribute["name"] == "id"
    return {**document, "id": "SCIM2AAD"}
