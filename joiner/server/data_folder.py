"""A data folder: the files of one installation, and the lock that lets one process at a time work on them."""

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

import msgspec

from joiner.errors import DataFolderInUseError, InvalidValueError
from joiner.tokens import generate_token

PRIVATE_FOLDER: Final = 0o700
PRIVATE_FILE: Final = 0o600
SECRET_KEY_BYTES: Final = 32
"""AES-256."""
GLANCES: Final = 10


class ServerAddress(msgspec.Struct, frozen=True):
    """Where the process that serves the folder can be reached: the content of `server.json`."""

    url: str
    """For clients on this machine, without a slash at its end."""
    pid: int
    sides: tuple[str, ...] = ()
    """Which sides it serves: `application`, `directory`."""
    certificate: str | None = None
    """The file with the certificate that it shows, if it speaks TLS. It is not made out to loopback, but known."""


class DataFolder:
    """An opened data folder; this process alone works on it until `close`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock
        self.local_key: str = (
            _kept(path / "local.key", lambda: generate_token("joiner_local").encode()).decode().strip()
        )
        """Bearer key of full rights, for commands on this machine."""
        self.secret_key: bytes = _kept(path / "secret.key", lambda: secrets.token_bytes(SECRET_KEY_BYTES))
        """Encrypts the credentials that are stored here."""
        if len(self.secret_key) != SECRET_KEY_BYTES or not self.local_key:
            raise InvalidValueError(
                f"secret.key or local.key in {path} is damaged; put the right one back from a backup"
            )

    @classmethod
    def open(cls, path: Path) -> Self:
        """Creates the folder if need be and takes its lock.

        Raises DataFolderInUseError, naming the process and where it serves; InvalidValueError if the folder cannot
        be used.
        """
        try:
            path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, PRIVATE_FILE)
        except OSError as error:
            raise InvalidValueError(f"the data folder {path} cannot be used: {error.strerror}") from None
        try:
            _take(lock)
            os.ftruncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            folder = cls(path, lock)
        except BlockingIOError:
            os.close(lock)
            raise DataFolderInUseError(_told_in_use(path)) from None
        except BaseException:
            os.close(lock)
            raise
        # What a killed server left behind: whoever serves the folder holds the lock.
        folder.withdraw()
        return folder

    def announce(self, address: ServerAddress) -> None:
        """Tells commands on this machine where the folder is served, until `close`."""
        _write(self.path / "server.json", msgspec.json.encode(address))

    def withdraw(self) -> None:
        """Tells commands that nothing is served any more; they then wait for the folder itself."""
        with contextlib.suppress(FileNotFoundError):
            (self.path / "server.json").unlink()

    def close(self) -> None:
        """Lets the next process in. May be called twice."""
        if self._lock < 0:
            return
        self.withdraw()
        os.close(self._lock)
        self._lock = -1


def find_server(path: Path) -> ServerAddress | None:
    """Where the folder is served now, None if it is not; what a killed server left behind does not count."""
    try:
        address = msgspec.json.decode((path / "server.json").read_bytes(), type=ServerAddress)
    except (OSError, msgspec.DecodeError):
        return None
    return address if address.pid == _pid_at_work(path) else None


def read_local_key(path: Path) -> str:
    """The key of the folder that a server works on. Raises InvalidValueError if this user must not read it."""
    try:
        return (path / "local.key").read_text(encoding="ascii").strip()
    except OSError as error:
        raise InvalidValueError(f"{path / 'local.key'} cannot be read: {error.strerror}") from None


def _take(lock: int) -> None:
    """Raises BlockingIOError if another process has it. Whoever only looks (`_pid_at_work`) has it for an instant."""
    for _ in range(GLANCES):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.01)
    return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _pid_at_work(path: Path) -> int | None:
    """The process that holds the lock, None if nobody does."""
    try:
        lock = os.open(path / "lock", os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        text = os.pread(lock, 20, 0)
        return int(text) if text.isdigit() else None
    finally:
        os.close(lock)


def _told_in_use(path: Path) -> str:
    address = find_server(path)
    if address is not None:
        return f"the data folder {path} is in use: process {address.pid} serves it at {address.url}"
    pid = _pid_at_work(path)
    who = f"process {pid}" if pid is not None else "another process"
    return f"the data folder {path} is in use by {who}"


def _kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """The file's content; made, durably, if there is no such file. Others lose what rights they had to it."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        content = make()
        _write(path, content)
        return content
    if path.stat().st_mode & 0o077:
        path.chmod(PRIVATE_FILE)
    return content


def _write(path: Path, content: bytes) -> None:
    """Puts the file into place whole, durable and readable by its owner only."""
    draft = path.with_name(path.name + ".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
