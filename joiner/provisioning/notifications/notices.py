"""What the notification e-mails say. Pure; when one is due is decided in `standing` (provisioning service §13.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Occasion = Literal["quarantined", "deletions held back", "disabled", "lifted", "drift found", "drift repaired"]

SUBJECTS: Final[Mapping[Occasion, str]] = {
    "quarantined": "Provisioning to {application} is in quarantine",
    "deletions held back": "Provisioning to {application}: deletions are held back",
    "disabled": "Provisioning to {application} has been turned off",
    "lifted": "Provisioning to {application} is out of quarantine",
    "drift found": "Provisioning to {application}: the application is not as it should be",
    "drift repaired": "Provisioning to {application}: changes made in the application have been put right",
}
LEADS: Final[Mapping[Occasion, str]] = {
    "quarantined": "Provisioning to {application} meets too many errors, or one that stops everything.",
    "deletions held back": "A cycle of provisioning to {application} would have taken access from unusually many users"
    " or groups. None of it has been sent; everything else goes on. Look at it, then allow or reject it.",
    "disabled": "Provisioning to {application} has been in quarantine for 28 days and has been turned off. It runs"
    " again when an administrator starts it.",
    "lifted": "Provisioning to {application} works again and runs at its usual interval.",
    "drift found": "Somebody has changed in {application} what provisioning manages. Nothing has been put right yet.",
    "drift repaired": "Somebody has changed in {application} what provisioning manages. It has been put right, but for"
    " what is named here as refused or held back.",
}
GOES_ON: Final = " It goes on trying, less often than usual."
STANDS_STILL: Final = " The job is not started, and makes no attempt by itself."
NOTHING: Final[Mapping[str, str]] = {}
HINTS: Final[Mapping[Occasion, str]] = {
    "quarantined": "joiner job status JOB shows how it stands; joiner job start JOB tries again at once.",
    "deletions held back": "joiner job deletes JOB lists what is held back; joiner job deletes JOB allow sends it.",
    "disabled": "joiner job start JOB starts it again.",
    "lifted": "",
    "drift found": "joiner job plans JOB --show PLAN shows what; joiner job apply JOB PLAN puts it right.",
    "drift repaired": "joiner job plans JOB --show PLAN shows what it was.",
}


@dataclass(frozen=True, slots=True)
class Mail:
    """A message of plain text. `recipients`: addresses with commas between."""

    recipients: str
    subject: str
    body: str


def compose(
    occasion: Occasion,
    recipients: str,
    application: str,
    job_id: str,
    quarantine: Mapping[str, Any] | None,
    told: Mapping[str, str] = NOTHING,
    *,
    is_started: bool = True,
) -> Mail:
    """The e-mail of the occasion. The error's text comes from `failures`, which knows no secrets. `told`: more facts
    by name; that of `Plan` is named in the hint. `is_started`: the job runs by itself."""
    name = " ".join(application.split())
    lead = LEADS[occasion].format(application=name)
    if occasion == "quarantined":
        lead += GOES_ON if is_started else STANDS_STILL
    lines = [lead, ""]
    goes_on = is_started and occasion in ("quarantined", "deletions held back")
    facts = [("Application", name), ("Job", job_id), *_facts(quarantine, goes_on=goes_on), *told.items()]
    lines += [f"{label}: {value}" for label, value in facts if value]
    hint = HINTS[occasion]
    if hint:
        lines += ["", hint.replace("JOB", f'"{name}"').replace("PLAN", told.get("Plan", "PLAN"))]
    return Mail(recipients, SUBJECTS[occasion].format(application=name), "\n".join(lines) + "\n")


def _facts(quarantine: Mapping[str, Any] | None, *, goes_on: bool) -> list[tuple[str, str]]:
    if quarantine is None:
        return []
    return [
        ("Reason", quarantine["reason"]),
        ("Error", quarantine["error"]["message"]),
        ("Since", quarantine["seriesBegan"]),
        ("Next attempt", quarantine["nextAttempt"] if goes_on else ""),
    ]
