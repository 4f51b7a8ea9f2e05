"""The data folder: who may read it, and that one process at a time works on it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from joiner.errors import DataFolderInUseError, InvalidValueError
from joiner.server.data_folder import DataFolder, ServerAddress, find_server, read_local_key

HOLDER = """
import sys
from pathlib import Path
from joiner.server.data_folder import DataFolder, ServerAddress
import os
folder = DataFolder.open(Path(sys.argv[1]))
if len(sys.argv) > 2:
    folder.announce(ServerAddress(sys.argv[2], os.getpid(), ("application",)))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data"


class Holder:
    """Another process that works on the folder."""

    def __init__(self, path: Path, *url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(path), *url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "held\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def holders() -> Iterator[list[Holder]]:
    found: list[Holder] = []
    yield found
    for holder in found:
        holder.kill()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_only_the_owner_may_read_what_it_makes(path: Path) -> None:
    folder = DataFolder.open(path)
    folder.announce(ServerAddress("http://127.0.0.1:1", os.getpid()))
    assert mode(path) == 0o700
    assert {mode(path / name) for name in ("local.key", "secret.key", "server.json", "lock")} == {0o600}
    folder.close()


def test_keys_are_kept(path: Path) -> None:
    first = DataFolder.open(path)
    first.close()
    second = DataFolder.open(path)
    second.close()
    assert (first.local_key, first.secret_key) == (second.local_key, second.secret_key)
    assert len(first.secret_key) == 32
    assert read_local_key(path) == first.local_key


def test_keys_that_others_could_read_are_closed_to_them(path: Path) -> None:
    DataFolder.open(path).close()
    (path / "secret.key").chmod(0o644)
    DataFolder.open(path).close()
    assert mode(path / "secret.key") == 0o600


def test_a_damaged_key_is_refused_and_not_replaced(path: Path) -> None:
    DataFolder.open(path).close()
    (path / "secret.key").write_bytes(b"short")
    for _ in range(2):
        with pytest.raises(InvalidValueError, match=r"secret\.key .* is damaged"):
            DataFolder.open(path)


def test_a_second_process_is_refused_with_the_first_ones_number(path: Path, holders: list[Holder]) -> None:
    holders.append(Holder(path))
    with pytest.raises(DataFolderInUseError, match=f"is in use by process {holders[0].process.pid}"):
        DataFolder.open(path)
    assert find_server(path) is None


def test_a_second_process_is_told_where_the_first_one_serves(path: Path, holders: list[Holder]) -> None:
    holders.append(Holder(path, "http://127.0.0.1:4711"))
    pid = holders[0].process.pid
    with pytest.raises(DataFolderInUseError, match=f"process {pid} serves it at http://127.0.0.1:4711"):
        DataFolder.open(path)
    assert find_server(path) == ServerAddress("http://127.0.0.1:4711", pid, ("application",))


def test_what_a_killed_server_left_behind_does_not_count(path: Path, holders: list[Holder]) -> None:
    Holder(path, "http://127.0.0.1:4711").kill()
    assert (path / "server.json").exists()
    assert find_server(path) is None
    folder = DataFolder.open(path)
    assert not (path / "server.json").exists()
    folder.close()


def test_an_address_of_another_process_than_the_one_at_work_does_not_count(path: Path, holders: list[Holder]) -> None:
    Holder(path, "http://127.0.0.1:4711").kill()
    left_behind = (path / "server.json").read_bytes()
    holders.append(Holder(path))
    (path / "server.json").write_bytes(left_behind)
    assert find_server(path) is None


def test_closing_lets_the_next_one_in_and_may_be_repeated(path: Path) -> None:
    folder = DataFolder.open(path)
    with pytest.raises(DataFolderInUseError):
        DataFolder.open(path)
    folder.close()
    folder.close()
    DataFolder.open(path).close()


def test_looking_for_a_server_does_not_keep_anyone_out(path: Path) -> None:
    folder = DataFolder.open(path)
    folder.announce(ServerAddress("http://127.0.0.1:1", os.getpid()))
    folder.close()
    assert find_server(path) is None
    DataFolder.open(path).close()


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(InvalidValueError, match=r"the data folder .*file/data cannot be used: Not a directory"):
        DataFolder.open(tmp_path / "file" / "data")
