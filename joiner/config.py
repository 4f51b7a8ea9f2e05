"""Settings: a TOML file, each key overridden by the environment (`JOINER_PORT`), or by a file that it names
(`JOINER_PORT_FILE`).

Every setting is a field of `Settings` and is described in docs/settings.md.
"""

import difflib
import ipaddress
import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from joiner.errors import InvalidValueError
from joiner.net.mail import MailServer, Security
from joiner.net.urls import check_url_shape

FILE_NAME: Final = "joiner.toml"
"""The settings file of a data folder; it may be absent."""
PREFIX: Final = "JOINER_"
FILE_SUFFIX: Final = "_FILE"

LogLevel = Literal["debug", "info", "warning", "error"]


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an installation can be told."""

    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    """The address to listen on."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8080
    """The TCP port to listen on; 0 takes a free one."""
    tls_certificate: str | None = None
    """The file with the server's certificate and its chain, PEM; with `tls_key` the server speaks TLS itself."""
    tls_key: str | None = None
    """The file with the certificate's key, PEM."""
    public_url: str | None = None
    """The address at which clients reach the server, where a proxy stands in front of it that speaks TLS."""
    allow_plain_http: bool = False
    """Whether to listen without TLS where others than this machine can connect: for trying things out only."""
    log_level: LogLevel = "info"
    """The least important log lines that are written."""
    database_url: str | None = None
    """Where the application side keeps its data: the URL of a PostgreSQL database. Unset: a file in the data folder."""
    events_kept_days: Annotated[int, msgspec.Meta(ge=1, le=36500)] = 30
    """Days after which the application side's events are removed."""
    logs_kept_days: Annotated[int, msgspec.Meta(ge=1, le=36500)] = 30
    """Days after which entries of the provisioning log and the audit log are removed."""
    smtp_host: str | None = None
    """The mail server for notifications. Unset: none are sent."""
    smtp_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 587
    """Its TCP port."""
    smtp_security: Security = "starttls"
    """How the way to it is encrypted: `starttls`, `tls` from the first byte, or `none`."""
    smtp_username: str | None = None
    """The account there; unset: it takes e-mail without one."""
    smtp_password: str | None = None
    """The account's password."""
    mail_sender: str | None = None
    """The address in whose name notifications go out; needed with `smtp_host`."""
    allow_private_targets: bool | None = None
    """Whether applications at loopback and private addresses may be called. Unset: loopback ones only, and only while
    the server itself listens on loopback."""

    @property
    def allow_private(self) -> bool:
        """Applications at private addresses may be called."""
        return self.allow_private_targets is True

    @property
    def allow_loopback(self) -> bool:
        """Applications on this machine may be called."""
        if self.allow_private_targets is not None:
            return self.allow_private_targets
        return is_loopback(self.host)

    @property
    def mail_server(self) -> MailServer | None:
        """Where notifications go out."""
        if self.smtp_host is None or self.mail_sender is None:
            return None
        return MailServer(
            host=self.smtp_host,
            port=self.smtp_port,
            security=self.smtp_security,
            sender=self.mail_sender,
            username=self.smtp_username,
            password=self.smtp_password,
        )

    def check(self) -> None:
        """Raises InvalidValueError for settings that do not go together, or would let credentials travel in clear
        (REQ-S-071)."""
        if (self.tls_certificate is None) is not (self.tls_key is None):
            raise InvalidValueError("tls_certificate and tls_key belong together; one of them is missing")
        for name in ("tls_certificate", "tls_key"):
            file = getattr(self, name)
            if file is not None and not Path(file).is_file():
                raise InvalidValueError(f"{name}: there is no file {file}")
        if self.smtp_host is not None and "@" not in (self.mail_sender or ""):
            raise InvalidValueError("smtp_host needs mail_sender, the address in whose name e-mail goes out")
        if self.smtp_password is not None and self.smtp_security == "none" and not is_loopback(self.smtp_host or ""):
            raise InvalidValueError("smtp_security = none would send smtp_password in clear; use starttls or tls")
        if self.public_url is not None:
            check_url_shape(self.public_url)
        is_private = is_loopback(self.host) or self.tls_certificate is not None or self.allow_plain_http
        if not is_private and not (self.public_url or "").startswith("https://"):
            raise InvalidValueError(
                f"whoever connects to {self.host} would send credentials in clear: set tls_certificate and tls_key, or,"
                " where a proxy in front speaks TLS, public_url = https://…; allow_plain_http = true is for trying out"
            )


FIELDS: Final = {field.name: field for field in msgspec.structs.fields(Settings)}
NAMES: Final = tuple(FIELDS)


def load_settings(file: Path, *, required: bool = False, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of `file`, which may be absent unless `required`, overridden by the environment.

    Raises InvalidValueError that names the file or variable, the setting, and what is wrong with it.
    """
    values = _read_file(file, required=required)
    for name in NAMES:
        told = _read_environment(name, environ)
        if told is not None:
            source, text = told
            values[name] = _convert(name, text, source)
    return msgspec.convert(values, Settings)


def settings_of(data: Path, config: Path | None = None) -> Settings:
    """The settings of a data folder, or of the file that `config` or JOINER_CONFIG names. Raises InvalidValueError."""
    named = config or (Path(os.environ["JOINER_CONFIG"]) if os.environ.get("JOINER_CONFIG") else None)
    return load_settings(named or data / FILE_NAME, required=named is not None)


def override(settings: Settings, **values: Any) -> Settings:
    """The settings with those of `values` that are not None. Raises InvalidValueError."""
    given = {name: _convert(name, value, "the command line") for name, value in values.items() if value is not None}
    return msgspec.structs.replace(settings, **given)


def is_loopback(host: str) -> bool:
    """Whether a server that listens on `host` can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _read_file(file: Path, *, required: bool) -> dict[str, Any]:
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise InvalidValueError(f"there is no settings file {file}") from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidValueError(f"the settings file {file} cannot be read: {error}") from None
    return {name: _convert(_known(name, file, NAMES), value, str(file)) for name, value in document.items()}


def _known(name: str, file: Path, names: Iterable[str]) -> str:
    if name in names:
        return name
    nearest = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{nearest[0]}'?" if nearest else f"the settings are {', '.join(names)}"
    raise InvalidValueError(f"{file}: there is no setting '{name}'; {hint}")


def _read_environment(name: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that sets the name, and its text. Empty means unset, as in compose files."""
    variable = PREFIX + name.upper()
    if environ.get(variable):
        return variable, environ[variable]
    path = environ.get(variable + FILE_SUFFIX)
    if not path:
        return None
    try:
        return variable + FILE_SUFFIX, Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"{variable + FILE_SUFFIX}: {path} cannot be read: {error}") from None


def _convert(name: str, value: Any, source: str) -> Any:
    """The value in the setting's own type; text may be a number or `true`. Raises InvalidValueError."""
    field = FIELDS[name]
    try:
        return msgspec.convert(value, field.type, strict=not isinstance(value, str))
    except msgspec.ValidationError as error:
        raise InvalidValueError(f"{source}: {name} = {value!r} is not possible: {error}") from None
