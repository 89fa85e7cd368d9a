"""Whoever floods the receiver waits for its answers, and takes nothing from those who do not. Decision 40."""

import logging
from contextlib import ExitStack

import pytest
from structlog.testing import capture_logs

from deploy.local.processes import wait_until
from producer.receiver.http import failures
from tests.support.betcore import signer
from tests.support.raw_client import ALIVE, POST, all_of, assert_honest_is_served, connected, status_of
from tests.support.receiver import RunningReceiver, running_receiver

DELAYED = "cashback_answers_delayed_total"
# So seldom that the machine's speed has no say: each source has one answer at once.
SELDOM = 1 / 3_600
SHARE = 3


# This machine's first address is a proxy of ours.
RECEIVER = {
    "failed_verifications_per_second": SELDOM,
    "trusted_proxies": "127.0.0.1",
    "max_connections_per_address": SHARE,
}


def refused(receiver: RunningReceiver, body: str, *, client: str) -> int:
    """Send what is refused, as a client behind our proxy; return the status."""
    return receiver.client.post(
        "/cashback-payments/make", content=body, headers={"X-Forwarded-For": client}
    ).status_code


def bad_signature(receiver: RunningReceiver) -> str:
    return receiver.token().rpartition(".")[0] + "." + "A" * 342


def test_failed_verifications_of_one_address_come_late_and_keep_their_answers(
    receiver: RunningReceiver,
) -> None:
    before = receiver.metric(DELAYED)
    bodies = ["junk", bad_signature(receiver), signer(2).token(at=0), "a.b.c"]

    statuses = [refused(receiver, body, client="203.0.113.1") for body in bodies]

    # A key that may be a new one of BETCORE's is not refused for good.
    assert statuses[:2] + statuses[3:] == [400, 401, 400]
    assert statuses[2] in {401, 503}
    assert receiver.metric(DELAYED) == before + len(bodies) - 1


def test_what_betcore_signed_is_answered_as_ever_whoever_else_sends_from_there(
    receiver: RunningReceiver,
) -> None:
    for _ in range(3):
        refused(receiver, bad_signature(receiver), client="203.0.113.2")
    before = receiver.metric(DELAYED)

    replies = [
        receiver.client.post(
            "/cashback-payments/make", content=receiver.token(), headers={"X-Forwarded-For": "203.0.113.2"}
        )
        for _ in range(3)
    ]

    assert [reply.status_code for reply in replies] == [200] * 3
    assert receiver.metric(DELAYED) == before


def test_each_client_behind_our_proxy_is_counted_for_itself(receiver: RunningReceiver) -> None:
    before = receiver.metric(DELAYED)

    for number in range(5):
        refused(receiver, "junk", client=f"198.51.100.{number}")
        # What a client says itself stands before what the proxy adds.
        refused(receiver, "junk", client=f"192.0.2.{number}, 203.0.113.3")

    assert receiver.metric(DELAYED) == before + 4


@pytest.mark.parametrize("pipelined", [1, 3])
def test_connections_whose_answers_are_delayed_give_way(
    receiver: RunningReceiver, monkeypatch: pytest.MonkeyPatch, pipelined: int
) -> None:
    monkeypatch.setattr(failures, "DELAY_SECONDS", 3_600)
    source = f"127.0.0.{10 + pipelined}"
    junk = POST + b"Content-Length: 4\r\n\r\njunk"
    before = receiver.metric(DELAYED)
    with connected(receiver, source=source) as peer:
        # The one answer that comes at once.
        peer.sendall(junk)
        assert status_of(peer.recv(65_536)) == 400
    with ExitStack() as stack:
        for _ in range(SHARE):
            stack.enter_context(connected(receiver, source=source)).sendall(junk * pipelined)
        wait_until(
            lambda: receiver.metric(DELAYED) == before + SHARE,
            what="all connections of the address wait for an answer",
            timeout_seconds=120,
        )

        assert_honest_is_served(receiver, source=source)


def test_whoever_hangs_up_with_more_requests_behind_leaves_no_traceback(
    redis_url: str, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    junk = POST + b"Content-Length: 4\r\n\r\njunk"
    with running_receiver(
        redis_url=redis_url, database_url=database_url, failed_verifications_per_second=SELDOM
    ) as receiver:
        before = receiver.metric(DELAYED)
        with connected(receiver) as peer:
            peer.sendall(junk * 3)
            assert status_of(peer.recv(65_536)) == 400
            wait_until(
                lambda: receiver.metric(DELAYED) == before + 1,
                what="the second answer is delayed",
                timeout_seconds=120,
            )
        # Whatever was in hand is over when the receiver has stopped.

    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    # Which is said here too, where a test before this one has set up logs.
    assert [message for message in said if "answers_delayed" not in message] == []


def test_a_flood_of_what_is_no_request_is_a_line_that_counts_and_names_its_address(
    redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("producer.shared.log_tally.EVERY_SECONDS", 3_600)
    upgrade = ALIVE[:-2] + b"Connection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    junk = POST + b"Connection: close\r\nContent-Length: 4\r\n\r\njunk"
    with running_receiver(redis_url=redis_url, database_url=database_url) as receiver, capture_logs() as logs:
        for piece in (b"\x16\x03\x01 hello\r\n\r\n", upgrade, junk):
            for _ in range(20):
                with connected(receiver, source="127.0.0.5") as peer:
                    peer.sendall(piece)
                    all_of(peer)

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []
    told = [(line["reason"], line["client"]) for line in logs if "reason" in line]
    assert sorted(told) == [("Bad Request", "127.0.0.5"), ("no_token", "127.0.0.5")]
