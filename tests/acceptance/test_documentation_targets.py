"""docs/targets.md names every member of a target's profile with its default, and every key of our own."""

import re

from joiner.provisioning.client.connection import KINDS
from joiner.provisioning.client.profile import DEFAULT_PROFILE, profile_document
from joiner.provisioning.job.credentials import KEYS
from tests.repository import ROOT

PAGE = (ROOT / "docs/targets.md").read_text(encoding="utf-8")
WORDS = {True: "`true`", False: "`false`", None: "not set"}


def shown(value: object) -> str:
    if value is None or isinstance(value, bool):
        return WORDS[value]
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def test_every_member_of_a_profile_is_documented_with_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \|", PAGE.partition("## What a target can do")[2], re.MULTILINE)
    assert dict(rows) == {name: shown(value) for name, value in profile_document(DEFAULT_PROFILE).items()}


def test_every_kind_of_authentication_and_every_key_of_our_own_is_documented() -> None:
    named = set(re.findall(r"`([\w.]+)`", PAGE))
    assert {*KINDS, *(key for key in KEYS if key.startswith("joiner."))} - named == set()
