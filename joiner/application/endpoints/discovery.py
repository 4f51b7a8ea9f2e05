"""What the endpoint says of itself: ServiceProviderConfig, ResourceTypes, Schemas (RFC 7644 §4), and OpenAPI."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import joiner
from joiner.application.endpoints.requests import MOST_BULK_BYTES
from joiner.application.resources.service import DEFAULT_COUNT, Caller
from joiner.application.search.cursors import LIFETIME as CURSOR_LIFETIME
from joiner.scim.discovery import resource_type_document, schema_document, service_provider_config
from joiner.scim.errors import ResourceNotFoundError
from joiner.scim.messages import list_response
from joiner.scim.openapi import Service, openapi_document

Document = dict[str, Any]
OPENAPI: Final = "openapi.json"


def _service_provider_config(caller: Caller, name: str | None) -> Document:
    _refuse_more(name)
    settings = caller.connection.settings
    return service_provider_config(
        caller.base.url,
        most_results=settings.most_results,
        default_results=DEFAULT_COUNT,
        cursor_seconds=int(CURSOR_LIFETIME.total_seconds()),
        most_operations=settings.most_operations,
        most_bytes=MOST_BULK_BYTES,
    )


def _resource_types(caller: Caller, name: str | None) -> Document:
    registry, url = caller.connection.registry, caller.base.url
    if name is None:
        return _listed([resource_type_document(each, url) for each in registry.resource_types])
    found = next((each for each in registry.resource_types if each.name.lower() == name.lower()), None)
    if found is None:
        raise ResourceNotFoundError(f"there is no resource type '{name[:100]}'")
    return resource_type_document(found, url)


def _schemas(caller: Caller, name: str | None) -> Document:
    registry, url = caller.connection.registry, caller.base.url
    if name is None:
        return _listed([schema_document(each, url) for each in registry.schemas])
    found = next((each for each in registry.schemas if each.id.lower() == name.lower()), None)
    if found is None:
        raise ResourceNotFoundError(f"there is no schema '{name[:200]}'")
    return schema_document(found, url)


def _openapi(caller: Caller, name: str | None) -> Document:
    _refuse_more(name)
    settings, url = caller.connection.settings, caller.base.url
    service = Service(
        url=url,
        token_url=f"{url.removesuffix('/v2').removesuffix('/scim')}/oauth/token",
        version=joiner.__version__,
        strict=settings.strict,
        patch_response=settings.patch_response,
        most_operations=settings.most_operations,
    )
    return openapi_document(caller.connection.registry, service)


DISCOVERY: Final[Mapping[str, Callable[[Caller, str | None], Document]]] = {
    "serviceproviderconfig": _service_provider_config,
    "resourcetypes": _resource_types,
    "schemas": _schemas,
    OPENAPI: _openapi,
}
"""First segment of the path in lower case → the document, given the second segment. Raises ResourceNotFoundError."""


def _listed(documents: list[Document]) -> Document:
    return list_response(len(documents), 1, documents)


def _refuse_more(name: str | None) -> None:
    if name is not None:
        raise ResourceNotFoundError("there is no such endpoint")
