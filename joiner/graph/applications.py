"""`/applicationTemplates`, `/applications`, `/servicePrincipals` and who is assigned to them."""

import sqlite3
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from joiner.directory import applications
from joiner.directory.gallery import find_template, gallery
from joiner.directory.model import Assignment, ServicePrincipal
from joiner.directory.store import DirectoryStore
from joiner.errors import InvalidStateError, InvalidValueError
from joiner.graph import shapes
from joiner.graph.http import collection, endpoint, json_body, json_response, no_content, option, page_size
from joiner.graph.listing import list_documents, selected_document
from joiner.graph.names import APPLICATION_NAMES, TEMPLATE_NAMES
from joiner.provisioning.job.credentials import forget_credentials
from joiner.provisioning.job.provisioning_mode import forget_mode


class Applications:
    """The routes over one directory."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        principal = "/servicePrincipals/{sp}"
        table = (
            ("/applicationTemplates", self.list_templates, "GET"),
            ("/applicationTemplates/{id}", self.get_template, "GET"),
            ("/applicationTemplates/{id}/instantiate", self.instantiate, "POST"),
            ("/applications", self.list_applications, "GET"),
            ("/applications/{id}", self.get_application, "GET"),
            ("/servicePrincipals", self.list_principals, "GET"),
            (principal, self.get_principal, "GET"),
            (principal, self.delete_principal, "DELETE"),
            (f"{principal}/appRoleAssignedTo", self.list_assignments, "GET"),
            (f"{principal}/appRoleAssignedTo", self.assign, "POST"),
            (f"{principal}/appRoleAssignedTo/{{assignment}}", self.get_assignment, "GET"),
            (f"{principal}/appRoleAssignedTo/{{assignment}}", self.unassign, "DELETE"),
        )
        return [endpoint(path, function, method) for path, function, method in table]

    async def list_templates(self, request: Request) -> Response:
        documents = [shapes.template_document(template) for template in gallery().values()]
        return list_documents(request, documents, TEMPLATE_NAMES)

    async def get_template(self, request: Request) -> Response:
        return json_response(request, shapes.template_document(find_template(request.path_params["id"])))

    async def instantiate(self, request: Request) -> Response:
        template = find_template(request.path_params["id"])
        name = (await json_body(request)).get("displayName")
        if not isinstance(name, str):
            raise InvalidValueError("A value is required for property 'displayName'.")
        principal = await self._store.change(
            lambda connection, now: applications.add_service_principal(connection, template.id, name, now)
        )
        document = {
            "application": shapes.application_document(principal),
            "servicePrincipal": shapes.service_principal_document(principal),
        }
        return json_response(request, document, 201)

    async def list_applications(self, request: Request) -> Response:
        found = applications.service_principals(self._store.reader)
        return list_documents(request, [shapes.application_document(item) for item in found], APPLICATION_NAMES)

    async def get_application(self, request: Request) -> Response:
        principal = applications.application(self._store.reader, request.path_params["id"])
        document = shapes.application_document(principal)
        return json_response(request, selected_document(request, document, APPLICATION_NAMES))

    async def list_principals(self, request: Request) -> Response:
        found = applications.service_principals(self._store.reader)
        documents = [shapes.service_principal_document(item) for item in found]
        return list_documents(request, documents, APPLICATION_NAMES)

    async def get_principal(self, request: Request) -> Response:
        document = shapes.service_principal_document(self._principal(request))
        return json_response(request, selected_document(request, document, APPLICATION_NAMES))

    async def delete_principal(self, request: Request) -> Response:
        principal_id = self._principal(request).id

        def work(connection: sqlite3.Connection, now: str) -> None:
            if connection.execute("SELECT 1 FROM job WHERE service_principal_id = ?", (principal_id,)).fetchone():
                raise InvalidStateError("the application has provisioning jobs; delete them first")
            applications.delete_service_principal(connection, principal_id, now)
            forget_credentials(connection, principal_id)
            forget_mode(connection, principal_id)

        await self._store.change(work)
        return no_content(request)

    # Assignments

    async def list_assignments(self, request: Request) -> Response:
        principal = self._principal(request)
        top = page_size(request)
        found = applications.assignments_of(
            self._store.reader, principal.id, option(request, "$skiptoken") or "", top + 1
        )
        next_token = found[top - 1].id if len(found) > top else None
        return collection(request, self._documents(found[:top], principal), next_token)

    async def get_assignment(self, request: Request) -> Response:
        principal = self._principal(request)
        found = applications.assignment_by_id(self._store.reader, principal.id, request.path_params["assignment"])
        return json_response(request, self._documents([found], principal)[0])

    async def assign(self, request: Request) -> Response:
        principal = self._principal(request)
        body = await json_body(request)
        for name in ("principalId", "resourceId", "appRoleId"):
            if not isinstance(body.get(name), str):
                raise InvalidValueError(f"A value is required for property '{name}'.")
        if body["resourceId"] != principal.id:
            raise InvalidValueError("resourceId must be the service principal of the address.")

        def work(connection: sqlite3.Connection, now: str) -> Assignment:
            return applications.assign(connection, principal.id, body["principalId"], body["appRoleId"], now)

        assignment = await self._store.change(work)
        return json_response(request, self._documents([assignment], principal)[0], 201)

    async def unassign(self, request: Request) -> Response:
        principal_id, assignment_id = self._principal(request).id, request.path_params["assignment"]
        await self._store.change(
            lambda connection, now: applications.unassign(connection, principal_id, assignment_id, now)
        )
        return no_content(request)

    def _principal(self, request: Request) -> ServicePrincipal:
        """Raises NotFoundError."""
        return self._store.service_principal(request.path_params["sp"])

    def _documents(self, assignments: list[Assignment], principal: ServicePrincipal) -> list[dict[str, Any]]:
        ids = [assignment.principal_id for assignment in assignments]
        names = {user.id: str(user.attributes.get("displayName")) for user in self._store.users_by_id(ids).values()}
        names |= {group.id: group.display_name for group in self._store.groups_by_id(ids).values()}
        return [
            shapes.assignment_document(item, names.get(item.principal_id, ""), principal.display_name)
            for item in assignments
        ]
