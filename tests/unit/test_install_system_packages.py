"""The step of `make test` that installs programs: what it says and what it leaves behind."""

from contextlib import suppress
from pathlib import Path

import pytest

from tests import install_system_packages

UNKNOWN = "no-such-package  no-such-program-anywhere  proves what is said when it is missing\n"


@pytest.fixture
def unknown_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list names one program that no machine has."""
    package_list = tmp_path / "packages.txt"
    package_list.write_text(f"# a comment\n\n{UNKNOWN}", encoding="utf-8")
    monkeypatch.setattr(install_system_packages, "PACKAGE_LIST", package_list)


def test_nothing_is_said_when_every_program_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    package_list = tmp_path / "packages.txt"
    package_list.write_text("dash  sh  is on every machine\n", encoding="utf-8")
    monkeypatch.setattr(install_system_packages, "PACKAGE_LIST", package_list)
    assert install_system_packages.main() == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("unknown_package")
def test_without_root_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert install_system_packages.main() == 0
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert "apt-get install no-such-package" in printed


@pytest.mark.usefixtures("unknown_package")
@pytest.mark.parametrize(("environment", "status"), [({"CI": "true"}, 1), ({}, 0)])
def test_a_failed_installation_stops_only_ci(
    environment: dict[str, str],
    status: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.delenv("CI", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(install_system_packages, "DEBIAN_MARK", tmp_path)
    monkeypatch.setattr("shutil.which", lambda name, path=None: None if name.startswith("no-such") else name)
    monkeypatch.setattr(install_system_packages, "install", lambda _names: "E: no such package")
    assert install_system_packages.main() == status
    assert "E: no such package" in capsys.readouterr().err


def test_services_are_forbidden_to_start_only_during_the_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = tmp_path / "policy-rc.d"
    monkeypatch.setattr(install_system_packages, "START_POLICY", policy)
    with suppress(RuntimeError), install_system_packages.no_service_starts():
        assert policy.read_text(encoding="ascii").endswith("exit 101\n")
        assert policy.stat().st_mode & 0o111
        raise RuntimeError("the installation failed")
    assert not policy.exists()


def test_a_policy_of_the_machine_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = tmp_path / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 0\n", encoding="ascii")
    monkeypatch.setattr(install_system_packages, "START_POLICY", policy)
    with install_system_packages.no_service_starts():
        pass
    assert policy.read_text(encoding="ascii") == "#!/bin/sh\nexit 0\n"
