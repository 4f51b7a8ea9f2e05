"""What a target can do is found out: it is asked what it says of itself, then tried out on a user and a group that are
made for it and deleted again."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from joiner.ids import new_id
from joiner.provisioning.client.failures import TargetError, TargetUnusableError
from joiner.provisioning.client.profile import DEFAULT_PROFILE, profile_document
from joiner.provisioning.client.target import ScimTarget
from joiner.provisioning.decisions.wire import (
    ENTERPRISE_SCHEMA,
    GROUP_SCHEMA,
    MEMBERS,
    USER_SCHEMA,
    Dialect,
    member_operations,
    patch_body,
)
from joiner.provisioning.mapping.target_path import compile_path

USERS: Final = "/Users"
GROUPS: Final = "/Groups"
NAME: Final = "joiner-probe"
"""Accounts of the probe begin with it, so that one that could not be deleted is recognised."""
DOMAIN: Final = "probe.invalid"
"""No mail goes there (RFC 2606)."""
MOST_SHOWN: Final = 200
USUAL: Final = {
    "displayName": "A probe of Joiner",
    "title": "Probe",
    "name.givenName": "Joiner",
    "name.familyName": "Probe",
    "name.formatted": "Probe, Joiner",
    'phoneNumbers[type eq "work"].value': "555 0100",
    'addresses[type eq "work"].locality': "Bergen",
    f"{ENTERPRISE_SCHEMA}:department": "Probes",
    f"{ENTERPRISE_SCHEMA}:employeeNumber": "0",
}
"""Attributes that most mappings write, with values to try them."""
DEFAULTS: Final = profile_document(DEFAULT_PROFILE)
REMOVALS: Final = {False: "removing a selected member", True: "removing listed members"}

Outcome = Literal["found", "assumed", "unknown"]


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One thing that was found out, or could not be."""

    about: str
    outcome: Outcome
    """`found`: seen; `assumed`: the target says so; `unknown`: could not be found out."""
    explanation: str
    members: dict[str, Any] = msgspec.field(default_factory=dict)
    """What it means for the profile, by JSON names."""


class ProbeReport(msgspec.Struct, frozen=True, rename="camel"):
    """All findings in order, and what of the probe could not be deleted."""

    findings: list[Finding]
    left_behind: list[str]

    @property
    def changes(self) -> dict[str, Any]:
        """What to set in the profile, None for what is as by default. Later findings count more: what was seen counts
        more than what was said."""
        found = {name: value for finding in self.findings for name, value in finding.members.items()}
        return {name: None if value == DEFAULTS[name] else value for name, value in found.items()}


async def probe_target(target: ScimTarget, dialect: Dialect = Dialect.RFC) -> ProbeReport:
    """`dialect`: that of the job's requests. Raises TargetUnusableError if the credentials are refused or there is no
    SCIM endpoint."""
    probe = _Probe(target, by_value=DEFAULT_PROFILE.removes_by_value(dialect))
    await probe.read_configuration()
    try:
        await probe.try_users()
        await probe.try_groups()
    finally:
        await probe.clean_up()
    return ProbeReport(probe.findings, probe.left_behind)


class _Probe:
    def __init__(self, target: ScimTarget, *, by_value: bool) -> None:
        self._target = target
        self._by_value = by_value
        self._update = target.modify
        self._users_written = "patch"
        self._made: list[tuple[str, str]] = []
        self.findings: list[Finding] = []
        self.left_behind: list[str] = []

    # What it says of itself

    async def read_configuration(self) -> None:
        try:
            config = await self._target.document("/ServiceProviderConfig")
        except TargetUnusableError:
            raise
        except TargetError as error:
            self._note("ServiceProviderConfig", "unknown", error.reason)
            config = None
        if isinstance(config, Mapping):
            self._note("ServiceProviderConfig", "assumed", *_configured(config))
        else:
            self._note("ServiceProviderConfig", "unknown", "the application does not say what it supports")
        for name in ("ResourceTypes", "Schemas"):
            await self._read_list(name)

    async def _read_list(self, name: str) -> None:
        try:
            document = await self._target.document(f"/{name}")
        except TargetUnusableError:
            raise
        except TargetError as error:
            self._note(name, "unknown", error.reason)
            return
        listed = document.get("Resources", document.get("resources")) if isinstance(document, Mapping) else document
        if not isinstance(listed, list):
            self._note(name, "unknown", "the application does not list them")
            return
        names = [str(item.get("name") or item.get("id")) for item in listed if isinstance(item, Mapping)]
        members: dict[str, Any] = {}
        user = next((item for item in listed if isinstance(item, Mapping) and item.get("id") == USER_SCHEMA), None)
        if name == "Schemas" and user is not None:
            attributes = {str(each.get("name")).lower() for each in user.get("attributes") or () if each}
            members = {"softDelete": "active" in attributes}
        self._note(name, "assumed", f"there are {', '.join(names)[:MOST_SHOWN] or 'none'}", members)

    # What it does

    async def try_users(self) -> None:
        label = f"{NAME}-{new_id()}"
        user = {
            "schemas": [USER_SCHEMA],
            "userName": f"{label}@{DOMAIN}",
            "externalId": label,
            "displayName": label,
            "active": True,
            "name": {"givenName": "Joiner", "familyName": "Probe"},
            "emails": [{"type": "work", "value": f"{label}@{DOMAIN}", "primary": True}],
        }
        user_id = await self._make(USERS, user)
        if user_id is None:
            return
        # Two, so that a page can be too small for all of them, and a group has members.
        other = f"{NAME}-{new_id()}"
        await self._make(USERS, {**user, "userName": f"{other}@{DOMAIN}", "externalId": other, "emails": []})
        await self._try_filters(label)
        await self._try_pages()
        await self._try_attributes(user_id)
        if await self._try("PATCH", self._patched_by_path(user_id), {"updates": "put"}):
            await self._try("PATCH without a path", self._patched_without_path(user_id), {"pathlessPatch": False})
        else:
            self._update, self._users_written = self._target.replace, "put"
            await self._try("PUT", self._replaced(user_id), {})
        await self._try("active", self._disabled(user_id), {"softDelete": False})

    async def try_groups(self) -> None:
        label = f"{NAME}-{new_id()}"
        group_id = await self._make(GROUPS, {"schemas": [GROUP_SCHEMA], "displayName": label, "externalId": label})
        if group_id is None:
            return
        members = [id_ for endpoint, id_ in self._made if endpoint == USERS][:2]
        if len(members) < 2:
            self._note("members", "unknown", "there are not enough users to try it with")
            return
        await self._try_members(group_id, members)

    async def _try_filters(self, label: str) -> None:
        values = {
            "userName": f"{label}@{DOMAIN}",
            "externalId": label,
            'emails[type eq "work"].value': f"{label}@{DOMAIN}",
        }
        working, refused = [], {}
        for attribute, value in values.items():
            try:
                found = await self._target.query(USERS, attribute, value, case_exact=False)
            except TargetUnusableError:
                raise
            except TargetError as error:
                refused[attribute] = error.reason
                continue
            if len(found) == 1:
                working.append(attribute)
            else:
                refused[attribute] = f"{len(found)} found"
        told = f"work on {', '.join(working) or 'nothing'}"
        if refused:
            told += "; not on " + ", ".join(f"{name} ({reason[:MOST_SHOWN]})" for name, reason in refused.items())
        members = {"filters": bool(working), "filterable": [*working, "displayName"] if working and refused else None}
        self._note("filters", "found", told, members)

    async def _try_pages(self) -> None:
        """One object is asked for; there are two at least."""
        listed: list[Any] = []
        for paging, params in (("index", "startIndex=1&count=1"), ("cursor", "cursor=&count=1")):
            try:
                document = await self._target.document(f"{USERS}?{params}")
            except TargetUnusableError:
                raise
            except TargetError:
                continue
            if not isinstance(document, Mapping):
                continue
            found = document.get("Resources", document.get("resources"))
            listed = found if isinstance(found, list) else []
            if document.get("nextCursor"):
                self._note("pages", "found", "lists are read by cursor", {"paging": "cursor"})
                return
            if paging == "index" and len(listed) == 1 and str(document.get("totalResults")) != "1":
                self._note("pages", "found", "lists are read by index", {"paging": "index"})
                return
        if len(listed) > 1:
            self._note("pages", "found", "lists come as a whole, whatever is asked for", {"paging": "none"})
        else:
            self._note("pages", "unknown", "lists show too little to tell")

    async def _try_attributes(self, manager: str) -> None:
        """What is not kept is written again whenever it is looked at, which no profile can mend."""
        label = f"{NAME}-{new_id()}"
        user: dict[str, Any] = {"userName": f"{label}@{DOMAIN}", "externalId": label}
        tried = {**USUAL, f"{ENTERPRISE_SCHEMA}:manager": manager}
        for text, value in tried.items():
            compile_path(text).write(user, value)
        user_id = await self._make(USERS, {"schemas": [USER_SCHEMA, ENTERPRISE_SCHEMA], **user}, "attributes")
        if user_id is None:
            return
        held = await self._target.read(USERS, user_id) or {}
        lost = [text for text, value in tried.items() if compile_path(text).read(held) != value]
        names = ", ".join(text.removeprefix(f"{ENTERPRISE_SCHEMA}:") for text in lost)
        told = f"not kept as written: {names}; take them out of the mappings" if lost else "the usual ones are kept"
        self._note("attributes", "found", told)

    async def _replaced(self, user_id: str) -> str:
        names = {"displayName": f"{NAME} put", "name.givenName": "Put"}
        changes = [{"op": "replace", "path": path, "value": value} for path, value in names.items()]
        await self._patch(USERS, user_id, *changes)
        held = await self._target.read(USERS, user_id) or {}
        if not any(compile_path(path).read(held) == value for path, value in names.items()):
            raise _NotSeenError("it was accepted, and changed nothing")
        return "works"

    async def _patched_by_path(self, user_id: str) -> str:
        await self._patch(USERS, user_id, {"op": "replace", "path": "displayName", "value": f"{NAME} patched"})
        held = await self._target.read(USERS, user_id)
        if held is None or held.get("displayName") != f"{NAME} patched":
            raise _NotSeenError("it was accepted, and changed nothing")
        return "works"

    async def _patched_without_path(self, user_id: str) -> str:
        await self._patch(
            USERS, user_id, {"op": "replace", "value": {"displayName": f"{NAME} again", "name.givenName": "Jo"}}
        )
        held = await self._target.read(USERS, user_id)
        name = (held or {}).get("name")
        if held is None or held.get("displayName") != f"{NAME} again" or (name or {}).get("givenName") != "Jo":
            raise _NotSeenError("it was accepted, and did not change everything")
        return "is understood, with dotted names"

    async def _disabled(self, user_id: str) -> str:
        await self._patch(USERS, user_id, {"op": "replace", "path": "active", "value": False})
        held = await self._target.read(USERS, user_id)
        if held is None:
            raise _NotSeenError("a user with active=false can no longer be read")
        if held.get("active") is not False:
            raise _NotSeenError("it was accepted, and changed nothing")
        return "can be set to false, and the user can still be read"

    async def _try_members(self, group_id: str, members: list[str]) -> None:
        """With a group that has no members yet, and two users."""
        one, other = members
        both = {one, other}
        limits = {"membersAddedPerPatch": 1, "membersRemovedPerPatch": 1, "mixedMemberChanges": False}
        self._update, written = self._target.modify, "patch"
        several = await self._try(
            "several members in one PATCH",
            self._changed(group_id, both, added=members),
            limits,
        )
        if not several and not await self._try("members one by one", self._joined(group_id, members), {}):
            self._update, written = self._target.replace, "put"
            self._note("members by PATCH", "found", "cannot be written", dict.fromkeys(limits))
            if not await self._try("members by PUT", self._changed(group_id, both, added=members), {}):
                return
        otherwise = {"memberUpdates": None if written == self._users_written else written}
        self._note("members", "found", f"are written by {written.upper()}", otherwise)
        await self._try_exclusion(group_id)
        if written == "patch":
            await self._try_removal(group_id, one, other, several=several)

    async def _try_exclusion(self, group_id: str) -> None:
        held = await self._target.read(GROUPS, group_id, exclude=(MEMBERS,))
        if held is not None and held.get(MEMBERS):
            told = "are listed although excludedAttributes asks for none"
            self._note("members in answers", "found", told, {"excludesAttributes": False})
        else:
            self._note("members in answers", "found", "are left out when asked", {"excludesAttributes": True})

    async def _try_removal(self, group_id: str, one: str, other: str, *, several: bool) -> None:
        """First as the job's dialect does it. Some know only one of the two ways, and take the other for something
        else: by the RFC a list beside the path removes everybody."""
        # Beside a PUT the dialect is that of the RFC.
        by_value = self._by_value and self._users_written == "patch"
        usual = self._changed(group_id, {other}, removed=[one], by_value=by_value)
        if not await self._try(REMOVALS[by_value], usual, {"removesMembersBy": "filter" if by_value else "value"}):
            by_value = not by_value
            if not await self._try(REMOVALS[by_value], self._removed_anew(group_id, one, other, by_value=by_value), {}):
                self._note("removing members", "found", "works in no way", {"removesMembersBy": None})
                return
        if several:
            mixed = self._changed(group_id, {one}, added=[one], removed=[other], by_value=by_value)
            await self._try("adding and removing in one PATCH", mixed, {"mixedMemberChanges": False})

    async def _joined(self, group_id: str, members: list[str]) -> str:
        for at, member in enumerate(members, 1):
            await self._changed(group_id, set(members[:at]), added=[member])
        return "works"

    async def _removed_anew(self, group_id: str, one: str, other: str, *, by_value: bool) -> str:
        """After a removal that did something else."""
        for member in (one, other):
            await self._patch(GROUPS, group_id, *member_operations(Dialect.RFC, [member], [], by_value=False))
        return await self._changed(group_id, {other}, removed=[one], by_value=by_value)

    async def _changed(
        self,
        group_id: str,
        wanted: set[str],
        *,
        added: Sequence[str] = (),
        removed: Sequence[str] = (),
        by_value: bool = False,
    ) -> str:
        """The group must have the wanted members afterwards, if it shows any."""
        await self._patch(GROUPS, group_id, *member_operations(Dialect.RFC, added, removed, by_value=by_value))
        held = await self._target.read(GROUPS, group_id)
        shown = (held or {}).get(MEMBERS)
        if not isinstance(shown, list):
            return "was accepted; the application does not show members"
        if {str(each.get("value")) for each in shown if isinstance(each, Mapping)} != wanted:
            raise _NotSeenError(f"it was accepted, and the group has {len(shown)} of {len(wanted)} members")
        return "works"

    async def _patch(self, endpoint: str, id_: str, *operations: Mapping[str, Any]) -> None:
        await self._update(endpoint, id_, patch_body([dict(operation) for operation in operations]))

    # Parts

    async def _make(self, endpoint: str, resource: Mapping[str, Any], about: str | None = None) -> str | None:
        try:
            id_ = await self._target.create(endpoint, resource)
        except TargetUnusableError as error:
            if error.status != 404:
                raise
            self._note(about or endpoint, "unknown", error.reason)
            return None
        except TargetError as error:
            self._note(about or endpoint, "unknown", f"an object to try things with cannot be made: {error.reason}")
            return None
        self._made.append((endpoint, id_))
        return id_

    async def _try(self, about: str, attempt: Awaitable[str], otherwise: Mapping[str, Any]) -> bool:
        """Notes what the attempt says, or what its refusal means for the profile; whether it succeeded."""
        try:
            told = await attempt
        except TargetUnusableError:
            raise
        except _NotSeenError as error:
            self._note(about, "found", str(error), otherwise)
            return False
        except TargetError as error:
            if error.status is None:
                self._note(about, "unknown", error.reason)
            else:
                self._note(about, "found", f"refused: {error.reason}", otherwise)
            return False
        # What works as it should needs nothing in the profile.
        self._note(about, "found", told, dict.fromkeys(otherwise))
        return True

    def _note(self, about: str, outcome: Outcome, told: str, members: Mapping[str, Any] = {}) -> None:
        self.findings.append(Finding(about=about, outcome=outcome, explanation=told, members=dict(members)))

    async def clean_up(self) -> None:
        """Deletes what was made, groups before their members."""
        for endpoint, id_ in reversed(self._made):
            try:
                await self._target.delete(endpoint, id_)
            except TargetError as error:
                self.left_behind.append(f"{endpoint}/{id_}: {error.reason}")


class _NotSeenError(Exception):
    """The target said yes, and did not do it."""


def _supported(config: Mapping[str, Any], name: str) -> bool | None:
    section = config.get(name)
    told = section.get("supported") if isinstance(section, Mapping) else None
    return told if isinstance(told, bool) else None


def _configured(config: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """What a ServiceProviderConfig says (RFC 7643 §5, RFC 9865 §4), in words and for the profile."""
    members: dict[str, Any] = {}
    told = {name: _supported(config, name) for name in ("patch", "filter", "bulk", "etag")}
    if told["patch"] is False:
        members["updates"] = "put"
    if told["filter"] is False:
        members["filters"] = False
    paging = config.get("pagination")
    if isinstance(paging, Mapping):
        if paging.get("index") is False:
            members["paging"] = "cursor" if paging.get("cursor") is True else "none"
        most = paging.get("maxPageSize")
        if isinstance(most, int) and not isinstance(most, bool) and 0 < most < 100:
            members["pageSize"] = most
    words = {True: "yes", False: "no", None: "not told"}
    return ", ".join(f"{name}: {words[value]}" for name, value in told.items()), members
