"""Memberships under parallel load, while a server dies: what was acknowledged is there, and nothing unasked."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.parallel import (
    LOST,
    Client,
    administer,
    all_events,
    application_servers,
    client_of,
    serving_arguments,
)
from tests.processes import Server
from tests.services import PostgreSQL

CHANGES = 5000
CLIENTS = 5
GROUPS = 3
USERS_OF_A_CLIENT = 8


class History:
    """What one client has asked of the groups. Nobody else touches its users, so it knows how they must stand."""

    def __init__(self, middle: "Middle") -> None:
        self._middle = middle
        self.acknowledged: dict[tuple[str, str], bool] = {}
        """(group, user) → whether the last acknowledged change added it."""
        self.uncertain: dict[tuple[str, str], set[bool]] = {}
        """(group, user) → what later changes would have made of it whose answers never came."""
        self.answers = 0

    def note(self, group: str, users: list[str], *, added: bool, is_answered: bool) -> None:
        if is_answered:
            self.answers += 1
            self._middle.note_answer()
        for user in users:
            if is_answered:
                self.acknowledged[group, user] = added
                self.uncertain.pop((group, user), None)
            else:
                self.uncertain.setdefault((group, user), set()).add(added)

    def check(self, members: Mapping[str, set[str]]) -> None:
        """Compares with what there is. Raises AssertionError."""
        for (group, user), added in self.acknowledged.items():
            possible = {added} | self.uncertain.get((group, user), set())
            assert (user in members[group]) in possible, f"{user} in {group}: expected {possible}"


class Middle:
    """Tells when a third of the changes are answered."""

    def __init__(self) -> None:
        self._left = CHANGES // 3
        self.reached = asyncio.Event()

    def note_answer(self) -> None:
        self._left -= 1
        if not self._left:
            self.reached.set()


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """None for a file in the server's own folder."""
    if request.param == "sqlite":
        yield None
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.new_database() as url:
        yield url


async def change_at_random(
    client: Client, addresses: "Addresses", groups: list[str], users: list[str], seed: int, history: History
) -> None:
    """A share of the changes; those whose answer does not come are not repeated."""
    choose = random.Random(seed)
    for _ in range(CHANGES // CLIENTS):
        group, chosen = choose.choice(groups), choose.sample(users, choose.choice((1, 1, 1, 3)))
        added = choose.random() < 0.6
        client.url = await addresses.of(seed)
        try:
            status, answer = await client.patch(f"/Groups/{group}", *operations(choose, chosen, added=added))
        except LOST:
            history.note(group, chosen, added=added, is_answered=False)
            addresses.is_lost(client.url)
            continue
        assert status == 204, answer
        history.note(group, chosen, added=added, is_answered=True)


def operations(choose: random.Random, users: list[str], *, added: bool) -> list[dict[str, Any]]:
    """The ways in which clients add and remove members."""
    values = [{"value": user} for user in users]
    if added:
        return [{"op": "Add", "path": "members", "value": values}]
    if choose.random() < 0.5:
        return [{"op": "Remove", "path": "members", "value": values}]
    return [{"op": "remove", "path": f'members[value eq "{user}"]'} for user in users]


class Addresses:
    """The servers that are there; clients wait while theirs is not."""

    def __init__(self, urls: list[str]) -> None:
        self._urls = list(urls)
        self._changed = asyncio.Condition()

    async def of(self, number: int) -> str:
        """One of those that are there."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._urls)
            return self._urls[number % len(self._urls)]

    def is_lost(self, url: str) -> None:
        if url in self._urls:
            self._urls.remove(url)

    async def is_back(self, url: str) -> None:
        async with self._changed:
            self._urls = sorted({*self._urls, url})
            self._changed.notify_all()


async def restart(victim: Server, addresses: Addresses, database_url: str | None) -> Server:
    """Kills the server, and starts another on its data and its port."""
    victim.kill()
    addresses.is_lost(victim.url)
    survivor = await asyncio.to_thread(Server, victim.data, *serving_arguments(database_url), port=victim.port)
    await addresses.is_back(survivor.url)
    return survivor


@pytest.mark.req("REQ-S-287", "REQ-S-025", "REQ-S-346")
async def test_no_acknowledged_change_of_members_is_lost_when_a_server_is_killed(
    tmp_path: Path, database_url: str | None
) -> None:
    with application_servers(tmp_path, database_url, 2) as servers:
        token = administer(servers[0], "/tokens", {})["token"]
        async with client_of(servers[0].url, token) as first:
            groups = [(await first.made("/Groups", {"displayName": f"Group {n}"}))["id"] for n in range(GROUPS)]
            users = [
                [(await first.made("/Users", {"userName": f"{lane}/{n}"}))["id"] for n in range(USERS_OF_A_CLIENT)]
                for lane in range(CLIENTS)
            ]
            middle = Middle()
            histories = [History(middle) for _ in range(CLIENTS)]
            addresses = Addresses([server.url for server in servers])

            async def work(lane: int) -> None:
                async with client_of(servers[0].url, token) as client:
                    await change_at_random(client, addresses, groups, users[lane], lane, histories[lane])

            lanes = [asyncio.ensure_future(work(lane)) for lane in range(CLIENTS)]
            await middle.reached.wait()
            servers[0] = await restart(servers[0], addresses, database_url)
            await asyncio.gather(*lanes)
            lost = CHANGES - sum(history.answers for history in histories)
            assert 0 <= lost <= CLIENTS, "only what was under way may have been lost"

            first.url = servers[-1].url
            members = {group: await first.members(group) for group in groups}
            for history in histories:
                history.check(members)
            await check_both_directions(first, members, [user for lane in users for user in lane])
            check_events(servers[-1], members)


async def check_both_directions(client: Client, members: Mapping[str, set[str]], users: list[str]) -> None:
    for user in users:
        status, found = await client.send("GET", f"/Users/{user}")
        assert status == 200
        assert {each["value"] for each in found.get("groups", ())} == {
            group for group, held in members.items() if user in held
        }


def check_events(server: Server, members: Mapping[str, set[str]]) -> None:
    """Those who follow the events come to the same members, and see every version once."""
    followed: dict[str, set[str]] = {}
    versions: dict[str, list[int]] = {}
    for event in all_events(server):
        if event["resourceType"] == "Group":
            held = followed.setdefault(event["resourceId"], set())
            changes = event.get("members", {})
            assert held.isdisjoint(changes.get("added", ()))
            assert held.issuperset(changes.get("removed", ()))
            held.difference_update(changes.get("removed", ()))
            held.update(changes.get("added", ()))
            versions.setdefault(event["resourceId"], []).append(event["version"])
    assert followed == members
    for seen in versions.values():
        assert seen == list(range(1, len(seen) + 1))
