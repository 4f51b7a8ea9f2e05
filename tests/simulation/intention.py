"""What the target should hold, by a model of its own: plain sets and the rules as an administrator would say them.

Nothing of the engine is used here. What the rules leave open (a value whose source is empty stays as it is, who left
before the job ever saw them) is left open by the checks as well.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.simulation.scim_patch import Resource, read
from tests.simulation.scim_target import SimulatedTarget

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@dataclass(slots=True)
class Person:
    """A user of the directory."""

    id: str
    name: str
    attributes: dict[str, str]
    is_enabled: bool = True
    manager: str | None = None
    deleted_at: datetime | None = None
    is_purged: bool = False
    was_entitled: bool = False
    """At some time the job could have provisioned it."""
    was_outside: bool = False
    """At some time it was not entitled while it was not deleted: the job may have ceased to manage it."""
    is_vandalised: bool = False
    """Somebody deleted its account in the application."""
    is_altered: bool = False
    """Somebody enabled or disabled its account by hand."""

    @property
    def is_active(self) -> bool:
        return self.is_enabled and self.deleted_at is None and not self.is_purged


@dataclass(slots=True)
class Team:
    """A group of the directory. Members may be people and teams."""

    id: str
    name: str
    is_security: bool = True
    members: set[str] = field(default_factory=set)
    is_deleted: bool = False
    was_outside: bool = False
    """At some time it was not entitled, so that the job may have ceased to manage it."""


@dataclass(slots=True)
class Intention:
    """The directory and the job's settings as they are now."""

    sync_all: bool
    skips_out_of_scope: bool
    soft_deletes: bool = True
    """Whether accounts are disabled; if not, they are deleted."""
    accounts_vanish: bool = False
    """Accounts may be deleted of whom the directory still names: groups and people may go on to name them."""
    people: dict[str, Person] = field(default_factory=dict)
    teams: dict[str, Team] = field(default_factory=dict)
    assigned: set[str] = field(default_factory=set)
    department: str | None = None
    """The scoping filter: only this department. None: no filter."""
    title_from: str = "jobTitle"

    def is_in_scope(self, person: Person) -> bool:
        return person.is_active and self._is_entitled(person)

    def is_team_in_scope(self, team: Team) -> bool:
        return not team.is_deleted and (self.sync_all or (team.is_security and team.id in self.assigned))

    def note(self) -> None:
        """Remembers who is entitled now; call it after every change."""
        for person in self.people.values():
            is_entitled = self._is_entitled(person)
            person.was_entitled |= is_entitled and person.is_active
            person.was_outside |= not is_entitled and person.deleted_at is None and not person.is_purged
        for team in self.teams.values():
            team.was_outside |= not team.is_deleted and not self.is_team_in_scope(team)

    def _is_entitled(self, person: Person) -> bool:
        is_assigned = self.sync_all or self._is_assigned(person)
        return is_assigned and self.department in (None, person.attributes.get("department"))

    def _is_assigned(self, person: Person) -> bool:
        teams = (t for t in self.teams.values() if t.id in self.assigned and t.is_security and not t.is_deleted)
        return person.id in self.assigned or any(person.id in team.members for team in teams)

    def states(self) -> dict[str, tuple[Any, ...]]:
        """Id → all that there is to know of a person or a team, to find out later what has changed."""
        people = {
            p.id: (p.name, dict(p.attributes), p.is_enabled, p.manager, p.deleted_at, p.is_purged, self._is_assigned(p))
            for p in self.people.values()
        }
        teams = {
            t.id: (t.name, t.is_security, set(t.members), t.is_deleted, t.id in self.assigned)
            for t in self.teams.values()
        }
        return {**people, **teams}

    def wanted_values(self, person: Person) -> dict[str, Any]:
        """SCIM path → value, for the attributes that have one."""
        held = person.attributes
        values = {
            "externalId": person.id,
            "userName": person.name,
            "active": True,
            "displayName": held.get("displayName"),
            "title": held.get(self.title_from),
            'emails[type eq "work"].value': held.get("mail"),
            "name.givenName": held.get("givenName"),
            "name.familyName": held.get("surname"),
            f"{ENTERPRISE}:department": held.get("department"),
        }
        return {path: value for path, value in values.items() if value is not None}


@dataclass(slots=True)
class Comparison:
    """Compares the target with the intention; every difference is a sentence."""

    intention: Intention
    target: SimulatedTarget
    excuses: frozenset[str] = frozenset()
    """What cannot be as it should: `updates`, `members`, `deletes` that were lost in silence and that nobody has looked
    for yet, `kept members` of groups whose deletion was lost, `late references` of which the mode says that they wait
    for a restart."""
    reported: frozenset[str] = frozenset()
    """Ids of accounts that the administrator has been told of, as managed by nobody."""

    def differences(self) -> list[str]:
        return [*self._strangers(lambda resource: resource), *self._people(), *self._teams()]

    def unsafe(self) -> list[str]:
        """Only what must hold at any time, whatever the target does.

        What was matched is linked even if nobody knows whether the update that takes it over took effect: its members
        or its manager are written at once, that update again in the next cycle.
        """
        return [*self._strangers(_without_references), *self._doubles()]

    def _accounts(self, person: Person) -> list[Resource]:
        return self._made("Users", person.id)

    def _made(self, endpoint: str, source_id: str) -> list[Resource]:
        """What was made for it; without what is there only because a deletion was lost, if there is another."""
        found = self.target.having(endpoint, "externalId", source_id)
        return [each for each in found if each["id"] not in self.target.undeleted] or found

    def _stays_half_taken_over(self, id_: str, resource: Resource) -> bool:
        """The update that was to take the account over did not reach it, and whose it is has left since: nothing is
        sent any more but the end of access (REQ-P-099)."""
        owners = [person for person in self.intention.people.values() if person.name == resource.get("userName")]
        had_left = [person.was_entitled and not self.intention.is_in_scope(person) for person in owners]
        # The manager was no part of that update.
        original = _without_references(self.target.made_by_hand.get(id_, {}))
        is_ended = _without_references(resource) == {**original, "active": False}
        return bool(owners) and all(had_left) and (is_ended or id_ in self.target.not_updated)

    def _strangers(self, looked_at: Callable[[Resource], Resource]) -> Iterator[str]:
        """What the job does not manage is as it was; of what was made for somebody of the directory, `looked_at`."""
        known = {*self.intention.people, *self.intention.teams}
        for resources in self.target.resources.values():
            for id_, resource in resources.items():
                original = self.target.made_by_hand.get(id_, {})
                if "updates" in self.excuses and not _is_stranger(original):
                    # The update that took it over was lost, but not those after it.
                    continue
                if not _is_stranger(original) and self._stays_half_taken_over(id_, resource):
                    continue
                is_same = looked_at(resource) == looked_at(original) and not _is_stranger(original)
                if resource.get("externalId") not in known and resource != original and not is_same:
                    yield f"{id_} is not the job's, and was changed: {resource}"
        for id_, original in self.target.made_by_hand.items():
            is_there = any(id_ in resources for resources in self.target.resources.values())
            if not is_there and _is_stranger(original):
                yield f"{id_} ({original['userName']}) was deleted, and is not the job's"

    def _doubles(self) -> Iterator[str]:
        for endpoint, objects in (("Users", self.intention.people), ("Groups", self.intention.teams)):
            for id_ in objects:
                found = self._made(endpoint, id_)
                if len(found) > 1:
                    yield f"{id_} has {len(found)} accounts: {[item['id'] for item in found]}"

    def _people(self) -> Iterator[str]:
        yield from self._doubles()
        for person in self.intention.people.values():
            accounts = self._accounts(person)
            told = f"{person.name} ({person.id})"
            if self.intention.is_in_scope(person):
                if person.is_vandalised or self._is_blocked(person, accounts):
                    continue
                if not accounts:
                    yield f"{told} is in scope and has no account"
                    continue
                yield from self._values(told, accounts[0], self.intention.wanted_values(person))
                yield from self._manager(told, accounts[0], person)
            elif accounts:
                yield from self._former(told, accounts[0], person)

    def _is_blocked(self, person: Person, accounts: list[Resource]) -> bool:
        """Another account has its userName: only somebody who knows both can say what is right."""
        others = [item for item in self.target.having("Users", "userName", person.name) if item not in accounts]
        return any(accounts or item.get("externalId") in self.intention.people for item in others)

    def _values(self, told: str, account: Resource, wanted: dict[str, Any]) -> Iterator[str]:
        for path, value in wanted.items():
            held = read(account, path)
            folded = path == "userName" and isinstance(held, str) and held.casefold() == value.casefold()
            # Text is compared without case unless the attribute is exact, so that only a case may differ.
            if held != value and not folded and not (isinstance(held, str) and held.casefold() == value.casefold()):
                yield f"{told} has {path} {held!r} instead of {value!r}"

    def _manager(self, told: str, account: Resource, person: Person) -> Iterator[str]:
        held = (account.get(ENTERPRISE) or {}).get("manager", {}).get("value")
        manager = self.intention.people.get(person.manager or "")
        ids = {item["id"] for item in self._accounts(manager)} if manager else set()
        if manager is not None and (manager.is_vandalised or self._is_blocked(manager, self._accounts(manager))):
            return
        if manager is not None and self.intention.is_in_scope(manager):
            if held not in ids and "late references" not in self.excuses:
                yield f"{told} has the manager {held!r} instead of {manager.name}"
        elif held is not None and held not in ids and "updates" not in self.excuses and self._exists(held):
            yield f"{told} has the manager {held!r}, whom the directory does not name"

    def _exists(self, id_: str) -> bool:
        """Whether it must not be named; who is no more in the application, and who was to leave a group in vain before,
        cannot be told from somebody else's member."""
        may_dangle = self.intention.accounts_vanish or "lost members" in self.target.weather.met
        return not may_dangle or id_ in self.target.resources["Users"]

    def _former(self, told: str, account: Resource, person: Person) -> Iterator[str]:
        if not person.was_entitled:
            yield f"{told} was never in scope and has an account"
        kept = person.was_outside and (self.intention.skips_out_of_scope or person.is_altered)
        if person.is_vandalised or "updates" in self.excuses or account["id"] in self.reported:
            return
        is_nobodys = "deletes" in self.excuses or account["id"] in self.target.not_updated
        if person.is_purged and is_nobodys:
            return
        if person.is_purged and not person.was_outside:
            yield f"{told} was managed until it was purged, and its account is still there"
        elif not self.intention.soft_deletes:
            if not kept and "deletes" not in self.excuses:
                yield f"{told} is out of scope, and its account is still there"
        elif account.get("active") is not False and not kept:
            yield f"{told} is out of scope, and its account is active"

    def _teams(self) -> Iterator[str]:
        for team in self.intention.teams.values():
            groups = self._made("Groups", team.id)
            told = f"{team.name} ({team.id})"
            if self.intention.is_team_in_scope(team):
                if not groups:
                    yield f"{told} is in scope and has no group"
                    continue
                if groups[0]["displayName"] != team.name:
                    yield f"{told} is named {groups[0]['displayName']!r}"
                if "members" not in self.excuses:
                    yield from self._members(told, groups[0], team)
            elif groups and not self._may_stay(groups[0], team):
                yield f"{told} is out of scope, and its group is still there"

    def _may_stay(self, group: Resource, team: Team) -> bool:
        is_excused = "deletes" in self.excuses or group["id"] in self.reported
        return is_excused or (self.intention.skips_out_of_scope and team.was_outside)

    def _members(self, told: str, group: Resource, team: Team) -> Iterator[str]:
        held = {item["value"] for item in group.get("members", [])}
        before = {item["value"] for item in self.target.made_by_hand.get(group["id"], {}).get("members", [])}
        wanted, allowed = set(), set(before)
        for person in (self.intention.people[id_] for id_ in sorted(team.members) if id_ in self.intention.people):
            ids = {item["id"] for item in self._accounts(person)}
            allowed |= ids
            if self.intention.is_in_scope(person) and not person.is_vandalised:
                wanted |= ids
        vandalised = any(p.is_vandalised for p in self.intention.people.values())
        if (missing := wanted - held) and "late references" not in self.excuses:
            yield f"{told} lacks the members {sorted(missing)}"
        users = self.target.resources["Users"]
        allowed |= {id_ for id_ in held if self._stays_half_taken_over(id_, users.get(id_, {}))}
        surplus = {id_ for id_ in held - allowed if self._exists(id_) and not self._may_be_held(id_, group)}
        if surplus and not vandalised:
            yield f"{told} has the members {sorted(surplus)}, whom the directory does not name"

    def _may_be_held(self, member: str, group: Resource) -> bool:
        """The member cannot be told from somebody else's: a deletion that was acknowledged ends all that is known of an
        account, and of a group's members, which are not read (REQ-P-104); so does the purge of who had ceased to be
        managed, and may have been taken out in vain. A look at the application tells those that have the account of
        somebody who is linked."""
        undeleted = self.target.undeleted
        kept = {item["value"] for item in undeleted.get(group["id"], {}).get("members", [])}
        is_lost = "lost members" in self.target.weather.met
        if not is_lost and member not in undeleted and member not in kept:
            return False
        return "kept members" in self.excuses or not self._is_linked(member)

    def _is_linked(self, account_id: str) -> bool:
        account = self.target.resources["Users"].get(account_id, {})
        owner = self.intention.people.get(account.get("externalId", ""))
        if owner is None or owner.is_purged:
            return False
        return account_id not in self.target.undeleted or self.intention.is_in_scope(owner)


def _without_references(resource: Resource) -> Resource:
    extension = {name: value for name, value in resource.get(ENTERPRISE, {}).items() if name != "manager"}
    rest = {name: value for name, value in resource.items() if name not in ("members", ENTERPRISE)}
    return {**rest, ENTERPRISE: extension} if extension else rest


def _is_stranger(resource: Resource) -> bool:
    """Whoever made it by hand did not mean anybody of the directory."""
    return str(resource.get("userName")).startswith("stranger")
