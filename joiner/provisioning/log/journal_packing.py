"""How a row of the provisioning log keeps an entry: what no column has as JSON, in lists whose members are known
(REQ-P-131). `journal_rows` compresses it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson

from joiner.clock import from_iso, to_iso
from joiner.provisioning.decisions.decision import Action, Change, Decision, Problem, SourceObject, Status, Step
from joiner.provisioning.log.exchanges import REQUESTS, trimmed
from joiner.provisioning.log.journal import (
    CHANGE,
    ERROR,
    MOST_CHANGES,
    STEP,
    Entry,
    LogContext,
    Outcome,
    added,
    change_parts,
    error_parts,
    name_of,
    step_parts,
    steps_of,
    with_addition,
)

ACTIONS: Final = tuple(action.value for action in Action)
STATUSES: Final = tuple(status.value for status in Status)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
CANONICAL: Final = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""UUIDs as they are usually written; sixteen bytes stand for them."""
LONGEST_EXTENDED: Final = 16_384
"""Bytes of an entry: a longer one is packed anew, because it may name more changes than are kept."""
# Bytes that JSON does not have.
ADDED: Final = b"\x00"
"""Stands before what was added later."""
SEPARATOR: Final = b"\x02"
"""Stands between the parts and the requests."""
SIGNS: Final = (b"\x01", b"\x03", b"\x04")
"""Stand for the object's id, its name and the id of its account, which an entry says again and again."""
END: Final = b"\x05"
"""Stands behind the name and behind the account's id, which begin the text."""
ENDS: Final = ("activityDateTime", "provisioningAction", "provisioningStatusInfo")
"""What the last decision on an object says alone."""
PackedRow = tuple[int, int, int, bytes | str, bytes]
"""Time, action, status, key of the source object and the rest of one entry; the rest is not compressed yet."""


def microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - EPOCH) // MICROSECOND


def source_key(source_id: str) -> bytes | str:
    """The id as the column has it."""
    return bytes.fromhex(source_id.replace("-", "")) if CANONICAL.fullmatch(source_id) else source_id


def packed_row(
    context: LogContext,
    kind: str,
    source: SourceObject,
    decision: Decision,
    outcome: Outcome,
    at: datetime,
    requests: Sequence[bytes] = (),
) -> PackedRow:
    """The entry of one object without what it has in common with others; `kind` is the cycle's; `requests`: what is
    kept of those that were sent for it."""
    is_user = source.object_type == "User"
    names = _names(source.id, source.name, outcome.target_id)
    parts = (
        outcome.milliseconds,
        error_parts(outcome.problem),
        step_parts(steps_of(context, kind, source, decision, outcome)),
        change_parts(decision.changes),
        (name_of(source), source.object_type, source.name if is_user else None),
        (
            outcome.target_id or "",
            source.name if outcome.target_id else "",
            context.target_types.get(source.object_type, ""),
        ),
    )
    return (
        microseconds(at),
        ACTIONS.index(decision.action),
        STATUSES.index(outcome.status),
        source_key(source.id),
        names.head + names.text(parts, requests),
    )


def extended(
    row: PackedRow,
    steps: Sequence[Step],
    changes: Sequence[Change],
    problem: Problem | None,
    requests: Sequence[bytes] = (),
) -> PackedRow:
    """The row with what the reference phase did: behind the text that is there, which need not be read for it."""
    at, action, status, key, text = row
    addition = added(Action(ACTIONS[action]), Status(STATUSES[status]), steps, changes, problem, requests)
    if len(text) > LONGEST_EXTENDED:
        return repacked(with_addition(unpack(row), addition))
    parts: list[Any] = [addition.steps, addition.changes]
    if addition.status != STATUSES[status]:
        parts.append(addition.error)
    whole = ADDED.join((text, _names_of(key, text)[0].text(parts, requests)))
    return at, ACTIONS.index(addition.action), STATUSES.index(addition.status), key, whole


def joined(row: PackedRow, last: PackedRow) -> PackedRow:
    """The row of an object that the same run has decided on once more: with what is said of that, and its end; a
    warning stays one."""
    entry, more = unpack(row), unpack(last)
    told = [step for step in more["provisioningSteps"] if step["provisioningStepType"] != "import"]
    steps = [*entry["provisioningSteps"], *told]
    changes = (entry["modifiedProperties"] + more["modifiedProperties"])[:MOST_CHANGES]
    end = {name: more[name] for name in ENDS}
    if entry["provisioningStatusInfo"]["status"] == Status.WARNING:
        del end["provisioningStatusInfo"]
    return repacked({**entry, **end, "provisioningSteps": steps, "modifiedProperties": changes})


def unpack(row: PackedRow) -> Entry:
    """The entry without what it shares with others; its requests are JSON."""
    at, action, status, key, whole = row
    names, text = _names_of(key, whole)
    (first, requests), *additions = map(_read, names.spelled_out(text).split(ADDED))
    source_id = _source_id(key)
    duration, error, steps, changes, (name, kind, principal_name), target = first
    for (more_steps, more_changes, *errors), more_requests in additions:
        steps, changes, error = steps + more_steps, changes + more_changes, errors[0] if errors else error
        requests = trimmed([*requests, *more_requests])
    details = {"id": source_id, "odatatype": kind, "DisplayName": name}
    if principal_name is not None:
        details["UserPrincipalName"] = principal_name
    return {
        "activityDateTime": to_iso(EPOCH + at * MICROSECOND),
        "provisioningAction": ACTIONS[action],
        "durationInMilliseconds": duration,
        "provisioningStatusInfo": {
            "status": STATUSES[status],
            "errorInformation": dict(zip(ERROR, error, strict=True)) if error else None,
        },
        "provisioningSteps": [dict(zip(STEP, step, strict=True)) for step in steps],
        "modifiedProperties": [dict(zip(CHANGE, change, strict=True)) for change in changes[:MOST_CHANGES]],
        "sourceIdentity": {"id": source_id, "displayName": name, "identityType": kind, "details": details},
        "targetIdentity": {"id": target[0], "displayName": target[1], "identityType": target[2], "details": {}},
        REQUESTS: requests,
    }


def repacked(entry: Entry) -> PackedRow:
    """The row of an unpacked entry."""
    info, source, target = entry["provisioningStatusInfo"], entry["sourceIdentity"], entry["targetIdentity"]
    name = source["details"].get("UserPrincipalName")
    names = _names(source["id"], name or source["displayName"], target["id"])
    parts = (
        entry["durationInMilliseconds"],
        _values(ERROR, info["errorInformation"]) if info["errorInformation"] else None,
        [_values(STEP, step) for step in entry["provisioningSteps"]],
        [_values(CHANGE, change) for change in entry["modifiedProperties"]],
        (source["displayName"], source["identityType"], name),
        (target["id"], target["displayName"], target["identityType"]),
    )
    return (
        microseconds(from_iso(entry["activityDateTime"])),
        ACTIONS.index(entry["provisioningAction"]),
        STATUSES.index(info["status"]),
        source_key(source["id"]),
        names.head + names.text(parts, entry[REQUESTS]),
    )


def _values(names: Iterable[str], document: Mapping[str, Any]) -> list[Any]:
    return [document[name] for name in names]


class _Names:
    """What an entry says again and again, as JSON has it, and the signs for it."""

    def __init__(self, *told: bytes) -> None:
        self._told = told
        """Id, name, id of the account."""

    @property
    def head(self) -> bytes:
        return b"%b%b%b%b" % (self._told[1], END, self._told[2], END)

    def text(self, parts: Sequence[Any], requests: Sequence[bytes]) -> bytes:
        """Parts and requests with signs."""
        text = SEPARATOR.join((orjson.dumps(parts, default=dict), *requests))
        for told, sign in zip(self._told, SIGNS, strict=True):
            if told:
                text = text.replace(told, sign)
        return text

    def spelled_out(self, text: bytes) -> bytes:
        for told, sign in zip(self._told, SIGNS, strict=True):
            text = text.replace(sign, told)
        return text


def _names(source_id: str, name: str, target_id: str | None) -> _Names:
    return _Names(source_id.encode(), orjson.dumps(name)[1:-1], orjson.dumps(target_id or "")[1:-1])


def _names_of(key: bytes | str, text: bytes) -> tuple[_Names, bytes]:
    """The names of a row's whole text, and the rest of it."""
    name, target_id, rest = text.split(END, 2)
    return _Names(_source_id(key).encode(), name, target_id), rest


def _source_id(key: bytes | str) -> str:
    if isinstance(key, str):
        return key
    digits = key.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _read(text: bytes) -> tuple[list[Any], list[bytes]]:
    """Parts and requests."""
    parts, *requests = text.split(SEPARATOR)
    return orjson.loads(parts), requests
