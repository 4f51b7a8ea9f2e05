"""Which rows of the provisioning log a `$filter` can be about: what its columns and indexes can tell beforehand.

The filter itself still judges every entry; what is found here only keeps most of them from being read.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from joiner.clock import from_iso
from joiner.provisioning.job.templates import UPLOADS
from joiner.provisioning.log.journal_packing import ACTIONS, STATUSES, microseconds, source_key

TOKEN: Final = re.compile(r"'(?:[^']|'')*'|[()]|[^\s'()]+")
TERM: Final = re.compile(r"([\w/]+)\s+(eq|gt|ge|lt|le)\s+('(?:[^']|'')*'|\S+)", re.IGNORECASE)

Condition = tuple[str, Any]

OF_UPLOADS: Final[Condition] = (
    "j.run IN (SELECT number FROM journal_run WHERE job_id IN (SELECT id FROM job WHERE template_id = ?))",
    UPLOADS,
)
"""Entries of jobs that take uploads."""


def row_conditions(text: str) -> list[Condition]:
    """SQL conditions on `journal j` and `journal_run r`, each with its parameter, that hold for every entry that the
    filter lets through. None for a filter that is more than terms joined by `and`."""
    return [found for term in _terms(text) if (found := _condition(term)) is not None]


def _terms(text: str) -> Iterator[str]:
    words: list[str] = TOKEN.findall(text)
    while words and words[0] == "(" and words[-1] == ")" and _is_one_group(words):
        words = words[1:-1]
    depth, term, terms = 0, list[str](), list[str]()
    for word in words:
        depth += (word == "(") - (word == ")")
        if depth == 0 and word.lower() in ("or", "not"):
            return
        if depth == 0 and word.lower() == "and":
            terms.append(" ".join(term))
            term = []
        else:
            term.append(word)
    yield from [*terms, " ".join(term)]


def _is_one_group(words: list[str]) -> bool:
    depth = 0
    for index, word in enumerate(words):
        depth += (word == "(") - (word == ")")
        if depth == 0:
            return index == len(words) - 1
    return False


def _condition(term: str) -> Condition | None:
    match = TERM.fullmatch(term)
    if match is None:
        return None
    name, operator, literal = match[1].lower(), match[2].lower(), match[3]
    value = literal[1:-1].replace("''", "'") if literal.startswith("'") else literal
    if name == "activitydatetime":
        return _time_condition(operator, value)
    if operator != "eq":
        return None
    match name:
        case "jobid":
            return "j.run IN (SELECT number FROM journal_run WHERE job_id = ?)", value
        case "cycleid":
            return "j.run IN (SELECT number FROM journal_run WHERE cycle_id = ?)", value
        case "serviceprincipal/id":
            return "j.run IN (SELECT number FROM journal_run WHERE service_principal_id = ?)", value
        case "sourceidentity/id":
            return "j.source_id = ?", source_key(value)
        case "provisioningaction":
            return "j.action = ?", ACTIONS.index(value) if value in ACTIONS else -1
        case "provisioningstatusinfo/status":
            return "j.status = ?", STATUSES.index(value) if value in STATUSES else -1
    return None


def _time_condition(operator: str, value: str) -> Condition | None:
    try:
        at = microseconds(from_iso(value))
    except ValueError:
        return None
    sign = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "="}[operator]
    return f"j.at {sign} ?", at
