"""Who plays in the tutorial: whom to assign, and who joins, moves and leaves. Pure: chosen from the directory's data.

The same directory always gives the same choice.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec

EXAMPLE_GROUPS: Final = ("Bergen office", "Field service", "IT operations", "Service desk")
"""What is assigned of the example company: enough to see somebody created, and somebody skipped for each reason."""
MOST_GROUPS: Final = 50
MOST_PEOPLE: Final = 200
NEWCOMER: Final = ("Nova", "Newcomer")
NEW_TITLE: Final = "Team lead"
OTHER_DEPARTMENT: Final = "Special projects"
COPIED: Final = (
    "department",
    "city",
    "country",
    "state",
    "streetAddress",
    "postalCode",
    "companyName",
    "officeLocation",
)
"""What a newcomer shares with a colleague."""


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """A user of the directory."""

    id: str
    name: str
    """User principal name."""
    display_name: str
    is_active: bool
    is_guest: bool
    properties: dict[str, Any]
    """As the API has them."""

    @property
    def department(self) -> str:
        return str(self.properties.get("department") or "")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A group of the directory with its direct members."""

    id: str
    name: str
    user_ids: frozenset[str]


class Company(msgspec.Struct, frozen=True):
    """The directory; people by name, groups by size, the largest first."""

    people: tuple[Person, ...]
    groups: tuple[Group, ...]


class Choice(msgspec.Struct, frozen=True):
    """Whom to assign, and the rule that chose them, in words."""

    groups: tuple[Group, ...]
    people: tuple[Person, ...]
    rule: str


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """The changes between the two cycles; None where the directory has nobody for the part."""

    newcomer: dict[str, Any] | None
    """Properties of the user to create."""
    newcomer_group: Group | None
    """The assigned group that the newcomer enters; None: they are assigned themselves."""
    mover: Person | None
    move: dict[str, str]
    """The mover's new properties."""
    leaver: Person | None
    member: Person | None
    """Who enters one more group."""
    member_group: Group | None


def choose_assignments(company: Company, *, is_example: bool) -> Choice:
    """Groups if there are any, so that people come and go with their membership; else people."""
    if is_example:
        groups = tuple(group for group in company.groups if group.name in EXAMPLE_GROUPS)
        outside = _outside(company, groups)
        return Choice(groups, outside[:1], "four of the eight groups, and one person who is in none of them")
    groups = tuple(group for group in company.groups if group.user_ids)[:MOST_GROUPS]
    if groups:
        outside = _outside(company, groups)
        number = "every group" if len(groups) < MOST_GROUPS else f"the {MOST_GROUPS} largest groups"
        rule = f"{number} of the file that has people in it"
        return Choice(groups, outside[:1], f"{rule}, and one person who is in none of them" if outside else rule)
    return _choose_people(company)


def _choose_people(company: Company) -> Choice:
    active = [person for person in company.people if person.is_active]
    departments = Counter(person.department for person in active if person.department)
    if departments:
        largest = min(departments, key=lambda name: (-departments[name], name))
        people = tuple(person for person in active if person.department == largest)
        rule = f"there are no groups, so the people of the largest department, {largest}"
    else:
        people, rule = tuple(active), "there are neither groups nor departments, so everybody who is active"
    if len(people) > MOST_PEOPLE:
        return Choice((), people[:MOST_PEOPLE], f"{rule}, the first {MOST_PEOPLE} by name")
    return Choice((), people, rule)


def choose_cast(company: Company, choice: Choice) -> Cast:
    """Who joins, moves, leaves and enters a group, among those who get an account."""
    entitled = {person.id for person in choice.people}.union(*(group.user_ids for group in choice.groups))
    colleagues = [p for p in company.people if p.id in entitled and p.is_active]
    players = [person for person in colleagues if not person.is_guest] or colleagues
    mover, leaver = (players[0] if players else None), (players[1] if len(players) > 1 else None)
    member, member_group = _new_member(players[2:] or players[:1], choice.groups)
    return Cast(
        newcomer=_newcomer(company, players[0]) if players else None,
        newcomer_group=_group_of(players[0], choice.groups) if players else None,
        mover=mover,
        move=_move(company, mover) if mover else {},
        leaver=leaver,
        member=member,
        member_group=member_group,
    )


def _group_of(person: Person, groups: Sequence[Group]) -> Group | None:
    """The first group that the person is in, else any."""
    return next((group for group in groups if person.id in group.user_ids), groups[0] if groups else None)


def _new_member(people: Sequence[Person], groups: Sequence[Group]) -> tuple[Person | None, Group | None]:
    pairs = ((person, group) for person in people for group in groups if person.id not in group.user_ids)
    return next(pairs, (None, None))


def _move(company: Company, mover: Person) -> dict[str, str]:
    others = sorted({person.department for person in company.people} - {"", mover.department})
    return {"department": others[0] if others else OTHER_DEPARTMENT, "jobTitle": NEW_TITLE}


def _newcomer(company: Company, colleague: Person) -> dict[str, Any]:
    given, surname = NEWCOMER
    domain = colleague.name.rpartition("@")[2]
    name = _free_name(f"{given}.{surname}".lower(), domain, (person.name for person in company.people))
    copied = {key: colleague.properties[key] for key in COPIED if colleague.properties.get(key)}
    return {
        **copied,
        "userPrincipalName": name,
        "displayName": f"{given} {surname}",
        "givenName": given,
        "surname": surname,
        "mail": name,
        "mailNickname": name.partition("@")[0],
        "jobTitle": "Trainee",
        "accountEnabled": True,
    }


def _free_name(alias: str, domain: str, taken: Iterable[str]) -> str:
    names = {name.lower() for name in taken}
    candidates = (f"{alias}{number or ''}@{domain}" for number in range(len(names) + 1))
    return next(name for name in candidates if name.lower() not in names)


def _outside(company: Company, groups: Sequence[Group]) -> tuple[Person, ...]:
    """Active people who are in none of the groups."""
    inside = frozenset[str]().union(*(group.user_ids for group in groups))
    return tuple(p for p in company.people if p.is_active and not p.is_guest and p.id not in inside)
