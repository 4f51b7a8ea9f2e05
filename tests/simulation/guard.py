"""The guard against accidental deletions, seen from the target: in no cycle do more lose something than the limits
allow, whatever dies and starts again meanwhile."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from joiner.provisioning.job.job_settings import DELETES, DELETES_FLOOR, DELETES_PERCENT
from tests.simulation.scim_target import Effect, SimulatedTarget

Loss = tuple[str, str]
"""The object, and the member that it loses; '' for the object itself."""
DEFAULT: Final = {DELETES: "500", DELETES_PERCENT: "20", DELETES_FLOOR: "25"}


@dataclass(slots=True)
class GuardWatch:
    """Notes what is lost in each cycle; what is too much is told to `complain`."""

    limits: Mapping[str, str] | None
    """None: nothing is guarded."""
    counts_members: bool
    target: SimulatedTarget
    complain: Callable[[str], None]
    allowed: set[Loss] = field(default_factory=set)
    """What an administrator has said yes to."""
    free_cycles: set[str] = field(default_factory=set)
    """In these everything may be deleted: they carry out a plan, deletions included."""
    _lost: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _managed: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def note_managed(self, cycle_id: str, managed: int) -> None:
        """The job manages so many objects in the cycle. The number falls only after everything has been counted."""
        self._managed[cycle_id] = max(self._managed[cycle_id], managed)

    def note(self, effect: Effect, cycle_id: str) -> None:
        """A write was carried out in the cycle."""
        if self.limits is None or cycle_id in self.free_cycles:
            return
        lost = self._lost[cycle_id]
        before = len(lost)
        lost.update(who or what for what, who in self._losses(effect) if (what, who) not in self.allowed)
        if len(lost) > before and not self._admits(len(lost), self._managed[cycle_id]):
            self.complain(f"{len(lost)} objects lost something in one cycle: {sorted(lost)}")

    def _losses(self, effect: Effect) -> Iterator[Loss]:
        endpoint, before, after = effect.request.endpoint, effect.before, effect.after
        own = str(before.get("externalId") or before.get("id"))
        is_disabled = before.get("active") is True and after.get("active") is False
        if (before and not after) or is_disabled:
            yield own, ""
        elif endpoint == "Groups" and self.counts_members:
            held, kept = ({item["value"] for item in each.get("members", [])} for each in (before, after))
            for id_ in held - kept:
                yield own, self.target.owner_of(id_)

    def _admits(self, number: int, managed: int) -> bool:
        assert self.limits is not None
        most, percent, floor = (int(self.limits.get(name, "0")) for name in (DELETES, DELETES_PERCENT, DELETES_FLOOR))
        if DELETES in self.limits and number > most:
            return False
        return not (percent and number > floor and number * 100 > percent * managed)
