"""What happens in the directory, to the job, and in the application by hand: a table of events and their frequencies.

Each tells in a few words what it did, or gives None if it was not possible just now.
"""

import sqlite3
from collections.abc import Callable
from typing import Final

import msgspec

from joiner.directory import applications, groups, users
from joiner.directory.model import DEFAULT_ACCESS, Group, User
from tests.simulation.intention import Person, Team
from tests.simulation.world import World

Event = Callable[[World], str | None]

DEPARTMENTS: Final = ("Sales", "Legal", "Research")
GIVEN: Final = ("Ada", "Bea", "Cid", "Dan", "Eve", "Finn", "Gro", "Hal", "Ida", "Jon", "Kai", "Liv")
SURNAMES: Final = ("Dahl", "Berg", "O'Neil", "Løken", "Strand")
TITLES: Final = ("Engineer", "Director", "Clerk", 'Chief "of" Staff')
CITIES: Final = ("Oslo", "Bergen", "Tromsø")


# People


def join(world: World) -> str | None:
    rng, number = world.rng, len(world.intention.people)
    given, surname = rng.choice(GIVEN), rng.choice(SURNAMES)
    person = Person(
        id=world.new_id("user"),
        name=world.taken_over_name() or f"{given.lower()}{number}@fjord.example",
        attributes={
            "displayName": f"{given} {surname}",
            "givenName": given,
            "surname": surname,
            "department": rng.choice(DEPARTMENTS),
            "jobTitle": rng.choice(TITLES),
        },
    )
    manager = world.some(_present(world))
    if manager is not None and rng.random() < 0.5:
        person.manager = manager.id
    user = User(
        id=person.id,
        user_principal_name=person.name,
        account_enabled=True,
        manager_id=person.manager,
        attributes=person.attributes,
        created_at="",
    )
    world.change(lambda connection, now: users.add_user(connection, user, now))
    world.intention.people[person.id] = person
    world.free_names.discard(person.name)
    told = f"{person.name} joins as {person.id}"
    if rng.random() < 0.6:
        assign_principal(world, person.id)
        told += ", assigned"
    return told


def move(world: World) -> str | None:
    person = world.some(_present(world))
    if person is None:
        return None
    values: dict[str, tuple[str, ...]] = {
        "department": DEPARTMENTS,
        "jobTitle": TITLES,
        "city": CITIES,
        "mail": (f"{person.id}@fjord.example", f"{person.id}@mail.example"),
        "surname": SURNAMES,
        "displayName": (f"{person.id} A", f"{person.id} B"),
    }
    name = world.rng.choice(list(values))
    held = dict(person.attributes)
    if name != "displayName" and world.rng.random() < 0.15:
        held.pop(name, None)
    else:
        held[name] = world.rng.choice(values[name])
    _update(world, person, attributes=held)
    return f"{person.name} has {name} {held.get(name)!r}"


def rename(world: World) -> str | None:
    person = world.some(_present(world))
    if person is None:
        return None
    old = person.name
    name = world.taken_over_name() or f"{world.rng.choice(GIVEN).lower()}.{world.new_number()}@fjord.example"
    if world.rng.random() < 0.2:
        name = old.title()
    _update(world, person, name=name)
    if name.casefold() != old.casefold():
        world.free_names.add(old)
    world.free_names.discard(name)
    return f"{old} is renamed {name}"


def change_manager(world: World) -> str | None:
    person = world.some(_present(world))
    if person is None:
        return None
    other = world.some([p for p in _present(world) if p.id != person.id])
    manager = other.id if other is not None and world.rng.random() < 0.7 else None
    _update(world, person, manager=manager)
    return f"{person.name} has the manager {world.named(manager)}"


def switch(world: World) -> str | None:
    person = world.some(_present(world))
    if person is None:
        return None
    _update(world, person, is_enabled=not person.is_enabled)
    return f"{person.name} is {'enabled' if person.is_enabled else 'disabled'}"


def leave(world: World) -> str | None:
    person = world.some(_present(world))
    if person is None:
        return None
    world.change(lambda connection, now: users.delete_user(connection, person.id, now))
    person.deleted_at = world.clock()
    return f"{person.name} is deleted"


def restore(world: World) -> str | None:
    person = world.some(_binned(world))
    if person is None:
        return None
    world.change(lambda connection, now: users.restore_user(connection, person.id, now))
    person.deleted_at = None
    return f"{person.name} is restored"


def purge(world: World) -> str | None:
    person = world.some(_binned(world))
    if person is None:
        return None
    world.change(lambda connection, now: users.purge_user(connection, person.id, now))
    world.forget(person)
    return f"{person.name} is purged"


def _update(
    world: World,
    person: Person,
    *,
    name: str | None = None,
    attributes: dict[str, str] | None = None,
    **fields: str | bool | None,
) -> None:
    person.name = name or person.name
    person.attributes = attributes or person.attributes
    for field, value in fields.items():
        setattr(person, field, value)

    def work(connection: sqlite3.Connection, now: str) -> None:
        stored = users.user_by_id(connection, person.id)
        changed = msgspec.structs.replace(
            stored,
            user_principal_name=person.name,
            account_enabled=person.is_enabled,
            manager_id=person.manager,
            attributes=person.attributes,
        )
        users.update_user(connection, changed, now)

    world.change(work)


# Groups


def found_team(world: World) -> str | None:
    number = world.new_number()
    team = Team(id=world.new_id("group"), name=f"Team {number}", is_security=world.rng.random() < 0.9)
    team.members = {p.id for p in _present(world) if world.rng.random() < 0.4}
    group = Group(id=team.id, display_name=team.name, security_enabled=team.is_security, attributes={}, created_at="")

    def work(connection: sqlite3.Connection, now: str) -> None:
        groups.add_group(connection, group, now)
        for member in sorted(team.members):
            groups.add_member(connection, team.id, member, now)

    world.change(work)
    world.intention.teams[team.id] = team
    told = f"{team.name} is founded as {team.id} with {', '.join(map(world.named, sorted(team.members)))}"
    if world.rng.random() < 0.7:
        assign_principal(world, team.id)
        told += ", assigned"
    return told


def change_members(world: World) -> str | None:
    team = world.some(_teams(world))
    others: list[str] = [p.id for p in _present(world)]
    if world.rng.random() < 0.1:
        others = [t.id for t in _teams(world) if t is not team]
    member = world.some(others)
    if team is None or member is None:
        return None
    if member in team.members:
        world.change(lambda connection, now: groups.remove_member(connection, team.id, member, now))
        team.members.discard(member)
        return f"{world.named(member)} leaves {team.name}"
    world.change(lambda connection, now: groups.add_member(connection, team.id, member, now))
    team.members.add(member)
    return f"{world.named(member)} enters {team.name}"


def change_team(world: World) -> str | None:
    team = world.some(_teams(world))
    if team is None:
        return None
    old = team.name
    if world.rng.random() < 0.7:
        team.name = f"Team {world.new_number()}"
    else:
        team.is_security = not team.is_security

    def work(connection: sqlite3.Connection, now: str) -> None:
        stored = groups.group_by_id(connection, team.id)
        changed = msgspec.structs.replace(stored, display_name=team.name, security_enabled=team.is_security)
        groups.update_group(connection, changed, now)

    world.change(work)
    return f"{old} is now {team.name}, {'a' if team.is_security else 'no'} security group"


def dissolve(world: World) -> str | None:
    team = world.some(_teams(world))
    if team is None:
        return None
    world.change(lambda connection, now: groups.delete_group(connection, team.id, now))
    team.is_deleted = True
    team.members.clear()
    for other in world.intention.teams.values():
        other.members.discard(team.id)
    world.intention.assigned.discard(team.id)
    return f"{team.name} is dissolved"


# Assignments


def assign_or_not(world: World) -> str | None:
    principal = world.some([*(p.id for p in _present(world)), *(t.id for t in _teams(world))])
    if principal is None:
        return None
    if principal in world.intention.assigned:
        assignment = world.assignments[principal]
        world.change(lambda connection, now: applications.unassign(connection, world.principal_id, assignment, now))
        world.intention.assigned.discard(principal)
        return f"{world.named(principal)} is unassigned"
    assign_principal(world, principal)
    return f"{world.named(principal)} is assigned"


def assign_principal(world: World, principal: str) -> None:
    assignment = world.change(
        lambda connection, now: applications.assign(connection, world.principal_id, principal, DEFAULT_ACCESS, now)
    )
    world.assignments[principal] = assignment.id
    world.intention.assigned.add(principal)


# The application, by hand


def stranger(world: World) -> str | None:
    """Somebody who has nothing to do with the job gets an account."""
    number = world.new_number()
    world.target.add_by_hand("Users", userName=f"stranger{number}@fjord.example", displayName="Stranger", active=True)
    return f"stranger{number} gets an account by hand"


def foreseen(world: World) -> str | None:
    """Somebody who will be provisioned later has an account already."""
    found = [p for p in _present(world) if not p.was_entitled and not world.target.having("Users", "userName", p.name)]
    person = world.some(found)
    if person is None:
        return None
    world.target.add_by_hand("Users", userName=person.name.upper(), active=world.rng.random() < 0.5)
    return f"{person.name} has an account, made by hand"


def vandalise(world: World) -> str | None:
    """Somebody deletes an account of the job, which is reported and not made again (REQ-P-068)."""
    found = [p for p in _present(world) if world.target.having("Users", "externalId", p.id)]
    person = world.some(found)
    if person is None:
        return None
    world.target.delete_by_hand("Users", world.target.having("Users", "externalId", person.id)[0]["id"])
    person.is_vandalised = not world.conditions.rematches
    return f"the account of {person.name} is deleted by hand"


def alter(world: World) -> str | None:
    """Somebody changes an account of the job, which only an initial cycle notices (REQ-P-060)."""
    account = world.some([a for a in world.target.resources["Users"].values() if "externalId" in a])
    if account is None:
        return None
    account["title"] = "King"
    account["active"] = not account.get("active", True)
    person = world.intention.people.get(account["externalId"])
    if person is not None:
        person.is_altered = True
    return f"the account {account['id']} is changed by hand"


def _present(world: World) -> list[Person]:
    return [p for p in world.intention.people.values() if p.deleted_at is None and not p.is_purged]


def _binned(world: World) -> list[Person]:
    return [p for p in world.intention.people.values() if p.deleted_at is not None and not p.is_purged]


def _teams(world: World) -> list[Team]:
    return [t for t in world.intention.teams.values() if not t.is_deleted]


DIRECTORY_EVENTS: Final[tuple[tuple[int, Event], ...]] = (
    (6, join),
    (10, move),
    (4, rename),
    (5, change_manager),
    (4, switch),
    (4, leave),
    (3, restore),
    (3, purge),
    (3, found_team),
    (10, change_members),
    (3, change_team),
    (1, dissolve),
    (8, assign_or_not),
    (2, stranger),
    (2, foreseen),
)
"""Those that may happen at any time, also in the middle of a cycle."""
ACCIDENTS: Final[tuple[Event, ...]] = (vandalise, alter)
"""What happens to the job's accounts behind its back."""
