"""The steps of the tutorial: each does one thing through the API, tells it, and returns what the next ones need."""

from pathlib import Path
from typing import Any, Final

from joiner.cli import apps, cycles, jobs
from joiner.cli.client import ApiError, Client
from joiner.cli.directory import import_csv, import_example
from joiner.cli.lookup import Document, find_role, find_template, jobs_path
from joiner.cli.tutorial_cast import Cast, Choice, Company, Group, Person
from joiner.cli.tutorial_story import Story
from joiner.errors import InvalidStateError

APPLICATION: Final = "ALVAO"
WRONG_TOKEN: Final = "a-mistyped-token"  # noqa: S105 - it opens nothing, which is the point
USER_FIELDS: Final = (
    "id,userPrincipalName,displayName,accountEnabled,userType,department,jobTitle,city,country,state,streetAddress,"
    "postalCode,companyName,officeLocation"
)
ARROW: Final = " ← "
GROUPS_NAMED: Final = 6
WARNINGS_SHOWN: Final = 5


async def make_token(story: Story, client: Client) -> str:
    """Step 1: the application's administrator makes a secret token."""
    story.step("The application")
    story.tell(f"{APPLICATION} waits for accounts at its SCIM endpoint, the Tenant URL:")
    story.line(f"{client.origin}/scim")
    made: dict[str, str] = await client.post("/app/api/tokens", {"connection": "tutorial"})
    token = made["token"]
    story.tell(f"Its administrator generates a Secret Token, which is shown once: {token[:14]}…{made['hint']}")
    return token


async def import_people(story: Story, client: Client, users: Path | None, groups: Path | None) -> Company:
    """Step 2: the directory is filled."""
    story.step("The directory")
    if users is None and groups is None:
        report = await import_example(client)
        story.tell("Imported the example company, Fjordlight Logistics.")
    else:
        report = await import_csv(client, users, groups, skip_bad_rows=False)
        story.tell(f"Imported {' and '.join(str(path) for path in (users, groups) if path)}.")
    for warning in report["warnings"][:WARNINGS_SHOWN]:
        story.tell(f"Look at {warning}", style="yellow")
    company = await read_company(client)
    if not company.people:
        raise InvalidStateError("the file has no users")
    people = company.people
    departments = {person.department for person in people} - {""}
    countries = {person.properties.get("country") for person in people} - {None, ""}
    guests, disabled = (sum(flags) for flags in zip(*((p.is_guest, not p.is_active) for p in people), strict=True))
    story.tell(
        f"It has {len(people)} users ({guests} guests, {disabled} disabled) in {len(departments)} departments and"
        f" {len(countries)} countries, and {len(company.groups)} groups."
    )
    return company


async def read_company(client: Client) -> Company:
    """The directory as the cast is chosen from it."""
    people = [_person(user) async for user in client.items("/v1.0/users", select=USER_FIELDS, top="999")]
    groups: list[Group] = []
    async for group in client.items("/v1.0/groups", select="id,displayName", top="999"):
        members = await client.every(f"/v1.0/groups/{group['id']}/members", select="id", top="999")
        user_ids = frozenset(member["id"] for member in members if member["@odata.type"].endswith(".user"))
        groups.append(Group(id=group["id"], name=group["displayName"], user_ids=user_ids))
    return Company(
        tuple(sorted(people, key=lambda person: person.name.lower())),
        tuple(sorted(groups, key=lambda group: (-len(group.user_ids), group.name))),
    )


async def connect(story: Story, client: Client, token: str) -> Document:
    """Step 3: the application from the gallery, its credentials, Test Connection."""
    story.step("Connect the two")
    template = await find_template(client, APPLICATION)
    application = await apps.instantiate(client, template, APPLICATION)
    story.tell(f"Added {APPLICATION} from the gallery and entered Tenant URL and Secret Token.")
    tenant_url = f"{client.origin}/scim"
    try:
        await apps.test_connection(client, application, {"BaseAddress": tenant_url, "SecretToken": WRONG_TOKEN})
    except ApiError as error:
        story.tell(f"Test Connection with a mistyped token: refused. {_sentence(str(error))}")
    await apps.connect_application(
        client, application, {"BaseAddress": tenant_url, "SecretToken": token}, sync_all=False
    )
    story.tell("Test Connection with the right one: it works.", style="green")
    return application


async def assign(story: Story, client: Client, application: Document, choice: Choice) -> None:
    """Step 4: scope and assignments."""
    story.step("Who gets an account")
    story.tell("Scope: only assigned users and groups. Who is assigned as a member of a group counts too.")
    story.tell(f"Assigned: {_named(choice)}. The rule: {choice.rule}.")
    role = find_role(application, None)
    for principal_id in [*(group.id for group in choice.groups), *(person.id for person in choice.people)]:
        await apps.assign_principal(client, application, principal_id, role)


async def create_job(story: Story, client: Client, application: Document) -> str:
    """Step 5: the job with the template's mappings; returns its address in the API."""
    story.step("What is sent")
    job = await jobs.create_job(client, application)
    path = f"{jobs_path(application)}/{job['id']}"
    schema = await client.get(f"{path}/schema")
    mappings = schema["synchronizationRules"][0]["objectMappings"]
    numbers = " and ".join(f"{len(m['attributeMappings'])} of a {m['sourceObjectName'].lower()}" for m in mappings)
    story.tell(f"The mappings of {APPLICATION}'s template: {numbers}. A user's, target ← source:")
    flows = mappings[0]["attributeMappings"]
    story.tell(", ".join(f"{_short(flow['targetAttributeName'])}{ARROW}{_source(flow)}" for flow in flows) + ".")
    ranks = sorted((flow["matchingPriority"], flow["targetAttributeName"]) for flow in flows)
    matching = ", then ".join(name for rank, name in ranks if rank)
    story.tell(f"An account that exists already is recognised by {matching}.")
    return path


async def run_cycle(story: Story, client: Client, job_path: str) -> dict[str, Any]:
    """Runs a cycle with a progress bar. Raises InvalidStateError if it fails."""
    cycle = await cycles.run_cycle(client, job_path, APPLICATION)
    if cycle["state"] in cycles.BAD:
        raise InvalidStateError(f"the {cycle['kind']} cycle failed: {(cycle['error'] or {}).get('message')}")
    story.tell(
        f"{cycle['kind'].capitalize()} cycle: {cycles.describe_counts(cycle)} in {cycles.seconds_of(cycle):.1f} s."
    )
    return cycle


async def change_directory(story: Story, client: Client, application: Document, cast: Cast) -> None:
    """Between the cycles: somebody joins, moves, leaves, and somebody enters a group."""
    story.gap()
    story.tell("Then life goes on in the directory:")
    if cast.newcomer:
        await _join(story, client, application, cast, cast.newcomer)
    if cast.mover:
        await client.patch(f"/v1.0/users/{cast.mover.id}", cast.move)
        story.tell(
            f"· {cast.mover.display_name} moves from {cast.mover.department or 'no department'} to"
            f" {cast.move['department']} as {cast.move['jobTitle']}."
        )
    if cast.leaver:
        await client.patch(f"/v1.0/users/{cast.leaver.id}", {"accountEnabled": False})
        story.tell(f"· {cast.leaver.display_name} leaves; the directory disables the user.")
    if cast.member and cast.member_group:
        await _add_member(client, cast.member_group, cast.member.id)
        story.tell(f"· {cast.member.display_name} becomes a member of {cast.member_group.name}.")
    story.gap()


async def _join(story: Story, client: Client, application: Document, cast: Cast, newcomer: dict[str, Any]) -> None:
    made = await client.post("/v1.0/users", newcomer)
    if cast.newcomer_group:
        await _add_member(client, cast.newcomer_group, made["id"])
        told = f"and becomes a member of {cast.newcomer_group.name}"
    else:
        await apps.assign_principal(client, application, made["id"], find_role(application, None))
        told = "and is assigned"
    department = newcomer.get("department")
    story.tell(f"· {newcomer['displayName']} joins{f' {department}' if department else ''} {told}.")


async def _add_member(client: Client, group: Group, user_id: str) -> None:
    reference = {"@odata.id": f"{client.origin}/v1.0/directoryObjects/{user_id}"}
    await client.post(f"/v1.0/groups/{group.id}/members/$ref", reference)


def _person(user: dict[str, Any]) -> Person:
    return Person(
        id=user["id"],
        name=user["userPrincipalName"],
        display_name=user["displayName"] or user["userPrincipalName"],
        is_active=user["accountEnabled"],
        is_guest=str(user.get("userType")).lower() == "guest" or "#EXT#" in user["userPrincipalName"],
        properties=user,
    )


def _named(choice: Choice) -> str:
    """The assigned groups and people, a few of them by name."""
    parts = []
    for kind, names in (
        ("group", [group.name for group in choice.groups]),
        ("user", [person.display_name for person in choice.people]),
    ):
        if names:
            more = f" and {len(names) - GROUPS_NAMED} more" if len(names) > GROUPS_NAMED else ""
            parts.append(f"the {kind}{'s' * (len(names) > 1)} {', '.join(names[:GROUPS_NAMED])}{more}")
    return "; ".join(parts) or "nobody"


def _short(target: str) -> str:
    return (
        target.rpartition(":")[2] if target.startswith("urn:") else target.replace('[type eq "', "[").replace('"]', "]")
    )


def _source(flow: Document) -> str:
    expression: str = flow["source"]["expression"]
    if flow["source"]["type"] == "Attribute":
        return expression.strip("[]")
    return expression.partition("(")[0] + "(…)" if "(" in expression else expression


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "…")) else ".")
