"""Notification e-mails: when one is written, what it says, and how it reaches a real mail server."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from joiner.net.mail import MailError, MailServer
from joiner.provisioning.notifications.outbox import Outbox
from tests.services import free_port
from tests.waiting import wait_until
from tests.world import World, opened

HOURS, DAYS = timedelta(hours=1), timedelta(days=1)
TO = "ops@fjord.example"


class Mailbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.arrived: list[EmailMessage] = []
        self.refuses = False

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        if self.refuses:
            return "451 try again later"
        message = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        assert envelope.rcpt_tos == [address.strip() for address in str(message["To"]).split(",")]
        self.arrived.append(message)
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, MailServer]]:
    box = Mailbox()

    def authenticate(server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        return AuthResult(success=data.password == b"pass")

    controller = Controller(
        box, hostname="127.0.0.1", port=free_port(), authenticator=authenticate, auth_require_tls=False
    )
    controller.start()
    server = MailServer(
        host="127.0.0.1", port=controller.port, security="none", sender="Joiner <joiner@fjord.example>",
        username="joiner", password="pass",
    )  # fmt: skip
    yield box, server
    controller.stop()


@pytest.fixture
async def world(world: World) -> World:
    await world.configure(NotificationEmail=TO)
    await world.service.start(world.job_id)
    return world


def waiting(world: World) -> list[str]:
    return [row["subject"] for row in world.db.reader.execute("SELECT subject FROM mail ORDER BY created_at, rowid")]


IN_QUARANTINE = "Provisioning to ALVAO is in quarantine"


@pytest.mark.req("REQ-P-129")
async def test_one_mail_on_entering_quarantine_one_more_when_the_reason_changes_and_none_for_a_failed_object(
    world: World,
) -> None:
    ids = [await world.add_user(name) for name in ("ada", "bea", "cid")]
    await world.assign(*ids)
    world.fail(lambda method, path: 400 if method == "POST" else None)
    await world.run_due()
    assert waiting(world) == [], "objects that fail are in the log"
    world.fail(lambda method, path: 401)
    for _ in range(3):
        world.clock.move(6 * HOURS)
        await world.run_due()
    assert waiting(world) == [IN_QUARANTINE]
    await world.configure(QuarantineEvaluationThreshold="3")
    world.fail(lambda method, path: 400 if method == "POST" else None)
    world.clock.move(DAYS)
    await world.run_due()
    assert waiting(world) == [IN_QUARANTINE] * 2
    [last] = world.db.reader.execute("SELECT body FROM mail ORDER BY rowid DESC LIMIT 1").fetchall()
    assert "Reason: EncounteredEscrowProportionThreshold" in last["body"]


@pytest.mark.req("REQ-P-130")
@pytest.mark.parametrize(
    "settings", [{"NotificationEmail": None}, {"SendNotificationEmail": "false"}], ids=["no address", "switched off"]
)
async def test_nobody_is_told_without_an_address_or_with_the_switch_off(
    world: World, settings: dict[str, str | None]
) -> None:
    await world.configure(**settings)
    world.fail(lambda method, path: 401)
    await world.run_due()
    assert world.status()["quarantine"] is not None
    assert waiting(world) == []


async def test_a_job_that_is_turned_off_after_28_days_says_so_unless_as_documented(tmp_path: Path) -> None:
    for mode, number in (("improved", 2), ("entra", 1)):
        folder = tmp_path / mode
        folder.mkdir()
        async with opened(folder) as world:
            await world.configure(NotificationEmail=TO, Mode=mode)
            await world.service.start(world.job_id)
            world.fail(lambda method, path: 401)
            for _ in range(60):
                await world.run_due()
                world.clock.move(DAYS / 2)
            assert waiting(world) == [IN_QUARANTINE, "Provisioning to ALVAO has been turned off"][:number]


@pytest.mark.parametrize(
    ("is_started", "told"),
    [(True, "It goes on trying, less often than usual."), (False, "makes no attempt by itself")],
    ids=["started", "run by hand"],
)
async def test_a_mail_says_whether_the_job_goes_on_trying(tmp_path: Path, is_started: bool, told: str) -> None:
    async with opened(tmp_path) as world:
        await world.configure(NotificationEmail=TO)
        if is_started:
            await world.service.start(world.job_id)
        world.fail(lambda method, path: 401)
        await world.run()
        [mail] = world.db.reader.execute("SELECT body FROM mail").fetchall()
        assert told in mail["body"]
        assert ("Next attempt" in mail["body"]) == is_started


async def test_the_end_of_a_quarantine_is_told_on_request(world: World) -> None:
    await world.configure(NotifyWhenQuarantineIsLifted="true")
    world.fail(lambda method, path: 401)
    await world.run_due()
    world.fail(None)
    world.clock.move(6 * HOURS)
    await world.run_due()
    assert waiting(world) == [IN_QUARANTINE, "Provisioning to ALVAO is out of quarantine"]


async def test_a_mail_reaches_the_server_with_reason_job_and_next_attempt_and_without_secrets(
    world: World, mailbox: tuple[Mailbox, MailServer]
) -> None:
    box, server = mailbox
    token, _ = await world.application.tokens.create()
    await world.service.connections.put_credentials(world.principal_id, [("SecretToken", token)])
    await world.configure(NotificationEmail=f"{TO}, boss@fjord.example")
    world.fail(lambda method, path: 401)
    await world.run_due()
    page = "https://joiner.fjord.example"
    assert await Outbox(world.db, server, world.clock, page).send_due() == 1
    [message] = box.arrived
    assert (message["From"], message["Subject"]) == ("Joiner <joiner@fjord.example>", IN_QUARANTINE)
    body = message.get_content()
    for told in (
        page,
        "ALVAO",
        world.job_id,
        "EncounteredQuarantineException",
        "refused the secret token",
        "2024-05-06T13:00",
    ):
        assert told in body
    assert token not in str(message)
    assert waiting(world) == []
    assert await Outbox(world.db, server, world.clock).send_due() == 0


@pytest.mark.req("REQ-P-129")
async def test_a_mail_that_is_refused_waits_for_the_next_try_and_is_given_up_after_three_days(
    world: World, mailbox: tuple[Mailbox, MailServer]
) -> None:
    box, server = mailbox
    outbox = Outbox(world.db, server, world.clock)
    world.fail(lambda method, path: 401)
    await world.run_due()
    box.refuses = True
    assert await outbox.send_due() == 0
    assert waiting(world) == [IN_QUARANTINE]
    box.refuses = False
    assert await outbox.send_due() == 0, "not due yet"
    world.clock.move(timedelta(minutes=1))
    assert await outbox.send_due() == 1
    assert len(box.arrived) == 1
    await world.service.restart(world.job_id, "QuarantineState")
    await world.run_due()
    without_server = Outbox(world.db, None, world.clock)
    for _ in range(2):
        await without_server.send_due()
        assert waiting(world) == [IN_QUARANTINE]
        world.clock.move(2 * DAYS)
    await without_server.send_due()
    assert waiting(world) == []


async def test_a_wrong_password_or_no_server_is_told_without_the_password(mailbox: tuple[Mailbox, MailServer]) -> None:
    _, server = mailbox
    wrong = MailServer(
        host="127.0.0.1", port=server.port, security="none", sender=TO, username="joiner", password="s3cr3t"
    )
    with pytest.raises(MailError, match=r"127\.0\.0\.1:\d+: .+") as refused:
        await wrong.send(TO, "x", "y", "1")
    assert "s3cr3t" not in str(refused.value)
    nowhere = MailServer(host="127.0.0.1", port=free_port(), security="none", sender=TO)
    with pytest.raises(MailError, match="127"):
        await nowhere.send(TO, "x", "y", "1")


async def test_starttls_is_insisted_on(mailbox: tuple[Mailbox, MailServer]) -> None:
    box, server = mailbox
    strict = MailServer(host="127.0.0.1", port=server.port, security="starttls", sender=TO)
    with pytest.raises(MailError, match="STARTTLS"):
        await strict.send(TO, "x", "y", "1")
    assert box.arrived == []


async def test_the_scheduler_sends_what_waits(world: World, mailbox: tuple[Mailbox, MailServer]) -> None:
    box, server = mailbox
    world.fail(lambda method, path: 401)
    await world.run_due()
    world.side.scheduler.outbox = Outbox(world.db, server, world.clock)
    await world.side.start()
    await asyncio.to_thread(wait_until, lambda: box.arrived, 30)
    assert len(box.arrived) == 1
