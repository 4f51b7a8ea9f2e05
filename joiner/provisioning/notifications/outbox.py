"""E-mails that wait to be sent: rows that outlive a crash, sent until the server takes them or three days are over."""

import sqlite3
from datetime import datetime, timedelta
from typing import Final

import structlog

from joiner.clock import Clock, from_iso, to_iso
from joiner.ids import new_id
from joiner.net.mail import MailError, MailServer
from joiner.provisioning.notifications.notices import Mail
from joiner.storage.sqlite import Database

WAITS: Final = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15), timedelta(hours=1))
"""After a failed attempt; the last one again and again."""
KEPT: Final = timedelta(days=3)
AT_ONCE: Final = 20

log = structlog.get_logger(__name__)


def enqueue(connection: sqlite3.Connection, mail: Mail, now: datetime) -> None:
    """Keeps the e-mail for the next round, in the transaction of what it tells about."""
    connection.execute(
        "INSERT INTO mail (id, recipients, subject, body, created_at, attempts, next_attempt)"
        " VALUES (?, ?, ?, ?, ?, 0, ?)",
        (new_id(), mail.recipients, mail.subject, mail.body, to_iso(now), to_iso(now)),
    )


def next_due(connection: sqlite3.Connection) -> str | None:
    """When the next attempt is due, None without any."""
    found: str | None = connection.execute("SELECT min(next_attempt) FROM mail").fetchone()[0]
    return found


class Outbox:
    """Sends what waits in `db` through `server`; without one it waits, in case one is set up. `address`: where our own
    pages are, to be told at the end of each e-mail."""

    def __init__(self, db: Database, server: MailServer | None, clock: Clock, address: str | None = None) -> None:
        self._db = db
        self._server = server
        self._clock = clock
        self._ending = f"\n{address}\n" if address else ""

    async def send_due(self) -> int:
        """Tries every e-mail whose time has come and returns how many were taken. Never raises for one that was not
        (REQ-P-129: a failed mail is tried again)."""
        sent = 0
        rows = self._db.reader.execute(
            "SELECT * FROM mail WHERE next_attempt <= ? ORDER BY next_attempt LIMIT ?", (to_iso(self._clock()), AT_ONCE)
        ).fetchall()
        for row in rows:
            try:
                if self._server is None:
                    raise MailError("no mail server is set (smtp_host)")
                await self._server.send(row["recipients"], row["subject"], row["body"] + self._ending, row["id"])
            except MailError as error:
                await self._postpone(row, str(error))
            else:
                await self._db.write(lambda connection, row=row: _forget(connection, row["id"]))  # type: ignore[misc] # binds row
                sent += 1
        return sent

    async def _postpone(self, row: sqlite3.Row, reason: str) -> None:
        now = self._clock()
        if now - from_iso(row["created_at"]) >= KEPT:
            log.error("e-mail given up", subject=row["subject"], reason=reason)
            await self._db.write(lambda connection: _forget(connection, row["id"]))
            return
        wait = WAITS[min(row["attempts"], len(WAITS) - 1)]
        log.warning("e-mail not sent", subject=row["subject"], reason=reason, next_attempt=to_iso(now + wait))
        await self._db.write(lambda connection: _try_again_at(connection, row["id"], to_iso(now + wait)))


def _forget(connection: sqlite3.Connection, mail_id: str) -> None:
    connection.execute("DELETE FROM mail WHERE id = ?", (mail_id,))


def _try_again_at(connection: sqlite3.Connection, mail_id: str, moment: str) -> None:
    connection.execute("UPDATE mail SET attempts = attempts + 1, next_attempt = ? WHERE id = ?", (moment, mail_id))
