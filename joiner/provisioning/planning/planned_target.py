"""A target that is asked and never written to: what it is told to write is noted, and seen by later questions."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

from joiner.provisioning.client.merge import merged
from joiner.provisioning.failures import TargetError
from joiner.provisioning.ports import Resource, TargetReads
from joiner.provisioning.reads_through import ReadsThrough

UNIQUE: Final = {"/Users": "username", "/Groups": ""}
"""The attribute that no two objects of a target share (RFC 7643 §4.1.1)."""
VIRTUAL: Final = re.compile(r"planned-[0-9a-f]{16}-\d+")
"""Ids of objects that exist in the plan only."""


@dataclass(frozen=True, slots=True)
class Write:
    """A request that would be sent."""

    method: str
    endpoint: str
    target_id: str
    body: Any

    @property
    def path(self) -> str:
        return self.endpoint if self.method == "POST" else f"{self.endpoint}/{quote(self.target_id, safe='')}"


@dataclass(slots=True)
class PlannedWrites:
    """What a plan has been told to write so far. Of what earlier pages wrote only hashes are kept: a plan may be of
    any size."""

    pending: list[Write] = field(default_factory=list)
    """Those of the page under way."""
    wholes: dict[tuple[str, str], Resource] = field(default_factory=dict)
    """Endpoint and id → the object as it would be by now: only for a target that every change is written to as a whole.
    """
    _mark: str = field(default_factory=lambda: secrets.token_hex(8))
    _number: int = 0
    _holders: dict[int, str] = field(default_factory=dict)
    """Hash of endpoint, attribute and value → the object that would have it."""
    _values: dict[int, int] = field(default_factory=dict)
    """Hash of endpoint, attribute and object → hash of the value that it would have."""
    _asked: dict[str, set[str]] = field(default_factory=dict)
    """Endpoint → attributes that objects are looked for by."""

    def drain(self) -> list[Write]:
        """Those of the page under way, which are forgotten."""
        written, self.pending = self.pending, []
        return written

    def new_id(self) -> str:
        self._number += 1
        return f"planned-{self._mark}-{self._number}"

    def watch(self, endpoint: str, attribute: str) -> None:
        """From now on it is noted who has which value of this attribute."""
        self._asked.setdefault(endpoint, {UNIQUE[endpoint]}).add(attribute.lower())

    def holder(self, endpoint: str, attribute: str, value: str) -> str | None:
        """The object that would have this value, None if the plan gives it to nobody."""
        return self._holders.get(_key(endpoint, attribute.lower(), value.casefold()))

    def has_lost(self, endpoint: str, attribute: str, value: str, target_id: str) -> bool:
        """Whether the plan gives the object another value than this one."""
        held = self._values.get(_key(endpoint, attribute.lower(), target_id))
        return held is not None and held != hash(value.casefold())

    def note(self, endpoint: str, target_id: str, attributes: Iterable[tuple[str, Any]]) -> None:
        """The object would have these values of these attributes."""
        asked = self._asked.setdefault(endpoint, {UNIQUE[endpoint]})
        for name, value in attributes:
            attribute = name.lower()
            if isinstance(value, str) and attribute in asked:
                self._holders[_key(endpoint, attribute, value.casefold())] = target_id
                self._values[_key(endpoint, attribute, target_id)] = hash(value.casefold())


class PlannedTarget(ReadsThrough):
    """A `Target` over the reading half of a real one; it has no way to write to it."""

    def __init__(self, reads: TargetReads, writes: PlannedWrites) -> None:
        super().__init__(reads)
        self._writes = writes

    async def query(
        self, endpoint: str, attribute: str, value: str, *, case_exact: bool, exclude: Sequence[str] = ()
    ) -> list[Resource]:
        self._writes.watch(endpoint, attribute)
        answered = await self._reads.query(endpoint, attribute, value, case_exact=case_exact, exclude=exclude)
        found = [each for each in answered if not self._writes.has_lost(endpoint, attribute, value, str(each["id"]))]
        holder = self._writes.holder(endpoint, attribute, value)
        known = {str(each["id"]) for each in found}
        if holder is not None and holder not in known and not self._writes.has_lost(endpoint, attribute, value, holder):
            found.append({"id": holder, attribute: value})
        return found

    async def read(self, endpoint: str, target_id: str, *, exclude: Sequence[str] = ()) -> Resource | None:
        return await self._reads.read(endpoint, target_id, exclude=exclude)

    async def create(self, endpoint: str, resource: Mapping[str, Any]) -> str:
        unique = UNIQUE[endpoint]
        for name, value in resource.items():
            if name.lower() == unique and isinstance(value, str):
                holder = self._writes.holder(endpoint, unique, value)
                if holder is not None and not self._writes.has_lost(endpoint, unique, value, holder):
                    raise TargetError("Conflict", f"another object of this plan gets the {name} '{value}' already", 409)
        target_id = self._writes.new_id()
        self._writes.note(endpoint, target_id, resource.items())
        self._writes.pending.append(Write("POST", endpoint, target_id, resource))
        if self.profile.uses_put:
            self._writes.wholes[endpoint, target_id] = {**resource, "id": target_id}
        return target_id

    async def modify(self, endpoint: str, target_id: str, body: Mapping[str, Any]) -> None:
        for operation in body["Operations"]:
            path, value = operation.get("path"), operation.get("value")
            self._writes.note(endpoint, target_id, value.items() if path is None else [(path, value)])
        method, sent = "PATCH", body
        if self.profile.uses_put:
            whole = merged(endpoint, await self._whole(endpoint, target_id), body)
            self._writes.wholes[endpoint, target_id] = whole
            if self.profile.is_put(body):
                method, sent = "PUT", whole
        self._writes.pending.append(Write(method, endpoint, target_id, sent))

    async def delete(self, endpoint: str, target_id: str) -> None:
        self._writes.pending.append(Write("DELETE", endpoint, target_id, None))

    async def _whole(self, endpoint: str, target_id: str) -> Resource:
        """The object as it would be by now."""
        known = self._writes.wholes.get((endpoint, target_id)) or await self._reads.read(endpoint, target_id)
        if known is None:
            raise TargetError("InvalidAnchor", f"the target object '{target_id}' no longer exists", 404)
        return known


def _key(*parts: str) -> int:
    return hash(parts)
