"""The directory's end of an import: whose user it is, which values nobody has yet, and writing what was decided.

Each function is part of its caller's transaction.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

from msgspec.structs import replace

from joiner.directory import users
from joiner.directory.model import User
from joiner.errors import InvalidValueError
from joiner.expressions.values import canonical_text
from joiner.ids import new_id
from joiner.provisioning.decisions.decision import (
    Action,
    Change,
    Create,
    Decision,
    Modification,
    Modify,
    Problem,
    QueryMatch,
    Status,
    Step,
    TargetState,
)
from joiner.provisioning.decisions.unique import add_unique, next_unique
from joiner.provisioning.inbound.decide import Match, without_empty
from joiner.provisioning.inbound.plan import ENABLED, InboundPlan
from joiner.provisioning.job import links
from joiner.provisioning.mapping.plan import Computed, ObjectPlan
from joiner.provisioning.mapping.target_path import compile_path

NAME: Final = "userPrincipalName"
ENABLED_PATH: Final = compile_path(ENABLED)
NO_ADDITIONS: Final[frozenset[str]] = frozenset()
ORDER: Final[tuple[users.Which, ...]] = ("active", "deleted")
"""A user in the recycle bin is looked for when there is no other."""


def find(
    connection: sqlite3.Connection,
    job_id: str,
    source_id: str,
    name: str,
    plan: InboundPlan,
    attributes: Mapping[str, Any],
) -> Match:
    """By the link of an earlier import, else by the matching attributes in ascending precedence (REQ-P-063)."""
    link = links.links_of(connection, job_id, [source_id]).get(source_id)
    if link is not None:
        user = users.users_by_id(connection, [link.target_id]).get(link.target_id)
        if user is not None:
            step = Step(
                "EntryImport", "matching", Status.SUCCESS, "The linked user of the directory was read", {"id": user.id}
            )
            return _matched(user, (step,), is_managed=link.is_managed)
        # Purged: whoever has the employee id now is the one.
        links.forget_connection(connection, job_id, "User", source_id)
    match = _searched(connection, name, plan.users, attributes)
    if match.user_id is None:
        return match
    other = links.sources_linked_to(connection, job_id, "User", [match.user_id]).get(match.user_id)
    if other is None:
        return match
    reason = f"the user of the directory that matches '{name}' belongs to '{other}' of the source already"
    return Match(steps=match.steps, problem=Problem("DuplicateSourceEntries", reason))


def find_by_anchor(connection: sqlite3.Connection, job_id: str, plan: InboundPlan, source_id: str) -> str | None:
    """The id of the user whom the source calls so, as far as it can be told by that alone."""
    link = links.links_of(connection, job_id, [source_id]).get(source_id)
    if link is not None:
        return link.target_id if users.users_by_id(connection, [link.target_id]) else None
    match = _searched(connection, source_id, plan.users, {plan.anchor: source_id})
    return None if match.is_deleted else match.user_id


def compute(connection: sqlite3.Connection, plan: ObjectPlan, values: Mapping[str, Any], match: Match) -> Computed:
    """The values that the mappings give: those of a create if nobody was found, with values of SelectUniqueValue that
    no user has."""
    if match.user_id is not None:
        return without_empty(plan.compute(values, creating=False))
    computed = plan.compute(values, creating=True)
    if plan.unique and not computed.is_ignored:
        known = TargetState()
        while (asked := next_unique(plan, values, known)) is not None:
            is_taken = bool(users.users_by_attribute(connection, asked.attribute, asked.value, limit=1))
            known = replace(known, unique=(*known.unique, replace(asked, is_taken=is_taken)))
        computed = add_unique(plan, values, known, computed)
    return without_empty(computed)


def write(connection: sqlite3.Connection, decision: Decision, match: Match, now: str) -> str | None:
    """Carries the decision out; the id of the user that it is about.

    Raises AlreadyExistsError, InvalidValueError, and then whatever was written has to be undone.
    """
    match decision.request:
        case Create(resource):
            user = _with(_nobody(), resource, NO_ADDITIONS)
            users.add_user(connection, user, now)
            return user.id
        case Modify(user_id, modifications):
            if match.is_deleted:
                users.restore_user(connection, user_id, now)
            user = users.user_by_id(connection, user_id)
            changed = {each.path.text: each.value for each in modifications}
            added = frozenset(each.path.text for each in modifications if each.verb == "add")
            users.update_user(connection, _with(user, changed, added), now)
            return user_id
    return decision.target_id


def disable(user_id: str) -> Decision:
    """The decision to disable the user and nothing else."""
    return Decision(
        Action.DISABLE,
        Status.SUCCESS,
        (),
        changes=(Change(ENABLED, True, False),),
        request=Modify(user_id, (Modification(ENABLED_PATH, "replace", False),)),
        target_id=user_id,
    )


def set_manager(connection: sqlite3.Connection, user_id: str, manager_id: str | None, now: str) -> str | None:
    """Writes the manager; returns the one before. Raises InvalidValueError if it cannot be."""
    user = users.user_by_id(connection, user_id)
    users.update_user(connection, replace(user, manager_id=manager_id), now)
    return user.manager_id


# Parts


def _searched(connection: sqlite3.Connection, name: str, plan: ObjectPlan, attributes: Mapping[str, Any]) -> Match:
    wanted = plan.match_values(attributes)
    if not wanted:
        names = ", ".join(flow.target for flow in plan.matching)
        return Match(problem=Problem("ImportSkipped", f"no value for any matching attribute ({names})"))
    steps: list[Step] = []
    for which in ORDER:
        for flow, value in wanted:
            query = QueryMatch(flow.target, canonical_text(value), case_exact=False)
            found = users.users_by_attribute(connection, query.attribute, query.value, which)
            if which == "active" or found:
                steps.append(_search_step(name, query, len(found)))
            if len(found) > 1:
                told = f"several users of the directory have {query.attribute} '{query.value}'"
                reason = f"{told}; '{name}' can be matched to one only"
                return Match(steps=tuple(steps), problem=Problem("DuplicateTargetEntries", reason))
            if found:
                return _matched(found[0], tuple(steps), is_managed=None)
    return Match(steps=tuple(steps))


def _search_step(name: str, query: QueryMatch, number: int) -> Step:
    return Step(
        "EntryImport",
        "matching",
        Status.SUCCESS if number <= 1 else Status.FAILURE,
        f"Searched the directory for '{name}' by {query.attribute}: {number} found",
        {query.attribute: query.value},
    )


def _matched(user: User, steps: tuple[Step, ...], *, is_managed: bool | None) -> Match:
    held = users.source_attributes(user)
    return Match(user.id, held, is_deleted=user.deleted_at is not None, is_managed=is_managed, steps=steps)


def _nobody() -> User:
    return User(
        id=new_id(), user_principal_name="", account_enabled=True, manager_id=None, attributes={}, created_at=""
    )


def _with(user: User, values: Mapping[str, Any], added: frozenset[str]) -> User:
    """The user with the values by the engine's names; None removes, and what is added to a list joins it."""
    name, enabled, attributes = user.user_principal_name, user.account_enabled, dict(user.attributes)
    for attribute, value in values.items():
        if attribute == NAME:
            name = str(value)
            if not users.PRINCIPAL_NAME.fullmatch(name):
                raise InvalidValueError(f"{NAME} must have the form alias@domain, not '{name}'")
        elif attribute == ENABLED:
            enabled = bool(value)
        elif value is None:
            attributes.pop(attribute, None)
        elif attribute in added and isinstance(value, list) and isinstance(attributes.get(attribute), list):
            held = attributes[attribute]
            attributes[attribute] = [*held, *(each for each in value if each not in held)]
        else:
            attributes[attribute] = value
    return replace(user, user_principal_name=name, account_enabled=enabled, attributes=attributes)
