"""The settings of a job (`synchronizationJobSettings`): which there are, what they may hold, what holds without them.

Pure. They are kept as texts by name, as the API shows them; `check_changes` lets only good ones in.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, cast

import orjson

from joiner.errors import InvalidValueError
from joiner.provisioning.job.modes import BY_NAME, MODE_SETTING, MODES, PREFIX, is_on
from joiner.provisioning.job.quarantine import Thresholds
from joiner.provisioning.log.exchanges import AMOUNTS, Amount

ADDRESS: Final = re.compile(r"[^@\s,;<>]+@[^@\s,;<>]+")
MOST_ADDRESSES: Final = 10
MOST: Final = 10**9
MOST_HOURS: Final = 24 * 366
DriftAction = Literal["report", "repair"]

INTERVAL: Final = "IntervalMinutes"
LONGEST_INTERVAL: Final = 24 * 60
DELETES: Final = "QuarantineTooManyDeletesThreshold"
DELETES_PERCENT: Final = "QuarantineTooManyDeletesPercent"
DELETES_FLOOR: Final = "QuarantineTooManyDeletesPercentFloor"
PREVENT: Final = "PreventAccidentalDeletions"
EMAIL: Final = "NotificationEmail"
SENDS_MAIL: Final = "SendNotificationEmail"
MAILS_WHEN_LIFTED: Final = "NotifyWhenQuarantineIsLifted"
PREFETCH: Final = "Prefetch"
PREFETCHES: Final = ("auto", "on", "off")
LOG_REQUESTS: Final = "LogRequests"
DRIFT_HOURS: Final = "DriftCheckHours"
DRIFT_ACTION: Final = "DriftCheckAction"
DRIFT_ACTIONS: Final[tuple[DriftAction, ...]] = ("report", "repair")
START: Final = "QuarantineEvaluationThreshold"
PERCENT: Final = "QuarantineEscrowPercent"
BASE: Final = "QuarantineBaseEscrowThreshold"
TOTAL: Final = "QuarantineTotalEscrowThreshold"


def _number(text: str) -> str:
    if not text.strip().isdecimal() or int(text) > MOST:
        raise InvalidValueError("must be a whole number")
    return str(int(text))


def _minutes(text: str) -> str:
    number = _number(text)
    if not 1 <= int(number) <= LONGEST_INTERVAL:
        raise InvalidValueError(f"must be a number of minutes from 1 to {LONGEST_INTERVAL}")
    return number


def _hours(text: str) -> str:
    number = _number(text)
    if int(number) > MOST_HOURS:
        raise InvalidValueError(f"must be a number of hours up to {MOST_HOURS}")
    return number


def _percent(text: str) -> str:
    number = _number(text)
    if int(number) > 100:
        raise InvalidValueError("must be a number from 0 to 100")
    return number


def _one_of(*words: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text.strip().lower() not in words:
            raise InvalidValueError(f"must be {', '.join(words[:-1])} or {words[-1]}")
        return text.strip().lower()

    return check


YES_OR_NO: Final = _one_of("true", "false")
ON_OR_OFF: Final = _one_of("on", "off")


def _addresses(text: str) -> str:
    found = [part.strip() for part in re.split("[,;]", text) if part.strip()]
    wrong = next((part for part in found if not ADDRESS.fullmatch(part)), None)
    if wrong is not None:
        raise InvalidValueError("must be e-mail addresses with commas between")
    if len(found) > MOST_ADDRESSES:
        raise InvalidValueError(f"may have {MOST_ADDRESSES} addresses")
    return ", ".join(found)


def _text(text: str) -> str:
    return text


@dataclass(frozen=True, slots=True)
class JobSetting:
    """One setting. `check` returns the value in its stored form, or raises InvalidValueError with the rest of a
    sentence about it."""

    name: str
    default: str
    meaning: str
    check: Callable[[str], str]


SETTINGS: Final = (
    JobSetting(MODE_SETTING, "improved", "`improved`, or `entra`: as the reference, gaps included", _one_of(*MODES)),
    JobSetting(INTERVAL, "40", "minutes from the beginning of one cycle to that of the next", _minutes),
    JobSetting(PREVENT, "by mode", "the guard against accidental deletions; its threshold turns it on", YES_OR_NO),
    JobSetting(DELETES, "500", "a cycle that would take access from more objects is held back", _number),
    JobSetting(DELETES_PERCENT, "20", "the same in percent of the managed objects; 0: never", _percent),
    JobSetting(DELETES_FLOOR, "25", "so many are never too many by percent", _number),
    JobSetting(EMAIL, "", "who is told about quarantines: one address, or several with commas between", _addresses),
    JobSetting(SENDS_MAIL, "true", "send an email notification when a failure occurs", YES_OR_NO),
    JobSetting(MAILS_WHEN_LIFTED, "false", "also when a quarantine ends", YES_OR_NO),
    JobSetting(START, "5000", "fewer failures never quarantine the job by numbers", _number),
    JobSetting(PERCENT, "40", "percent of the objects that may fail", _percent),
    JobSetting(BASE, "40000", "failures that are too many whatever succeeded, references left out", _number),
    JobSetting(TOTAL, "60000", "the same, references counted", _number),
    JobSetting(
        PREFETCH, "auto", "whether initial cycles read the lists first: `auto` (where that takes less), `on`, `off`",
        _one_of(*PREFETCHES),
    ),
    JobSetting(
        LOG_REQUESTS, "changes",
        "which requests and answers the log keeps: `off`, `changes` (what writes, and what fails), `all`",
        _one_of(*AMOUNTS),
    ),
    JobSetting(DRIFT_HOURS, "0", "look at the whole application every so many hours; 0: never", _hours),
    JobSetting(
        DRIFT_ACTION, "report", "what becomes of what such a look finds: `report`, `repair`", _one_of(*DRIFT_ACTIONS)
    ),
    JobSetting("AzureIngestionAttributeOptimization", "", "kept for the reference's tools; has no effect", _text),
    JobSetting("LookaheadQueryEnabled", "", "kept for the reference's tools; has no effect", _text),
)  # fmt: skip
BY_SETTING: Final[Mapping[str, JobSetting]] = {
    **{setting.name.lower(): setting for setting in SETTINGS},
    **{
        (PREFIX + name).lower(): JobSetting(PREFIX + name, "by mode", switch.improved, ON_OR_OFF)
        for name, switch in BY_NAME.items()
    },
}


def check_changes(pairs: Iterable[tuple[str, str | None]]) -> dict[str, str | None]:
    """Name in its own spelling → value to store, None to go back to the default.

    Raises InvalidValueError that names the setting.
    """
    changes: dict[str, str | None] = {}
    for name, value in pairs:
        setting = BY_SETTING.get(name.strip().lower())
        if setting is None:
            near = difflib.get_close_matches(name.lower(), BY_SETTING, n=1)
            hint = f"; did you mean '{BY_SETTING[near[0]].name}'?" if near else ""
            raise InvalidValueError(f"there is no job setting '{name}'{hint}")
        if value is None or not value.strip():
            changes[setting.name] = None
            continue
        try:
            changes[setting.name] = setting.check(value)
        except InvalidValueError as error:
            raise InvalidValueError(f"the job setting {setting.name} {error}, not '{value}'") from None
    return changes


def from_notification_settings(text: str) -> list[tuple[str, str | None]]:
    """The settings that the reference keeps in its secret `SyncNotificationSettings`, a JSON text.

    `DeleteThresholdEnabled: false` is what its portal always sends, and says nothing. Raises InvalidValueError.
    """
    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        raise InvalidValueError("SyncNotificationSettings must be a JSON object")
    pairs: list[tuple[str, str | None]] = []
    if "Recipients" in told:
        pairs.append((EMAIL, str(told["Recipients"] or "")))
    if "Enabled" in told:
        pairs.append((SENDS_MAIL, str(told["Enabled"])))
    if told.get("DeleteThresholdEnabled") is True:
        threshold = told.get("DeleteThresholdValue")
        pairs += [(PREVENT, "true"), (DELETES, None if threshold is None else str(threshold))]
    return pairs


def told_by_secrets(pairs: Mapping[str, str | None]) -> dict[str, str | None]:
    """Changes of settings that are in the secret `SyncNotificationSettings`, if it is there. Raises
    InvalidValueError."""
    text = pairs.get("SyncNotificationSettings")
    return check_changes(from_notification_settings(text)) if text else {}


def merge(settings: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    """The settings with the changes applied."""
    return {name: value for name, value in {**settings, **changes}.items() if value is not None}


def shown(settings: Mapping[str, str]) -> dict[str, str]:
    """What a job's document lists: what is set, and the threshold of deletions, which is always there (§10.3)."""
    return {DELETES: _value(settings, DELETES), **settings}


@dataclass(frozen=True, slots=True)
class DeletionLimits:
    """When the guard steps in: more than `most`, or more than `floor` and over `percent` of the managed objects."""

    most: int
    percent: int
    floor: int

    def is_exceeded(self, removals: int, managed: int) -> bool:
        """`managed`: objects that the job manages before anything is removed (REQ-P-112, REQ-P-113)."""
        by_share = self.percent > 0 and removals > self.floor and removals * 100 > self.percent * managed
        return removals > self.most or by_share


def deletion_limits(settings: Mapping[str, str]) -> DeletionLimits | None:
    """The guard's limits, None if it is off. A threshold that was set stands alone: no percentage interferes."""
    is_set = DELETES in settings or DELETES_PERCENT in settings
    told = settings.get(PREVENT)
    guards = told == "true" if told is not None else is_set or is_on(settings, "preventAccidentalDeletions")
    if not guards:
        return None
    counts_share = DELETES_PERCENT in settings or (
        DELETES not in settings and is_on(settings, "preventAccidentalDeletions")
    )
    percent = int(_value(settings, DELETES_PERCENT)) if counts_share else 0
    return DeletionLimits(int(_value(settings, DELETES)), percent, int(_value(settings, DELETES_FLOOR)))


def thresholds(settings: Mapping[str, str]) -> Thresholds:
    """The numbers of failures that quarantine the job (REQ-P-081)."""
    return Thresholds(*(int(_value(settings, name)) for name in (START, PERCENT, BASE, TOTAL)))


def recipients(settings: Mapping[str, str]) -> str:
    """To whom e-mails go; empty if nobody wants any (REQ-P-130)."""
    return settings.get(EMAIL, "") if _value(settings, SENDS_MAIL) == "true" else ""


def interval(settings: Mapping[str, str]) -> timedelta:
    """From the beginning of one cycle to that of the next."""
    return timedelta(minutes=int(_value(settings, INTERVAL)))


def prefetch(settings: Mapping[str, str]) -> str:
    """`auto`, `on` or `off`."""
    return _value(settings, PREFETCH)


def drift_interval(settings: Mapping[str, str]) -> timedelta | None:
    """How often the whole application is looked at; None: never."""
    hours = int(_value(settings, DRIFT_HOURS))
    return timedelta(hours=hours) if hours else None


def drift_action(settings: Mapping[str, str]) -> DriftAction:
    """What becomes of what a look at the whole application finds."""
    return cast(DriftAction, _value(settings, DRIFT_ACTION))


def log_requests(settings: Mapping[str, str]) -> Amount:
    """How much of the requests the log keeps."""
    return cast(Amount, _value(settings, LOG_REQUESTS))


def mails_when_lifted(settings: Mapping[str, str]) -> bool:
    """Whether an e-mail says that a quarantine has ended."""
    return _value(settings, MAILS_WHEN_LIFTED) == "true"


def _value(settings: Mapping[str, str], name: str) -> str:
    return settings.get(name) or BY_SETTING[name.lower()].default
