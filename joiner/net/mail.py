"""Sending e-mail over SMTP (RFC 5321), encrypted unless the settings say otherwise."""

from email.errors import MessageError
from email.message import EmailMessage
from email.utils import formatdate
from typing import Final, Literal

import msgspec

from joiner.errors import JoinerError

SECONDS: Final = 30.0
Security = Literal["starttls", "tls", "none"]


class MailError(JoinerError):
    """The server did not take the e-mail; the text says why, and holds no secret."""


class MailServer(msgspec.Struct, frozen=True, kw_only=True):
    """Where e-mail goes out, and in whose name."""

    host: str
    port: int
    security: Security
    sender: str
    username: str | None = None
    password: str | None = None

    async def send(self, recipients: str, subject: str, body: str, message_id: str) -> None:
        """Hands the e-mail over. `recipients`: addresses with commas between. Raises MailError."""
        # Imported here: most processes never send any.
        import aiosmtplib

        try:
            message = self._message(recipients, subject, body, message_id)
            await aiosmtplib.send(
                message,
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.security == "tls",
                start_tls=self.security == "starttls",
                timeout=SECONDS,
            )
        except (aiosmtplib.SMTPException, OSError, MessageError, ValueError) as error:
            text = str(error)
            for secret in (self.password, self.username):
                text = text.replace(secret, "…") if secret else text
            raise MailError(f"{self.host}:{self.port}: {text or type(error).__name__}") from None

    def _message(self, recipients: str, subject: str, body: str, message_id: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self.sender
        message["To"] = recipients
        message["Subject"] = subject
        message["Date"] = formatdate(usegmt=True)
        # The same in every attempt: a server that has taken it already can tell.
        message["Message-ID"] = f"<{message_id}@{self.sender.rpartition('@')[2].rstrip('>')}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        return message
