"""A target that is only asked, and what it was asked and answered."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from joiner.provisioning.client.failures import TargetError
from joiner.provisioning.mapping.plan import REDACTED, ObjectPlan
from joiner.provisioning.ports import Resource, TargetReads
from joiner.provisioning.reads_through import ReadsThrough


class Listening(ReadsThrough):
    """A `Target` that has no way to write. `heard`: each question with its answer; values of secret mappings are
    masked."""

    def __init__(self, reads: TargetReads, plan: ObjectPlan) -> None:
        self.heard: list[dict[str, Any]] = []
        super().__init__(reads)
        self._plan = plan

    async def query(
        self, endpoint: str, attribute: str, value: str, *, case_exact: bool, exclude: Sequence[str] = ()
    ) -> list[Resource]:
        is_secret = any(flow.is_secret for flow in self._plan.flows if flow.target == attribute)
        asked = f"GET {endpoint}?filter={attribute} eq {orjson.dumps(REDACTED if is_secret else value).decode()}"
        try:
            found = await self._reads.query(endpoint, attribute, value, case_exact=case_exact, exclude=exclude)
        except TargetError as error:
            self.heard.append({"request": asked, "answer": None, "error": error.reason})
            raise
        self.heard.append({"request": asked, "answer": [self._masked(each) for each in found], "error": None})
        return found

    async def read(self, endpoint: str, target_id: str, *, exclude: Sequence[str] = ()) -> Resource | None:
        asked = f"GET {endpoint}/{target_id}"
        try:
            found = await self._reads.read(endpoint, target_id, exclude=exclude)
        except TargetError as error:
            self.heard.append({"request": asked, "answer": None, "error": error.reason})
            raise
        answer = None if found is None else self._masked(found)
        self.heard.append({"request": asked, "answer": answer, "error": None if found else "it does not exist"})
        return found

    async def create(self, endpoint: str, resource: Mapping[str, Any]) -> str:
        raise AssertionError("an explanation writes nothing")

    async def modify(self, endpoint: str, target_id: str, body: Mapping[str, Any]) -> None:
        raise AssertionError("an explanation writes nothing")

    async def delete(self, endpoint: str, target_id: str) -> None:
        raise AssertionError("an explanation writes nothing")

    def _masked(self, resource: Resource) -> Resource:
        secret = [flow.path for flow in self._plan.flows if flow.is_secret]
        if not any(path.read(resource) is not None for path in secret):
            return resource
        copy: Resource = orjson.loads(orjson.dumps(resource))
        for path in secret:
            if path.read(copy) is not None:
                path.write(copy, REDACTED)
        return copy
