"""A server of the app and the system's Chromium, for what only pixels can prove; the fixtures are in conftest.py.

    with open_tab(chromium, f"{server}/triangle?{small()}", width=390, scheme="dark") as tab:
        tab.settle()
        assert tab.page.locator("h2").first.inner_text() == "..."
        assert unlike_golden(tab, "triangle-390-dark") == []

Leaving the `with` asserts what holds for every page: no exception, nothing on the console, no host but this machine.
"""

import shutil
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit

from PIL import Image, ImageChops

from tests.ui.app import SMALL
from ui.app import whatif

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZES = ((1440, 900), (1024, 768), (390, 844))
PATIENCE_MS = 120_000
MAIN = "[data-testid=stMainBlockContainer]"
GOLDEN = Path(__file__).parents[1] / "golden" / "ui"
TOLERANCE = 0.01
"""Share of a screenshot's pixels that may look different from the golden one."""
_SETTLED = """() => !document.querySelector('[data-testid=stSkeleton], [data-testid=stStatusWidget]')
    && ![...document.querySelectorAll('button')].some(one => one.innerText.trim() === 'Cancel')"""
_SERVE = "import sys; from ui.cli import main; sys.exit(main(['ui', '--port', sys.argv[1]]))"


def small(text: str = SMALL, **parameters: str) -> str:
    """What follows the "?" of a link to a scenario that takes milliseconds."""
    return urlencode({"preset": "opened", "scenario": whatif.pack(text), **parameters})


@contextmanager
def serving(port: int) -> Iterator[str]:
    """`trilemma ui` as a user starts it; yields its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert process.stdout.readline().startswith("Trilemma is at http://localhost:")
        _wait_for(port)
        yield f"http://127.0.0.1:{port}"
        assert process.poll() is None, "the server has ended"
    finally:
        process.terminate()
        process.communicate()


def _wait_for(port: int) -> None:
    """Its address is told a moment before it is listened on."""
    until = time.monotonic() + PATIENCE_MS / 1000
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            assert time.monotonic() < until, "the server does not listen"
            time.sleep(0.05)


@dataclass
class Tab:
    """A browser tab, and what it complained of and asked for."""

    page: "Page"
    problems: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)

    def settle(self) -> None:
        """Wait until the page has its answers: no Cancel, no skeleton, no script at work."""
        self.page.locator(
            "[data-testid=stMainBlockContainer] h1, [data-testid=stMainBlockContainer] h2"
        ).first.wait_for(timeout=PATIENCE_MS)
        calm = 0
        while calm < 3:  # between two drawings a page looks settled for a moment
            self.page.wait_for_function(_SETTLED, timeout=PATIENCE_MS)
            self.page.wait_for_timeout(250)
            calm = calm + 1 if self.page.evaluate(_SETTLED) else 0

    def answered(self) -> None:
        """Wait for the first numbers."""
        self.page.get_by_test_id("stMetric").first.wait_for(timeout=PATIENCE_MS)

    def headline(self) -> str:
        """What the page says first."""
        return self.page.locator(f"{MAIN} h2").first.inner_text()

    def whole(self) -> bytes:
        """A picture of all of the page beside the sidebar, not just of what the window shows."""
        size = self.page.viewport_size
        height = self.page.evaluate("document.querySelector('[data-testid=stMain]').scrollHeight")
        self.page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
        self.page.wait_for_timeout(600)
        picture = self.page.get_by_test_id("stMain").screenshot()
        self.page.set_viewport_size(size)
        return picture

    def is_clean(self) -> None:
        """Assert that nothing broke, and that it talked to this machine alone."""
        assert self.page.get_by_test_id("stException").count() == 0
        assert self.problems == []
        assert self.hosts == {"127.0.0.1"}

    def heard(self, message: "ConsoleMessage") -> None:
        """Keep what the console says is wrong."""
        if message.type == "error" and not _of_streamlits_search(message.location["url"]):
            self.problems.append(f"{message.text} ({message.location['url']})")

    def asked(self, url: str) -> None:
        """Keep whom the page talks to."""
        if (host := urlsplit(url).hostname) is not None:
            self.hosts.add(host)


def _of_streamlits_search(url: str) -> bool:
    """Opened at /triangle, Streamlit's page first looks for its server below /triangle/, where it is not: two 404."""
    return urlsplit(url).path.split("/", 2)[-1] in {"_stcore/health", "_stcore/host-config"}


@contextmanager
def open_tab(
    chromium: "Browser", url: str, *, width: int = 1440, height: int = 900, scheme: str = "light"
) -> Iterator[Tab]:
    """Open a page, and when done assert what holds for every page."""
    context = chromium.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        reduced_motion="reduce",
        accept_downloads=True,
    )
    try:
        tab = watched(context.new_page())
        tab.page.goto(url)
        yield tab
        tab.is_clean()
    finally:
        context.close()


def watched(page: "Page") -> Tab:
    """Begin to note what a page complains of and whom it asks."""
    tab = Tab(page)
    page.on("console", tab.heard)
    page.on("pageerror", lambda error: tab.problems.append(f"page error: {error}"))
    page.on("request", lambda request: tab.asked(request.url))
    page.on("websocket", lambda socket: tab.asked(socket.url))
    return tab


def scrolls_sideways(page: "Page") -> bool:
    """Whether the page, or its main part, is wider than the window."""
    return page.evaluate(
        """() => [document.documentElement, document.querySelector('[data-testid=stMain]')]
            .some(one => one.scrollWidth > one.clientWidth + 1)"""
    )


def agree(unlike: list[str]) -> None:
    """Fail where pages look unlike their golden pictures; only warn where another browser or other fonts drew those."""
    made_with, here = (GOLDEN / "browser.txt").read_text().strip(), _browser()
    if unlike and made_with != here:
        warnings.warn(f"golden pictures were made with {made_with}, here is {here}: {unlike}", stacklevel=2)
    else:
        assert unlike == []


def _browser() -> str:
    version = subprocess.run([CHROMIUM, "--version"], capture_output=True, text=True, check=True).stdout
    fonts = subprocess.run(["fc-list", ":", "family"], capture_output=True, text=True, check=False).stdout
    digest = sha256("\n".join(sorted(fonts.splitlines())).encode()).hexdigest()
    return f"{version.split(' built')[0].strip()}, fonts {digest[:8]}"


def unlike_golden(tab: Tab, name: str) -> list[str]:
    """Say how a page, at half its size, differs from its golden picture; a picture that does is left to be seen."""
    path, fresh = GOLDEN / f"{name}.png", GOLDEN / f"{name}.new.png"
    GOLDEN.mkdir(exist_ok=True)
    with Image.open(BytesIO(tab.whole())) as picture:
        shown = picture.convert("RGB").resize((picture.width // 2, picture.height // 2), Image.Resampling.BOX)
    shown.quantize(256, Image.Quantize.FASTOCTREE).save(fresh, optimize=True)
    if not path.exists():
        return [f"look at {fresh}, and if it is good, make it {path.name}"]
    with Image.open(path) as golden:
        if golden.size != shown.size:
            return [f"{fresh} has another size than the golden one"]
        apart = ImageChops.difference(golden.convert("RGB"), shown).convert("L").point(lambda level: 255 * (level > 48))
    share = apart.histogram()[255] / (apart.width * apart.height)
    if share > TOLERANCE:
        return [f"{100 * share:.1f} % of {fresh} looks different"]
    fresh.unlink()
    return []
