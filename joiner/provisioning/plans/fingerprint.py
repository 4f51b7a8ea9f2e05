"""What a decision was made from, as short hashes: enough to say later what has changed since, without keeping values.

Pure. The hashes are keyed, so that a value with few possibilities cannot be found by trying.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final

import msgspec
import orjson

from joiner.provisioning.mapping.plan import ASSIGNMENTS
from joiner.provisioning.ports import Considered

BYTES: Final = 12


class Fingerprint(msgspec.Struct, frozen=True, array_like=True):
    """One hash for each thing that can change between a plan and its execution."""

    source: str
    assignment: str
    link: str
    target: str
    outcome: str


CHANGED: Final[Mapping[str, str]] = {
    "source": "it has changed in the directory since the plan was made",
    "assignment": "its assignment or its roles have changed since the plan was made",
    "link": "it has been linked to another account, or its link has changed, since the plan was made",
    "target": "its account in the application has changed since the plan was made",
    "outcome": "its mappings give other values now than when the plan was made; they depend on time or chance",
}
"""Field → why the item is refused, in the order of asking."""


def fingerprint_of(considered: Considered, key: bytes) -> Fingerprint:
    """`key`: secret, at most 64 bytes."""
    source, link, decision = considered.source, considered.link, considered.decision

    def digest(*values: Any) -> str:
        # Attributes come from JSON; whatever else there may be is told apart by how it is written.
        text = orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS, default=str)
        return blake2b(text, digest_size=BYTES, key=key).hexdigest()

    details, roles = considered.scope.details, considered.values.get(ASSIGNMENTS)
    return Fingerprint(
        source=digest(source.name, source.attributes, source.is_enabled, source.is_soft_deleted, source.exists),
        assignment=digest(details.get("Assigned to the application"), roles),
        link=digest(link and (link.target_id, link.is_managed, link.is_disabled)),
        target=digest(
            decision.target_id, considered.state.is_gone, [(each.attribute, each.old) for each in decision.changes]
        ),
        outcome=digest(decision.action.value, [(each.attribute, each.new) for each in decision.changes]),
    )


def what_changed(planned: Fingerprint, now: Fingerprint) -> str | None:
    """The first thing that is not as it was, in words; None if everything is."""
    for field, words in CHANGED.items():
        if getattr(planned, field) != getattr(now, field):
            return words
    return None
