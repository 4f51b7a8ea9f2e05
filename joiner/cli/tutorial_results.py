"""The end of the tutorial: the provisioning log as a table, what the application holds now, and whether it is right."""

from collections import Counter, defaultdict
from typing import Any, Final

from joiner.cli.client import Client, remote
from joiner.cli.cycles import OUTCOMES
from joiner.cli.entries import explain, outcome, reason_of, who
from joiner.cli.logs import newest
from joiner.cli.lookup import Document, literal
from joiner.cli.tutorial_cast import Cast, Choice, Person
from joiner.cli.tutorial_story import Story

ENTRIES_SHOWN: Final = 1000
"""So many entries of a cycle are looked at for the table; its counts are of all."""
ROWS_EACH: Final = 3
"""So many rows the table has of each kind of result."""
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUPS_SHOWN: Final = 12


async def show_log(story: Story, client: Client, both: tuple[Document, Document]) -> None:
    """Step 7: how many of what, and rows of each kind with the reason."""
    rows = ((word, *(cycle["counts"].get(key, 0) for cycle in both)) for key, word in OUTCOMES.items())
    story.table(("", "initial cycle#", "incremental cycle#"), rows)
    for cycle in both:
        chosen = f"cycleId eq {literal(cycle['id'])}"
        entries = [entry async for entry in newest(client, chosen, ENTRIES_SHOWN)]
        story.gap()
        story.tell(f"{cycle['kind'].capitalize()} cycle, rows of each kind:")
        story.table(("result", "who", "what changed, or why not"), _rows(entries))


def _rows(entries: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Some entries of each result and reason, users first, and how many more there are."""
    kinds: defaultdict[tuple[str, str], list[Document]] = defaultdict(list)
    for entry in reversed(entries):
        result = outcome(entry)
        reason = reason_of(entry) if result == "skipped" else ""
        kinds[result, reason].append(entry)
    order = list(OUTCOMES.values())
    rows: list[tuple[str, str, str]] = []
    for (result, reason), found in sorted(kinds.items(), key=lambda item: (order.index(item[0][0]), -len(item[1]))):
        # Warnings tell the most, and a group among many users should be seen.
        chosen = sorted(found, key=_interest)[:ROWS_EACH]
        rows += [(result, who(entry), explain(entry)) for entry in chosen]
        if len(found) > len(chosen):
            rows.append(("", f"… and {len(found) - len(chosen)} more", reason))
    return rows


def _interest(entry: Document) -> tuple[bool, bool]:
    is_user = entry["sourceIdentity"]["identityType"] == "User"
    return entry["provisioningStatusInfo"]["status"] != "warning", is_user


async def show_application(story: Story, url: str, token: str, cast: Cast) -> dict[str, Any]:
    """What the application answers about itself, asked with the secret token; returns the numbers."""
    async with remote(url, token) as scim:
        held = {
            "users": await _total(scim, "Users"),
            "activeUsers": await _total(scim, "Users", "active eq true"),
            "groups": await _total(scim, "Groups"),
        }
        story.tell(
            f"{held['users']} users, {held['activeUsers']} of them active, and {held['groups']} groups."
            " The people whose lives changed:"
        )
        people = [await _account(scim, name) for name in _names(cast)]
        story.table(
            ("user name", "name", "title", "department", "active"),
            (
                (
                    each.get("userName"),
                    each.get("displayName"),
                    each.get("title"),
                    (each.get(ENTERPRISE) or {}).get("department"),
                    each.get("active"),
                )
                for each in people
                if each is not None
            ),
        )
    return held


async def find_problems(url: str, token: str, choice: Choice, cast: Cast) -> list[str]:
    """What is not as it should be; empty if everything worked."""
    problems: list[str] = []
    async with remote(url, token) as scim:
        if cast.newcomer:
            account = await _account(scim, cast.newcomer["userPrincipalName"])
            if account is None or account["active"] is not True:
                problems.append(f"{cast.newcomer['displayName']} joined and has no active account")
        if cast.mover:
            account = await _account(scim, cast.mover.name)
            if account is None or account[ENTERPRISE].get("department") != cast.move["department"]:
                problems.append(f"the account of {cast.mover.display_name} does not show the new department")
        if cast.leaver:
            account = await _account(scim, cast.leaver.name)
            if account is None or account["active"] is not False:
                problems.append(f"the account of {cast.leaver.display_name}, who left, is not disabled")
        if cast.member and cast.member_group:
            problems += await _membership_problems(scim, cast.member, cast.member_group.name)
        groups = await _total(scim, "Groups")
        if groups != len(choice.groups):
            problems.append(f"the application has {groups} groups instead of {len(choice.groups)}")
    return problems


async def _membership_problems(scim: Client, member: Person, group: str) -> list[str]:
    account = await _account(scim, member.name)
    if account is not None and group in {held.get("display") for held in account.get("groups", ())}:
        return []
    return [f"{member.display_name} is not a member of {group}"]


def _names(cast: Cast) -> list[str]:
    """User names of those who changed."""
    people = [person.name for person in (cast.mover, cast.leaver, cast.member) if person]
    newcomer = [str(cast.newcomer["userPrincipalName"])] if cast.newcomer else []
    return list(dict.fromkeys([*newcomer, *people]))


async def _account(scim: Client, user_name: str) -> dict[str, Any] | None:
    quoted = user_name.replace("\\", "\\\\").replace('"', '\\"')
    found = await scim.scim_query("Users", filter=f'userName eq "{quoted}"')
    return next(iter(found["Resources"]), None)


async def _total(scim: Client, endpoint: str, chosen: str = "") -> int:
    query = {"count": "0", **({"filter": chosen} if chosen else {})}
    number: int = (await scim.scim_query(endpoint, **query))["totalResults"]
    return number
