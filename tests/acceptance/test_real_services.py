"""The servers and the browser that other tests stand on are real and answer."""

import asyncio
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests import install_system_packages
from tests.services import (
    PostgreSQL,
    Slapd,
    accepts_connections,
    require_program,
    run_postgresql,
    run_slapd,
    skipped_if_missing,
)

if TYPE_CHECKING:
    from playwright.async_api import Browser

ADA = """\
dn: uid=ada,dc=example,dc=com
objectClass: inetOrgPerson
uid: ada
cn: Ada Example
sn: Example
userPassword: secret-of-ada
"""

PAGE = b"<!doctype html><title>Joiner</title><p id=answer></p><script>answer.textContent = 6 * 7</script>"


def test_postgresql_answers_a_query_over_tcp_and_over_its_socket(postgresql: PostgreSQL) -> None:
    assert postgresql.psql("SELECT 1") == "1"
    command = [require_program("psql"), "-X", "-At", "-d", postgresql.socket_url(), "-c", "SELECT 2"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "2\n"


def test_postgresql_is_gone_after_its_block() -> None:
    with skipped_if_missing(), run_postgresql() as server:
        assert accepts_connections(server.port)
    assert not accepts_connections(server.port)
    assert not server.socket_folder.exists()


def test_slapd_accepts_a_bind_and_finds_an_entry(slapd: Slapd) -> None:
    slapd.add(ADA)
    assert slapd.whoami("uid=ada,dc=example,dc=com", "secret-of-ada") == "dn:uid=ada,dc=example,dc=com"
    assert "cn: Ada Example" in slapd.search("(uid=ada)", "cn").splitlines()
    with pytest.raises(subprocess.CalledProcessError, match="exit status 49"):
        slapd.whoami("uid=ada,dc=example,dc=com", "a wrong password")


def test_slapd_is_gone_after_its_block() -> None:
    with skipped_if_missing(), run_slapd() as server:
        assert accepts_connections(server.port)
    assert not accepts_connections(server.port)


async def test_chromium_renders_a_page_of_ours(chromium: "Browser") -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        page = await chromium.new_page()
        port = server.sockets[0].getsockname()[1]
        await page.goto(f"http://127.0.0.1:{port}/")
        assert await page.title() == "Joiner"
        assert await page.inner_text("#answer") == "42"
        await page.close()


def test_a_missing_program_skips_with_one_line_that_says_what_to_install() -> None:
    with pytest.raises(pytest.skip.Exception) as skipped, skipped_if_missing():
        require_program("no-such-program")
    assert str(skipped.value) == "needs the program no-such-program: apt-get install no-such-program"


def test_every_system_package_says_what_it_is_for() -> None:
    packages = install_system_packages.read_packages()
    assert {package.program for package in packages} >= {"chromium", "postgres", "slapd"}
    assert all(len(package.purpose.split()) > 3 for package in packages)
