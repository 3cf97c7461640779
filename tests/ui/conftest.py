"""Fixtures of tests in a browser; what they are used with is in browser.py."""

import socket
from collections.abc import Iterator

import pytest

from tests.no_chromium import NO_CHROMIUM
from tests.ui.browser import CHROMIUM, serving


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a server of the app."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with serving(port) as address:
        yield address


# Of a module, not of the session: while Playwright runs, asyncio.run fails in every other test of the process.
@pytest.fixture(scope="module")
def chromium():
    """The system's Chromium."""
    if CHROMIUM is None:
        pytest.skip(NO_CHROMIUM)
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()
