"""Which changes of members go into one request: as many as the target takes. Pure."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from joiner.provisioning.client.profile import TargetProfile

T = TypeVar("T")


def batches(added: Sequence[T], removed: Sequence[T], profile: TargetProfile) -> Iterator[list[T]]:
    """The changes in the order given, additions first, in lists for one request each."""
    most_added, most_removed = profile.members_added_per_patch, profile.members_removed_per_patch
    if not profile.mixed_member_changes:
        yield from _cut(added, most_added)
        yield from _cut(removed, most_removed)
        return
    adds = removes = 0
    while adds < len(added) or removes < len(removed):
        batch = list(added[adds : adds + most_added])
        adds += len(batch)
        room = min(most_removed, max(most_added, most_removed) - len(batch))
        more = removed[removes : removes + room]
        removes += len(more)
        yield [*batch, *more]


def _cut(items: Sequence[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
