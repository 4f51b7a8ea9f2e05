"""What new jobs start with: the synchronizationSchema of each application that has one, and a generic one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from joiner.directory.gallery import template_id_of
from joiner.errors import NotFoundError

GENERIC: Final = "scim"
"""Id of the generic template; jobs of non-gallery applications start with it (REQ-P-009)."""
GENERIC_DIRECTORY: Final = "customappsso"


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


@cache
def templates() -> Mapping[str, Template]:
    """Id → template."""
    alvao = orjson.loads(files("joiner.provisioning").joinpath("data/alvao.json").read_bytes())
    generic = _with_addresses_in_place(_renamed(alvao, "ALVAO", GENERIC_DIRECTORY))
    return {
        "alvaoScim": Template("alvaoScim", "alvaoScim", "Users and groups to ALVAO", template_id_of("alvao"), alvao),
        GENERIC: Template(GENERIC, "CustomSCIM", "Users and groups to a SCIM 2.0 application", None, generic),
    }


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
