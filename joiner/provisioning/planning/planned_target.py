"""A target that is asked and never written to: what it is told to write is noted, and seen by later questions."""

from collections.abc import Mapping, Sequence
from typing import Any

from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.client.merge import merged
from joiner.provisioning.planning.planned_writes import UNIQUE, PlannedWrites, Write
from joiner.provisioning.ports import Resource, TargetReads
from joiner.provisioning.reads_through import ReadsThrough


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

    async def create(self, endpoint: str, resource: Mapping[str, Any]) -> str:
        unique = UNIQUE[endpoint]
        for name, value in resource.items():
            if name.lower() == unique and isinstance(value, str):
                holder = self._writes.holder(endpoint, unique, value)
                if holder is not None and not self._writes.has_lost(endpoint, unique, value, holder):
                    raise TargetError("Conflict", f"another object of this plan gets the {name} '{value}' already", 409)
        target_id = self._writes.new_id()
        self._writes.note(endpoint, target_id, resource.items(), is_new=True)
        self._writes.pending.append(Write("POST", endpoint, target_id, resource))
        if self.profile.uses_put:
            self._writes.keep_whole(endpoint, target_id, {**resource, "id": target_id})
        return target_id

    async def modify(self, endpoint: str, target_id: str, body: Mapping[str, Any]) -> None:
        for operation in body["Operations"]:
            path, value = operation.get("path"), operation.get("value")
            given = value.items() if path is None else [(path, value)]
            self._writes.note(endpoint, target_id, given, is_new=False)
        method, sent = "PATCH", body
        if self.profile.uses_put:
            whole = merged(endpoint, await self._whole(endpoint, target_id), body)
            self._writes.keep_whole(endpoint, target_id, whole)
            if self.profile.is_put(body):
                method, sent = "PUT", whole
        self._writes.pending.append(Write(method, endpoint, target_id, sent))

    async def delete(self, endpoint: str, target_id: str) -> None:
        self._writes.pending.append(Write("DELETE", endpoint, target_id, None))

    async def _whole(self, endpoint: str, target_id: str) -> Resource:
        """The object as it would be by now."""
        known = self._writes.whole(endpoint, target_id) or await self._reads.read(endpoint, target_id)
        if known is None:
            raise TargetError("InvalidAnchor", f"the target object '{target_id}' no longer exists", 404)
        return known
