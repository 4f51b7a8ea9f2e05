"""`…/synchronization/jobs/{id}/schema` and `…/templates/{id}/schema`: documents, attribute lists, trying expressions.

Shapes are Graph's; what begins with `joiner.` are our own actions.
"""

import secrets
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.clock import system_clock
from joiner.errors import InvalidValueError
from joiner.expressions.environment import Environment
from joiner.expressions.function import Function
from joiner.expressions.functions import FUNCTIONS
from joiner.graph.actors import actor_of
from joiner.graph.errors import GraphError
from joiner.graph.http import body_text, collection, endpoint, json_body, json_response, no_content
from joiner.provisioning.administration.schemas import Schemas, directories_of, directory_by_id
from joiner.provisioning.administration.service import ProvisioningService
from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.document.text import read_document, write_document
from joiner.provisioning.document.trial import try_expression
from joiner.provisioning.mapping.schema import AttributeDefinition, ObjectDefinition, SynchronizationSchema
from joiner.provisioning.mapping.scoping import OPERATORS, Operator
from joiner.provisioning.mapping.shape import Problem, read_shape

T = TypeVar("T", bound=msgspec.Struct)

MOST_BYTES: Final = 8 * 1024 * 1024
GRAPH_TYPES: Final = {"Any": "String", "Roles": "String"}
"""Kinds of parameters that Graph has no type for."""


class SchemaRoutes:
    """The routes over one service and its schemas."""

    def __init__(self, service: ProvisioningService, schemas: Schemas) -> None:
        self._service = service
        self._schemas = schemas

    def routes(self, prefix: str = "/servicePrincipals/{sp}/synchronization") -> list[Route]:
        job = f"{prefix}/jobs/{{job}}/schema"
        template = f"{prefix}/templates/{{template}}/schema"
        table = (
            (job, self.get, "GET"),
            (job, self.replace, "PUT"),
            # What the SDKs of v1.0 send in its place.
            (job, self.replace, "PATCH"),
            (job, self.restore, "DELETE"),
            (f"{job}/directories", self.directories, "GET"),
            (f"{job}/directories/{{directory}}", self.directory, "GET"),
            (f"{job}/directories/{{directory}}/discover", self.discover, "POST"),
            (f"{job}/joiner.check", self.check, "POST"),
            (f"{job}/joiner.versions", self.versions, "GET"),
            (f"{job}/joiner.versions/{{version}}", self.version, "GET"),
            (f"{job}/joiner.rollBack", self.roll_back, "POST"),
            (template, self.template, "GET"),
            *(
                (f"{schema}/{name}", respond, method)
                for schema in (job, template)
                for name, respond, method in (
                    ("parseExpression", self.parse_expression, "POST"),
                    ("filterOperators", self.filter_operators, "GET"),
                    ("functions", self.functions, "GET"),
                )
            ),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    # The document

    async def get(self, request: Request) -> Response:
        return json_response(request, orjson.Fragment(self._schemas.text(self._job_id(request))))

    async def replace(self, request: Request) -> Response:
        job_id = self._job_id(request)
        await self._schemas.replace(job_id, await sent_document(request), by=actor_of(request))
        return no_content(request)

    async def restore(self, request: Request) -> Response:
        await self._schemas.restore(self._job_id(request), actor_of(request))
        return no_content(request)

    async def check(self, request: Request) -> Response:
        """What is wrong with the document in the body, and what it would change."""
        job_id = self._job_id(request)
        report, changes = self._schemas.check(job_id, await sent_document(request))
        answer = {
            "errors": [_problem(problem) for problem in report.errors],
            "warnings": [_problem(problem) for problem in report.warnings],
            "changes": [change._asdict() for change in changes],
        }
        return json_response(request, answer)

    async def versions(self, request: Request) -> Response:
        found = self._schemas.versions(self._job_id(request))
        return collection(request, [{**msgspec.to_builtins(each), "version": each.name} for each in found])

    async def version(self, request: Request) -> Response:
        text = self._schemas.version_text(self._job_id(request), request.path_params["version"])
        return json_response(request, orjson.Fragment(text))

    async def roll_back(self, request: Request) -> Response:
        job_id = self._job_id(request)
        name = (await json_body(request)).get("version")
        if not isinstance(name, str):
            raise InvalidValueError("version is required")
        await self._schemas.roll_back(job_id, name, actor_of(request))
        return no_content(request)

    async def template(self, request: Request) -> Response:
        return json_response(request, self._document(request))

    # Attribute lists

    async def directories(self, request: Request) -> Response:
        return collection(request, [_plain(each) for each in directories_of(self._document(request))])

    async def directory(self, request: Request) -> Response:
        found = directory_by_id(self._document(request), request.path_params["directory"])
        return json_response(request, _plain(found))

    async def discover(self, request: Request) -> Response:
        """Reads the target's schemas; 200 with the directory as it is now."""
        job_id = self._job_id(request)
        try:
            directory_id = request.path_params["directory"]
            found, _ = await self._schemas.discover(job_id, directory_id, actor_of(request))
        except TargetError as error:
            raise GraphError(400, "DiscoveryFailed", error.reason) from None
        return json_response(request, _plain(found))

    # Expressions

    async def parse_expression(self, request: Request) -> Response:
        """200, also when the expression is wrong: the answer says so."""
        document = self._document(request)
        body = await json_body(request)
        text = body.get("expression")
        if not isinstance(text, str):
            raise InvalidValueError("expression is required")
        target = body.get("targetAttributeDefinition")
        given = body.get("testInputObject")
        definition = given.get("definition") if isinstance(given, Mapping) else None
        attributes = _properties(given.get("properties")) if isinstance(given, Mapping) else None
        trial = try_expression(
            text,
            attributes,
            _source_attributes(document, definition),
            None if target is None else _shaped(target, AttributeDefinition, "targetAttributeDefinition"),
            Environment(system_clock(), secrets.randbelow),
        )
        return json_response(request, msgspec.to_builtins(trial))

    async def filter_operators(self, request: Request) -> Response:
        self._document(request)
        return collection(request, [_operator(operator) for operator in OPERATORS.values()])

    async def functions(self, request: Request) -> Response:
        self._document(request)
        return collection(request, [_function(function) for function in FUNCTIONS.values()])

    # Parts

    def _document(self, request: Request) -> Mapping[str, Any]:
        """The document of the job or template. Raises NotFoundError."""
        if "job" in request.path_params:
            return self._schemas.document(self._job_id(request))
        return self._service.template(request.path_params["sp"], request.path_params["template"]).schema

    def _job_id(self, request: Request) -> str:
        """Raises NotFoundError."""
        return self._service.job(request.path_params["sp"], request.path_params["job"]).id


async def sent_document(request: Request) -> dict[str, Any]:
    """Raises GraphError if it is longer than any schema, InvalidValueError if it is no JSON object."""
    content = await body_text(request)
    if len(content) > MOST_BYTES:
        raise GraphError(413, "RequestTooLarge", f"A schema may have {MOST_BYTES} bytes.")
    return read_document(content)


def _problem(problem: Problem) -> dict[str, str]:
    return {"path": problem.path, "message": problem.message}


def _plain(document: Mapping[str, Any]) -> Any:
    return orjson.Fragment(write_document(document))


def _operator(operator: Operator) -> dict[str, Any]:
    return {
        "id": operator.name,
        "name": operator.name,
        "arity": operator.arity,
        "multivaluedComparisonType": "All",
        "supportedAttributeTypes": list(operator.types),
    }


def _function(function: Function) -> dict[str, Any]:
    return {
        "id": function.name,
        "name": function.name,
        "parameters": [
            {
                "name": parameter.name,
                "required": parameter.required,
                "allowMultipleOccurrences": parameter.repeats,
                "type": GRAPH_TYPES.get(parameter.kind, parameter.kind),
            }
            for parameter in function.parameters
        ],
    }


def _properties(pairs: Any) -> dict[str, Any]:
    """The test attributes of `[{key, value}]`. Raises InvalidValueError."""
    if pairs is None:
        return {}
    if not isinstance(pairs, list) or not all(
        isinstance(pair, Mapping) and isinstance(pair.get("key"), str) for pair in pairs
    ):
        raise InvalidValueError("testInputObject.properties must be a list of key and value")
    return {pair["key"]: pair.get("value") for pair in pairs}


def _source_attributes(document: Mapping[str, Any], definition: Any) -> Mapping[str, AttributeDefinition]:
    """Those of the object that the request defines, otherwise of the source's users and groups."""
    if definition is not None:
        given = _shaped(definition, ObjectDefinition, "testInputObject.definition")
        return {attribute.name: attribute for attribute in given.attributes}
    schema, _ = read_shape(document, SynchronizationSchema)
    found: dict[str, AttributeDefinition] = {}
    for rule in schema.synchronization_rules:
        for mapping in rule.object_mappings:
            source = schema.object_definition(rule.source_directory_name, mapping.source_object_name)
            for attribute in source.attributes if source is not None else ():
                found.setdefault(attribute.name, attribute)
    return found


def _shaped(value: Any, kind: type[T], place: str) -> T:
    shaped, problems = read_shape(value, kind)
    if problems:
        raise InvalidValueError(f"{place}.{problems[0]}" if problems[0].path else f"{place} {problems[0].message}")
    return shaped
