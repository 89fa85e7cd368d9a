"""A whole stack and a real Chromium in front of its Flower."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from deploy.local.environment import ROOT
from deploy.local.stack import Stack, StackOptions

SCREENSHOTS = ROOT / "var/screenshots"
ACCOUNTS = "user_id,currency,status,balance\n188509,EUR,active,0\n"
# Short, so that what is never acknowledged fails while we watch; long enough to be seen retrying before, on
# a slow machine, too.
TIMES = {"CASHBACK_DEADLINE_SECONDS": "30", "CASHBACK_ANSWER_RESERVE_SECONDS": "5"}
# The end of a hang, of each step in the browser.
STEP_MS = 120_000
# What Chromium says of whatever a page tries against the headers that came with it.
POLICY = "Content Security Policy"
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def stack(server_directory: Path) -> Iterator[Stack]:
    """Run everything on this machine with two workers, whatever the caller's own settings are."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CASHBACK_")}
    options = StackOptions(
        directory=server_directory / "browser",
        workers=2,
        flower=True,
        accounts_csv=ACCOUNTS,
        environ=environ | TIMES,
    )
    with Stack(options) as running:
        yield running


@pytest.fixture(scope="session")
def simulator(stack: Stack) -> Iterator[httpx.Client]:
    """Lend a client of the simulated BETCORE."""
    with httpx.Client(base_url=stack.simulator_url, timeout=120.0) as client:
        yield client


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Find Chromium, or fail: Flower is to be seen in a real browser."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.fail(
            "No Chromium is on the PATH: install it (Debian: apt-get install chromium) or set CHROMIUM"
        )
    return path


@pytest.fixture(scope="session")
def browser(chromium_path: str) -> Iterator[Browser]:
    """Run Chromium without a window, on a profile that is thrown away."""
    expect.set_options(timeout=STEP_MS)
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=chromium_path, args=CHROMIUM_ARGUMENTS) as browser,
    ):
        yield browser


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """Open a page of someone who has no login."""
    with browser.new_context() as context:
        yield context.new_page()


@pytest.fixture
def intruder(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Open a page of someone who knows the user and guesses the password."""
    user, _, password = stack.flower_login.partition(":")
    with _context(browser, stack, user, password.swapcase() + "!") as context:
        yield context.new_page()


@pytest.fixture
def logged_in(browser: Browser, stack: Stack) -> Iterator[Page]:
    """Open a page of someone who has the login."""
    user, _, password = stack.flower_login.partition(":")
    with _context(browser, stack, user, password) as context:
        yield context.new_page()


@pytest.fixture
def operator(logged_in: Page) -> Iterator[Page]:
    """Open the same page, and fail if any script of it fails or is not allowed what it wants."""
    faults: list[str] = []
    logged_in.on("pageerror", lambda error: faults.append(str(error)))
    logged_in.on("console", lambda said: faults.append(said.text) if POLICY in said.text else None)
    yield logged_in
    assert faults == []


def _context(browser: Browser, stack: Stack, user: str, password: str) -> BrowserContext:
    context = browser.new_context(
        base_url=stack.flower_url,
        http_credentials={"username": user, "password": password},
        viewport={"width": 1920, "height": 1000},
    )
    context.set_default_timeout(STEP_MS)
    return context


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Make the directory of the screenshots, which git ignores."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS
