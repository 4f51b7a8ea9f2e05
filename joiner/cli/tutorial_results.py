"""The end of the tutorial: the provisioning log as a table, what the application holds now, and whether it is right."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from joiner.cli.client import Client, remote
from joiner.cli.entries import HELD, OUTCOMES, VERBS, display_name, explain, outcome, reason_of
from joiner.cli.logs import newest
from joiner.cli.lookup import Document, literal
from joiner.cli.tutorial_cast import Cast, Choice, Person
from joiner.cli.tutorial_story import Story

ENTRIES_SHOWN: Final = 1000
"""So many entries of a cycle are looked at for the table."""
ALWAYS_COUNTED: Final = ("created", "updated", "disabled", "skipped")
ROWS_EACH: Final = 3
"""So many rows the table has of each kind of result."""
ENTERPRISE: Final = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
GROUPS_SHOWN: Final = 8


async def show_log(story: Story, client: Client, both: Sequence[Document]) -> None:
    """Step 7: how many of what, and rows of each kind with the reason."""
    entries = [await _entries(client, cycle) for cycle in both]
    numbers = [_numbers(cycle, own) for cycle, own in zip(both, entries, strict=True)]
    counted = [(word, *(each[word] for each in numbers)) for word in OUTCOMES]
    rows = [row for row in counted if any(row[1:]) or row[0] in ALWAYS_COUNTED]
    story.table(("", *(f"{cycle['kind']} cycle#" for cycle in both)), rows)
    for cycle, own in zip(both, entries, strict=True):
        story.gap()
        part = f", of its last {ENTRIES_SHOWN} entries" if len(own) == ENTRIES_SHOWN else ""
        story.tell(f"{cycle['kind'].capitalize()} cycle, some of each kind{part}:")
        story.table(("result", "who", "what changed, or why not"), rows_of(own))


async def _entries(client: Client, cycle: Document) -> list[Document]:
    """The cycle's entries, oldest first; the newest `ENTRIES_SHOWN` if there are more."""
    found: list[Document] = [
        entry async for entry in newest(client, f"cycleId eq {literal(cycle['id'])}", ENTRIES_SHOWN)
    ]
    return found[::-1]


def _numbers(cycle: Document, entries: Sequence[Document]) -> Mapping[str, int]:
    """Result → number of objects: of the log if all of it was read, else as the cycle counted them."""
    if len(entries) < ENTRIES_SHOWN:
        return Counter(outcome(entry) for entry in entries)
    counts = cycle["counts"].items()
    named = {VERBS.get(key, key if key == "skipped" else "failed"): number for key, number in counts}
    return {**named, HELD: cycle["stagedDeletes"]}


def rows_of(entries: Sequence[Document]) -> list[tuple[str, str, str]]:
    """Some entries of each result and reason, and how many more there are: `(result, who, explanation)`."""
    kinds: defaultdict[tuple[str, str], list[Document]] = defaultdict(list)
    for entry in entries:
        result = outcome(entry)
        kinds[result, reason_of(entry) if result == "skipped" else ""].append(entry)
    rows: list[tuple[str, str, str]] = []
    for (result, reason), found in sorted(
        kinds.items(), key=lambda item: (OUTCOMES.index(item[0][0]), -len(item[1]), item[0][1])
    ):
        chosen = _samples(found)
        rows += [(result, display_name(entry), explain(entry)) for entry in chosen]
        if len(found) > len(chosen):
            rows.append(("", f"… and {len(found) - len(chosen)} more", reason))
    return rows


def _samples(entries: Sequence[Document]) -> list[Document]:
    """`ROWS_EACH` entries, as different from each other as there are: users and groups, with warnings and without."""
    seen: Counter[tuple[str, str]] = Counter()
    ranked: list[tuple[int, int]] = []
    for number, entry in enumerate(entries):
        kind = (entry["sourceIdentity"]["identityType"], entry["provisioningStatusInfo"]["status"])
        ranked.append((seen[kind], number))
        seen[kind] += 1
    return [entries[number] for _, number in sorted(sorted(ranked)[:ROWS_EACH], key=lambda each: each[1])]


async def show_application(story: Story, url: str, token: str, cast: Cast) -> dict[str, Any]:
    """What the application answers about itself, asked with the secret token; returns the numbers."""
    async with remote(url, token) as scim:
        held = {
            "users": await _total(scim, "Users"),
            "activeUsers": await _total(scim, "Users", "active eq true"),
            "groups": await _total(scim, "Groups"),
        }
        story.tell(
            f"{held['users']} users, {held['activeUsers']} of them active, and {held['groups']} groups"
            f"{await _groups(scim)}. The people whose lives changed:"
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
        wanted = len({group.name.casefold() for group in choice.groups})
        if groups != wanted:
            problems.append(f"the application has {groups} groups instead of {wanted}")
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


async def _groups(scim: Client) -> str:
    """Some groups with their number of members."""
    page = await scim.scim_query("Groups", count=str(GROUPS_SHOWN))
    told = [f"{group['displayName']} with {len(group.get('members', ()))}" for group in page["Resources"]]
    more = ", …" if page["totalResults"] > len(told) else ""
    return f": {', '.join(told)}{more}" if told else ""


async def _total(scim: Client, endpoint: str, chosen: str = "") -> int:
    query = {"count": "0", **({"filter": chosen} if chosen else {})}
    number: int = (await scim.scim_query(endpoint, **query))["totalResults"]
    return number
