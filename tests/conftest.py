"""Fixtures for every test: real servers and a real browser, skipped with one line where a program is missing."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.scim_client import Client, opened_endpoint
from tests.services import PostgreSQL, Slapd, require_program, run_postgresql, run_slapd, skipped_if_missing

if TYPE_CHECKING:
    from playwright.async_api import Browser

CHROMIUM_OPTIONS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
"""What keeps the browser from calling anyone but the page under test."""

# No test is right or wrong by how long it takes: machines are busy at times.
settings.register_profile("joiner", deadline=None)
settings.load_profile("joiner")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server, one for each test worker; tests make their own databases in it."""
    with skipped_if_missing(), run_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
async def application_database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Path | str]:
    """A new database for the application side: an SQLite file, or the URL of a PostgreSQL database."""
    if request.param == "sqlite":
        yield tmp_path / "application.db"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    with server.new_database() as url:
        yield url


@pytest.fixture
async def client(application_database: Path | str) -> AsyncIterator[Client]:
    """An endpoint on each of the databases, and a client that holds a token of it."""
    async with opened_endpoint(application_database) as opened:
        yield opened


@pytest.fixture(scope="session")
def slapd() -> Iterator[Slapd]:
    """An LDAP directory with the suffix dc=example,dc=com, one for each test worker."""
    with skipped_if_missing(), run_slapd() as server:
        yield server


@pytest.fixture
async def chromium() -> AsyncIterator["Browser"]:
    """A headless Chromium. Each test has its own: Playwright's objects belong to one event loop."""
    from playwright.async_api import async_playwright

    with skipped_if_missing():
        program = require_program("chromium")
    # Chromium's sandbox does not work for root.
    options = [*CHROMIUM_OPTIONS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=options, headless=True)
        try:
            yield browser
        finally:
            await browser.close()
