"""The keys of issuers: kept, fetched anew, and never lost to an outage."""

import asyncio
import json
from datetime import timedelta

import pytest
from joserfc.jwk import ECKey

from joiner.application.access.key_sets import KeyDocument, KeySets, KeysUnavailableError, parse_keys
from tests.world import StillClock

URL = "https://login.example/keys"
KEY = ECKey.generate_key("P-256").as_dict(private=False)


def document(*key_ids: str) -> bytes:
    return json.dumps({"keys": [{**KEY, "kid": key_id} for key_id in key_ids]}).encode()


class Issuer:
    """Answers with the keys it has at that moment and counts how often it is asked."""

    def __init__(self, *key_ids: str, max_age: timedelta | None = None) -> None:
        self.body = document(*key_ids)
        self.max_age = max_age
        self.asked = 0
        self.is_down = False

    async def fetch(self, url: str) -> KeyDocument:
        assert url == URL
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise KeysUnavailableError("no answer")
        return KeyDocument(self.body, self.max_age)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.mark.req("REQ-S-065")
async def test_keys_are_fetched_once_for_all_who_ask_at_once(clock: StillClock) -> None:
    issuer = Issuer("a", "b")
    keys = KeySets(issuer.fetch, clock)
    found = await asyncio.gather(*(keys.find(URL, name) for name in "ababa"))
    assert all(found)
    assert issuer.asked == 1


@pytest.mark.req("REQ-S-065")
async def test_a_new_key_is_found_after_a_rotation_and_the_old_one_is_gone(clock: StillClock) -> None:
    issuer = Issuer("old")
    keys = KeySets(issuer.fetch, clock)
    assert await keys.find(URL, "old")
    issuer.body = document("new")
    clock.move(timedelta(minutes=1))
    assert await keys.find(URL, "new")
    assert await keys.find(URL, "old") is None
    assert issuer.asked == 2


@pytest.mark.req("REQ-S-065")
async def test_unknown_keys_make_the_issuer_be_asked_at_most_once_a_minute(clock: StillClock) -> None:
    issuer = Issuer("a")
    keys = KeySets(issuer.fetch, clock)
    for number in range(20):
        assert await keys.find(URL, f"invented{number}") is None
    assert issuer.asked == 1
    clock.move(timedelta(seconds=59))
    assert await keys.find(URL, "invented") is None
    assert issuer.asked == 1
    clock.move(timedelta(seconds=1))
    assert await keys.find(URL, "invented") is None
    assert issuer.asked == 2


@pytest.mark.parametrize(
    ("max_age", "kept"),
    [
        (None, timedelta(hours=1)),
        (timedelta(minutes=10), timedelta(minutes=10)),
        (timedelta(days=30), timedelta(hours=24)),
        (timedelta(0), timedelta(minutes=1)),
    ],
)
async def test_keys_are_kept_as_long_as_the_issuer_allows_but_not_longer_than_a_day(
    clock: StillClock, max_age: timedelta | None, kept: timedelta
) -> None:
    issuer = Issuer("a", max_age=max_age)
    keys = KeySets(issuer.fetch, clock)
    assert await keys.find(URL, "a")
    clock.move(kept - timedelta(seconds=1))
    assert await keys.find(URL, "a")
    assert issuer.asked == 1
    clock.move(timedelta(seconds=1))
    assert await keys.find(URL, "a")
    assert issuer.asked == 2


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [{"kid": "a"}]}'])
async def test_keys_stay_in_use_while_the_issuer_is_down_or_answers_nonsense(clock: StillClock, body: bytes) -> None:
    issuer = Issuer("a")
    keys = KeySets(issuer.fetch, clock)
    assert await keys.find(URL, "a")
    clock.move(timedelta(days=2))
    issuer.is_down = True
    assert await keys.find(URL, "a")
    assert await keys.find(URL, "a")
    assert issuer.asked == 2, "not asked again within a minute"
    issuer.is_down, issuer.body = False, body
    clock.move(timedelta(minutes=1))
    assert await keys.find(URL, "a")
    assert issuer.asked == 3


async def test_an_issuer_that_was_down_at_first_is_asked_again(clock: StillClock) -> None:
    issuer = Issuer("a")
    issuer.is_down = True
    keys = KeySets(issuer.fetch, clock)
    assert await keys.find(URL, "a") is None
    issuer.is_down = False
    clock.move(timedelta(minutes=1))
    assert await keys.find(URL, "a")


def test_a_private_key_in_a_set_is_read_as_its_public_half() -> None:
    private = ECKey.generate_key("P-256").as_dict(private=True)
    key = parse_keys(json.dumps({"keys": [{**private, "kid": "a"}]}).encode())["a"]
    assert not key.is_private
