"""Where the reference has a documented gap, and what a job does about it: one switch for each, and two modes.

A job in mode `entra` behaves as documented, gaps included; in mode `improved`, the default, it closes them, but for
those whose remedy not everybody wants. Every switch can be set on its own by the job's setting `parity.NAME`.
docs/modes.md shows this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, get_args

Mode = Literal["improved", "entra"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)
MODE_SETTING: Final = "Mode"
PREFIX: Final = "parity."


@dataclass(frozen=True, slots=True)
class Switch:
    """One deviation. Off: as documented; on: improved."""

    name: str
    documented: str
    improved: str
    in_entra: bool = False
    in_improved: bool = True

    def default(self, mode: Mode) -> bool:
        """Whether it is on in the mode, unless it is set."""
        return self.in_entra if mode == "entra" else self.in_improved


SWITCHES: Final = (
    Switch(
        "lateReferences",
        "a manager or member who comes into scope later is not set until the job is restarted",
        "the reference is set in the cycle that links them",
    ),
    Switch(
        "smallTenantQuarantine",
        "nothing is quarantined by numbers below 5,000 failures",
        "three cycles in a row in which every export failed quarantine the job, if more than 40 % are failing",
    ),
    Switch(
        "patientWhenUnreachable",
        "an application that cannot be reached quarantines the job at once",
        "the third cycle in a row that cannot reach it does",
    ),
    Switch(
        "quarantineAfterInitialCycle",
        "an initial cycle with too many failures forgets them, and the job is paused",
        "the initial cycle ends, then the job is quarantined as after any other cycle; nothing is forgotten",
    ),
    Switch(
        "preventAccidentalDeletions",
        "the guard against accidental deletions is off until its threshold is set",
        "it is on: more than 500, or more than 25 and over 20 % of the managed objects, are held back",
    ),
    Switch(
        "guardMemberships",
        "only disables and deletes count as deletions",
        "who only loses memberships counts too, and the removals are held back with the others",
    ),
    Switch(
        "restartOnNarrowerScope",
        "a change from all users to assigned ones reaches those who do not change when the job is restarted",
        "the change restarts the job",
    ),
    Switch(
        "adaptivePace",
        "an application is sent at most 25 requests a second",
        "as many as it bears, which is found out while working",
    ),
    Switch(
        "mailWhenDisabled",
        "no e-mail when a job is disabled after 28 days of quarantine",
        "an e-mail says so",
    ),
    Switch(
        "onDemandFlag",
        "provisioning on demand ignores the flag aadOptscim062020 of the Tenant URL",
        "it writes as a cycle does",
    ),
    Switch(
        "onDemandLeavers",
        "provisioning on demand refuses users who are disabled or deleted in the directory",
        "it disables their accounts as a cycle does",
    ),
    Switch(
        "rematchMissing",
        "an account that somebody deleted in the application is reported as InvalidAnchor until it is restored",
        "the link is forgotten: the object is matched again, and created if nothing matches",
        in_improved=False,
    ),
)
BY_NAME: Final[Mapping[str, Switch]] = {switch.name: switch for switch in SWITCHES}


def mode_of(settings: Mapping[str, str]) -> Mode:
    """The job's mode by its settings."""
    return "entra" if settings.get(MODE_SETTING) == "entra" else "improved"


def is_on(settings: Mapping[str, str], name: str) -> bool:
    """Whether the switch is on for a job with these settings. Raises KeyError for a name that does not exist."""
    switch = BY_NAME[name]
    told = settings.get(PREFIX + name)
    return switch.default(mode_of(settings)) if told is None else told == "on"
