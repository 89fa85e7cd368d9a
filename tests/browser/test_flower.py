"""What an operator sees in Flower, through a real browser, of a service at work."""

import time
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Error, Locator, Page, expect

from deploy.local.stack import Stack

# The end of a hang, far above what a slow machine takes.
SHOWN_WITHIN_MS = 120_000
POLL_MS = 250
# How every JSON Web Token begins: base64url of `{"`.
TOKEN_MARK = "eyJ"
PAGES = ("/", "/workers", "/tasks", "/broker")


def send_make(simulator: httpx.Client, cashback_id: int, *, script: tuple[str, ...] = ("ok",)) -> None:
    reply = simulator.post(
        "/sim/makes",
        json={"cashback_id": cashback_id, "user_id": "188509", "amount": "12.50", "script": list(script)},
    )
    assert reply.json()["http_status"] == httpx.codes.OK, reply.text


@pytest.fixture(scope="module", autouse=True)
def _without_an_end(simulator: httpx.Client) -> None:
    """Send what BETCORE never acknowledges: its time is over when the last test looks for it."""
    # Several: when events of two workers reach Flower in the wrong order, it shows one as RETRY for ever.
    # Apart from each other: one that a sweeper ends, in the very moment of its deadline, fails in no worker.
    for cashback_id in range(4101, 4104):
        send_make(simulator, cashback_id, script=("500*",))
        time.sleep(0.4)


def row_of(page: Page, cashback_id: int) -> Locator:
    return page.locator("#tasks-table tbody tr", has_text=f"CashbackId={cashback_id} ")


def show_tasks(page: Page, row: Locator, *texts: str) -> None:
    """Open the list of tasks, again and again as an operator would, until a row holds all the texts."""
    ends_at = time.monotonic() + SHOWN_WITHIN_MS / 1_000
    while True:
        page.goto("/tasks")
        # The newest come first, 15 to a page, and each retry is received anew: that drives others off it.
        page.get_by_label("Tasks per page").select_option("100")
        page.wait_for_load_state("networkidle")
        shown = row.first.inner_text() if row.count() else "nothing"
        if all(text in shown for text in texts):
            return
        assert time.monotonic() < ends_at, f"{texts} not within {SHOWN_WITHIN_MS} ms, but {shown}"
        page.wait_for_timeout(POLL_MS)


def assert_no_token(page: Page) -> None:
    assert TOKEN_MARK not in page.content()


def test_flower_asks_a_stranger_for_a_login_and_shows_nothing(stranger: Page, stack: Stack) -> None:
    for path in PAGES:
        assert stranger.request.get(stack.flower_url + path).status == httpx.codes.UNAUTHORIZED, path
        # What Chromium makes of a demand for a login when nobody is there to type one.
        with pytest.raises(Error, match="ERR_INVALID_AUTH_CREDENTIALS"):
            stranger.goto(stack.flower_url + path)


def test_flower_denies_access_to_who_guesses_the_login(intruder: Page, screenshots: Path) -> None:
    for path in PAGES:
        reply = intruder.goto(path)

        assert reply is not None
        assert reply.status == httpx.codes.UNAUTHORIZED, path
        assert intruder.locator("body").inner_text() == "Access denied"
    intruder.screenshot(path=screenshots / "1-access-denied.png")


def test_flower_cannot_be_put_into_a_frame_of_another_page(logged_in: Page, stack: Stack) -> None:
    with logged_in.expect_console_message(lambda said: "frame-ancestors 'none'" in said.text):
        logged_in.set_content(f'<iframe src="{stack.flower_url}/workers"></iframe>')

    assert logged_in.frames[1].locator("#workers-table").count() == 0


def test_flower_lists_both_workers_as_online(operator: Page, stack: Stack, screenshots: Path) -> None:
    pids = [process.pid for name, process in stack.processes.items() if name.startswith("worker")]
    assert len(pids) == 2

    operator.goto("/workers")

    expect(operator.locator("#workers-online")).to_have_text("2", timeout=SHOWN_WITHIN_MS)
    for pid in pids:
        row = operator.locator("#workers-table tbody tr", has_text=f"worker-{pid}@")
        expect(row).to_contain_text("Online", timeout=SHOWN_WITHIN_MS)
    operator.screenshot(path=screenshots / "2-workers.png")


def test_a_settled_cashback_is_shown_with_readable_arguments(
    operator: Page, simulator: httpx.Client, screenshots: Path
) -> None:
    send_make(simulator, 1001)

    show_tasks(operator, row_of(operator, 1001), "SUCCESS")

    row = row_of(operator, 1001)
    for text in ("cashback.settle", "type=1", "amount=12.50", "worker-"):
        expect(row).to_contain_text(text)
    # The user is masked: a dashboard is no place for account numbers.
    expect(row).not_to_contain_text("188509")
    assert_no_token(operator)
    operator.screenshot(path=screenshots / "3-settled.png")


def test_a_retry_is_seen_while_it_waits(operator: Page, simulator: httpx.Client, screenshots: Path) -> None:
    for cashback_id in range(2001, 2009):
        send_make(simulator, cashback_id, script=("500*",))

    retrying = operator.locator("#tasks-table tbody tr", has_text="CashbackId=200").filter(has_text="RETRY")
    show_tasks(operator, retrying, "RETRY", "AcceptFailed")
    assert_no_token(operator)
    operator.screenshot(path=screenshots / "4-retry.png")


def test_a_workers_own_page_shows_the_tasks_that_it_holds_and_no_token(
    operator: Page, simulator: httpx.Client, screenshots: Path
) -> None:
    operator.goto("/workers")
    pages = operator.locator("#workers-table tbody a[href*='/worker/']")
    expect(pages).to_have_count(2, timeout=SHOWN_WITHIN_MS)
    paths = [str(pages.nth(number).get_attribute("href")) for number in range(2)]
    for cashback_id in range(5001, 5013):
        send_make(simulator, cashback_id, script=("500*",))

    contents = []
    for number, path in enumerate(paths, start=1):
        operator.goto(path)
        contents.append(operator.content())
        operator.get_by_role("tab", name="Tasks").click()
        expect(operator.locator("#tab-tasks")).to_be_visible()
        operator.screenshot(
            path=screenshots / f"5-worker-{number}.png", full_page=True, animations="disabled"
        )

    # Retries wait inside a worker, so its lists are not empty: else the second line proved nothing.
    assert any("CashbackId=50" in content for content in contents)
    leaking = [path for path, content in zip(paths, contents, strict=True) if TOKEN_MARK in content]
    assert leaking == []


def test_an_event_that_betcore_takes_at_the_second_attempt_succeeds_after_one_retry(
    operator: Page, simulator: httpx.Client, screenshots: Path
) -> None:
    send_make(simulator, 3001, script=("500", "ok"))

    show_tasks(operator, row_of(operator, 3001), "SUCCESS", "AcceptFailed")

    assert_no_token(operator)
    operator.screenshot(path=screenshots / "6-retried.png")


def test_failures_are_shown_with_the_error_that_they_ended_in(
    operator: Page, simulator: httpx.Client, screenshots: Path
) -> None:
    send_make(simulator, 4001, script=("103752",))

    show_tasks(operator, row_of(operator, 4001), "FAILURE", "RefusedByBetcore")
    expired = operator.locator("#tasks-table tbody tr", has_text="CashbackId=410").filter(has_text="FAILURE")
    show_tasks(operator, expired, "FAILURE", "DeadlineExceeded")
    assert_no_token(operator)
    operator.screenshot(path=screenshots / "7-failures.png")

    expired.first.locator("a[href*='/task/']").first.click()
    expect(operator.locator("#task-page")).to_contain_text("DeadlineExceeded", timeout=SHOWN_WITHIN_MS)
    expect(operator.locator("#task-page")).to_contain_text("CashbackId=410")
    assert_no_token(operator)
    operator.screenshot(path=screenshots / "8-failure.png", full_page=True)
