"""`joiner app`: enterprise applications, their credentials, and who is assigned to them."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from joiner.cli.client import ApiError, Client
from joiner.cli.command import FAILED, command, fail_use
from joiner.cli.lookup import (
    SERVICE_PRINCIPALS,
    Document,
    find_application,
    find_connection,
    find_job,
    find_principal,
    find_role,
    find_template,
    jobs_path,
    role_names,
    scope_of,
    synchronization_path,
)
from joiner.cli.output import Output
from joiner.cli.plans import show_begun
from joiner.errors import InvalidValueError

app = typer.Typer(help="Enterprise applications: add, connect, assign.", no_args_is_help=True)

ALREADY_ASSIGNED: Final = "Permission being assigned already exists on the object"
TESTED: Final = " The connection was tested and works."
RESULTS: Final = {"passed": "passed", "failed": "FAILED", "notTried": "not tried"}

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
CredentialOption = Annotated[
    list[str] | None,
    typer.Option(
        "--credential",
        metavar="KEY=VALUE",
        help="Another credential, such as Oauth2ClientId=…; KEY=@FILE reads it from a file. May be repeated.",
    ),
]
UntestedOption = Annotated[
    bool, typer.Option("--untested", help="Keep the credentials without testing the connection.")
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
    credential: CredentialOption = None,
    untested: UntestedOption = False,
    scope: Annotated[Scope, SCOPE_OPTION] = "assigned",
) -> None:
    """Add an application from the gallery; with --tenant-url, test the connection and keep the credentials."""
    token = _secret(secret_token, secret_token_file, secret_token_stdin)
    credentials = _credentials(tenant_url, token, credential or [])
    if credentials and (tenant_url is None or len(credentials) == 1):
        fail_use("--tenant-url and a secret token, or other credentials, belong together")
    template = await find_template(client, name)
    application = await instantiate(client, template, display_name or template["displayName"])
    try:
        await connect_application(client, application, credentials, sync_all=scope == "all", tested=not untested)
    except ApiError:
        # All or nothing: the command can be given again with the right address and token.
        await client.delete(f"{SERVICE_PRINCIPALS}/{application['id']}")
        raise
    described = await describe(client, application)
    # What is taken away leaves nothing that could be tested.
    tested = TESTED if credentials and all(credentials.values()) and not untested else ""
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
    credential: CredentialOption = None,
    untested: UntestedOption = False,
    scope: Annotated[Scope | None, SCOPE_OPTION] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a narrower scope takes accounts away.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="With --scope: change nothing, say what would become of whom.")
    ] = False,
) -> None:
    """Enter new credentials, for example a rotated token, or another scope. The connection is tested first."""
    token = _secret(secret_token, secret_token_file, secret_token_stdin)
    credentials = _credentials(tenant_url, token, credential or [])
    if not credentials and scope is None:
        fail_use("nothing to change: give --tenant-url, a secret token, other credentials or --scope")
    if plan:
        if scope is None or credentials:
            fail_use("--plan goes with --scope alone")
        found = await find_job(client, name)
        await show_begun(client, output, found, await client.post(f"{found.path}/joiner.plan", {"scope": scope}))
        return
    application = await find_application(client, name)
    sync_all = None if scope is None else scope == "all"
    if scope == "assigned" and not yes:
        await _confirm_narrower_scope(client, application)
    await connect_application(client, application, credentials, sync_all=sync_all, tested=not untested)
    described = await describe(client, application)
    tested = TESTED if credentials and not untested else ""
    output.show(described, lambda out: out.say(f"Changed {described['displayName']}.{tested}"))


async def _confirm_narrower_scope(client: Client, application: Document) -> None:
    """Asks, where somebody can answer, before managed objects leave the scope (REQ-P-035)."""
    leaving = 0
    for job in await client.every(jobs_path(application)):
        leaving += (await client.get(f"{jobs_path(application)}/{job['id']}/joiner.narrowerScope"))["leaving"]
    if leaving and sys.stdin.isatty():
        question = f"{leaving} objects that are not assigned leave the scope in the next cycle. Go on?"
        typer.confirm(question, abort=True)


@command(app, "show")
async def show(client: Client, output: Output, name: AppArgument) -> None:
    """Show an application: credentials (masked), scope, assignments and jobs."""
    item = await describe(client, await find_application(client, name))
    output.show(item, lambda out: _show(out, item))


@command(app, "test")
async def test(client: Client, output: Output, name: AppArgument) -> None:
    """Test the connection with the stored credentials, check by check. Exit code 1 if one fails."""
    application = await find_application(client, name)
    tested = await client.post(f"{synchronization_path(application)}/joiner.testConnection", {})
    rows = [(check["name"], RESULTS[check["result"]], check.get("message", "")) for check in tested["checks"]]
    output.show(tested, lambda out: out.table(("check", "result", "cause"), rows))
    if any(check["result"] == "failed" for check in tested["checks"]):
        raise typer.Exit(FAILED)


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
    client: Client,
    application: Document,
    credentials: Mapping[str, str],
    *,
    sync_all: bool | None,
    tested: bool = True,
) -> None:
    """Stores what is given; the connection is tested first, together with what is stored already.

    Raises ApiError, and nothing is stored, if the target does not accept the credentials.
    """
    scope = {} if sync_all is None else {"SyncAll": str(sync_all).lower()}
    path = f"{synchronization_path(application)}/secrets"
    try:
        await client.put(f"{path}?joiner.test=true" if tested else path, {"value": _pairs({**credentials, **scope})})
    except ApiError as error:
        # The particulars are what `joiner app test` shows; the message names the check that failed.
        raise ApiError(error.status, str(error)) from None


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
    stored = await find_connection(client, application)
    assignments = await client.every(f"{SERVICE_PRINCIPALS}/{application['id']}/appRoleAssignedTo", top="999")
    mode = await client.get(f"{synchronization_path(application)}/joiner.provisioningMode")
    roles = role_names(application)
    jobs = await client.every(jobs_path(application))
    return {
        "id": application["id"],
        "appId": application["appId"],
        "displayName": application["displayName"],
        "provisioningMode": mode["provisioningMode"],
        "tenantUrl": stored.get("BaseAddress"),
        "hasSecretToken": "SecretToken" in stored,
        "scope": scope_of(stored),
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
            ("Provisioning Mode", item["provisioningMode"]),
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


def _credentials(tenant_url: str | None, token: str | None, others: list[str]) -> dict[str, str]:
    """The credentials by their keys. Ends the command for one that is not of the form KEY=VALUE."""
    found = {key: value for key, value in (("BaseAddress", tenant_url), ("SecretToken", token)) if value}
    for item in others:
        key, equals, value = item.partition("=")
        if not equals or not key:
            fail_use(f"'{item}' is not of the form KEY=VALUE")
        found[key] = _content(Path(value[1:])) if value.startswith("@") else value
    return found


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise InvalidValueError(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidValueError(f"{file} cannot be read: it is not UTF-8") from None


def _secret(token: str | None, file: Path | None, from_stdin: bool) -> str | None:
    """The secret token from wherever it was given. Ends the command if it was given twice or is empty."""
    if sum((token is not None, file is not None, from_stdin)) > 1:
        fail_use("give the secret token in one way only")
    if file is not None:
        token = _content(file)
    elif from_stdin:
        token = sys.stdin.readline()
    if token is not None and not token.strip():
        fail_use("the secret token is empty")
    return token.strip() if token is not None else None
