"""What a world is made of, beside its events: drawn once for each seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

from joiner.provisioning.job.job_settings import DELETES, DELETES_FLOOR, DELETES_PERCENT
from tests.simulation.faults import FAULTS
from tests.simulation.scim_target import Traits

DIALECTS: Final = ("", "?aadOptscim062020", "?AzureAdScimPatch2017")


ABILITIES: Final[tuple[tuple[str, tuple[Any, ...]], ...]] = (
    ("paging", ("index", "cursor", "cursor unasked", "none")),
    ("most_listed", (1000, 1, 2)),
    ("filters", (True, False)),
    ("filterable", (None, ("userName",), ("displayName",))),
    ("filters_briefly", (False, True)),
    ("compares_exactly", (False, True)),
    ("updates", ("patch", "put")),
    ("has_versions", (True, False)),
    ("mixes_members", (True, False)),
    ("shows_empty_groups", (True, False)),
    ("soft_deletes", (True, False)),
)
"""Trait → the values that it may have, the usual one first."""
GUARDS: Final[tuple[Mapping[str, str], ...]] = (
    {DELETES: "0"},
    {DELETES: "1"},
    {DELETES: "2"},
    {DELETES_PERCENT: "20", DELETES_FLOOR: "1"},
    {DELETES_PERCENT: "50", DELETES_FLOOR: "0"},
)


@dataclass(frozen=True)
class Conditions:
    """The target, the settings of the job, and the sizes of its pages."""

    traits: Traits = field(default_factory=Traits)
    rates: Mapping[str, float] = field(default_factory=dict)
    """Name of the fault → probability of each request."""
    dialect: str = ""
    """A flag of the Tenant URL."""
    sync_all: bool = False
    skips_out_of_scope: bool = False
    has_accidents: bool = False
    """Somebody deletes and changes the job's accounts by hand."""
    objects_per_page: int = 100
    references_per_page: int = 1000
    members_per_request: int = 100
    prefetch: str = "auto"
    listed_per_page: int = 100
    mode: str = "improved"
    rematches: bool = False
    """Who has lost the account is matched again, and made anew."""
    guard: Mapping[str, str] = field(default_factory=dict)
    """The limits that the administrator sets to deletions."""

    @property
    def profile(self) -> dict[str, Any]:
        """What the job is told of the target."""
        traits = self.traits
        return {
            "membersAddedPerPatch": self.members_per_request,
            "membersRemovedPerPatch": self.members_per_request,
            "mixedMemberChanges": traits.mixes_members,
            "pageSize": self.listed_per_page,
            "pathlessPatch": not traits.refuses_pathless,
            "updates": traits.updates,
            "filters": traits.filters,
            "filterable": traits.filterable,
            "paging": "index" if traits.paging == "cursor unasked" else traits.paging,
            "softDelete": traits.soft_deletes,
        }

    @property
    def settings(self) -> dict[str, str]:
        """Those of the job."""
        switch = {"parity.rematchMissing": "on"} if self.rematches else {}
        return {"Prefetch": self.prefetch, "Mode": self.mode, **switch, **self.guard}

    @property
    def loses(self) -> frozenset[str]:
        """The silent faults that can occur: no incremental cycle can repair them."""
        lost = {name for name, rate in self.rates.items() if rate and FAULTS[name].is_silent}
        return frozenset(lost | ({"accidents"} if self.has_accidents else set()))


def draw_conditions(rng: Random) -> Conditions:
    """Many worlds have few faults each, and a few have all of them."""
    names = [name for name in FAULTS if not FAULTS[name].is_silent]
    chosen = rng.sample(names, rng.choice((0, 1, 2, 3, 5, len(names))))
    strength = rng.choice((0.02, 0.05, 0.15)) if len(chosen) <= 3 else rng.choice((0.005, 0.015, 0.03))
    rates = dict.fromkeys(chosen, strength)
    if rng.random() < 0.15:
        rates[rng.choice(("lost update", "lost members", "lost delete"))] = 0.1
    permits_duplicates = rng.random() < 0.3
    if permits_duplicates:
        # Two accounts of one name, one of them made by hand, are the administrator's to tell apart.
        rates.pop("race", None)
    dialect = rng.choice(DIALECTS)
    traits = Traits(
        permits_duplicates=permits_duplicates,
        ignores_exclusion=rng.random() < 0.3,
        folds_names=rng.random() < 0.3,
        answers_patch_with_body=rng.random() < 0.3,
        # A target that neither shows what was made nor refuses it twice cannot be provisioned without duplicates.
        hidden_seconds=0.0 if permits_duplicates else rng.choice((0, 0, 0, 2, 30)),
        keeps_dangling_members=rng.random() < 0.3,
        refuses_pathless=rng.random() < 0.3,
        members_per_operation=rng.choice((1, 1000)),
    )
    # By chance of their own, so that the seeds that failed before are much as they were.
    listing, further = Random(f"{rates} {traits}"), Random(f"{rates} {traits} {dialect}")
    traits = replace(traits, lists=listing.choice(("", "", "", "", "not", "twice", "not all", "briefly")))
    traits = _with_abilities(further, traits)
    return Conditions(
        traits=traits,
        prefetch=listing.choice(("on", "on", "auto", "off")),
        listed_per_page=listing.choice((1, 2, 3, 100)),
        rates=rates,
        dialect=dialect,
        sync_all=rng.random() < 0.15,
        skips_out_of_scope=rng.random() < 0.2,
        has_accidents=rng.random() < 0.1,
        objects_per_page=rng.choice((2, 3, 5, 100)),
        references_per_page=rng.choice((2, 5, 1000)),
        members_per_request=min(rng.choice((1, 2, 100)), traits.members_per_operation),
        mode="entra" if further.random() < 0.2 else "improved",
        rematches=further.random() < 0.3,
        guard=further.choice(GUARDS) if further.random() < 0.4 else {},
    )


def _with_abilities(rng: Random, traits: Traits) -> Traits:
    """What else targets can do, or not; half of them can do everything."""
    if rng.random() < 0.5:
        return traits
    chosen: dict[str, Any] = {
        name: values[0] if rng.random() < 0.6 else rng.choice(values) for name, values in ABILITIES
    }
    if traits.lists:
        # Who can be found neither by a filter nor in a list cannot be provisioned.
        chosen.update(filters=True, filterable=None)
    return replace(traits, **chosen)
