"""Finding resources in a target without filters: everything is read once and looked up here."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from joiner.clock import Clock
from joiner.provisioning.client.answers import Resource, folded
from joiner.provisioning.mapping.target_path import compile_path

FRESH: Final = 300.0
"""Seconds for which what was read is used, unless we change something in between."""


class Everything:
    """The resources of one endpoint, found by the value of an attribute."""

    def __init__(self, resources: Iterable[Resource], moment: float) -> None:
        self._resources = list(resources)
        self._indexes: dict[tuple[str, bool], dict[str, list[Resource]]] = {}
        self.moment = moment

    def add(self, resource: Resource) -> None:
        """A resource that was created since."""
        self._resources.append(resource)
        for (attribute, case_exact), index in self._indexes.items():
            _note(index, resource, attribute, case_exact)

    def equal(self, attribute: str, value: str, *, case_exact: bool) -> list[Resource]:
        """The resources whose attribute, given as a path, has the value."""
        key = attribute, case_exact
        index = self._indexes.get(key)
        if index is None:
            index = self._indexes[key] = {}
            for resource in self._resources:
                _note(index, resource, attribute, case_exact)
        return list(index.get(value if case_exact else folded(value), ()))


class Scan:
    """Reads an endpoint when it is first needed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._held: dict[str, Everything] = {}
        self._reading = asyncio.Lock()
        self._changes = 0
        """A list that was read while something changed is used once: it may be from before that."""

    async def of(self, endpoint: str, read: Callable[[], Awaitable[list[Resource]]]) -> Everything:
        """What `read` gives, or gave not long ago."""
        async with self._reading:
            now = self._clock().timestamp()
            held = self._held.get(endpoint)
            if held is None or now - held.moment > FRESH:
                before = self._changes
                held = Everything(await read(), now)
                if self._changes == before:
                    self._held[endpoint] = held
            return held

    def add(self, endpoint: str, resource: Mapping[str, Any], target_id: str) -> None:
        """A resource was created there."""
        self._changes += 1
        held = self._held.get(endpoint)
        if held is not None:
            held.add({**resource, "id": target_id})

    def forget(self, endpoint: str) -> None:
        """Something there is about to be changed."""
        self._changes += 1
        self._held.pop(endpoint, None)


def _note(index: dict[str, list[Resource]], resource: Resource, attribute: str, case_exact: bool) -> None:
    value: Any = compile_path(attribute).read(resource)
    if value is not None:
        text = str(value)
        index.setdefault(text if case_exact else folded(text), []).append(resource)
