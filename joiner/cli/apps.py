"""`joiner app`: enterprise applications, their credentials, and who is assigned to them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from joiner.cli.client import ApiError, Client
from joiner.cli.command import command, fail_use
from joiner.cli.lookup import (
    SERVICE_PRINCIPALS,
    Document,
    find_application,
    find_principal,
    find_role,
    find_template,
    jobs_path,
    role_names,
    synchronization_path,
)
from joiner.cli.output import Output
from joiner.errors import InvalidValueError

app = typer.Typer(help="Enterprise applications: add, connect, assign.", no_args_is_help=True)

ALREADY_ASSIGNED: Final = "Permission being assigned already exists on the object"
SCOPES: Final = {"true": "all users and groups", "false": "only assigned users and groups"}

AppArgument = Annotated[str, typer.Argument(metavar="APP", help="The application's display name or id.")]
PrincipalsArgument = Annotated[
    list[str], typer.Argument(metavar="PRINCIPAL...", help="Users by user principal name, groups by name; or ids.")
]
TenantUrlOption = Annotated[str | None, typer.Option(metavar="URL", help="The application's SCIM endpoint.")]
SecretTokenOption = Annotated[
    str | None,
    typer.Option(
        metavar="TOKEN",
        envvar="JOINER_SECRET_TOKEN",
        help="Its secret token. Others on this machine can see arguments: better one of the next two.",
    ),
]
SecretTokenFileOption = Annotated[Path | None, typer.Option(metavar="FILE", help="Read the token from a file.")]
SecretTokenStdinOption = Annotated[
    bool, typer.Option("--secret-token-stdin", help="Read the token from the standard input.")
]
Scope = Literal["assigned", "all"]
SCOPE_OPTION: Final = typer.Option(help="Only assigned users and groups, or everyone.")


@command(app, "list")
async def list_applications(
    client: Client,
    output: Output,
    gallery: Annotated[bool, typer.Option("--gallery", help="Those that can be added instead.")] = False,
) -> None:
    """List the enterprise applications."""
    if gallery:
        templates = await client.every("/v1.0/applicationTemplates")
        rows = ((template["displayName"], template["publisher"], template["description"]) for template in templates)
        output.show(templates, lambda out: out.table(("application", "publisher", "what it is"), rows))
        return
    applications = [await describe(client, found) for found in await client.every(SERVICE_PRINCIPALS)]
    columns = ("application", "tenant URL", "scope", "assigned#", "job", "id")
    lines = (
        (
            item["displayName"],
            item["tenantUrl"],
            item["scope"],
            len(item["assignments"]),
            ", ".join(job["state"] for job in item["jobs"]) or "none",
            item["id"],
        )
        for item in applications
    )
    output.show(applications, lambda out: out.table(columns, lines, empty="No applications yet: joiner app add NAME"))


@command(app, "add")
async def add(
    client: Client,
    output: Output,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The application's name in the gallery.")],
    display_name: Annotated[str | None, typer.Option("--name", metavar="DISPLAY", help="Another display name.")] = None,
    tenant_url: TenantUrlOption = None,
    secret_token: SecretTokenOption = None,
    secret_token_file: SecretTokenFileOption = None,
    secret_token_stdin: SecretTokenStdinOption = False,
    scope: Annotated[Scope, SCOPE_OPTION] = "assigned",
) -> None:
    """Add an application from the gallery; with --tenant-url, test the connection and keep the credentials."""
    token = _secret(secret_token, secret_token_file, secret_token_stdin)
    if (tenant_url is None) != (token is None):
        fail_use("--tenant-url and a secret token belong together")
    template = await find_template(client, name)
    application = await instantiate(client, template, display_name or template["displayName"])
    try:
        await connect_application(client, application, tenant_url, token, sync_all=scope == "all")
    except ApiError:
        # All or nothing: the command can be given again with the right address and token.
        await client.delete(f"{SERVICE_PRINCIPALS}/{application['id']}")
        raise
    described = await describe(client, application)
    tested = " The connection was tested and works." if token else ""
    output.show(described, lambda out: out.say(f"Added {described['displayName']}.{tested}"))


@command(app, "connect")
async def connect(
    client: Client,
    output: Output,
    name: AppArgument,
    tenant_url: TenantUrlOption = None,
    secret_token: SecretTokenOption = None,
    secret_token_file: SecretTokenFileOption = None,
    secret_token_stdin: SecretTokenStdinOption = False,
    scope: Annotated[Scope | None, SCOPE_OPTION] = None,
) -> None:
    """Enter new credentials, for example a rotated token, or another scope. The connection is tested first."""
    token = _secret(secret_token, secret_token_file, secret_token_stdin)
    if tenant_url is None and token is None and scope is None:
        fail_use("nothing to change: give --tenant-url, a secret token or --scope")
    application = await find_application(client, name)
    sync_all = None if scope is None else scope == "all"
    await connect_application(client, application, tenant_url, token, sync_all=sync_all)
    described = await describe(client, application)
    tested = " The connection was tested and works." if token or tenant_url else ""
    output.show(described, lambda out: out.say(f"Changed {described['displayName']}.{tested}"))


@command(app, "show")
async def show(client: Client, output: Output, name: AppArgument) -> None:
    """Show an application: credentials (masked), scope, assignments and jobs."""
    item = await describe(client, await find_application(client, name))
    output.show(item, lambda out: _show(out, item))


@command(app, "assign")
async def assign(
    client: Client,
    output: Output,
    name: AppArgument,
    principals: PrincipalsArgument,
    role: Annotated[
        str | None,
        typer.Option(metavar="ROLE", help="The role to give. [default: the application's first role]"),
    ] = None,
) -> None:
    """Assign users and groups. A group's direct members come with it."""
    application = await find_application(client, name)
    role_id = find_role(application, role)
    # Everybody is found before anybody is assigned: a mistyped name changes nothing.
    found = [await find_principal(client, principal) for principal in principals]
    results = [
        {
            "principalType": kind,
            "displayName": principal["displayName"],
            "id": principal["id"],
            "assigned": await assign_principal(client, application, principal["id"], role_id),
        }
        for kind, principal in found
    ]

    def view(out: Output) -> None:
        for result in results:
            said = "is now assigned" if result["assigned"] else "was already assigned"
            kind = str(result["principalType"]).lower()
            out.say(f"The {kind} {result['displayName']} {said} to {application['displayName']}.")

    output.show(results, view)


@command(app, "unassign")
async def unassign(client: Client, output: Output, name: AppArgument, principals: PrincipalsArgument) -> None:
    """Take assignments away, whatever their role. Accounts are disabled by the next cycle, not deleted."""
    application = await find_application(client, name)
    path = f"{SERVICE_PRINCIPALS}/{application['id']}/appRoleAssignedTo"
    assignments = await client.every(path, top="999")
    chosen: list[dict[str, Any]] = []
    for principal in principals:
        _, found = await find_principal(client, principal)
        own = [item for item in assignments if item["principalId"] == found["id"]]
        if not own:
            raise InvalidValueError(f"'{principal}' is not assigned to {application['displayName']}")
        chosen += own
    for assignment in chosen:
        await client.delete(f"{path}/{assignment['id']}")

    def view(out: Output) -> None:
        for assignment in chosen:
            kind = assignment["principalType"].lower()
            out.say(f"The {kind} {assignment['principalDisplayName']} is no longer assigned.")

    output.show(chosen, view)


async def instantiate(client: Client, template: Document, display_name: str) -> Document:
    """Adds the application to the tenant and returns its service principal."""
    made = await client.post(f"/v1.0/applicationTemplates/{template['id']}/instantiate", {"displayName": display_name})
    principal: Document = made["servicePrincipal"]
    return principal


async def connect_application(
    client: Client, application: Document, tenant_url: str | None, token: str | None, *, sync_all: bool | None
) -> None:
    """Stores what is given; credentials are tested first, together with those that are stored already.

    Raises ApiError, and nothing is stored, if the target does not accept them.
    """
    given = {
        "BaseAddress": tenant_url,
        "SecretToken": token,
        "SyncAll": None if sync_all is None else str(sync_all).lower(),
    }
    pairs = {key: value for key, value in given.items() if value}
    if tenant_url is not None or token is not None:
        await test_connection(client, application, pairs)
    path = f"{synchronization_path(application)}/secrets"
    await client.put(path, {"value": _pairs(pairs)})


async def test_connection(client: Client, application: Document, credentials: Mapping[str, str]) -> None:
    """Test Connection. Raises ApiError with the reason in words."""
    path = f"{jobs_path(application)}/validateCredentials"
    await client.post(path, {"useSavedCredentials": False, "credentials": _pairs(credentials)})


async def assign_principal(client: Client, application: Document, principal_id: str, role_id: str) -> bool:
    """Assigns a user or group; False if it is already."""
    body = {"principalId": principal_id, "resourceId": application["id"], "appRoleId": role_id}
    try:
        await client.post(f"{SERVICE_PRINCIPALS}/{application['id']}/appRoleAssignedTo", body)
    except ApiError as error:
        if ALREADY_ASSIGNED not in str(error):
            raise
        return False
    return True


async def describe(client: Client, application: Document) -> dict[str, Any]:
    """What the commands show of an application."""
    secrets = (await client.get(f"{synchronization_path(application)}/secrets"))["value"]
    stored = {pair["key"]: pair["value"] for pair in secrets}
    assignments = await client.every(f"{SERVICE_PRINCIPALS}/{application['id']}/appRoleAssignedTo", top="999")
    roles = role_names(application)
    jobs = await client.every(jobs_path(application))
    return {
        "id": application["id"],
        "appId": application["appId"],
        "displayName": application["displayName"],
        "tenantUrl": stored.get("BaseAddress"),
        "hasSecretToken": "SecretToken" in stored,
        "scope": SCOPES[stored.get("SyncAll", "false").lower()],
        "roles": [role["displayName"] for role in application.get("appRoles", ())],
        "assignments": [
            {
                "id": assignment["id"],
                "principalId": assignment["principalId"],
                "principalType": assignment["principalType"],
                "displayName": assignment["principalDisplayName"],
                "role": roles.get(assignment["appRoleId"], assignment["appRoleId"]),
            }
            for assignment in assignments
        ],
        "jobs": [{"id": job["id"], "state": job["status"]["code"]} for job in jobs],
    }


def _show(output: Output, item: dict[str, Any]) -> None:
    output.say(item["displayName"], style="bold")
    output.fields(
        [
            ("Tenant URL", item["tenantUrl"] or "not entered yet"),
            ("Secret Token", "********" if item["hasSecretToken"] else "not entered yet"),
            ("Scope", item["scope"]),
            ("Roles", ", ".join(item["roles"])),
            ("Job", ", ".join(f"{job['id']} ({job['state']})" for job in item["jobs"]) or "none yet"),
            ("Id", item["id"]),
        ]
    )
    output.say("")
    rows = ((each["principalType"].lower(), each["displayName"], each["role"]) for each in item["assignments"])
    output.table(("assigned", "name", "role"), rows, empty="Nobody is assigned yet: joiner app assign")


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _secret(token: str | None, file: Path | None, from_stdin: bool) -> str | None:
    """The secret token from wherever it was given. Ends the command if it was given twice or is empty."""
    if sum((token is not None, file is not None, from_stdin)) > 1:
        fail_use("give the secret token in one way only")
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidValueError(f"{file} cannot be read: {error}") from None
    elif from_stdin:
        token = sys.stdin.readline()
    if token is not None and not token.strip():
        fail_use("the secret token is empty")
    return token.strip() if token is not None else None
