"""Finds what people name: applications, jobs, users and groups by name or id, with an error that says what there is."""

import difflib
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from joiner.cli.client import ApiError, Client
from joiner.errors import InvalidValueError, NotFoundError

SERVICE_PRINCIPALS: Final = "/v1.0/servicePrincipals"
NOT_FOUND: Final = 404
SHOWN: Final = 10

Document = Mapping[str, Any]


class FoundJob(msgspec.Struct, frozen=True):
    """A job with its application."""

    application: Document
    job: Document

    @property
    def path(self) -> str:
        """Its address in the API."""
        return f"{jobs_path(self.application)}/{self.job['id']}"


async def find_connection(client: Client, application: Document) -> dict[str, str]:
    """What is stored of how the application is reached and who is in scope; secret values are masked."""
    secrets = (await client.get(f"{synchronization_path(application)}/secrets"))["value"]
    return {pair["key"]: pair["value"] for pair in secrets}


def scope_of(connection: Mapping[str, str]) -> str:
    """Who is in scope, in words."""
    is_all = connection.get("SyncAll", "false").lower() == "true"
    return "all users and groups" if is_all else "only assigned users and groups"


def literal(text: str) -> str:
    """The text as a string of a `$filter`."""
    return "'" + text.replace("'", "''") + "'"


def synchronization_path(application: Document) -> str:
    return f"{SERVICE_PRINCIPALS}/{application['id']}/synchronization"


def jobs_path(application: Document) -> str:
    return f"{synchronization_path(application)}/jobs"


async def find_template(client: Client, name: str) -> Document:
    """The gallery's entry of this name or id. Raises NotFoundError with names that resemble it."""
    templates = await client.every("/v1.0/applicationTemplates")
    wanted = name.strip().casefold()
    for template in templates:
        if wanted in (template["displayName"].casefold(), template["id"].casefold()):
            return template
    known = [template["displayName"] for template in templates]
    raise NotFoundError(
        f"the gallery has no application '{name}'{_similar(name, known)}; `joiner app list --gallery` lists them, and"
        f" one that is not there is added by: joiner app add Custom --name {shlex.quote(name)}"
    )


async def find_application(client: Client, name: str) -> Document:
    """The application with this display name or id. Raises NotFoundError."""
    found = await client.every(SERVICE_PRINCIPALS, filter=f"displayName eq {literal(name)}")
    if found:
        return found[0]
    applications = await client.every(SERVICE_PRINCIPALS)
    for application in applications:
        if name.casefold() in (application["id"].casefold(), application["appId"].casefold()):
            return application
    known = [application["displayName"] for application in applications]
    raise NotFoundError(f"there is no application '{name}'; {_there_are(known, 'joiner app add NAME')}")


async def find_job(client: Client, name: str) -> FoundJob:
    """The job with this id, or the one job of the application with this name.

    Raises NotFoundError, InvalidValueError if the application has several.
    """
    applications = await client.every(SERVICE_PRINCIPALS)
    for application in applications:
        is_named = name.casefold() in (application["displayName"].casefold(), application["id"].casefold())
        # A job's id holds the template's, so that asking every application is needed only for an id.
        if not is_named and "." not in name:
            continue
        jobs = await client.every(jobs_path(application))
        for job in jobs:
            if job["id"] == name:
                return FoundJob(application, job)
        if is_named and len(jobs) == 1:
            return FoundJob(application, jobs[0])
        if is_named and jobs:
            ids = ", ".join(job["id"] for job in jobs)
            raise InvalidValueError(f"'{name}' has {len(jobs)} jobs; name one of them: {ids}")
        if is_named:
            raise NotFoundError(f"'{name}' has no job yet: joiner job create {shlex.quote(name)}")
    known = [application["displayName"] for application in applications]
    raise NotFoundError(f"there is no job or application '{name}'; {_there_are(known, 'joiner app add NAME')}")


async def find_principal(client: Client, name: str) -> tuple[str, Document]:
    """`User` or `Group`, and the document, of this user principal name, group name or id.

    Raises NotFoundError, InvalidValueError if several groups have the name.
    """
    if not name:
        raise InvalidValueError("'' is no user or group")
    groups = await client.every("/v1.0/groups", filter=f"displayName eq {literal(name)}")
    if len(groups) > 1:
        ids = ", ".join(group["id"] for group in groups)
        raise InvalidValueError(f"{len(groups)} groups are named '{name}'; use an id: {ids}")
    if groups:
        return "Group", groups[0]
    for kind, path in (("User", "/v1.0/users"), ("Group", "/v1.0/groups")):
        try:
            return kind, await client.get(f"{path}/{quote(name, safe='')}")
        except ApiError as error:
            if error.status != NOT_FOUND:
                raise
    raise NotFoundError(f"there is no user or group '{name}'")


def find_role(application: Document, name: str | None) -> str:
    """The id of the application's role; without a name that of its first role, or of Default Access.

    Raises NotFoundError with the roles that there are.
    """
    roles = [role for role in application.get("appRoles", ()) if role["isEnabled"]]
    if name is None:
        return roles[0]["id"] if roles else DEFAULT_ACCESS
    for role in [*roles, {"id": DEFAULT_ACCESS, "displayName": DEFAULT_ACCESS_NAME}]:
        value = str(role.get("value") or "")
        if name.casefold() in {role["id"], value.casefold(), role["displayName"].casefold()} - {""}:
            return str(role["id"])
    known = ", ".join([*(role["displayName"] for role in roles), DEFAULT_ACCESS_NAME])
    raise NotFoundError(f"'{application['displayName']}' has no role '{name}'; it has {known}")


def role_names(application: Document) -> dict[str, str]:
    """Id → name of the application's roles, Default Access included."""
    return {
        DEFAULT_ACCESS: DEFAULT_ACCESS_NAME,
        **{role["id"]: role["displayName"] for role in application.get("appRoles", ())},
    }


DEFAULT_ACCESS: Final = "00000000-0000-0000-0000-000000000000"
DEFAULT_ACCESS_NAME: Final = "Default Access"


def _similar(name: str, known: Iterable[str]) -> str:
    by_key = {entry.casefold(): entry for entry in known}
    close = difflib.get_close_matches(name.casefold(), by_key, n=3, cutoff=0.5)
    return f" (did you mean {' or '.join(by_key[key] for key in close)}?)" if close else ""


def _there_are(known: list[str], otherwise: str) -> str:
    if not known:
        return f"there are none yet: {otherwise}"
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"there are {', '.join(known[:SHOWN])}{more}"
