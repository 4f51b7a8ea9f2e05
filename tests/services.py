"""Real servers for tests: PostgreSQL and slapd, each in a temporary folder and always stopped at the end."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.install_system_packages import find_program, read_packages
from tests.waiting import wait_until

UNPRIVILEGED_USERS = ("postgres", "nobody")
"""Who runs PostgreSQL when the tests run as root, which it refuses; the first that exists."""

START_ATTEMPTS = 3
"""Another process may take a free port between finding it and listening on it."""

STOP_SECONDS = 15.0


class MissingProgramError(Exception):
    """A program that a test needs is not on this machine. The text is one line that says what to install."""


class ServiceFailedError(Exception):
    """The service ended while it was starting. The text is its own log."""


def require_program(name: str) -> str:
    """The program's absolute path. Raises MissingProgramError."""
    program = find_program(name)
    if program is None:
        package = next((entry.package for entry in read_packages() if entry.program == name), name)
        raise MissingProgramError(f"needs the program {name}: apt-get install {package}")
    return program


@contextmanager
def skipped_if_missing() -> Iterator[None]:
    """Skips the test, with the line that says what to install, when the block misses a program."""
    try:
        yield
    except MissingProgramError as missing:
        pytest.skip(str(missing))


def free_port() -> int:
    """A TCP port of the loopback interface that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def accepts_connections(port: int) -> bool:
    """Whether something listens on this port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True)
class PostgreSQL:
    """A running server with one superuser; a test makes its own databases or schemas in it."""

    port: int
    socket_folder: Path
    user: str
    password: str

    def url(self, database: str = "postgres") -> str:
        """The database's address over TCP."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def socket_url(self, database: str = "postgres") -> str:
        """The database's address over the Unix socket, which asks for no password."""
        return f"postgresql://{self.user}@/{database}?host={quote(str(self.socket_folder), safe='')}&port={self.port}"

    def answers(self) -> bool:
        """Whether it is past its start."""
        try:
            return self.psql("SELECT 1") == "1"
        except subprocess.CalledProcessError:
            return False

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """The URL of an empty database that is dropped in the end."""
        name = f"test_{uuid4().hex}"
        self.psql(f"CREATE DATABASE {name}")
        try:
            yield self.url(name)
        finally:
            self.psql(f"DROP DATABASE {name} WITH (FORCE)")

    def psql(self, statement: str, database: str = "postgres") -> str:
        """What psql prints for the statement, without headings. Raises CalledProcessError."""
        command = [require_program("psql"), "-X", "-At", "-v", "ON_ERROR_STOP=1", "-d", self.url(database)]
        return _run([*command, "-c", statement]).strip()


@contextmanager
def run_postgresql(*, is_durable: bool = False) -> Iterator[PostgreSQL]:
    """A PostgreSQL server of its own, which waits for the disk only if `is_durable`. Raises MissingProgramError."""
    server, initdb = require_program("postgres"), require_program("initdb")
    account = _unprivileged_account()
    identity: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}
    # Not pytest's folder: that is closed to other users, and a socket's path must be short.
    with _temporary_folder("pg") as folder:
        data, password_file = folder / "data", folder / "password"
        password_file.write_text("joiner-tests\n", encoding="ascii")
        if account:
            for path in (folder, password_file):
                os.chown(path, account.pw_uid, account.pw_gid)
        make = [initdb, "-D", str(data), "-U", "joiner", "--pwfile", str(password_file), "-E", "UTF8", "--locale=C"]
        _run([*make, "--auth-local=trust", "--auth-host=scram-sha-256", "--no-sync"], cwd=folder, **identity)

        def command(port: int) -> list[str]:
            settings = {
                "listen_addresses": "127.0.0.1",
                "port": str(port),
                "unix_socket_directories": str(folder),
                "fsync": "on" if is_durable else "off",
                "max_connections": "200",
            }
            return [server, "-D", str(data), *(f"--{name}={value}" for name, value in settings.items())]

        with _started(command, folder, stop_signal=signal.SIGINT, **identity) as port:
            server_at = PostgreSQL(port, folder, "joiner", "joiner-tests")
            # It listens before it answers.
            wait_until(server_at.answers)
            yield server_at


@dataclass(frozen=True)
class Slapd:
    """A running LDAP directory with one empty suffix."""

    port: int
    suffix: str
    admin_dn: str
    admin_password: str
    socket_url: str
    """`ldapi://` address of its Unix socket."""

    @property
    def url(self) -> str:
        """Its address over TCP, without TLS."""
        return f"ldap://127.0.0.1:{self.port}"

    def add(self, ldif: str) -> None:
        """Adds the entries of the LDIF text as the administrator. Raises CalledProcessError."""
        self._as_admin("ldapadd", standard_input=ldif)

    def modify(self, ldif: str) -> None:
        """Makes the changes of the LDIF text as the administrator. Raises CalledProcessError."""
        self._as_admin("ldapmodify", standard_input=ldif)

    def search(self, search_filter: str, *attributes: str) -> str:
        """LDIF of the entries below the suffix that pass the filter. Raises CalledProcessError."""
        return self._as_admin("ldapsearch", "-LLL", "-b", self.suffix, search_filter, *attributes)

    def whoami(self, dn: str, password: str) -> str:
        """The identity that this name and password are given. Raises CalledProcessError when they are refused."""
        return _run([require_program("ldapwhoami"), "-x", "-H", self.url, "-D", dn, "-w", password]).strip()

    def _as_admin(self, program: str, *arguments: str, standard_input: str = "") -> str:
        bind = ["-x", "-H", self.url, "-D", self.admin_dn, "-w", self.admin_password]
        return _run([require_program(program), *bind, *arguments], standard_input=standard_input)


SLAPD_CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
database mdb
suffix "{suffix}"
rootdn "{admin_dn}"
rootpw {admin_password}
directory {folder}/data
index objectClass,entryUUID,entryCSN eq
overlay syncprov
syncprov-sessionlog 1000
"""


@contextmanager
def run_slapd() -> Iterator[Slapd]:
    """An LDAP directory of its own, with change notification (syncprov). Raises MissingProgramError."""
    installed, _ = require_program("slapd"), require_program("ldapsearch")
    suffix = "dc=example,dc=com"
    admin_dn, admin_password = f"cn=admin,{suffix}", "joiner-tests"
    with _temporary_folder("ldap") as folder:
        # Where AppArmor confines the installed program to its system folders, a copy is not confined.
        server = shutil.copy(installed, folder / "slapd")
        (folder / "data").mkdir()
        configuration = folder / "slapd.conf"
        configuration.write_text(
            SLAPD_CONFIGURATION.format(suffix=suffix, admin_dn=admin_dn, admin_password=admin_password, folder=folder),
            encoding="utf-8",
        )
        configuration.chmod(0o600)
        socket_url = "ldapi://" + quote(str(folder / "socket"), safe="")

        def command(port: int) -> list[str]:
            # `-d 0` keeps it in the foreground.
            addresses = f"ldap://127.0.0.1:{port}/ {socket_url}"
            return [str(server), "-d", "0", "-f", str(configuration), "-h", addresses]

        with _started(command, folder, stop_signal=signal.SIGINT) as port:
            slapd = Slapd(port, suffix, admin_dn, admin_password, socket_url)
            organization = "objectClass: dcObject\nobjectClass: organization\no: Example\ndc: example"
            slapd.add(f"dn: {suffix}\n{organization}\n")
            yield slapd


@contextmanager
def _started(
    command: Callable[[int], list[str]], folder: Path, stop_signal: signal.Signals, **identity: Any
) -> Iterator[int]:
    """Runs `command(port)` until the block ends; yields the port once it accepts connections."""
    log = folder / "log"
    for attempt in range(1, START_ATTEMPTS + 1):
        port = free_port()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*ending_with_us(stop_signal), *command(port)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **identity,
            )
        try:
            wait_until(lambda: process.poll() is not None or accepts_connections(port))  # noqa: B023 - called here
            if process.poll() is None:
                yield port
                return
        finally:
            _stop(process, stop_signal)
        if attempt == START_ATTEMPTS:
            raise ServiceFailedError(log.read_text(errors="replace"))


def ending_with_us(stop_signal: signal.Signals) -> list[str]:
    """A prefix for a command that ends it when the test process is killed and cannot stop it itself."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", stop_signal.name] if setpriv else []


def _stop(process: "subprocess.Popen[bytes]", stop_signal: signal.Signals) -> None:
    if process.poll() is not None:
        return
    process.send_signal(stop_signal)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _temporary_folder(name: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=f"joiner-{name}-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _unprivileged_account() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    accounts = {account.pw_name: account for account in pwd.getpwall()}
    name = next((name for name in UNPRIVILEGED_USERS if name in accounts), None)
    if name is None:
        raise MissingProgramError(f"needs one of the users {', '.join(UNPRIVILEGED_USERS)} to run PostgreSQL as root")
    return accounts[name]


def _run(command: list[str], standard_input: str = "", **options: Any) -> str:
    """The command's standard output. Raises CalledProcessError with the standard error as a note."""
    finished: subprocess.CompletedProcess[str] = subprocess.run(
        command, input=standard_input, capture_output=True, text=True, check=False, **options
    )
    if finished.returncode != 0:
        failure = subprocess.CalledProcessError(finished.returncode, command, finished.stdout, finished.stderr)
        failure.add_note(finished.stderr)
        raise failure
    return finished.stdout
