"""Asking a target through another one: what is not said otherwise is passed on."""

from collections.abc import AsyncIterator, Sequence

from joiner.provisioning.client.answers import Page
from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.ports import Resource, TargetReads


class ReadsThrough:
    """A `TargetReads` over another; it has no way to write."""

    def __init__(self, reads: TargetReads) -> None:
        self._reads = reads

    @property
    def profile(self) -> TargetProfile:
        return self._reads.profile

    async def page(self, endpoint: str, *, place: int | str, count: int, exclude: Sequence[str] = ()) -> Page:
        return await self._reads.page(endpoint, place=place, count=count, exclude=exclude)

    def every(self, endpoint: str, *, exclude: Sequence[str] = ()) -> AsyncIterator[Resource]:
        return self._reads.every(endpoint, exclude=exclude)

    async def query(
        self, endpoint: str, attribute: str, value: str, *, case_exact: bool, exclude: Sequence[str] = ()
    ) -> list[Resource]:
        return await self._reads.query(endpoint, attribute, value, case_exact=case_exact, exclude=exclude)

    async def read(self, endpoint: str, target_id: str, *, exclude: Sequence[str] = ()) -> Resource | None:
        return await self._reads.read(endpoint, target_id, exclude=exclude)
